"""Exact repeats are those that a comparison of every pair finds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.tabular.exact import owners, repeats
from leakpro_core.tabular.table import Column, Kind, Table

COLUMNS = (
    Column(name="number", kind=Kind.IDENTIFIER, levels=tuple(map(str, range(100)))),
    Column(name="age", kind=Kind.NUMERIC),
    Column(name="work", kind=Kind.CATEGORICAL, levels=("clerk", "cook")),
    Column(name="note", kind=Kind.TEXT, levels=("ill", "tired", "well")),
    Column(name="seen", kind=Kind.DATETIME),
)


def drawn(n: int, people: int, rng: np.random.Generator) -> Table:
    return Table(
        columns=COLUMNS,
        values=(
            rng.integers(0, 100, n),
            rng.choice([0.0, -0.0, 1.5, np.nan, np.inf], n),
            rng.integers(-1, 2, n),
            rng.integers(-1, 3, n),
            rng.choice([0.0, 86400.0, np.nan], n),
        ),
        subjects=rng.integers(0, people, n),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(1, 60), st.integers(0, 10**6))
def test_repeats_are_those_of_all_pairs(n, m, seed):
    rng = np.random.default_rng(seed)
    asked, held = drawn(n, 9, rng), drawn(m, 9, rng)
    found = repeats(asked, held)
    pairs = np.stack(owners(asked, held, 2), axis=1)
    one, other = asked.matrix()[:, 1:], held.matrix()[:, 1:]  # identifiers do not count
    for i in range(n):
        same = (one[i] == other) | (np.isnan(one[i]) & np.isnan(other))
        rows = np.flatnonzero(same.all(axis=1))
        people = held.subjects[rows]
        assert len(set(people.tolist())) == found.people[i]
        expected = rows[people == people.min()][0] if rows.size else -1
        assert expected == found.row[i]
        lowest = sorted(set(people.tolist()))[:2]
        assert [rows[people == p][0] for p in lowest] == pairs[pairs[:, 0] == i, 1].tolist()


def test_rows_of_very_many_kinds_are_told_apart():
    # 1023 levels and missing are 10 bits: what the first columns hold would run out of 64 bits.
    rng = np.random.default_rng(0)
    levels = tuple(map(str, range(1023)))
    columns = tuple(Column(name=f"c{j}", kind=Kind.CATEGORICAL, levels=levels) for j in range(20))
    base = rng.integers(0, 1023, (20, 20))
    off = base.copy()
    off[np.arange(20), np.arange(20)] = (off[np.arange(20), np.arange(20)] + 1) % 1023

    def table(codes: np.ndarray) -> Table:
        return Table(columns=columns, values=tuple(codes.T), subjects=np.arange(len(codes)))

    found = repeats(table(np.concatenate([base, off])), table(base))
    assert [*range(20), *[-1] * 20] == found.row.tolist()
