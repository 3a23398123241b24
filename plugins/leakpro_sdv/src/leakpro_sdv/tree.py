"""Predicates along the branches of random trees that isolate a released row soonest.

Isolation trees: Liu, Ting, Zhou 2008, sections 3 and 4.
"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.singling_out import SinglingOutAnswer, SinglingOutChallenge
from leakpro_core.protocols import Run
from leakpro_sdv.light import answer, light
from leakpro_sdv.pooled import Axis, Codes
from leakpro_sdv.predicates import Conjunctions, Pool, around, pool, widened

_LEAVES = 4
"""Rows that trees are grown on for each predicate that is wanted."""

_LOOKED_AT = 3
"""Branches that are looked at for each predicate that is wanted."""

_SPLITS = 4
"""Splits at most, as a multiple of those of a balanced tree."""


@frozen(kw_only=True)
class TreeOptions:
    """Options of ``tree``.

    sample: released rows that each tree is grown on, at least 2; width: how far from a row's
    number a term reaches where no split bounds it, as in ``multi-column``.
    """

    sample: int = field(default=256, validator=validators.ge(2))
    width: float = field(default=0.01, validator=[validators.ge(0.0), validators.lt(0.5)])


@frozen(kw_only=True)
class _Branches:
    """The way from the root to each row. rows: int64 ``[k]``, released rows; alone: bool ``[k]``;
    columns: int64 ``[k, splits]``, numbers in ``Pool.axes``, -1: none; above, upto: float64,
    what a split says of the row's number: more than, at most.
    """

    rows: Ints = array(np.int64)
    alone: Bools = array(np.bool_)
    columns: Ints = array(np.int64)
    above: Floats = array(np.float64)
    upto: Floats = array(np.float64)


def attack(challenge: SinglingOutChallenge, options: TreeOptions, run: Run) -> SinglingOutAnswer:
    """Give the light predicates of the shortest branches; trees and ties drawn by the seed."""
    rows = pool(challenge)
    if not (rows.released and rows.axes and challenge.guesses):
        return SinglingOutAnswer(predicates=(), claims=np.zeros(0))
    rng = np.random.default_rng(run.seed)
    grown = _grown(rows, challenge.guesses * _LEAVES, options.sample, rng)
    splits = (grown.columns >= 0).sum(axis=1)
    alone = rng.permutation(np.flatnonzero(grown.alone & (splits > 0)))
    short = alone[np.argsort(splits[alone], kind="stable")][: challenge.guesses * _LOOKED_AT]
    above, upto = _merged(rows, grown, short)
    isolated = grown.rows[short]
    variants = _variants(rows, isolated, above, upto, options.width)
    found = light(rows, isolated, variants, challenge.guesses)
    run.log.info("tree", asked=challenge.guesses, made=len(found))
    return answer(rows, found)


def _grown(pool: Pool, number: int, sample: int, rng: np.random.Generator) -> _Branches:
    """Return branches of trees on samples of released rows, ``number`` rows or more in all."""
    size = min(sample, pool.released)
    trees = -(-number // size)
    rows = np.concatenate([rng.choice(pool.released, size, replace=False) for _ in range(trees)])
    tree = np.repeat(np.arange(trees), size)
    points = np.stack([_points(axis, axis.codes[rows], tree, rng) for axis in pool.axes], axis=1)
    varied = np.flatnonzero([np.count_nonzero(axis.released) > 1 for axis in pool.axes])
    steps = _SPLITS * int(np.ceil(np.log2(size))) if len(varied) else 0
    columns = np.full((len(rows), steps), -1)
    above, upto = np.full(columns.shape, -np.inf), np.full(columns.shape, np.inf)
    # Rows that share a node with others, sorted by node, and that node, counted from 0.
    active, node = np.arange(len(rows)), tree
    for step in range(steps):
        active, node = _together(active, node)
        if not len(active):
            break
        first = np.flatnonzero(np.diff(node, prepend=-1))
        column = rng.choice(varied, size=len(first))
        value = points[active, column[node]]
        least, most = np.minimum.reduceat(value, first), np.maximum.reduceat(value, first)
        cut = least + rng.random(len(first)) * (most - least)
        cut = np.where(cut < most, cut, least)
        right = value > cut[node]
        # A column that does not vary within the node does not split it.
        split = (least < most)[node]
        columns[active[split], step] = column[node][split]
        above[active[right], step] = cut[node][right]
        upto[active[split & ~right], step] = cut[node][split & ~right]
        node = 2 * node + right
    alone = np.ones(len(rows), np.bool_)
    alone[_together(active, node)[0]] = False
    return _Branches(rows=rows, alone=alone, columns=columns, above=above, upto=upto)


def _together(rows: Ints, node: Ints) -> tuple[Ints, Ints]:
    """Return the rows that are not alone in their node, sorted by it, and nodes counted anew."""
    order = np.argsort(node, kind="stable")
    held = np.unique(node, return_counts=True)[1]
    several = np.repeat(held > 1, held)
    counted = np.repeat(np.cumsum(held > 1) - 1, held)
    return rows[order][several], counted[several]


def _points(axis: Axis, codes: Codes, tree: Ints, rng: np.random.Generator) -> Floats:
    """Return where rows lie on the axis along which it is split; finite, missing values apart.

    Levels have no order: each tree puts them into one of its own.
    """
    if axis.coded:
        orders = rng.random((int(tree[-1]) + 1, len(axis.values)))
        return orders[tree, codes]
    finite = axis.values[np.isfinite(axis.values)]
    low, high = (finite[0], finite[-1]) if len(finite) else (0.0, 0.0)
    apart = max(high - low, 1.0)
    return np.nan_to_num(axis.values, nan=low - 2 * apart, posinf=high + apart, neginf=low - apart)[
        codes
    ]


def _merged(pool: Pool, grown: _Branches, chosen: Ints) -> tuple[Floats, Floats]:
    """Return what the splits of branches say together of each column, float64 ``[k, columns]``.

    More than, at most; NaN where a branch does not split the column.
    """
    above = np.full((len(chosen), len(pool.axes)), np.nan)
    upto = above.copy()
    for step in range(grown.columns.shape[1]):
        column = grown.columns[chosen, step]
        split = np.flatnonzero(column >= 0)
        at, of = (split, column[split]), chosen[split]
        above[at] = np.fmax(above[at], grown.above[of, step])
        upto[at] = np.fmin(upto[at], grown.upto[of, step])
    return above, upto


def _variants(
    pool: Pool, rows: Ints, above: Floats, upto: Floats, width: float
) -> list[Conjunctions]:
    """Return the branches' predicates around rows ``[k]``, the widest first.

    Bounded by the splits, and by what is near where they leave an end open; by both everywhere;
    exact. Levels, whose order was a tree's own, and missing values are always exact.
    """
    used = ~np.isnan(above)
    terms = int(used.sum(axis=1).max(initial=1))
    columns = np.argsort(~used, axis=1, kind="stable")[:, :terms]
    columns[~np.take_along_axis(used, columns, axis=1)] = -1
    exact = around(pool, rows, columns)
    close = widened(pool, exact, width)
    low, high = exact.low.copy(), exact.high.copy()
    open_low, open_high = np.zeros(low.shape, np.bool_), np.zeros(low.shape, np.bool_)
    for j, axis in enumerate(pool.axes):
        at = (columns == j) & (exact.low > 0)
        if not axis.coded and at.any():
            of = np.nonzero(at)[0]
            low[at] = np.searchsorted(axis.values[1:], above[of, j], side="right") + 1
            high[at] = np.searchsorted(axis.values[1:], upto[of, j], side="right")
            open_low[at], open_high[at] = np.isinf(above[of, j]), np.isinf(upto[of, j])
    # Infinite numbers were split where they do not lie: the row's own is always within.
    low, high = np.minimum(low, exact.low), np.maximum(high, exact.high)
    return [
        Conjunctions(
            columns=columns,
            low=np.where(open_low, close.low, low),
            high=np.where(open_high, close.high, high),
        ),
        Conjunctions(
            columns=columns,
            low=np.maximum(low, close.low),
            high=np.minimum(high, close.high),
        ),
        exact,
    ]
