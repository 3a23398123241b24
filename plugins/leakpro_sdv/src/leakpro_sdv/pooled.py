"""Released and auxiliary rows together, rank-coded, and how likely a value is by chance."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from leakpro_core.arrays import AnyArray, Floats, Ints, array
from leakpro_core.tabular.table import Column, Kind, Table

Codes = NDArray[np.int32]

_FEW = 4
"""A number that more rows than this hold is heaped: its share speaks for itself."""

_BESIDE = 10
"""Rows on either side by which the density at a rarer number is estimated."""

_BINS = 20
_PRIOR = 20.0
"""Rows that the pooled share of a bin counts for in each table's own."""


@frozen(kw_only=True)
class Axis:
    """One column of the released rows and, after them, the auxiliary rows.

    number: the column's, in the tables; coded: whether its values are codes, not numbers;
    codes: int32 ``[rows]``, 0 where missing, else 1 + the rank among the distinct values;
    values: float64 ``[distinct + 1]``, what a code stands for, NaN for 0;
    released, auxiliary: int64 ``[distinct + 1]``, how many rows of each hold it;
    chance: float64 ``[distinct + 1]``, above 0, the estimated share of people who hold exactly it.
    """

    number: int
    coded: bool
    codes: Codes = array(np.int32)
    values: Floats = array(np.float64)
    released: Ints = array(np.int64)
    auxiliary: Ints = array(np.int64)
    chance: Floats = array(np.float64)

    @property
    def pooled(self) -> Ints:
        """How many rows hold each value, int64 ``[distinct + 1]``."""
        both: Ints = self.released + self.auxiliary
        return both


def axes(released: Table, auxiliary: Table | None) -> tuple[Axis, ...]:
    """Return every column that can stand in a predicate, identifiers left out."""
    return tuple(
        axis(released, auxiliary, number)
        for number, column in enumerate(released.columns)
        if column.kind is not Kind.IDENTIFIER
    )


def axis(released: Table, auxiliary: Table | None, number: int) -> Axis:
    """Return one column of the released rows ``[n]`` and the auxiliary rows ``[m]``."""
    column, own = released.columns[number], released.values[number]
    both = own if auxiliary is None else np.concatenate([own, auxiliary.values[number]])
    codes, values = _ranked(column, both)
    mine = np.bincount(codes[: len(own)], minlength=len(values))
    beside = np.bincount(codes[len(own) :], minlength=len(values))
    share = np.maximum(mine + beside, 1) / max(len(both), 1)
    return Axis(
        number=number,
        coded=not column.measured,
        codes=codes,
        values=values,
        released=mine,
        auxiliary=beside,
        chance=np.minimum(share, _by_density(values, mine + beside)) if column.measured else share,
    )


def _ranked(column: Column, values: AnyArray) -> tuple[Codes, Floats]:
    if not column.measured:
        levels = np.arange(-1.0, max(len(column.levels), int(values.max(initial=-1)) + 1))
        levels[0] = np.nan
        return (values + 1).astype(np.int32), levels
    known = ~np.isnan(values)
    distinct, inverse = np.unique(values[known], return_inverse=True)
    codes = np.zeros(len(values), np.int32)
    codes[known] = inverse + 1
    return codes, np.concatenate([[np.nan], distinct])


def _by_density(values: Floats, held: Ints) -> Floats:
    """Return the chance of exactly a number, by the density around it and the numbers' spacing.

    A number that one row holds says little about its own chance (1 / rows at the least): that of
    an unrounded number is far lower. Heaped numbers, and missing ones, are left at 1.
    """
    chance = np.ones(len(values))
    numbers, count = values[1:], held[1:]
    usable = np.isfinite(numbers)
    if usable.sum() < 2:
        return chance
    numbers, count = numbers[usable], count[usable]
    steps = np.diff(numbers)
    after = np.cumsum(count)
    rows = int(after[-1])
    every = np.repeat(numbers, count)
    start, stop = np.maximum(after - count - _BESIDE, 0), np.minimum(after + _BESIDE, rows) - 1
    span = np.maximum(every[stop] - every[start], steps.min())
    density = (stop - start) / span / held.sum()
    chance[1:][usable] = np.where(count > _FEW, 1.0, np.maximum(density * steps.min(), 1e-12))
    return chance


def hashes(axis: Axis, rows: int) -> NDArray[np.uint64]:
    """Return a hash of each of the first rows' value; sums over columns are hashes of rows."""
    rng = np.random.default_rng(axis.number)
    own: NDArray[np.uint64] = rng.integers(1 << 63, size=len(axis.values), dtype=np.uint64)
    return own[axis.codes[:rows]]


def originals(hashed: NDArray[np.uint64]) -> Ints:
    """Return of each row the first row that it repeats, or its own number; by their hashes."""
    _, earliest, which = np.unique(hashed, return_index=True, return_inverse=True)
    first: Ints = earliest[which]
    return first


def likeness(axis: Axis) -> Floats:
    """Return how much likelier people hold a value than released rows, float64 ``[distinct + 1]``.

    The logarithm of the share of a level, or of numbers around, among auxiliary rows over that
    among released rows; 0 without auxiliary rows. It is what a copy of a person's row keeps, and
    what a generator that misses the people's distribution loses.
    """
    if not axis.auxiliary.any():
        return np.zeros(len(axis.values))
    bins = np.arange(len(axis.values)) if axis.coded else _bins(axis.pooled)
    mine = np.bincount(bins, axis.released)
    beside = np.bincount(bins, axis.auxiliary)
    prior = _PRIOR * (mine + beside) / (mine + beside).sum()
    prior = np.maximum(prior, 1e-9)
    ratio: Floats = np.log((beside + prior) / (beside.sum() + _PRIOR))
    ratio -= np.log((mine + prior) / (mine.sum() + _PRIOR))
    return ratio[bins]


def _bins(held: Ints) -> Ints:
    """Return a bin of each value: the missing, each heap, and runs of about equal rows."""
    rows = held[1:].sum()
    heap = held[1:] * _BINS >= max(rows, 1)
    run = (np.cumsum(held[1:]) - held[1:]) * _BINS // max(rows, 1)
    new = np.diff(run, prepend=-1) != 0
    new |= heap
    new[1:] |= heap[:-1]
    return np.concatenate([[0], np.cumsum(new)])
