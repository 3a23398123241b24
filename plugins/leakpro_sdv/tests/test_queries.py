"""How many rows are like a record in one, two or three columns."""

from itertools import combinations

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.queries import Coded, counted
from planted import MIXED, mixed

from leakpro_core.tabular.table import Column, Kind, Table, from_matrix

CODES = tuple(Column(name=n, kind=Kind.CATEGORICAL, levels=("a", "b", "c")) for n in "xyz")


def codes(n: int, seed: int) -> Table:
    """Return rows of three coded columns, some of their values missing."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (n, 3)).astype(float)
    values[rng.random((n, 3)) < 0.2] = np.nan
    return from_matrix(CODES, values)


@given(st.integers(1, 20), st.integers(0, 30), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_shares_are_those_counted_one_by_one(n: int, rows: int, seed: int) -> None:
    records, tables = codes(n, seed), [codes(rows, seed + 1), codes(rows + 1, seed + 2)]
    for found in counted(records, tables, (1, 2, 3), 128, 0):
        asked = np.nan_to_num(records.matrix(), nan=-1)
        for t, table in enumerate(tables):
            held = np.nan_to_num(table.matrix(), nan=-1)
            for q, columns in enumerate(combinations(range(3), found.columns)):
                own = [list(columns)]
                like = (asked[:, None, own[0]] == held[None][:, :, own[0]]).all(axis=2).sum(axis=1)
                expected = np.sqrt(like / max(1, rows + t))
                np.testing.assert_allclose(expected, found.shares[t, :, q], rtol=1e-6)


def test_numbers_are_cut_at_the_tenths_of_the_records() -> None:
    column = Column(name="x", kind=Kind.NUMERIC)
    found = Coded.of(column, [np.arange(100.0), np.array([-5.0, 200.0, np.nan, np.inf])])
    assert np.bincount(found.codes[0]).tolist() == [10] * 10
    assert found.codes[1].tolist() == [0, 9, 10, 9]


def test_a_value_that_half_of_the_records_have_is_no_more_than_one_cell() -> None:
    column = Column(name="x", kind=Kind.NUMERIC)
    values = np.concatenate([np.zeros(50), np.arange(1.0, 51.0)])
    found = Coded.of(column, [values]).codes[0]
    assert len(np.unique(found[:50])) == 1
    assert found[0] not in found[51:]


@pytest.mark.parametrize("column", MIXED, ids=lambda c: c.name)
def test_a_column_of_which_nothing_is_known_is_one_cell(column: Column) -> None:
    values = np.full(5, np.nan) if column.measured else np.full(5, -1)
    found = Coded.of(column, [values, values]).codes
    assert len(np.unique(np.concatenate(found))) == 1


def test_queries_of_many_columns_are_drawn_and_of_one_are_all_there() -> None:
    rng = np.random.default_rng(0)
    wide = from_matrix(
        tuple(Column(name=f"{j}", kind=Kind.NUMERIC) for j in range(60)), rng.normal(size=(30, 60))
    )
    found = {one.columns: one.shares.shape for one in counted(wide, [wide], (1, 2, 3), 8, 0)}
    assert found == {1: (1, 30, 60), 2: (1, 30, 8), 3: (1, 30, 8)}


def test_a_single_column_has_no_pairs() -> None:
    table = mixed(20, np.random.default_rng(0)).only(["binary"])
    assert [one.columns for one in counted(table, [table], (1, 2, 3), 8, 0)] == [1]


def test_the_seed_decides_which_columns_are_looked_at() -> None:
    table = mixed(50, np.random.default_rng(0))
    first, again, other = (
        next(counted(table, [table], (3,), 4, seed)).shares for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_who_owns_the_rows_does_not_matter() -> None:
    table = mixed(20, np.random.default_rng(0))
    same = evolve(table, subjects=np.zeros(20, np.int64))
    found = [next(counted(t, [t], (2,), 8, 0)).shares for t in (table, same)]
    assert np.array_equal(*found)
