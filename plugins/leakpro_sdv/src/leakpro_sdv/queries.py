"""How many rows of a table are like a record in one, two or three columns.

The features of the query-based attack of Houssiau et al. 2022 (TAPAS), which Meeus et al. 2023 find
the strongest against outlying records: no row comes near such a record, so that the nearest one
says nothing, but a few rows with its rare value give it away.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats, Ints, array
from leakpro_core.tabular.table import Column, Table

_BINS = 10
"""Equal shares of the records that numbers and times are cut into."""

_DENSE = 4
"""Cells for each row that are still counted by a table of all cells, not by sorting."""


@frozen(kw_only=True, eq=False)
class Coded:
    """One column of several tables as cells.

    cells: how many there are; codes: int64 ``[rows]`` of each table, from 0.
    """

    cells: int
    codes: tuple[Ints, ...]

    @classmethod
    def of(cls, column: Column, values: Sequence[Floats | Ints]) -> "Coded":
        """Cut a column at the tenths of the first table's; missing is a cell of its own."""
        if not column.measured:
            cells = len(column.levels) + 1
            return cls(cells=cells, codes=tuple(np.where(v < 0, cells - 1, v) for v in values))
        there = values[0][~np.isnan(values[0])]
        shares = np.linspace(0.0, 1.0, _BINS + 1)[1:-1]
        # Of the values that stand there, so that no infinity is met halfway.
        cuts = np.unique(np.quantile(there, shares, method="higher")) if there.size else there
        missing = len(cuts) + 1
        codes = [np.searchsorted(cuts, v, "right") for v in values]
        marked = [np.where(np.isnan(v), missing, c) for v, c in zip(values, codes, strict=True)]
        return cls(cells=missing + 1, codes=tuple(marked))

    def beside(self, other: "Coded") -> "Coded":
        """Return both columns as one, a cell for each pair of cells."""
        pairs = zip(self.codes, other.codes, strict=True)
        return Coded(
            cells=self.cells * other.cells,
            codes=tuple(mine * other.cells + theirs for mine, theirs in pairs),
        )


@frozen(kw_only=True, eq=False)
class Counted:
    """Queries of so many columns. shares: float32 ``[tables, records, queries]``, square roots."""

    columns: int
    shares: Floats = array(np.float32)


def counted(
    records: Table, tables: Sequence[Table], orders: Sequence[int], most: int, seed: int
) -> Iterator[Counted]:
    """Yield, for each number of columns, the shares of the tables' rows that are like each record.

    As square roots, whose noise hardly depends on the share. most: queries of a number of columns
    that are drawn where there are more; every single column is one. No record, or fewer columns
    than are asked for: no queries of these.
    """
    coded = [
        Coded.of(column, [table.values[j] for table in (records, *tables)])
        for j, column in enumerate(records.columns)
    ]
    rng = np.random.default_rng(seed)
    for order in orders:
        chosen = _chosen(len(coded), order, most, rng)
        if chosen and len(records):
            every = [_shares(_together([coded[j] for j in one])) for one in chosen]
            yield Counted(columns=order, shares=np.stack(every, axis=2))


def _together(columns: Sequence[Coded]) -> Coded:
    whole = columns[0]
    for column in columns[1:]:
        whole = whole.beside(column)
    return whole


def _shares(whole: Coded) -> Floats:
    """Return float32 ``[tables, records]``."""
    asked, *tables = whole.codes
    roots = [
        np.sqrt(_like(asked, rows, whole.cells) / max(1, len(rows)), dtype=np.float32)
        for rows in tables
    ]
    return np.stack(roots)


def _like(asked: Ints, rows: Ints, cells: int) -> Ints:
    """Return how many rows have the cell of each record."""
    if cells <= _DENSE * (len(asked) + len(rows)):
        return np.bincount(rows, minlength=cells)[asked]
    order = np.sort(rows)
    return np.searchsorted(order, asked, "right") - np.searchsorted(order, asked, "left")


def _chosen(columns: int, order: int, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return sets of ``order`` columns: all of them, or as many as are wanted at random."""
    possible = comb(columns, order)
    if order == 1 or possible <= most:
        return list(combinations(range(columns), order))
    if possible <= 16 * most:
        every = list(combinations(range(columns), order))
        return [every[i] for i in np.sort(rng.choice(possible, most, replace=False))]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < most:
        drawn = rng.choice(columns, order, replace=False)
        found[tuple(sorted(drawn.tolist()))] = None
    return list(found)
