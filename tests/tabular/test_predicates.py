"""Predicates match exactly what a plain reading of them matches."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.errors import WrongAnswer
from leakpro_core.tabular.predicates import (
    Index,
    Predicate,
    Term,
    canonical,
    count,
    search,
    shown,
)
from leakpro_core.tabular.table import Column, Kind, Table

COLUMNS = (
    Column(name="age", kind=Kind.NUMERIC, integer=True),
    Column(name="income", kind=Kind.NUMERIC),
    Column(name="work", kind=Kind.CATEGORICAL, levels=("clerk", "cook", "nurse", "smith")),
    Column(name="smokes", kind=Kind.BOOLEAN, levels=("no", "yes")),
    Column(name="seen", kind=Kind.DATETIME),
)


def drawn(n: int, people: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    values = [
        rng.integers(-3, 6, n).astype(float),
        rng.choice([-1.5, 0.0, -0.0, 0.25, 7.0], n),
        rng.integers(-1, 4, n),
        rng.integers(-1, 2, n),
        rng.integers(0, 3, n) * 86400.0,
    ]
    for j in (0, 1, 4):
        values[j][rng.random(n) < 0.2] = np.nan
    return Table(columns=COLUMNS, values=tuple(values), subjects=rng.integers(0, people, n))


def plain(predicate: Predicate, table: Table) -> np.ndarray:
    """Read a predicate row by row."""
    match = np.ones(len(table), bool)
    for term in predicate.terms:
        column, values = table.columns[term.column], table.values[term.column]
        for i, value in enumerate(values.tolist()):
            if term.values:
                fits = value in term.values
            elif math.isnan(term.low):
                fits = math.isnan(value) if column.measured else value == -1
            else:
                fits = term.low <= value <= term.high
            match[i] &= fits
    return match


@st.composite
def terms(draw: st.DrawFn, column: int) -> Term:
    if COLUMNS[column].measured:
        if draw(st.booleans()) and draw(st.booleans()):
            return Term(column, math.nan)
        ends = st.sampled_from([-math.inf, -2.5, -1.5, 0.0, 0.25, 1.0, 3.3, 7.0, 86400.0, math.inf])
        low, high = sorted([draw(ends), draw(ends)])
        return Term(column, low, high)
    codes = st.integers(-1, len(COLUMNS[column].levels) - 1)
    if draw(st.booleans()):
        return Term(column, values=tuple(draw(st.lists(codes, min_size=1, max_size=4))))
    low, high = sorted([draw(codes), draw(codes)])
    return Term(column, low, high)


@st.composite
def predicates(draw: st.DrawFn) -> Predicate:
    columns = draw(st.permutations(range(5)))[: draw(st.integers(1, 5))]
    return Predicate([draw(terms(column)) for column in columns])


@settings(max_examples=60, deadline=None)
@given(st.lists(predicates(), max_size=12), st.integers(1, 40), st.booleans(), st.integers(0, 99))
def test_a_search_finds_whom_a_plain_reading_finds(asked, n, several_rows_each, seed):
    table = drawn(n, max(1, n // 3) if several_rows_each else 10**6, seed)
    found = search(canonical(asked, COLUMNS), Index.of(table))
    for i, predicate in enumerate(asked):
        match = plain(predicate, table)
        people = np.unique(table.subjects[match])
        assert len(people) == found.people[i]
        expected = np.flatnonzero(match)[0] if len(people) == 1 else -1
        assert expected == found.row[i]


def test_predicates_are_counted_by_person():
    table = Table(columns=COLUMNS[:1], values=(np.array([1.0, 1.0, 2.0]),), subjects=[4, 4, 9])
    assert count([Predicate([Term(0, 1, 1)]), Predicate([Term(0, 0, 9)])], table).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([Term(0, 1, 2), Term(2, 3, 3)], [Term(2, 3, 3), Term(0, 1, 2)]),
        ([Term(0, 0.5, 2.9)], [Term(0, 1, 2)]),
        ([Term(2, values=(2, 1, 1))], [Term(2, 1, 2)]),
        ([Term(2, values=(-1,))], [Term(2, math.nan)]),
        ([Term(2, -math.inf, 1)], [Term(2, -1, 1)]),
        ([Term(1, float("nan"), 4)], [Term(1, math.nan)]),
        ([Term(np.int64(1), np.float64(2), 3)], [Term(1, 2, 3)]),
    ],
)
def test_what_says_the_same_has_one_form(one, other):
    (first, second) = canonical([Predicate(one), Predicate(other)], COLUMNS)
    assert first == second
    assert len({first, second}) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ([], "no term"),
        ([Term(0, 1, 2), Term(0, 3, 4)], "two terms of a column"),
        ([Term(5, 1, 2)], "column 5"),
        ([Term(-1, 1, 2)], "column -1"),
        ([Term(1, 2, 1)], "'income'.*low 2 and high 1"),
        ([Term(1, 2, math.nan)], "'income'.*high nan"),
        ([Term(1, values=(1,))], "'income'.*an interval of numbers"),
        ([Term(2, values=(4,))], "'work'.*codes from -1 to 3"),
        ([Term(2, values=(-2,))], "'work'.*codes from -1 to 3"),
        ([Term(2, values=(0.5,))], "numbers in its terms"),
        ([Term(1, "low", 2)], "numbers in its terms"),
    ],
)
def test_what_is_no_predicate_is_refused(bad, why):
    with pytest.raises(WrongAnswer, match=f"predicate 1.*{why}"):
        canonical([Predicate([Term(0, 1, 1)]), Predicate(bad)], COLUMNS)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ([Term(0, 34, 34), Term(2, 1, 1)], "age is 34 and work is cook"),
        ([Term(0, 30, 40)], "age is 30 to 40"),
        ([Term(0, 90, math.inf)], "age is at least 90"),
        ([Term(1, -math.inf, 0.5)], "income is at most 0.5"),
        ([Term(1, -math.inf, math.inf)], "income is known"),
        ([Term(1, math.nan)], "income is missing"),
        ([Term(2, values=(0, 3))], "work is clerk or smith"),
        ([Term(3, values=(-1,))], "smokes is missing"),
        ([Term(4, 86400, 86400)], "seen is 1970-01-02T00:00:00"),
    ],
)
def test_predicates_are_said_in_words(terms, words):
    (predicate,) = canonical([Predicate(terms)], COLUMNS)
    assert words == shown(predicate, COLUMNS)


def test_no_predicates_match_nobody():
    assert len(search((), Index.of(drawn(5, 5, 0))).people) == 0
