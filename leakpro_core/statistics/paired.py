"""Rates of two arms side by side: means of unit values in [0, 1], paired or not.

A unit is whatever is independent of the others: a person, or all claims about one person. Its value
is the share of its claims that came true. Coins of unequal chances have smaller tails than as many
of the mean chance (Hoeffding 1956), and sums of values in [0, 1] spread less than those of coins of
the same mean (Hoeffding 1963). That is no proof for every tail of a sum of such values, so sums are
rounded outwards and coverage is counted (``bench/evidence_success.py``). ``total`` below is a sum
of values. MOVER: limits of a function of two rates, recovered from the limits of each
(Donner, Zou 2012, Stat. Methods Med. Res. 21).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from leakpro_core.statistics.intervals import Interval, lower_bound, upper_bound

Floats = NDArray[np.float64]

FLIPS = 999

_ROUND = 1e-9
"""A sum of values is whole if it is but for so much."""

_TIE = 1e-9
"""Standardised sums closer than this are ties."""

_CELLS = 2**22
"""Flipped signs held at a time."""


def mean_lower(total: ArrayLike, units: ArrayLike, alpha: ArrayLike) -> Floats:
    """Return one-sided lower bounds of mean values: Clopper-Pearson of the sum, rounded down."""
    return lower_bound(np.floor(np.asarray(total) + _ROUND), units, alpha)


def mean_upper(total: ArrayLike, units: ArrayLike, alpha: ArrayLike) -> Floats:
    """Return one-sided upper bounds of mean values: Clopper-Pearson of the sum, rounded up."""
    return upper_bound(np.ceil(np.asarray(total) - _ROUND), units, alpha)


def score_interval(rate: float, units: float, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval of a mean value; as ``wilson``, where the values are 0 or 1."""
    z = float(ndtri(1.0 - (1.0 - confidence) / 2.0))
    spread = z * z / units
    centre = (rate + spread / 2.0) / (1.0 + spread)
    variance = max(0.0, rate * (1.0 - rate)) / units + spread / (4.0 * units)
    half = z / (1.0 + spread) * math.sqrt(variance)
    return Interval(max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def correlation(first: Floats, second: Floats) -> float:
    """Return the correlation over pairs, a positive covariance less ``1 / (2 n)``.

    For values of 0 and 1 this is phi as Newcombe corrects it (1998, Stat. Med. 17, 2635-2650,
    method 10). 0 where an arm's values are all the same.
    """
    spread = float(first.std() * second.std())
    if spread <= _ROUND:
        return 0.0
    covariance = float((first * second).mean() - first.mean() * second.mean())
    if covariance > 0.0:
        covariance = max(0.0, covariance - 0.5 / len(first))
    return max(-1.0, min(1.0, covariance / spread))


def difference(
    first: float, of_first: Interval, second: float, of_second: Interval, phi: float = 0.0
) -> Interval:
    """Return the interval of ``first - second``, by MOVER.

    With Wilson's intervals this is Newcombe's hybrid score interval (1998): without phi that of two
    samples, with ``correlation`` that of pairs, method 10 of either paper.
    """
    below, above = first - of_first.low, of_first.high - first
    under, over = second - of_second.low, of_second.high - second
    return Interval(
        first - second - _side(below, over, phi), first - second + _side(above, under, phi)
    )


def paired_difference(first: Floats, second: Floats, confidence: float = 0.95) -> Interval:
    """Return the interval of the mean difference over pairs, Newcombe's method 10."""
    a, b, n = float(first.mean()), float(second.mean()), len(first)
    limits = score_interval(a, n, confidence), score_interval(b, n, confidence)
    return difference(a, limits[0], b, limits[1], correlation(first, second))


def weighted_difference(first: Floats, second: Floats, weights: Floats) -> tuple[float, float]:
    """Return the mean difference over claims that are clustered in units, and its standard error.

    weights: claims a unit has. The ratio of two sums over units, linearised (Cochran 1977, Sampling
    Techniques, 6.3): where few units have most claims the error is large. It is 0 where all units
    agree. Two units at least.
    """
    share, gap, n = weights / weights.sum(), first - second, len(weights)
    mean = float(share @ gap)
    return mean, math.sqrt(float(((share * (gap - mean)) ** 2).sum()) * n / (n - 1))


def weighted_high(
    first: Floats, second: Floats, weights: Floats, confidence: float = 0.95
) -> float:
    """Return the upper end of the t interval of ``weighted_difference``."""
    mean, error = weighted_difference(first, second, weights)
    return mean + float(stdtrit(len(weights) - 1, 1.0 - (1.0 - confidence) / 2.0)) * error


def relative_excess(
    first: float, of_first: Interval, second: float, of_second: Interval, phi: float = 0.0
) -> Interval:
    """Return the interval of ``(a - c) / (1 - c)`` by MOVER for the ratio ``(1 - a) / (1 - c)``.

    ``ValueError`` where the upper limit of c is 1: the ratio has no limit then.
    """
    top, top_low, top_high = 1.0 - first, 1.0 - of_first.high, 1.0 - of_first.low
    base, base_low, base_high = 1.0 - second, 1.0 - of_second.high, 1.0 - of_second.low
    if base_low <= 0.0:
        raise ValueError(f"the second rate may be 1: its limits are {of_second}")

    def root(limit: float, other: float, sign: float) -> float:
        # Where the interval of ``top - ratio base`` has its end at 0: a quadratic in the ratio.
        cross = top * base - phi * (top - limit) * (other - base)
        square, constant = other * (2.0 * base - other), limit * (2.0 * top - limit)
        inside = math.sqrt(max(0.0, cross * cross - square * constant))
        # The lower root in a form that stands where the square's factor is not positive.
        return constant / (cross + inside) if sign < 0 else (cross + inside) / square

    low = root(top_low, base_high, -1.0) if top_low > 0.0 else 0.0
    return Interval(1.0 - root(top_high, base_low, 1.0), 1.0 - low)


def odds_ratio(rate: float, other: float) -> float:
    """Return ``rate / (1 - rate)`` over ``other / (1 - other)``; 0 < other, rate < 1."""
    return rate / (1.0 - rate) * ((1.0 - other) / other)


def units_needed(
    rate: float, tolerated: float, confidence: float = 0.95, *, power: float = 0.8
) -> int:
    """Return about how many units of each arm exclude a useless attack.

    Useless: both arms have that rate. Excluded: the upper end of Newcombe's interval of the
    difference is at most ``tolerated``, with the chance ``power`` (in the normal approximation).
    """
    if not (0.0 <= rate <= 1.0 and tolerated > 0.0):
        raise ValueError(f"rate {rate} and tolerated difference {tolerated}")
    luck = float(ndtri(power))

    def enough(n: int) -> bool:
        limits = score_interval(rate, n, confidence)
        high = difference(rate, limits, rate, limits).high
        return high + luck * math.sqrt(2.0 * rate * (1.0 - rate) / n) <= tolerated

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def weighted_needed(
    first: Floats,
    second: Floats,
    weights: Floats,
    tolerated: float,
    confidence: float = 0.95,
    *,
    power: float = 0.8,
) -> int:
    """Return about how many such units exclude a useless attack by ``weighted_high``."""
    _, error = weighted_difference(first, second, weights)
    reach = float(ndtri(1.0 - (1.0 - confidence) / 2.0) + ndtri(power))
    return math.ceil(len(weights) * (reach * error / tolerated) ** 2)


def sign_flip_p(blocks: Sequence[Floats], seed: int, flips: int = FLIPS) -> Floats:
    """Return for each block the p-value of its largest sum, adjusted for all blocks.

    blocks: float64 ``[units, statistics]``, differences of a unit's arms, positive: evidence. Under
    the hypothesis that a unit's arms may be exchanged its differences change sign together. Sums
    are standardised by the root of the sum of squares, which flips do not change, and compared with
    the flips' distribution of the maximum over all of them (Westfall, Young 1993, single step):
    ``(1 + #{max_b >= observed}) / (1 + flips)``. Blocks are flipped apart from each other: whatever
    their dependence, the error then exceeds alpha by no more than about ``alpha**2 / 2``.
    """
    observed, largest = np.full(len(blocks), -np.inf), np.full(flips, -np.inf)
    for number, block in enumerate(blocks):
        if block.shape[1] == 0:
            continue
        moved = block[(block != 0.0).any(axis=1)]
        scale = np.sqrt((moved**2).sum(axis=0))
        moved = moved / np.where(scale > 0.0, scale, np.inf)
        observed[number] = moved.sum(axis=0).max()
        rng = np.random.default_rng([seed, number])
        step = max(1, _CELLS // max(1, len(moved)))
        for start in range(0, flips, step):
            here = slice(start, min(flips, start + step))
            sign = rng.integers(0, 2, (here.stop - here.start, len(moved)), np.int8) * 2.0 - 1.0
            largest[here] = np.maximum(largest[here], (sign @ moved).max(axis=1))
    beyond = (largest[None, :] >= observed[:, None] - _TIE).sum(axis=1)
    return np.asarray((1.0 + beyond) / (1.0 + flips))


def _side(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2.0 * phi * one * other + other * other))
