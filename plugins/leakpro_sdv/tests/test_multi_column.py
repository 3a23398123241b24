"""Predicates of several columns."""

import numpy as np
import pytest
from attrs import evolve
from leakpro_sdv.multi_column import MultiColumnOptions, attack
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

OPTIONS = MultiColumnOptions()
ALL = MultiColumnOptions(columns=(99,))


def wide(rows: int, columns: int, seed: int = 0):
    """Return unrounded numbers in many columns."""
    rng = np.random.default_rng(seed)
    named = tuple(Column(name=str(j), kind=Kind.NUMERIC) for j in range(columns))
    values = tuple(rng.normal(size=rows) for _ in range(columns))
    return evolve(numbers(*values[0]), columns=named, values=values)


def sizes(answer):
    return np.unique([len(p.terms) for p in answer.predicates], return_counts=True)


def test_sizes_share_the_guesses_evenly():
    answer = played(attack, asked(wide(200, 12), guesses=100), OPTIONS)
    np.testing.assert_array_equal(sizes(answer), [[2, 3, 4, 8, 12], [20] * 5])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [((3,), [3]), ((0,), [2, 3, 4, 5]), ((4, 2, 2, 70), [2, 4, 5]), ((1,), [])],
)
def test_sizes_are_those_asked_for_within_the_columns_that_there_are(columns, expected):
    options = MultiColumnOptions(columns=columns)
    assert expected == sizes(played(attack, asked(wide(100, 5)), options))[0].tolist()


def test_what_a_size_leaves_over_goes_to_larger_ones():
    rng = np.random.default_rng(0)
    few = wide(300, 12)
    few = evolve(few, values=tuple(rng.integers(0, 12, 300).astype(float) for _ in range(12)))
    found, made = sizes(played(attack, asked(few, guesses=100), OPTIONS))
    assert made[0] < 20 < made[-1]
    assert found[-1] == 12


def test_a_conjunction_says_the_levels_of_a_row_and_the_numbers_near_its_own():
    released = mixed(500)
    answer = played(attack, asked(released, guesses=50), MultiColumnOptions(columns=(99,)))
    ordered = np.sort(released.values[0][~np.isnan(released.values[0])])
    for predicate in answer.predicates:
        (row,) = np.flatnonzero(matched(predicate, released))
        assert len(predicate.terms) == 8
        for term in predicate.terms:
            value = float(released.values[term.column][row])
            if not released.columns[term.column].measured:
                assert (value, value) == (term.low, term.high)
            elif np.isnan(value):
                assert np.isnan(term.low)
            else:
                assert term.low <= value <= term.high
        balance = predicate.terms[0]
        if not np.isnan(balance.low):
            near = (ordered >= balance.low) & (ordered <= balance.high)
            assert near.sum() <= 2 * 0.01 * 500 + 1


def test_copies_with_noise_are_isolated_unless_only_the_number_itself_counts():
    people, others = wide(400, 6, 1), wide(400, 6, 2)
    rng = np.random.default_rng(3)
    noisy = evolve(people, values=tuple(v + rng.normal(0, 1e-4, 400) for v in people.values))

    def rate(width, table):
        options = MultiColumnOptions(columns=(99,), width=width)
        answer = played(attack, asked(noisy, guesses=200), options)
        return np.mean([matched(p, table).sum() == 1 for p in answer.predicates])

    assert rate(0.02, people) > 0.9
    assert rate(0.02, others) < 0.05
    assert rate(0.0, people) == 0.0


def test_numbers_are_exact_where_the_conjunction_is_too_heavy_otherwise():
    answer = played(attack, asked(wide(100, 2), people=10_000), MultiColumnOptions(width=0.1))
    assert answer.predicates
    assert all(t.low == t.high for p in answer.predicates for t in p.terms)


def test_few_levels_give_few_predicates_and_those_least_likely_by_chance():
    released = coded(*["ab"] * 30, *["cd"] * 30, "ad", "xy")
    answer = played(attack, asked(released, guesses=10), ALL)
    assert shown(answer) == [[(0, 23.0, 23.0), (1, 24.0, 24.0)]]


def test_a_row_that_is_released_again_and_again_is_isolated_where_there_are_auxiliary_rows():
    people = wide(200, 4, 1)
    released = with_rows(people, *range(150), *[7] * 9)
    given = asked(released, wide(100, 4, 2), guesses=150)
    answer = played(attack, given, MultiColumnOptions(columns=(99,), width=0.0))
    isolated = [np.flatnonzero(matched(p, people)).tolist() for p in answer.predicates]
    assert [7] in isolated


@pytest.mark.parametrize("rows", [1, 2, 40, 300])
@pytest.mark.parametrize("beside", [0, 1, 60])
def test_answers_hold_on_mixed_tables(rows, beside):
    auxiliary = mixed(beside, 1) if beside else None
    made = check(attack, OPTIONS, asked(mixed(rows), auxiliary, people=max(rows, 20)))
    assert made > 0 or rows <= 2


@pytest.mark.parametrize(
    "released",
    [
        mixed(0),
        mixed(5).only(["number"]),
        mixed(30).only(["balance"]),
        mixed(30).only(["nothing", "constant", "unset"]),
    ],
)
def test_there_are_no_predicates_where_nothing_can_be_told_apart(released):
    answer = played(attack, asked(released, people=30), OPTIONS)
    assert answer.predicates == ()
    assert len(answer.claims) == 0


def test_three_hundred_columns_are_no_trouble():
    assert check(attack, OPTIONS, asked(wide(60, 300), wide(30, 300, 1), guesses=50)) == 50


def test_the_seed_draws_rows_and_columns():
    given = asked(mixed(300), guesses=20)
    first, second = (played(attack, given, OPTIONS, seed=seed) for seed in (0, 1))
    assert shown(first) != shown(second)


@pytest.mark.parametrize("auxiliary", [0, 1600])
@pytest.mark.parametrize(("columns", "least"), [((99,), 0.17), ((8,), 0.1), ((4,), 0.07)])
def test_copies_among_released_rows_are_singled_out(auxiliary, columns, least):
    options = MultiColumnOptions(columns=columns)
    exposed, control = adult_rates(attack, options, adult_stage("leaky20", auxiliary=auxiliary))
    assert control < 0.03
    assert exposed - control > least


def test_the_surest_tenth_is_nearly_all_copies():
    stage = adult_stage("leaky20", auxiliary=1600)
    exposed, control = adult_rates(attack, OPTIONS, stage, surest=0.1)
    assert exposed - control > 0.8


@pytest.mark.parametrize("auxiliary", [0, 1600])
def test_a_release_without_copies_singles_nobody_out(auxiliary):
    exposed, control = adult_rates(attack, OPTIONS, adult_stage("copula", auxiliary=auxiliary))
    assert control < 0.02
    assert abs(exposed - control) < 0.01
