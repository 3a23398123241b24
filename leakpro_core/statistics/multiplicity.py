"""Several tests at once: Holm's correction, and the permutation test of a maximum."""

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PERMUTATIONS = 999

_CELLS = 2**22
"""Permuted arms held at a time: 16 MB as float32."""

_TIE = 1e-4
"""Statistics closer than this are ties; well above the rounding of float32 sums."""


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values adjusted so that their family-wise error is controlled (Holm 1979)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0)
    return adjusted


@frozen(kw_only=True)
class Exchange:
    """Units whose arms may be exchanged for one another.

    rows: int64 ``[units, clusters]``, a unit's rounds; arms: float32, same shape, 1 where exposed.
    A unit's arms move together, so however its arms in several clusters depend on each other,
    permutations keep it.
    """

    rows: Ints = field(eq=False)
    arms: Singles = field(eq=False)


def linear_scale(weights: Singles, exchanges: Sequence[Exchange]) -> Floats:
    """Return the standard deviation of ``weights @ arms`` over all permutations, exactly.

    weights: float32 ``[statistics, rounds]``. Where n units with weights w and arms a, vectors
    over clusters, are permuted, the variance is ``sum_cd W_cd A_cd / (n - 1)``, W and A being
    the centred cross-products of w and of a.
    """
    variance = np.zeros(len(weights))
    for exchange in exchanges:
        centred = exchange.arms - exchange.arms.mean(axis=0, dtype=np.float64)
        product = centred.T @ centred / max(1, len(centred) - 1)
        for statistic, row in enumerate(weights):
            w = row[exchange.rows].astype(np.float64)
            w -= w.mean(axis=0)
            variance[statistic] += ((w.T @ w) * product).sum()
    return np.sqrt(np.maximum(variance, 0.0))


def max_statistic_p(
    weights: Singles,
    exchanges: Sequence[Exchange],
    families: Ints,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> Floats:
    """Return for each family the p-value of its largest statistic, adjusted for all families.

    The statistics ``weights @ arms`` (large: evidence), standardised by ``linear_scale``, are
    compared with the permutation distribution of the maximum over all of them
    (Westfall, Young 1993, single step): ``(1 + #{max_b >= observed}) / (1 + permutations)``.
    Exact where the units are exchangeable, however the statistics depend on each other.

    weights: float32 ``[statistics, rounds]``, each row of sum zero in every cluster; **scaled in
    place**, since it is the largest array of an audit. families: int64 ``[statistics]``, numbered
    from 0. A constant statistic is no evidence.
    """
    scale = linear_scale(weights, exchanges)
    weights /= np.where(scale > 0.0, scale, np.inf).astype(np.float32)[:, None]
    drawn = _permuted(exchanges, weights.shape[1], permutations, seed)
    statistics = np.concatenate([arms @ weights.T for arms in drawn])
    largest = statistics[1:].max(axis=1)
    best = np.full(int(families.max()) + 1, -np.inf, np.float32)
    np.maximum.at(best, families, statistics[0])
    beyond = (largest[None, :] >= best[:, None] - _TIE).sum(axis=1)
    return np.asarray((1.0 + beyond) / (1.0 + permutations))


def _permuted(
    exchanges: Sequence[Exchange], rounds: int, permutations: int, seed: int
) -> Iterator[Singles]:
    """Yield blocks of arms, float32 ``[b, rounds]``; the very first row is as observed."""
    rng = np.random.default_rng(seed)
    coded = [np.unique(e.arms, axis=0, return_inverse=True) for e in exchanges]
    step = max(1, _CELLS // rounds)
    for start in range(0, permutations + 1, step):
        count = min(step, permutations + 1 - start)
        arms = np.zeros((count, rounds), np.float32)
        for exchange, (patterns, code) in zip(exchanges, coded, strict=True):
            drawn = np.tile(code.reshape(-1).astype(np.int32), (count, 1))
            shuffled = drawn[1:] if start == 0 else drawn
            rng.permuted(shuffled, axis=1, out=shuffled)
            for cluster, rows in enumerate(exchange.rows.T):
                arms[:, _span(rows)] = patterns[:, cluster][drawn]
        yield arms


def _span(rows: Ints) -> slice | Ints:
    """Return consecutive rows as a slice, which is several times as fast to write to."""
    consecutive = len(rows) > 0 and bool((np.diff(rows) == 1).all())
    return slice(int(rows[0]), int(rows[-1]) + 1) if consecutive else rows
