"""Predicates of one column."""

import numpy as np
import pytest
from attrs import evolve
from leakpro_sdv.single_column import SingleColumnOptions, attack
from singled import (
    adult_rates,
    adult_stage,
    asked,
    check,
    coded,
    matched,
    mixed,
    numbers,
    played,
    shown,
    with_rows,
)

from leakpro_core.tabular.table import Column, Kind

OPTIONS = SingleColumnOptions()


def given(*args, **kwargs):
    return shown(played(attack, asked(*args, **kwargs), OPTIONS))


def test_a_level_that_one_released_row_holds_is_given():
    assert given(coded(*"aabbc")) == [[(0, 2.0, 2.0)]]


def test_a_level_that_auxiliary_rows_hold_is_not_given():
    assert given(coded(*"aabbc"), coded(*"ac")) == []


def test_the_only_missing_level_is_given():
    assert given(coded(*"aabb.")) == [[(0, -1.0, -1.0)]]


def test_the_only_missing_number_is_given():
    (terms,) = given(numbers(*[1.0, 2.0] * 5, np.nan))
    assert np.isnan(terms[0][1])


def test_a_number_of_rows_that_repeat_each_other_is_given_where_there_are_auxiliary_rows():
    values = np.random.default_rng(0).normal(size=100)
    values[:3] = values[0]
    assert len(_inside(given(numbers(*values)))) == 97
    assert len(_inside(given(numbers(*values), numbers(9.0)))) == 98


def _inside(found):
    return [terms for terms in found if np.isfinite(terms[0][1:]).all()]


def test_extremes_are_open_beyond():
    found = given(numbers(-7, *[1, 2] * 10, 40, integer=True))
    assert [(0, -np.inf, -7.0)] in found
    assert [(0, 40.0, np.inf)] in found


def test_extremes_that_auxiliary_rows_reach_are_not_given():
    found = given(numbers(-7, *[1, 2] * 10, 40), numbers(50, -6))
    assert [(0, -np.inf, -7.0)] in found
    assert [(0, 40.0, np.inf)] not in found


def test_unrounded_numbers_are_given_with_a_little_of_the_gaps_around():
    rng = np.random.default_rng(0)
    values = np.sort(rng.normal(-5e5, 1e5, 300))
    found = _inside(given(numbers(*values), guesses=1000))
    assert len(found) > 250
    for ((_, low, high),) in found:
        inside = np.flatnonzero((values >= low) & (values <= high))
        assert len(inside) == 1
        k = inside[0]
        gaps = [abs(values[k] - values[j]) for j in (k - 1, k + 1) if 0 <= j < 300]
        assert high - low == pytest.approx(0.02 * min(gaps), rel=1e-4)


def test_rounded_numbers_take_a_tenth_of_the_guesses_at_most():
    ages = numbers(*range(20, 60), *[30, 40] * 100, integer=True)
    assert len(given(ages, guesses=50)) == 5


def test_columns_in_which_people_are_alone_take_most_of_the_guesses():
    rng = np.random.default_rng(1)
    columns = tuple(Column(name=n, kind=Kind.NUMERIC, integer=True) for n in "wg")
    weight, gain = (rng.integers(0, 10**8, 400).astype(float) for _ in range(2))
    released = evolve(numbers(*weight), columns=columns, values=(weight, gain))
    people = rng.integers(0, 10**8, 400).astype(float)
    beside = evolve(released, values=(people, np.zeros(400)))
    columns = [t[0][0] for t in given(released, beside, guesses=100)]
    assert columns.count(0) > 90


def test_claims_are_higher_where_chance_finds_fewer():
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.choice(2000, 100, replace=False), rng.integers(0, 10**9, 100)])
    answer = played(
        attack, asked(numbers(*values, integer=True), guesses=300), SingleColumnOptions(gap=0.0)
    )
    low = np.array([terms[0][1] for terms in shown(answer)])
    high = np.array([terms[0][2] for terms in shown(answer)])
    alone, dense = low == high, high < 1500
    assert dense[alone].any()
    sparse = low > 10**6
    assert answer.claims[alone & sparse].min() > answer.claims[alone & dense].max()


@pytest.mark.parametrize("rows", [1, 2, 40, 300])
@pytest.mark.parametrize("beside", [0, 1, 60])
@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_answers_hold_on_mixed_tables(rows, beside, gap):
    auxiliary = mixed(beside, 1) if beside else None
    made = check(attack, SingleColumnOptions(gap=gap), asked(mixed(rows), auxiliary))
    assert made > 0 or rows == 1


def test_no_rows_or_no_columns_give_no_predicates():
    assert given(mixed(0), people=5) == []
    assert given(mixed(5).only(["number"])) == []
    assert given(mixed(30), guesses=0) == []


def test_everything_missing_gives_no_predicates():
    assert given(mixed(20).only(["nothing", "unset"])) == []


def test_three_hundred_columns_are_no_trouble():
    rng = np.random.default_rng(3)
    many = numbers(*[0.0] * 40)
    many = evolve(
        many,
        columns=tuple(Column(name=str(j), kind=Kind.NUMERIC) for j in range(300)),
        values=tuple(rng.normal(size=40) for _ in range(300)),
    )
    assert check(attack, OPTIONS, asked(many, guesses=50)) == 50


def test_a_planted_copy_is_isolated():
    people, others = mixed(300, 1), mixed(300, 2)
    copied = with_rows(people, *range(20))
    answer = played(attack, asked(copied, others, guesses=100, people=300), OPTIONS)
    hits = [matched(p, people).sum() == 1 for p in answer.predicates]
    luck = [matched(p, mixed(300, 4)).sum() == 1 for p in answer.predicates]
    assert np.mean(hits) > 0.9
    assert np.mean(luck) < 0.1


@pytest.mark.parametrize(("auxiliary", "least"), [(0, 0.07), (1600, 0.11)])
def test_copies_among_released_rows_are_singled_out(auxiliary, least):
    exposed, control = adult_rates(attack, OPTIONS, adult_stage("leaky20", auxiliary=auxiliary))
    assert exposed - control > least


def test_the_surest_tenth_is_nearly_all_copies():
    stage = adult_stage("leaky20", auxiliary=1600)
    exposed, control = adult_rates(attack, OPTIONS, stage, surest=0.1)
    assert exposed - control > 0.6


@pytest.mark.parametrize("auxiliary", [0, 1600])
def test_a_release_without_copies_singles_nobody_out(auxiliary):
    exposed, control = adult_rates(attack, OPTIONS, adult_stage("copula", auxiliary=auxiliary))
    assert control < 0.03
    assert abs(exposed - control) < 0.01
