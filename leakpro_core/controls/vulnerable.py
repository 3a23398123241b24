"""The tenth of the records that is most exposed, chosen by what does not depend on the bits."""

import numpy as np

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints
from leakpro_core.controls.neighbours import nearest, table

NEIGHBOURS = 5
BASE = 5000
PRIOR_DEGREES = 4.0
"""How many degrees of freedom the variance of all records counts for in each record's own."""


def vulnerable_tenth(
    shadow_margin: AnyArray | None,
    trained_on: Bools | None,
    records: AnyArray | None,
    *,
    modality: str = "tabular",
) -> Bools | None:
    """Return the tenth of the records, at least one, that looks most exposed; None if unknown.

    shadow_margin: ``[K, n]`` and trained_on: bool ``[K, n]``: where every record was in at least
    one shadow and out of another, those whose mean margin rises most when they are trained on.
    Else records ``[n, ...]``: those farthest from their nearest neighbours (Meeus 2023).
    Ties are broken by a fixed shuffle and not by position, which may follow membership.
    """
    if shadow_margin is not None and trained_on is not None:
        inside = trained_on.sum(axis=0)
        if ((inside > 0) & (inside < len(trained_on))).all():
            return _top(_gap(shadow_margin.astype(np.float64), trained_on))
    if records is not None:
        return _top(_isolation(records, modality))
    return None


def _gap(margin: Floats, inside: Bools) -> Floats:
    """Return the margin's rise when trained on, shrunk towards the mean rise where it is noisy."""
    k_in, k_out = inside.sum(axis=0), (~inside).sum(axis=0)
    mean_in = np.where(inside, margin, 0.0).sum(axis=0) / k_in
    mean_out = np.where(inside, 0.0, margin).sum(axis=0) / k_out
    gap: Floats = mean_in - mean_out
    squares = ((margin - np.where(inside, mean_in, mean_out)) ** 2).sum(axis=0)
    degrees = len(margin) - 2
    if not degrees:
        return gap
    usual = squares.mean() / degrees
    variance = (PRIOR_DEGREES * usual + squares) / (PRIOR_DEGREES + degrees)
    noise = variance * (1.0 / k_in + 1.0 / k_out)
    spread = max(float(gap.var() - noise.mean()), 1e-3 * float(gap.var()))
    weight = spread / np.maximum(spread + noise, 1e-300)
    shrunk: Floats = gap.mean() + weight * (gap - gap.mean())
    return shrunk


def _isolation(records: AnyArray, modality: str) -> Floats:
    columns = table(records, modality, 0)
    n = len(columns)
    base: Ints = np.sort(np.random.default_rng(0).permutation(n)[:BASE])
    count = min(NEIGHBOURS, n - 1)
    if not columns.shape[1] or not count:
        return np.zeros(n)
    return nearest(columns, np.arange(n), base, count=count)


def _top(score: Floats) -> Bools:
    n = len(score)
    shuffled = np.random.default_rng(0).permutation(n)
    chosen = np.zeros(n, bool)
    chosen[np.lexsort((shuffled, -score))[: max(1, n // 10)]] = True
    return chosen
