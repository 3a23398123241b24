"""Ranks against a reference sample, and the figure by which choices are made on shadows."""

import numpy as np
from scipy.special import ndtri

from leakpro_core.arrays import Bools, Floats

_FPR = np.geomspace(0.002, 0.05, 15)


def mid_rank(ordered: Floats, values: Floats) -> Floats:
    """Return the share of a reference ``[m]``, sorted, below each value; strictly in (0, 1).

    Ties count by half.
    """
    order = np.argsort(values, axis=None)
    # In order, for a search that jumps about in a large reference waits for memory each time.
    rising = values.ravel()[order]
    below = np.searchsorted(ordered, rising, "left")
    not_above = np.searchsorted(ordered, rising, "right")
    rank = np.empty(values.size)
    rank[order] = (below + not_above + 1) / (2 * (len(ordered) + 1))
    return rank.reshape(values.shape)


def normal_score(ordered: Floats, values: Floats) -> Floats:
    """Return the normal quantile of the rank (van der Waerden): tails count more than ranks do."""
    score: Floats = ndtri(mid_rank(ordered, values))
    return score


def low_fpr_power(scores: Floats, members: Bools) -> float:
    """Return the mean TPR over log-spaced FPR from .2% to 5%; NaN where an arm is empty."""
    control, exposed = scores[~members], scores[members]
    if not control.size or not exposed.size:
        return float("nan")
    place = len(control) - 1 - (_FPR * len(control)).astype(np.int64)
    thresholds = np.sort(np.partition(control, place)[place])
    below = np.searchsorted(thresholds, exposed, "left")  # thresholds strictly under each claim
    return float(below.mean() / len(thresholds))
