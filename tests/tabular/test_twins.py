"""Twins: people who stand in two tables are told from rows that anybody may have."""

import numpy as np
import pytest

from leakpro_core.tabular.table import Column, Kind, Table, from_matrix, stacked
from leakpro_core.tabular.twins import twin_control

NUMBER = Column(name="number", kind=Kind.IDENTIFIER, levels=tuple(map(str, range(10_000))))
NOTE = Column(name="note", kind=Kind.TEXT, levels=("ill", "well"))


def drawn(n: int, first: int, kinds: int, rng: np.random.Generator) -> Table:
    """Return people whose rows are of about ``2 * kinds ** 2`` kinds."""
    one, other = (Column(name=name, kind=Kind.NUMERIC) for name in "ab")
    matrix = np.column_stack(
        [first + np.arange(n), *rng.integers(0, kinds, (2, n)), rng.integers(0, 2, n)]
    )
    return from_matrix((NUMBER, one, other, NOTE), matrix.astype(float), first + np.arange(n))


def some(table: Table, n: int) -> Table:
    return table.rows(np.arange(n))


@pytest.mark.parametrize("kinds", [2, 20, 10**6])
@pytest.mark.parametrize("controls", [100, 1000, 3000])
def test_twins_by_chance_pass(kinds, controls):
    rng = np.random.default_rng(0)
    tables = [drawn(n, f, kinds, rng) for n, f in ((1000, 0), (controls, 1000), (500, 5000))]
    found = twin_control(*tables, seed=0)
    assert found.result == "pass"
    assert (found.name, found.estimate.n) == ("duplicates", 1000)
    assert abs(found.estimate.value) < 0.1


def test_luck_alone_seldom_warns_and_never_fails():
    results = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        tables = [drawn(n, f, 15, rng) for n, f in ((800, 0), (200, 1000))]
        results.append(twin_control(*tables, None, seed).result)
    assert results.count("fail") == 0
    assert results.count("warn") <= 6


@pytest.mark.parametrize(("shared", "result"), [(0, "pass"), (40, "warn"), (400, "fail")])
@pytest.mark.parametrize("kinds", [30, 10**6])
def test_people_in_both_arms_are_seen(shared, result, kinds):
    rng = np.random.default_rng(1)
    original = drawn(1000, 0, kinds, rng)
    control = stacked([drawn(1000 - shared, 1000, kinds, rng), some(original, shared)])
    found = twin_control(original, control, None, seed=0)
    if kinds > 30 or shared != 40:
        assert found.result == result
    assert ("nothing can be concluded" in found.statement) == (result == "fail")


@pytest.mark.parametrize(("households", "result"), [(20, "warn"), (100, "fail"), (500, "fail")])
def test_people_who_come_together_are_not_taken_for_people_who_come_alone(households, result):
    rng = np.random.default_rng(0)
    arms = []
    for first in (0, 1000):
        arm = drawn(1000, first, 10**6, rng)
        first_of = np.arange(1000)
        first_of[1 : 2 * households : 2] -= 1
        rows = arm.rows(first_of)
        arms.append(Table(columns=rows.columns, values=rows.values, subjects=arm.subjects))
    found = twin_control(*arms, None, seed=0)
    assert found.result == result
    assert "come together, as households do" in found.statement
    assert "in both" not in found.statement


def test_twins_are_counted():
    rng = np.random.default_rng(0)
    original = drawn(1000, 0, 10**6, rng)
    control = stacked([drawn(950, 1000, 10**6, rng), some(original, 50)])
    found = twin_control(original, control, None, seed=0)
    assert found.statement.startswith(
        "50 of 1,000 people in the training data have a twin in the control; 0 would by chance."
    )
    assert found.estimate.low < 0.05 < found.estimate.high


def test_text_counts_and_identifiers_do_not():
    rng = np.random.default_rng(0)
    original = drawn(500, 0, 10**6, rng)
    values = list(original.values)
    values[0] = values[0] + 1000
    renumbered = Table(
        columns=original.columns, values=tuple(values), subjects=1000 + np.arange(500)
    )
    assert twin_control(original, renumbered, None, seed=0).result == "fail"
    values[3] = 1 - values[3]
    rewritten = Table(
        columns=original.columns, values=tuple(values), subjects=1000 + np.arange(500)
    )
    assert twin_control(original, rewritten, None, seed=0).result == "pass"


@pytest.mark.parametrize("arm", [0, 1])
def test_auxiliary_rows_that_are_an_arms_fail(arm):
    rng = np.random.default_rng(0)
    arms = [drawn(600, 0, 10**6, rng), drawn(400, 1000, 10**6, rng)]
    clean = drawn(300, 5000, 10**6, rng)
    assert twin_control(*arms, clean, seed=0).result == "pass"
    found = twin_control(*arms, arms[arm], seed=0)
    name = ("the training data", "the control")[arm]
    n = len(arms[arm])
    assert found.result == "fail"
    assert (
        f"{n} of {n} auxiliary people have a twin in {name}; 0 would by chance" in found.statement
    )
    mixed = stacked([some(clean, 290), some(arms[arm], 5)])
    assert twin_control(*arms, mixed, seed=0).result == "warn"


@pytest.mark.parametrize("arm", [0, 1])
def test_auxiliary_rows_that_hold_an_arm_fail_however_many_others_they_hold(arm):
    rng = np.random.default_rng(0)
    arms = [drawn(600, 0, 10**6, rng), drawn(400, 1000, 10**6, rng)]
    many = stacked([drawn(6000, 3000, 10**6, rng), arms[arm]])
    found = twin_control(*arms, many, seed=0)
    assert found.result == "fail"
    counts = [len(a) if i == arm else 0 for i, a in enumerate(arms)]
    assert (
        f"{counts[0]} of 600 people in the training data and {counts[1]} of 400 control people "
        "have a twin among the auxiliary people." in found.statement
    )


def test_a_twentieth_of_one_arm_among_the_auxiliary_rows_fails():
    rng = np.random.default_rng(0)
    arms = [drawn(1500, 0, 10**6, rng), drawn(1500, 1500, 10**6, rng)]
    known = stacked([drawn(1425, 4000, 10**6, rng), some(arms[1], 75)])
    assert twin_control(*arms, known, seed=0).result == "fail"


def test_luck_in_what_auxiliary_rows_hold_seldom_warns_and_never_fails():
    results = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        tables = [drawn(n, f, 15, rng) for n, f in ((800, 0), (200, 1000), (300, 2000))]
        results.append(twin_control(*tables, seed).result)
    assert results.count("fail") == 0
    assert results.count("warn") <= 12


def test_a_person_with_a_row_twice_has_no_twin_in_itself():
    rng = np.random.default_rng(0)
    original, control = drawn(100, 0, 10**6, rng), drawn(100, 1000, 10**6, rng)
    found = twin_control(stacked([original] * 2), stacked([control] * 2), None, seed=0)
    assert (found.result, found.estimate.value, found.estimate.n) == ("pass", 0.0, 100)
