"""How many rows people have: alike in both arms, or no attack's success speaks about the release.

Whoever has more rows is met more often by luck, and the mean of more claims lies less often at
either end. The blind adversary cannot see it: there, people change arms with those alone who have
as many rows, and where nobody has as many in both arms it sees nothing at all.
"""

import numpy as np

from leakpro_core.arrays import Bools, Ints
from leakpro_core.report import Control
from leakpro_core.statistics.multiplicity import Exchange, max_statistic_p
from leakpro_core.statistics.roc import auc

FAILS = 0.01
"""p-value at which arms that differ much void an audit; up to alpha it is a warning."""

AREA, RATIO = 0.05, 1.1
"""What is much: an AUC so far from one half, or so many times as many rows on average."""

NAME = "rows per person"


def length_control(
    subjects: Ints, members: Bools, seed: int, confidence: float = 0.95
) -> Control | None:
    """Return whether people of both arms have as many rows; None where everybody has one.

    subjects, members: ``[rows]``, whose each is, and whether it is of the original. The larger of
    two differences, of mean ranks and of means, either way, by a permutation of people.
    """
    who, many = np.unique(subjects, return_inverse=True, return_counts=True)[1:]
    if many.max() == 1:
        return None
    exposed = np.bincount(who, weights=members) > 0
    found = auc(many.astype(np.float64), exposed, confidence)
    p = _chance(many, exposed, seed)
    means = float(many[exposed].mean()), float(many[~exposed].mean())
    much = abs(found.value - 0.5) >= AREA or max(means) >= RATIO * min(means)
    result = "pass" if p > 1.0 - confidence else "fail" if much and p <= FAILS else "warn"
    said = {
        "pass": "How many rows they have does not tell people in the training data from control "
        "people",
        "warn": "People in the training data and control people may differ by how many rows they "
        "have",
        "fail": "People in the training data and control people differ by how many rows they have, "
        "and whoever has more is met more often by luck: no attack's success speaks about the "
        "release",
    }[result]
    return Control(
        name=NAME,
        result=result,
        statement=f"{said} ({means[0]:.3g} and {means[1]:.3g} on average, p = {p:.3f}).",
        estimate=found,
    )


def _chance(many: Ints, exposed: Bools, seed: int) -> float:
    each = np.unique(many, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(each[2]) - (each[2] - 1) / 2)[each[1]]
    centred = np.stack([ranks - ranks.mean(), many - many.mean()])
    weights = np.concatenate([centred, -centred]).astype(np.float32)
    people = np.arange(len(many))[:, None]
    exchange = Exchange(rows=people, arms=exposed[:, None].astype(np.float32))
    return float(max_statistic_p(weights, [exchange], np.zeros(4, np.int64), seed)[0])
