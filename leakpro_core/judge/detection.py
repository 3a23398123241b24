"""Detection: is anything there at all? Family-wise over all attacks, points and adversaries.

Half of alpha goes to the rectangles at the operating points, half to a permutation test of the
largest of many linear rank statistics. Rectangles see a thin tail, rank sums a small shift of the
bulk; both are needed.
"""

from collections.abc import Sequence

import numpy as np

from leakpro_core.arrays import Floats, Singles
from leakpro_core.judge.points import Rule
from leakpro_core.judge.rounds import Table
from leakpro_core.statistics.multiplicity import max_statistic_p
from leakpro_core.statistics.roc import Tally


def permutation_p(table: Table, rules: Sequence[Sequence[Rule]], seed: int) -> Floats:
    """Return a p-value per sample, adjusted for all samples and all their statistics.

    Statistics of a sample: the rank sum (its AUC), and for every point the exposed rounds among
    the highest (fpr) or missing among the lowest (fnr) share of all claims, arms together, so
    that a permutation does not move the threshold. Large where members' claims are high.
    """
    wanted = [
        (number, kind, level)
        for number, points in enumerate(rules)
        for kind, level in [("auc", 0.0), *((r.kind, r.level) for r in points)]
    ]
    weights: Singles = np.zeros((len(wanted), table.rows), np.float32)
    for row, (number, kind, level) in zip(weights, wanted, strict=True):
        for part in table.samples[number].parts:
            row[part.rows] = _weights(part.tally, kind, level).astype(np.float32)[part.code]
    families = np.array([number for number, _, _ in wanted])
    return max_statistic_p(weights, table.exchanges, families, seed)


def _weights(t: Tally, kind: str, level: float) -> Floats:
    """Return the weight of an exposed round by the level of its claim; of mean 0 over rounds.

    Ties share: mid-ranks, and a share of the last place in a tail.
    """
    count = t.exposed + t.control
    n = int(count.sum())
    through = np.cumsum(count)
    if kind == "auc":
        return ((n - through + count / 2.0) - n / 2.0) / n
    places = np.ceil(level * n - 1e-9)
    before = through - count if kind == "fpr" else n - through
    inside = np.clip((places - before) / count, 0.0, 1.0) - places / n
    return np.asarray(inside if kind == "fpr" else -inside)
