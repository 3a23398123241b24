"""Shares of a record's cells in marginals, released against auxiliary."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from adult import adult_challenge, challenge, claims, codes, numbers, separation
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.marginals import (
    cells,
    log_ratio,
    marginals,
    mutual_information,
    spanning_tree,
)
from marginal_generator import Recipe, drawn
from planted import mixed
from scipy.sparse.csgraph import minimum_spanning_tree

from leakpro_core.errors import NotApplicable
from leakpro_core.statistics.roc import auc

RESULTS = Path(__file__).resolve().parents[3] / "bench" / "results" / "marginal_generators.json"


def test_the_ratio_is_how_much_oftener_a_member_is_in_a_cell_with_these_counts():
    rng = np.random.default_rng(0)
    n = 200
    p = np.minimum(rng.exponential(8 / n, 400_000), 1.0)
    c, known = rng.binomial(n, p), rng.binomial(n, p)
    shown = rng.binomial(n, c / n)
    for k, a in ((2, 4), (6, 4), (10, 4), (4, 0), (4, 10), (12, 12)):
        same = (shown == k) & (known == a)
        expected = np.log(c[same].mean() / n / p[same].mean())
        found = log_ratio(np.array([float(k)]), n, np.array([float(a)]), n)[0]
        assert found == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_claims_are_the_sum_of_the_ratios_of_all_marginals(order):
    rng = np.random.default_rng(1)
    people, released, known = (mixed(n, rng, 0.1) for n in (20, 60, 40))
    asked, shown, others = cells((people, released, known), 4)
    expected = np.zeros(20)
    for chosen in marginals(shown, order, 0):
        count, base = (Counter(map(tuple, part[chosen].T)) for part in (shown, others))
        for i, cell in enumerate(map(tuple, asked[chosen].T)):
            expected[i] += log_ratio(np.array(count[cell]), 60, np.array(base[cell]), 40)
    found = claims("marginals", challenge(people, released, known), order=order, bins=4)
    np.testing.assert_allclose(found, expected)


def test_more_in_the_release_claims_more_and_more_among_others_less():
    count = np.arange(50.0)
    assert (np.diff(log_ratio(count, 1000, np.full(50, 5.0), 300)) > 0).all()
    assert (np.diff(log_ratio(np.full(50, 5.0), 1000, count, 300)) < 0).all()


def test_equal_shares_say_hardly_anything():
    found = log_ratio(np.array([10.0, 1000.0]), 2000, np.array([5.0, 500.0]), 1000)
    np.testing.assert_allclose(found, 0.0, atol=0.02)


# Cells


def test_a_number_that_many_rows_have_is_a_cell_of_its_own():
    values = np.concatenate([np.zeros(90), np.arange(1.0, 11.0)])
    table = numbers(values[:, None])
    found = cells((numbers([[-1.0], [0.0], [1.0], [10.0]]), table, table), 5)[0][0]
    assert len(set(found[:3])) == 3
    assert found[2] == found[3]


def test_bins_hold_about_as_many_rows_of_both_tables_together():
    rng = np.random.default_rng(2)
    released, known = numbers(rng.normal(size=(1000, 1))), numbers(rng.normal(2, 1, (4000, 1)))
    _, shown, others = cells((released, released, known), 10)
    share = np.bincount(shown[0])[1:] / 2000 + np.bincount(others[0])[1:] / 8000
    np.testing.assert_allclose(share, 0.1, atol=0.002)


def test_missing_values_and_infinite_ones_have_cells_of_their_own():
    table = numbers([[np.nan], [-np.inf], [0.0], [1.0], [np.inf]])
    found = cells((table, table, table), 5)[0][0]
    assert found[0] == 0
    assert len(set(found)) == 5
    assert (np.diff(found) > 0).all()


def test_levels_are_cells_and_missing_ones_the_first():
    table = codes([0, 3, np.nan])
    assert cells((table, table, table), 10)[0].tolist() == [[1, 4, 0]]


# Which marginals


def test_mutual_information_is_that_of_the_joint_shares():
    rng = np.random.default_rng(3)
    shown = rng.integers(0, 4, (3, 500))
    shown[2] = (shown[0] + rng.integers(0, 2, 500)) % 4
    found = mutual_information(shown, 0)
    for i in range(3):
        for j in range(i):
            joint = np.histogram2d(shown[i], shown[j], bins=4)[0] / 500
            apart = joint.sum(1)[:, None] * joint.sum(0)
            expected = (joint * np.log(np.where(joint > 0, joint, 1) / apart)).sum()
            assert found[i, j] == found[j, i] == pytest.approx(expected)


def test_some_of_many_rows_are_enough_for_mutual_information():
    rng = np.random.default_rng(4)
    shown = rng.integers(0, 5, (2, 60_000))
    shown[1] = (shown[0] + rng.integers(0, 2, 60_000)) % 5
    assert mutual_information(shown, 0)[0, 1] == pytest.approx(np.log(5 / 2), abs=0.002)


@given(st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_no_spanning_tree_has_more_weight(n, seed):
    weight = np.random.default_rng(seed).random((n, n))
    weight = weight + weight.T
    branches = spanning_tree(weight)
    lightest = minimum_spanning_tree(np.triu(3.0 - weight, 1))
    assert len(branches) == n - 1
    assert sum(3.0 - weight[a, b] for a, b in branches) == pytest.approx(lightest.sum())


@given(st.integers(3, 12), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_marginals_of_three_columns_are_two_branches_that_meet_and_no_branch_is_left(n, seed):
    shown = np.random.default_rng(seed).integers(0, 3, (n, 50))
    branches = {frozenset(b) for b in marginals(shown, 2, 0)}
    found = marginals(shown, 3, 0)
    pairs = [(frozenset((j, a)), frozenset((j, b))) for j, a, b in found]
    assert {branch for pair in pairs for branch in pair} == branches
    assert len({frozenset(each) for each in found}) == len(found) <= 2 * n


# What is found


@pytest.mark.parametrize("rows", [200, 2000])
def test_people_behind_a_copied_tree_are_found_better_than_by_rows(rows):
    areas = {"marginals": 0.0, "gen-lra": 0.0, "domias": 0.0}
    for seed in range(3):
        shown, members = drawn(Recipe(), 200, rows, seed)
        for name in areas:
            areas[name] += auc(claims(name, shown), members).value / 3
    assert areas["marginals"] > max(areas["gen-lra"], areas["domias"]) + 0.08 > 0.6


def test_where_three_columns_are_copied_marginals_of_three_find_more():
    areas = np.zeros(2)
    for seed in range(3):
        shown, members = drawn(Recipe(given=2), 200, 2000, seed)
        areas += [auc(claims("marginals", shown, order=k), members).value / 3 for k in (2, 3)]
    assert areas[1] > areas[0] + 0.04 > 0.7


def test_of_every_generator_measured_marginals_find_more_than_all_others():
    figures = json.loads(RESULTS.read_text())["figures"]
    for of in ("AUC", "TPR at FPR 10%"):
        gains = [row["gain over the best other"] for row in figures[of]]
        assert len(gains) == 12
        assert all(float(gain.split("[")[1].split(",")[0]) > 0.0 for gain in gains)


def test_much_noise_on_all_counts_hides_everybody():
    shown, members = drawn(Recipe(noise=200.0), 500, 2000, 0)
    found = auc(claims("marginals", shown), members, confidence=0.99)
    assert found.low < 0.5 < found.high


def test_a_generator_that_copies_nothing_is_not_said_to_leak():
    shown, members = adult_challenge("copula")
    found = auc(claims("marginals", shown), members, confidence=0.99)
    assert found.low < 0.5 < found.high


def test_a_few_copies_among_many_rows_hardly_show_in_marginals():
    shown, members = adult_challenge("leaky20")
    area, _ = separation(claims("marginals", shown), members)
    assert 0.51 < area < 0.54


def test_missing_values_that_were_copied_are_found():
    rng = np.random.default_rng(5)
    people, known = (mixed(n, rng, 0.3) for n in (400, 1000))
    hidden = [
        np.isnan(v) if c.measured else v < 0
        for c, v in zip(people.columns, people.values, strict=True)
    ]
    found = claims("marginals", challenge(people, people.rows(np.arange(200)), known), order=2)
    most = np.sum(hidden, axis=0) >= 3
    assert auc(found[most], (np.arange(400) < 200)[most]).low > 0.55


# Tables with little in them


def test_one_column_is_enough():
    shown = challenge(codes([0, 1, 2]), codes([0] * 8 + [1] * 2), codes([0] * 5 + [1] * 5))
    often, seldom, never = claims("marginals", shown)
    assert often > 0.0 > seldom
    # Nobody is there in either table: half of what is expected of the release, which shows none.
    assert never == pytest.approx(np.log(0.5))


def test_two_columns_are_one_marginal():
    rng = np.random.default_rng(6)
    people, released, known = (numbers(rng.normal(size=(n, 2))) for n in (30, 50, 40))
    shown = challenge(people, released, known)
    three, two = claims("marginals", shown, order=3), claims("marginals", shown, order=2)
    np.testing.assert_array_equal(three, two)


def test_columns_of_one_value_tell_nothing():
    same = numbers(np.ones((30, 4)))
    found = claims("marginals", challenge(same, same, same))
    assert len(set(found)) == 1


def test_no_column_is_not_applicable():
    empty = numbers(np.zeros((5, 0)))
    with pytest.raises(NotApplicable, match="columns"):
        claims("marginals", challenge(empty, empty, empty))


def test_nobody_is_told_apart_by_levels_that_no_other_row_has():
    few = codes([0, 1, 0, 1])
    found = claims("marginals", challenge(codes([5, 6]), few, few))
    assert found[0] == found[1]
