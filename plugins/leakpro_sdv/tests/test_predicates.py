"""Rank-coded rows, how likely values are, and what conjunctions match."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.light import Built, distinct
from leakpro_sdv.pooled import axis, likeness
from leakpro_sdv.predicates import Conjunctions, around, matches, near, pool, predicates, widened
from singled import asked, coded, matched, mixed, numbers


def drawn(rows, terms, seed, tries=30):
    """Return conjunctions around random released rows, some terms left out, some widened."""
    rng = np.random.default_rng(seed)
    own = rng.integers(rows.released, size=tries)
    columns = np.array([rng.permutation(len(rows.axes))[:terms] for _ in range(tries)])
    columns[:, 1:][rng.random((tries, terms - 1)) < 0.3] = -1
    exact = around(rows, own, columns)
    return own, exact if seed % 2 else widened(rows, exact, 0.1)


@pytest.mark.parametrize("seed", range(6))
def test_matches_are_those_of_brute_force(seed):
    released, beside = mixed(60, seed, missing=0.2), mixed(40, seed + 100)
    rows = pool(asked(released, beside))
    own, these = drawn(rows, 3, seed)
    found = predicates(rows, these)
    counted = matches(rows, these)
    for k, predicate in enumerate(found):
        mine = matched(predicate, released)
        assert mine[own[k]]
        assert (mine.sum(), matched(predicate, beside).sum()) == (counted[0][k], counted[1][k])


def test_matches_do_not_depend_on_blocks(monkeypatch):
    rows = pool(asked(mixed(80), mixed(50, 1)))
    _, these = drawn(rows, 2, 2)
    whole = matches(rows, these)
    monkeypatch.setattr("leakpro_sdv.predicates._BLOCK", 7)
    np.testing.assert_array_equal(whole, matches(rows, these))


def test_a_person_with_several_rows_is_one_match():
    table = evolve(coded("ab", "ab", "ac"), subjects=np.array([7, 7, 9]))
    rows = pool(asked(table))
    these = around(rows, np.array([0]), np.array([[0]]))
    assert matches(rows, these)[0].tolist() == [2]


@pytest.mark.parametrize(("beside", "expected"), [(None, 2), (numbers(5.5), 1)])
def test_released_rows_that_repeat_are_one_match_where_there_are_auxiliary_rows(beside, expected):
    values = np.random.default_rng(0).normal(size=100)
    rows = pool(asked(numbers(*values, values[3]), beside))
    these = around(rows, np.array([3]), np.array([[0]]))
    assert [expected] == matches(rows, these)[0].tolist()


def test_rows_that_repeat_by_chance_are_matches_each():
    rows = pool(asked(coded("ab", "ab", "ac"), coded("zz")))
    these = around(rows, np.array([0]), np.array([[0, 1]]))
    assert matches(rows, these)[0].tolist() == [2]


VALUES = st.lists(
    st.integers(-4, 4).map(float) | st.sampled_from([np.nan, np.inf]), min_size=1, max_size=25
)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.sampled_from([0.0, 0.05, 0.2, 0.4]))
def test_near_is_no_farther_than_the_number_so_many_rows_away_on_the_closer_side(values, width):
    one = axis(numbers(*values), None, 0)
    low, high = near(one, width)
    every = np.sort([v for v in values if np.isfinite(v)])
    apart = int(width * len(every))
    for code, value in enumerate(one.values):
        if apart == 0 or not np.isfinite(value):
            assert low[code] == code == high[code]
            continue
        held = np.flatnonzero(every == value)
        centre = held[-1] + 1 - (len(held) + 1) // 2
        sides = [
            abs(every[at] - value)
            for at in (centre - apart, centre + apart)
            if 0 <= at < len(every)
        ]
        half = min(sides, default=0.0)
        inside = [c for c, v in enumerate(one.values) if np.isfinite(v) and abs(v - value) <= half]
        assert (inside[0], inside[-1]) == (low[code], high[code])


def test_heaped_numbers_and_levels_are_near_themselves_alone():
    heap = axis(numbers(*[0.0] * 20, *range(1, 21)), None, 0)
    low, high = near(heap, 0.1)
    assert (low[1], high[1]) == (1, 1)
    assert (low[11], high[11]) == (7, 15)
    levels = axis(coded(*"abcdefghij"), None, 0)
    np.testing.assert_array_equal(near(levels, 0.3), [np.arange(27)] * 2)


def test_the_chance_of_a_heaped_number_or_a_level_is_its_share():
    heap = axis(numbers(*[5.0] * 30, *range(10, 80)), None, 0)
    assert heap.chance[1] == pytest.approx(0.3)
    levels = axis(coded(*"aaab"), coded(*"b."), 0)
    np.testing.assert_allclose(levels.chance[:3], [1 / 6, 3 / 6, 2 / 6])


def test_the_chance_of_an_unrounded_number_is_its_density():
    rng = np.random.default_rng(0)
    spread = rng.integers(0, 1_000_000, 3000)
    one = axis(numbers(*spread), None, 0)
    assert np.median(one.chance[1:]) == pytest.approx(1e-6, rel=0.3)
    assert one.chance[1:].max() < 1e-5


def test_values_that_people_hold_oftener_than_releases_are_like_people():
    one = axis(coded(*"aaaaaaaaab"), coded(*"abbbbbbbbb"), 0)
    score = likeness(one)
    assert score[2] > 0.3 > -0.3 > score[1]
    numeric = axis(numbers(*[0.0] * 10, *range(1, 91)), numbers(*[0.0] * 90, *range(1, 11)), 0)
    assert likeness(numeric)[1] > 1.0
    assert likeness(numeric)[60] < -1.0
    assert not likeness(axis(coded(*"ab"), None, 0)).any()


def test_equal_predicates_are_told_apart_from_others():
    these = Conjunctions(
        columns=[[0, 1], [0, 2], [0, 1]], low=[[1, 2], [1, 2], [1, 2]], high=[[1, 3]] * 3
    )
    built = Built(these=these, rows=[5, 6, 7], log_weight=np.zeros(3))
    assert distinct(built).rows.tolist() == [5, 6]
