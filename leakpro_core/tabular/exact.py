"""Rows that repeat a row exactly, found without comparing any two rows and without hashing."""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Ints, array
from leakpro_core.tabular.table import Kind, Table, stacked

_LIMIT = 2**62


@frozen(kw_only=True)
class Repeats:
    """Whose row each of n rows repeats.

    people: int64 ``[n]``, how many people have that row; row: int64 ``[n]``, the first such row of
    the person with the lowest number, -1 where there is none.
    """

    people: Ints = array(np.int64)
    row: Ints = array(np.int64)


def repeats(queries: Table, base: Table) -> Repeats:
    """Return which rows of ``base`` the rows of ``queries`` repeat, in all but identifiers.

    Numbers are compared exactly, text by equality; missing equals missing.
    """
    low, people, first = _spans(queries, base)
    row = np.full(len(queries), -1)
    row[people > 0] = first[low[people > 0]]
    return Repeats(people=people, row=row)


def owners(queries: Table, base: Table, most: int) -> tuple[Ints, Ints]:
    """Return whose rows the rows of ``queries`` repeat: at most ``most`` people, lowest numbers.

    int64 ``[pairs]``: numbers of queries, ascending, and of the rows of ``base``; as ``repeats``.
    """
    low, people, first = _spans(queries, base)
    count = np.minimum(people, most)
    query = np.repeat(np.arange(len(queries)), count)
    within = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
    return query, first[low[query] + within]


def _spans(queries: Table, base: Table) -> tuple[Ints, Ints, Ints]:
    """Return for each query where its people begin, and how many; and the first row of each."""
    codes = _codes(stacked([queries, base]))
    asked, held = codes[: len(queries)], codes[len(queries) :]
    # By row, then person, then number of the row; stable, so that the first is the lowest.
    order = np.lexsort((base.subjects, held))
    held, owner = held[order], base.subjects[order]
    fresh = np.ones(len(held), np.bool_)
    fresh[1:] = (held[1:] != held[:-1]) | (owner[1:] != owner[:-1])
    distinct, first = held[fresh], order[fresh]
    low = np.searchsorted(distinct, asked, "left")
    return low, np.searchsorted(distinct, asked, "right") - low, first


def _codes(table: Table) -> Ints:
    """Return a number for each row, int64 ``[n]``, the same for the same row and for no other."""
    codes = np.zeros(len(table), np.int64)
    size = 1
    for column, values in zip(table.columns, table.values, strict=True):
        if column.kind is Kind.IDENTIFIER:
            continue
        if column.measured:
            kinds, one = np.unique(values, return_inverse=True)
            more = len(kinds)
        else:
            one, more = values + 1, len(column.levels) + 1
        if size * more >= _LIMIT:
            known, codes = np.unique(codes, return_inverse=True)
            size = len(known)
        codes, size = codes * more + one, size * more
    return codes
