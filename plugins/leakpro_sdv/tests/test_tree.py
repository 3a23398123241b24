"""Predicates along branches that isolate a row."""

import numpy as np
import pytest
from leakpro_sdv.predicates import pool
from leakpro_sdv.tree import TreeOptions, _grown, _merged, _variants, attack
from singled import adult_rates, adult_stage, asked, check, matched, mixed, numbers, played, shown
from test_multi_column import wide

OPTIONS = TreeOptions()


def test_every_branch_leads_to_its_row_and_isolates_it_in_its_tree():
    # Numbers alone: levels are ordered anew by each tree.
    released = mixed(64).only(["balance", "visits", "day", "constant", "nothing"])
    rows = pool(asked(released))
    grown = _grown(rows, 64, 64, np.random.default_rng(0))
    assert grown.alone.sum() > 50
    for k in np.flatnonzero(grown.alone):
        within = np.ones(64, bool)
        for j, above, upto in zip(grown.columns[k], grown.above[k], grown.upto[k], strict=True):
            if j >= 0:
                own = rows.axes[j].values[rows.codes[j]]
                within &= np.where(np.isnan(own), above == -np.inf, (own > above) & (own <= upto))
        assert [grown.rows[k]] == np.flatnonzero(within).tolist()


def test_splits_of_one_column_are_one_term_and_open_ends_are_closed_nearby():
    values = np.arange(101.0)
    rows = pool(asked(numbers(*values)))
    above = np.array([[20.5], [-np.inf], [60.5]])
    upto = np.array([[30.0], [9.0], [np.inf]])
    at = np.array([25, 5, 98])
    bounded, near, exact = _variants(rows, at, above, upto, width=0.03)
    assert [rows.axes[0].values[c] for c in bounded.low[:, 0]] == [21.0, 2.0, 61.0]
    assert [rows.axes[0].values[c] for c in bounded.high[:, 0]] == [30.0, 9.0, 100.0]
    assert [rows.axes[0].values[c] for c in near.low[:, 0]] == [22.0, 2.0, 95.0]
    assert [rows.axes[0].values[c] for c in near.high[:, 0]] == [28.0, 8.0, 100.0]
    assert at.tolist() == [rows.axes[0].values[c] for c in exact.low[:, 0]]


def test_outliers_are_isolated_by_the_shortest_branches():
    values = np.concatenate([np.random.default_rng(0).normal(size=500), [80.0, -90.0]])
    answer = played(attack, asked(numbers(*values), guesses=2), TreeOptions(sample=502))
    hits = [np.flatnonzero(matched(p, numbers(*values)))[0] for p in answer.predicates]
    assert {500, 501} == set(hits)


def test_branches_are_merged_into_one_term_a_column():
    rows = pool(asked(wide(256, 3)))
    grown = _grown(rows, 256, 256, np.random.default_rng(0))
    chosen = np.flatnonzero(grown.alone)
    above, upto = _merged(rows, grown, chosen)
    for k, own in enumerate(chosen):
        for j in range(3):
            on = grown.columns[own] == j
            expected = [grown.above[own, on].max(), grown.upto[own, on].min()] if on.any() else []
            found = [above[k, j], upto[k, j]]
            assert expected == found if on.any() else np.isnan(found).all()


@pytest.mark.parametrize("rows", [1, 2, 40, 300])
@pytest.mark.parametrize("beside", [0, 1, 60])
def test_answers_hold_on_mixed_tables(rows, beside):
    auxiliary = mixed(beside, 1) if beside else None
    made = check(attack, OPTIONS, asked(mixed(rows), auxiliary, people=max(rows, 20)))
    assert made > 0 or rows <= 2


@pytest.mark.parametrize(
    "released",
    [mixed(0), mixed(5).only(["number"]), mixed(30).only(["nothing", "constant", "unset"])],
)
def test_there_are_no_predicates_where_nothing_can_be_told_apart(released):
    assert played(attack, asked(released, people=30), OPTIONS).predicates == ()


def test_infinite_numbers_are_no_trouble():
    released = numbers(-np.inf, np.nan, np.inf, np.inf, *np.arange(40.0) ** 3)
    assert check(attack, OPTIONS, asked(released)) > 0


def test_three_hundred_columns_are_no_trouble():
    assert check(attack, OPTIONS, asked(wide(60, 300), wide(30, 300, 1), guesses=50)) == 50


def test_the_seed_grows_the_trees():
    given = asked(mixed(300), guesses=20)
    first, second = (played(attack, given, OPTIONS, seed=seed) for seed in (0, 1))
    assert shown(first) != shown(second)


@pytest.mark.parametrize("auxiliary", [0, 1600])
def test_copies_among_released_rows_are_singled_out(auxiliary):
    exposed, control = adult_rates(attack, OPTIONS, adult_stage("leaky20", auxiliary=auxiliary))
    assert control < 0.04
    assert exposed - control > 0.08


def test_the_surest_tenth_is_nearly_all_copies():
    stage = adult_stage("leaky20", auxiliary=1600)
    exposed, control = adult_rates(attack, OPTIONS, stage, surest=0.1)
    assert exposed - control > 0.7


@pytest.mark.parametrize("auxiliary", [0, 1600])
def test_a_release_without_copies_singles_nobody_out(auxiliary):
    exposed, control = adult_rates(attack, OPTIONS, adult_stage("copula", auxiliary=auxiliary))
    assert control < 0.03
    assert abs(exposed - control) < 0.01
