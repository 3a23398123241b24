"""Permutations of the arms by subject, and statistics that are linear in the arms.

Rounds are numbered ``target * n + record``.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import rankdata

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints
from leakpro_core.statistics.multiplicity import Exchange, linear_scale, max_statistic_p


def exchanges(bits: Bools, subjects: Ints) -> tuple[Exchange, ...]:
    """Return who may change arms with whom: subjects ``[n]`` with equally many records.

    bits: ``[targets, n]``; a subject's arms, of all its records and targets, move together.
    """
    targets, n = bits.shape
    order = np.argsort(subjects, kind="stable")
    _, start, sizes = np.unique(subjects[order], return_index=True, return_counts=True)
    found = []
    for size in np.unique(sizes):
        records = order[start[sizes == size][:, None] + np.arange(size)]
        # In the order of their first records, which lets whole columns be written at once.
        records = records[np.argsort(records[:, 0])]
        rows = np.concatenate([t * n + records for t in range(targets)], axis=1)
        found.append(Exchange(rows=rows, arms=bits.ravel()[rows].astype(np.float32)))
    return tuple(found)


def rearranged(bits: Bools, subjects: Ints, count: int, seed: int) -> Iterator[Bools]:
    """Yield ``count`` random rearrangements of bits ``[targets, n]`` by subject."""
    rng = np.random.default_rng(seed)
    parts = [(e.rows, e.arms.astype(bool)) for e in exchanges(bits, subjects)]
    for _ in range(count):
        drawn = np.empty(bits.size, bool)
        for rows, arms in parts:
            drawn[rows] = arms[rng.permutation(len(arms))]
        yield drawn.reshape(bits.shape)


def joint_test(
    weights: Floats, bits: Bools, subjects: Ints, families: Ints, seed: int
) -> tuple[Floats, Floats]:
    """Return the spread of each statistic under permutation, and each family's p-value.

    weights: ``[statistics, targets * n]``, large products with bits ``[targets, n]`` being
    evidence; p-values are adjusted for all families ``[statistics]`` (see ``max_statistic_p``).
    """
    allowed = exchanges(bits, subjects)
    centred = weights.astype(np.float32)
    for exchange in allowed:
        # How many units of a cluster are exposed does not change, so neither does the test.
        for rows in exchange.rows.T:
            centred[:, rows] -= centred[:, rows].mean(axis=1, keepdims=True)
    spread = linear_scale(centred, allowed)
    return spread, max_statistic_p(centred, allowed, families, seed)


def rank_auc(ranks: Floats, bits: AnyArray) -> Floats:
    """Return the AUC along the last axis of mid-ranks (from 1) and bits of the same shape.

    Ties count one half; 0.5 where an arm is empty.
    """
    n = bits.shape[-1]
    m = bits.sum(axis=-1, dtype=np.float64)
    won = np.where(bits, ranks, 0.0).sum(axis=-1) - m * (m + 1) / 2
    pairs = m * (n - m)
    return np.where(pairs > 0, won / np.maximum(pairs, 1.0), 0.5)


def rank_tail(scores: AnyArray, bits: Bools, share: float) -> Floats:
    """Return TPR less FPR along the last axis where at most a share is flagged, ties or none."""
    n = scores.shape[-1]
    place = n - 1 - int(share * n + 1e-12)
    flags = scores > np.partition(scores, place, axis=-1)[..., place, None]
    m = bits.sum(axis=-1)
    hits = (flags & bits).sum(axis=-1)
    return np.asarray(hits / np.maximum(m, 1) - (flags.sum(axis=-1) - hits) / np.maximum(n - m, 1))


def auc_weights(claims: Floats, seen: Bools, bits: Bools) -> Floats:
    """Return weights ``[targets, n]`` whose product with the bits is the mean AUC less one half.

    claims ``[n]``: NaN abstains and ranks last; seen ``[n]``: the records that count;
    bits ``[targets, n]``. Targets that lack an arm among them are left out; all zero if all do.
    """
    ranks = rankdata(np.where(np.isnan(claims[seen]), -np.inf, claims[seen]))
    return _balanced(ranks - ranks.mean(), seen, bits, lambda m, rest: 1.0 / (m * rest))


def tail_weights(claims: Floats, seen: Bools, bits: Bools, share: float) -> Floats:
    """Return weights ``[targets, n]`` whose product with the bits is the mean TPR less FPR.

    At the threshold that flags at most ``share`` of the records seen, members or not, so that it
    does not move when the arms are permuted. Tie groups are flagged whole or not at all.
    """
    values = np.where(np.isnan(claims[seen]), -np.inf, claims[seen])
    flagged = int(share * len(values) + 1e-12)
    if not 0 < flagged < len(values):
        return np.zeros(bits.shape)
    edge = np.partition(values, len(values) - flagged - 1)[len(values) - flagged - 1]
    flags = (values > edge).astype(np.float64)
    return _balanced(flags - flags.mean(), seen, bits, lambda m, rest: 1.0 / m + 1.0 / rest)


def p_value(null: Floats, observed: float) -> float:
    """Return the share of permutations at least as extreme, the observed one counted with them."""
    return float((1 + np.count_nonzero(null >= observed - 1e-12)) / (1 + len(null)))


def _balanced(
    centred: Floats, seen: Bools, bits: Bools, scale: Callable[[Floats, Floats], Floats]
) -> Floats:
    weights = np.zeros(bits.shape)
    members = bits[:, seen].sum(axis=1, dtype=np.float64)
    rest = seen.sum() - members
    both = np.flatnonzero((members > 0) & (rest > 0))
    if len(both):
        factor = scale(members[both], rest[both]) / len(both)
        weights[np.ix_(both, np.flatnonzero(seen))] = factor[:, None] * centred
    return weights
