"""How many records it takes, before any are collected."""

import math

from scipy.special import bdtr
from scipy.stats import hypergeom

from leakpro_core.statistics.roc import loose_rank, strict_rank


def trials_to_exclude(rate: float, successes: int = 0, confidence: float = 0.95) -> int:
    """Return the fewest trials that exclude ``rate`` after so many successes.

    The smallest n whose one-sided Clopper-Pearson upper bound is at most ``rate``, that is
    ``P[Bin(n, rate) <= successes] <= 1 - confidence``.
    """
    if not 0.0 < rate < 1.0 or successes < 0:
        raise ValueError(f"rate {rate} and {successes} successes")
    alpha = 1.0 - confidence
    low, high = successes, successes + 1
    while bdtr(successes, high, rate) > alpha:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bdtr(successes, middle, rate) > alpha else (low, middle)
    return high


def records_needed(
    fpr: float,
    tolerated: float,
    confidence: float = 0.95,
    *,
    power: float = 0.8,
    sampled: bool = True,
) -> int:
    """Return about how many members, and as many non-members, exclude a useless attack.

    Useless: TPR = FPR. Excluded: ``tpr_upper`` at ``fpr`` is at most ``tolerated``, with the
    chance ``power``. Found by bisection; the chance has teeth in n, so the answer is exact to
    a few per cent. ``ValueError`` where ``tolerated`` is not above ``fpr``: no number is enough.
    """
    if not 0.0 < fpr < tolerated <= 1.0:
        raise ValueError(f"FPR {fpr} and tolerated TPR {tolerated}, expected 0 < FPR < TPR <= 1")
    alpha = 1.0 - confidence
    low, high = 1, 2
    while _chance(high, fpr, tolerated, alpha, sampled) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = _chance(middle, fpr, tolerated, alpha, sampled) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _chance(n: int, fpr: float, tolerated: float, alpha: float, sampled: bool) -> float:
    """Return the chance that a useless attack on n + n records is excluded."""
    rank = int(loose_rank([fpr], n, alpha / 2.0)[0])
    if rank > n:
        return 0.0
    if sampled:
        # The most members whose Clopper-Pearson bound is still within what is tolerated.
        most = int(strict_rank([tolerated], n, alpha / 2.0)[0]) - 1
    else:
        most = math.floor(tolerated * n + 1e-12)
    if most < 0:
        return 0.0
    # At most `most` members lie above the rank-th control claim if, of the `rank + most` highest
    # of all claims, at least `rank` are controls: a draw without replacement under no leak.
    return float(hypergeom.sf(rank - 1, 2 * n, n, min(2 * n, rank + most)))
