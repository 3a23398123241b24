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
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import ndtri, stdtrit

from leakpro_core.statistics.intervals import Interval, lower_bound, upper_bound

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ROUND = 1e-9
"""A sum of values is whole if it is but for so much."""

_TIE = 1e-5
"""Standardised sums closer than this are ties; well above the rounding of float32."""

_CELLS = 2**22
"""Outcomes of claims held at a time."""


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


@frozen(kw_only=True)
class Meetings:
    """One attack's claims, each tried on both arms, for ``arms_p``.

    meets: float32 CSR ``[claims, people]``, 1 where a claim meets a person; tenth: bool
    ``[people]``; one: a claim comes true in an arm where it meets exactly one person of it, else
    where it meets any; weights: float32 ``[points, claims]``; vulnerable: bool ``[points]``,
    whether a claim comes true there only where a person of the tenth is met.
    """

    meets: csr_array = field(eq=False)
    tenth: Bools = field(eq=False)
    one: bool
    weights: NDArray[np.float32] = field(eq=False)
    vulnerable: Bools = field(eq=False)


def came_true(
    meets: csr_array, arms: NDArray[np.float32], *, one: bool, tenth: Bools | None = None
) -> Bools:
    """Return whether claims come true about the people of an arm: bool ``[claims, b]``.

    arms: float32 ``[people, b]``, 1 where a person is of the arm, in b ways. tenth: bool
    ``[people]``, who must be among the people met (the only one, by the rule of one).
    """
    met = meets @ arms
    true = met == 1.0 if one else met > 0.0
    if tenth is not None:
        true &= (meets[:, tenth] @ arms[tenth]) > 0.0
    return np.asarray(true)


def arms_p(blocks: Sequence[Meetings], exposed: Bools, seed: int, permutations: int) -> Floats:
    """Return for each block the p-value of its largest statistic, adjusted for all blocks.

    exposed: bool ``[people]``, the arm of each, as many in either; all blocks meet these people.
    People's arms are permuted, and by the rule it is looked up anew which claims come true in
    either arm: exact where people can be exchanged for one another, however claims share them.
    Statistics are weighted sums of exposed minus control outcomes, standardised by the root of
    their mean square over what was observed and all permutations (swapped arms: the mean is 0),
    and compared with the distribution of the maximum over all blocks and points (Westfall, Young
    1993, single step): ``(1 + #{max_b >= observed}) / (1 + permutations)``.
    """
    # Whom nobody's claims meet makes no difference; how many of the others are exposed is drawn.
    met = np.unique(np.concatenate([np.zeros(0, np.int64), *(b.meets.indices for b in blocks)]))
    few = [_apart(evolve(b, meets=b.meets[:, met], tenth=b.tenth[met])) for b in blocks]
    rng = np.random.default_rng(seed)
    inside = int(exposed.sum())
    drawn = rng.hypergeometric(inside, len(exposed) - inside, len(met), permutations)
    observed = exposed[met].astype(np.float32)[:, None]
    sums = [[_sums(block, observed)] for block in few]
    step = max(1, _CELLS // max([1, len(met), *(b.meets.shape[0] for b in few)]))
    for start in range(0, permutations, step):
        count = drawn[start : start + step, None]
        order = np.tile(np.arange(len(met), dtype=np.int32), (len(count), 1))
        arms = np.ascontiguousarray((rng.permuted(order, axis=1) < count).T, np.float32)
        for block, parts in zip(few, sums, strict=True):
            parts.append(_sums(block, arms))
    found = [_standard(np.concatenate(parts, axis=1)) for parts in sums]
    best = np.array([f[:, 0].max(initial=-np.inf) for f in found])
    largest = np.max([f[:, 1:].max(axis=0, initial=-np.inf) for f in found], axis=0)
    beyond = (largest[None, :] >= best[:, None] - _TIE).sum(axis=1)
    return np.asarray((1.0 + beyond) / (1.0 + permutations))


def _apart(block: Meetings) -> Meetings:
    """Return the same with claims that meet the same people as one, and without those of nobody."""
    meets = block.meets.copy()
    meets.sort_indices()
    # Sums in the same order: equal just where the people are, but for a chance of 2**-50.
    mark = meets.astype(np.float64) @ np.random.default_rng(0).random(meets.shape[1])
    _, first, which = np.unique(mark, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    total = [np.bincount(which, weights=row, minlength=len(first)) for row in block.weights]
    some = np.diff(meets.indptr)[first] > 0
    weights = np.reshape(total, (len(block.weights), len(first)))[:, some]
    return evolve(block, meets=meets[first[some]], weights=weights.astype(np.float32))


def _sums(block: Meetings, arms: NDArray[np.float32]) -> Floats:
    """Return the statistics, ``[points, b]``."""
    result = np.zeros((len(block.weights), arms.shape[1]))
    for tenth, points in ((None, ~block.vulnerable), (block.tenth, block.vulnerable)):
        if points.any():
            here, there = (
                came_true(block.meets, arm, one=block.one, tenth=tenth) for arm in (arms, 1 - arms)
            )
            gap = here.astype(np.float32) - there
            result[points] = block.weights[points] @ gap
    return result


def _standard(sums: Floats) -> Floats:
    scale = np.sqrt((sums**2).mean(axis=1, keepdims=True))
    return np.asarray(sums / np.where(scale > 0.0, scale, np.inf))


def _side(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2.0 * phi * one * other + other * other))
