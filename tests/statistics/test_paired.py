"""Rates side by side: published examples, brute force, edges."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.stats import norm, t

from leakpro_core.statistics import clopper_pearson, newcombe_difference, wilson
from leakpro_core.statistics.intervals import Interval
from leakpro_core.statistics.paired import (
    Meetings,
    arms_p,
    correlation,
    difference,
    mean_lower,
    mean_upper,
    odds_ratio,
    paired_difference,
    relative_excess,
    score_interval,
    units_needed,
    weighted_high,
    weighted_needed,
)

approx = pytest.approx
counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def pairs(both, first, second, neither):
    """Return values of either arm with that many pairs of each kind."""
    times = [both, first, second, neither]
    return np.repeat([1.0, 1.0, 0.0, 0.0], times), np.repeat([1.0, 0.0, 1.0, 0.0], times)


@given(counts)
def test_whole_sums_have_the_intervals_of_counts(kn):
    k, n = kn
    exact, score = clopper_pearson(k, n), score_interval(k / n, n)
    assert float(mean_lower(k, n, 0.025)) == approx(exact.low)
    assert float(mean_upper(k, n, 0.025)) == approx(exact.high)
    assert (wilson(k, n).low, wilson(k, n).high) == (approx(score.low), approx(score.high))


def test_sums_that_are_not_whole_are_rounded_outwards_and_rounding_errors_are_not():
    assert float(mean_lower(4.9, 20, 0.05)) == float(mean_lower(4, 20, 0.05))
    assert float(mean_upper(4.1, 20, 0.05)) == float(mean_upper(5, 20, 0.05))
    third = sum([1 / 3] * 9)
    assert float(mean_lower(third - 1e-12, 20, 0.05)) == float(mean_lower(3, 20, 0.05))
    assert float(mean_upper(third + 1e-12, 20, 0.05)) == float(mean_upper(3, 20, 0.05))


@pytest.mark.parametrize(("k1", "n1", "k2", "n2"), [(56, 70, 48, 80), (9, 10, 3, 10), (0, 9, 4, 7)])
def test_the_difference_of_two_samples_is_newcombes(k1, n1, k2, n2):
    a, c = k1 / n1, k2 / n2
    found = difference(a, score_interval(a, n1), c, score_interval(c, n2))
    expected = newcombe_difference(k1, n1, k2, n2)
    assert (approx(expected.low), approx(expected.high)) == (found.low, found.high)


def test_the_paired_difference_is_newcombes_published_example():
    """Newcombe 1998, Stat. Med. 17, 2635: 36, 12, 2 and 0 pairs; method 10."""
    found = paired_difference(*pairs(36, 12, 2, 0))
    assert (found.low, found.high) == (approx(0.0569, abs=5e-5), approx(0.3404, abs=5e-5))


def test_correlation_is_phi_with_newcombes_correction():
    a, b, c, d = 28, 4, 3, 22
    n, margins = a + b + c + d, (a + b) * (c + d) * (a + c) * (b + d)
    assert correlation(*pairs(a, b, c, d)) == approx((a * d - b * c - n / 2) / margins**0.5)
    assert correlation(*pairs(b, a, d, c)) == approx((b * c - a * d) / margins**0.5)
    assert correlation(*pairs(1, 1, 1, 2)) == 0.0
    assert correlation(*pairs(9, 0, 4, 0)) == 0.0


@given(st.tuples(*[st.integers(0, 40)] * 4).filter(any))
def test_a_paired_difference_holds_its_value_and_turns_round(table):
    first, second = pairs(*table)
    found, turned = paired_difference(first, second), paired_difference(second, first)
    value = first.mean() - second.mean()
    assert -1.0 - 1e-12 <= found.low <= value + 1e-12
    assert value - 1e-12 <= found.high <= 1.0 + 1e-12
    assert (found.low, found.high) == (approx(-turned.high), approx(-turned.low))


@given(counts, counts.filter(lambda kn: kn[0] < kn[1]), st.sampled_from([0.0, 0.4, -0.3]))
def test_relative_excess_ends_where_the_intervals_difference_does(kn, other, phi):
    """MOVER: r is a limit of top / base if 0 is one of top - r base."""
    (k, n), (j, m) = kn, other
    a, c, of_a, of_c = k / n, j / m, score_interval(k / n, n), score_interval(j / m, m)
    found = relative_excess(a, of_a, c, of_c, phi)
    assert found.low - 1e-9 <= (a - c) / (1 - c) <= found.high + 1e-9 <= 1.0 + 2e-9

    def gap(ratio, high):
        top = Interval(1 - of_a.high, 1 - of_a.low)
        base = Interval(ratio * (1 - of_c.high), ratio * (1 - of_c.low))
        ends = difference(1 - a, top, ratio * (1 - c), base, phi)
        return ends.high if high else ends.low

    ratio = (1 - a) / (1 - c)
    assert gap(1 - found.low, high=True) == approx(0.0, abs=1e-7 * max(1.0, 1 - found.low))
    if found.high < 1.0 and ratio > 1e-6:
        low = brentq(lambda r: gap(r, high=False), 0.0, ratio + 1e-9)
        assert 1 - found.high == approx(low, abs=1e-6)


def test_relative_excess_needs_a_second_rate_below_1():
    with pytest.raises(ValueError, match="may be 1"):
        relative_excess(0.5, score_interval(0.5, 10), 1.0, score_interval(1.0, 10))


def test_weighted_high_is_that_of_a_mean_where_units_weigh_the_same():
    rng = np.random.default_rng(1)
    first, second = rng.random(30), rng.random(30)
    gap = first - second
    expected = gap.mean() + t.ppf(0.975, 29) * gap.std(ddof=1) / 30**0.5
    assert expected == approx(weighted_high(first, second, np.full(30, 7.0)))


def test_weighted_high_is_wide_where_one_unit_has_most_claims():
    first, second, weights = np.zeros(101), np.zeros(101), np.ones(101)
    first[0], weights[0] = 1.0, 900.0
    assert paired_difference(first, second).high < 0.06
    assert weighted_high(first, second, weights) > 1.0
    assert weighted_needed(first, second, weights, 0.1) > 500
    assert weighted_high(second, second, weights) == 0.0


def test_odds_ratio():
    assert odds_ratio(0.5, 0.1) == approx(9.0)


@pytest.mark.parametrize(("rate", "tolerated"), [(0.2, 0.1), (0.02, 0.05), (0.5, 0.1)])
def test_units_needed_exclude_a_useless_attack_four_times_out_of_five(rate, tolerated):
    n = units_needed(rate, tolerated)
    rng = np.random.default_rng(2)

    def excluded(n):
        k = rng.binomial(n, rate, (1500, 2))
        return np.mean([newcombe_difference(i, n, j, n).high <= tolerated for i, j in k.tolist()])

    assert excluded(n) == approx(0.8, abs=0.05)
    assert excluded(round(0.7 * n)) < 0.72


def test_units_needed_of_a_rate_of_0_are_those_of_its_interval():
    """z^2 / (n + z^2) <= 10%, and nothing varies."""
    assert units_needed(0.0, 0.1) == np.ceil(9 * norm.ppf(0.975) ** 2)
    with pytest.raises(ValueError, match="tolerated"):
        units_needed(0.5, 0.0)


def meetings(met, weights=None, *, people=8, one=True, tenth=(), vulnerable=(False,)):
    """Return claims by whom each meets."""
    dense = np.zeros((len(met), people), np.float32)
    for i, who in enumerate(met):
        dense[i, list(who)] = 1.0
    weights = np.ones((len(vulnerable), len(met))) if weights is None else np.array(weights)
    return Meetings(
        meets=csr_array(dense),
        tenth=np.isin(np.arange(people), tenth),
        one=one,
        weights=weights.astype(np.float32),
        vulnerable=np.array(vulnerable),
    )


def by_hand(met, exposed, one, tenth=None):
    """Return how many more claims come true of the exposed than of the others."""
    total = 0
    for who in met:
        for sign, arm in ((1, True), (-1, False)):
            inside = [p for p in who if exposed[p] == arm]
            right = len(inside) == 1 if one else len(inside) > 0
            total += sign * (right and (tenth is None or any(p in tenth for p in inside)))
    return total


@pytest.mark.parametrize("one", [True, False])
def test_permuted_arms_agree_with_all_permutations_there_are(one):
    met = [{0}, {0, 1}, {1, 2, 3}, {2, 3}, {4, 5}, {3, 6}, {0}, set(), {0, 1}]
    exposed = np.array([1, 1, 1, 0, 1, 0, 0, 0], bool)
    every = [np.isin(np.arange(8), c) for c in combinations(range(8), 4)]
    sums = np.array(
        [[by_hand(met, e, one), by_hand(met, e, one, {0, 3})] for e in every], np.float64
    )
    scaled = sums / np.sqrt((sums**2).mean(axis=0))
    mine = next(i for i, e in enumerate(every) if (e == exposed).all())
    exact = np.mean(scaled.max(axis=1) >= scaled[mine].max() - 1e-6)
    block = meetings(met, one=one, tenth=(0, 3), vulnerable=(False, True))
    assert 0.02 < exact < 0.9
    assert arms_p([block], exposed, 0, 20_000)[0] == approx(exact, abs=0.015)


def test_permuted_arms_are_adjusted_for_all_blocks():
    rng = np.random.default_rng(4)
    exposed = np.arange(200) < 100
    clear = meetings([{i} for i in range(40)], people=200)
    noise = [meetings([set(rng.choice(200, 2)) for _ in range(60)], people=200) for _ in range(4)]
    found = arms_p([clear, *noise], exposed, 1, 999)
    assert found[0] == approx(0.001)
    assert (found[1:] >= arms_p(noise, exposed, 1, 999) - 0.05).all()


def test_permuted_arms_of_nothing_are_no_evidence():
    exposed = np.arange(8) < 4
    nobody, none = meetings([set(), set()]), meetings([])
    assert (arms_p([nobody, none], exposed, 0, 99) == 1.0).all()
    assert arms_p([meetings([{5}, {6}])], exposed, 0, 99)[0] == 1.0


def test_permuted_arms_are_false_alarms_as_often_as_they_say():
    """However claims share people: one of three striking ones and two others each."""
    p = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        met = [{int(rng.integers(3)), *rng.choice(np.arange(3, 60), 2)} for _ in range(50)]
        exposed = rng.permutation(60) < 30
        p.append(arms_p([meetings(met, people=60)], exposed, seed, 99)[0])
    assert np.mean(np.array(p) <= 0.05) == approx(0.05, abs=0.035)


def test_sums_do_not_change_the_same_claims_listed_apart_or_as_one():
    exposed = np.arange(8) < 4
    apart = meetings([{0, 5}, {0, 5}, {1}, {1}, {1}])
    one = meetings([{0, 5}, {1}], weights=[[2.0, 3.0]])
    assert arms_p([apart], exposed, 3, 999)[0] == arms_p([one], exposed, 3, 999)[0]
