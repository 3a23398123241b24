"""What holds for every input: order, monotony, invariance, edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from leakpro_core.statistics import (
    auc,
    auc_difference,
    clopper_pearson,
    epsilon_ceiling,
    epsilon_lower,
    epsilon_one_run,
    gdp_epsilon,
    gdp_mu_lower,
    holm,
    likelihood_ratio_lower,
    newcombe_difference,
    ppv,
    ppv_interval,
    roc,
    tpr_at_fpr,
    trials_to_exclude,
    wilson,
)
from leakpro_core.statistics.intervals import binomial_quantile, mean_interval
from leakpro_core.statistics.power import records_needed
from leakpro_core.statistics.roc import tally, tpr_upper

approx = pytest.approx
NAN = math.nan

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.5, 0.9, 0.95, 0.999])
claim = st.one_of(st.sampled_from([NAN, 0.0, 1.0, 2.0]), st.integers(-50, 50).map(float))
games = st.lists(st.tuples(claim, st.booleans()), min_size=2, max_size=60).filter(
    lambda rounds: len({arm for _, arm in rounds}) == 2
)
rates = st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5])


def columns(rounds):
    """Return scores and arms."""
    return np.array([c for c, _ in rounds]), np.array([arm for _, arm in rounds])


@given(counts, levels)
def test_rate_lies_within_its_interval(kn, confidence):
    k, n = kn
    for found in (clopper_pearson(k, n, confidence), wilson(k, n, confidence)):
        assert 0.0 <= found.low <= k / n + 1e-12
        assert k / n - 1e-12 <= found.high <= 1.0


@given(counts, levels)
def test_bounds_are_monotone_in_k_and_n(kn, confidence):
    k, n = kn
    here, more_trials = (clopper_pearson(k, t, confidence) for t in (n, n + 1))
    more_successes = clopper_pearson(k + 1, n + 1, confidence)
    assert more_trials.low <= here.low <= more_successes.low
    assert more_trials.high <= here.high <= more_successes.high


@given(counts, levels)
def test_wider_confidence_gives_a_wider_interval(kn, confidence):
    narrow, wide = (clopper_pearson(*kn, c) for c in (confidence, (1 + confidence) / 2))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@given(counts, counts)
def test_difference_is_antisymmetric(a, b):
    one, other = newcombe_difference(*a, *b), newcombe_difference(*b, *a)
    assert (one.low, one.high) == approx((-other.high, -other.low))
    assert one.low <= a[0] / a[1] - b[0] / b[1] <= one.high


@given(counts, counts)
def test_likelihood_ratio_bound_lies_below_the_ratio(a, b):
    (tp, m), (fp, n) = a, b
    found = likelihood_ratio_lower(tp, m, fp, n)
    assert found >= 0.0
    assert fp == 0 or found <= (tp / m) / (fp / n) + 1e-12


@given(counts, counts)
def test_epsilon_lies_between_0_and_its_ceiling_and_grows_with_the_evidence(a, b):
    (tp, m), (fp, n) = a, b
    found = epsilon_lower(tp, m, fp, n, 1e-5)
    assert 0.0 <= found <= epsilon_ceiling(m, n, 1e-5)
    assert epsilon_lower(tp, m, fp, n, 1e-3) <= found
    if fp / n <= tp / m:
        assert found <= epsilon_lower(min(tp + 1, m), m, fp, n, 1e-5)
        assert found <= epsilon_lower(tp, m, max(fp - 1, 0), n, 1e-5)


@given(counts, counts)
def test_epsilon_does_not_mind_which_arm_is_called_exposed(a, b):
    (tp, m), (fp, n) = a, b
    assert epsilon_lower(tp, m, fp, n) == approx(epsilon_lower(n - fp, n, m - tp, m))


@given(st.integers(1, 200).flatmap(lambda r: st.tuples(st.just(r), st.integers(0, r))))
def test_one_run_epsilon_grows_with_correct_guesses(rv):
    r, v = rv
    found = epsilon_one_run(1000, r, v, 1e-5)
    assert 0.0 <= found <= epsilon_one_run(1000, r, min(v + 1, r), 1e-5) + 1e-9
    assert v / r > 0.5 or found == 0.0


@given(st.floats(0.01, 8.0), st.sampled_from([1e-8, 1e-5, 1e-2]))
def test_gdp_epsilon_grows_with_mu_and_falls_with_delta(mu, delta):
    assert gdp_epsilon(mu, delta) <= gdp_epsilon(mu * 1.1, delta)
    assert gdp_epsilon(mu, 2 * delta) <= gdp_epsilon(mu, delta)


def test_gdp_at_its_edges():
    assert gdp_epsilon(0.0, 1e-5) == 0.0
    assert gdp_epsilon(1.0, 0.0) == math.inf
    assert gdp_mu_lower(0, 100, 0, 100) == 0.0
    assert gdp_mu_lower(50, 100, 100, 100) == 0.0


@given(counts, counts, st.sampled_from([0.5, 0.01]))
def test_ppv_lies_within_its_interval(a, b, prior):
    (tp, m), (fp, n) = a, b
    found = ppv_interval(tp, m, fp, n, prior)
    assert 0.0 <= found.low <= found.high <= 1.0
    if tp + fp:
        assert found.low <= ppv(tp / m, fp / n, prior) <= found.high


def test_ppv_of_nobody_is_not_a_number():
    assert math.isnan(ppv(0.0, 0.0, 0.5))


@given(games, rates)
def test_order_of_rounds_and_increasing_transforms_change_nothing(rounds, fpr):
    x, arms = columns(rounds)
    back = slice(None, None, -1)
    for scores, exposed in ((x[back], arms[back]), (np.exp(x / 7.0) * 3.0 - 1.0, arms)):
        assert auc(x, arms) == auc(scores, exposed)
        here, there = tpr_at_fpr(x, arms, fpr), tpr_at_fpr(scores, exposed, fpr)
        fields = ("tpr", "fpr", "low", "high", "resolvable", "tp", "fp")
        assert [getattr(here, f) for f in fields] == [getattr(there, f) for f in fields]
        assert roc(x, arms).tpr.tolist() == roc(scores, exposed).tpr.tolist()


@given(games)
def test_auc_is_the_share_of_pairs_won_with_ties_and_abstentions_counted_half(rounds):
    x, arms = columns(rounds)
    low = np.where(np.isnan(x), -1e9, x)
    wins = np.sign(low[arms][:, None] - low[~arms][None, :])
    found = auc(x, arms)
    assert (1 + wins.mean()) / 2 == approx(found.value)
    assert 0.0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1.0
    assert found.low < found.high


@given(games)
def test_auc_of_the_opposite_claims_is_the_complement(rounds):
    x, arms = columns([(c, arm) for c, arm in rounds if not math.isnan(c)] or [(0.0, True)])
    if len(set(arms)) == 2:
        one, other = auc(x, arms), auc(-x, arms)
        assert (one.low, one.value, one.high) == approx(
            (1 - other.high, 1 - other.value, 1 - other.low)
        )


@given(games)
def test_delong_by_ranks_is_delong_by_pairs(rounds):
    x, arms = columns(rounds)
    low = np.where(np.isnan(x), -1e9, x)
    psi = (1 + np.sign(low[arms][:, None] - low[~arms][None, :])) / 2
    m, n = psi.shape
    found = auc(x, arms)
    if found.method.startswith("DeLong"):
        variance = psi.mean(1).var(ddof=1) / m + psi.mean(0).var(ddof=1) / n
        half = (math.log(found.high / (1 - found.high)) - math.log(found.low / (1 - found.low))) / 2
        a = found.value
        assert math.sqrt(variance) == approx(half / 1.959963984540054 * a * (1 - a))


@given(games)
def test_roc_runs_from_corner_to_corner(rounds):
    found = roc(*columns(rounds))
    assert (found.fpr[0], found.tpr[0], found.fpr[-1], found.tpr[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert (np.diff(found.fpr) >= 0).all()
    assert (np.diff(found.tpr) >= 0).all()
    assert (np.diff(found.fpr) + np.diff(found.tpr) > 0).all()


@given(games, rates)
def test_tpr_at_fpr_is_the_best_point_within_its_budget(rounds, fpr):
    x, arms = columns(rounds)
    found, curve = tpr_at_fpr(x, arms, fpr), roc(x, arms)
    allowed = curve.fpr * found.nonmembers <= math.floor(fpr * found.nonmembers + 1e-12) + 1e-9
    assert curve.tpr[allowed].max() == found.tpr
    assert (curve.fpr[allowed & (curve.tpr == found.tpr)]).min() == found.fpr
    assert found.low <= found.tpr <= found.high
    if found.threshold is not None:
        flagged = np.where(np.isnan(x), -math.inf, x) >= found.threshold
        assert (found.tp, found.fp) == ((flagged & arms).sum(), (flagged & ~arms).sum())


def test_abstentions_rank_below_every_number():
    found = roc([1.0, NAN, -1e300, NAN], [True, True, False, False])
    assert [math.inf, 1.0, -1e300, -math.inf] == found.threshold.tolist()
    assert found.tpr.tolist() == [0.0, 0.5, 0.5, 1.0]


def test_separated_arms_and_equal_claims_have_intervals_of_their_own():
    separated = auc([2.0, 3.0, 0.0, 1.0], [True, True, False, False])
    assert (separated.value, separated.high) == (1.0, 1.0)
    assert math.sqrt(0.025) == approx(separated.low)
    equal = auc([1.0] * 100, [True, False] * 50)
    assert equal.value == 0.5
    assert equal.low < 0.5 < equal.high
    assert equal.method == "exact over disjoint pairs"
    one = auc([1.0, 0.0, 2.0], [True, False, False])
    assert (one.low, one.value, one.high) == (0.0, 0.5, 1.0)


def test_an_attack_does_not_differ_from_itself():
    x, arms = np.arange(10.0), np.arange(10) % 2 == 0
    found = auc_difference(x, x, arms)
    assert found.value == 0.0
    assert found.low < 0.0 < found.high


def test_holm_keeps_order_and_never_helps():
    p = [0.2, 0.01, 0.01, 0.9]
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert approx(adjusted.tolist()) == [0.4, 0.04, 0.04, 0.9]


@pytest.mark.parametrize(("f", "r"), [(0.01, 0.03), (0.001, 0.01), (0.1, 0.2)])
def test_records_needed_to_exclude_a_useless_attack(f, r):
    """Against simulation: with n records it is excluded about 80% of the time."""
    n = records_needed(f, r)
    rng = np.random.default_rng(3)
    arms = np.arange(2 * n) < n
    claims = rng.random((100, 2 * n))
    excluded = [tpr_upper(tally(x, arms), [f], 0.05)[0] <= r for x in claims]
    assert 0.68 <= np.mean(excluded) <= 0.95


def test_knowing_all_members_needs_fewer_records():
    sampled = records_needed(0.01, 0.03)
    every = records_needed(0.01, 0.03, sampled=False)
    assert every < sampled


@pytest.mark.parametrize(
    "call",
    [
        lambda: clopper_pearson(5, 4),
        lambda: clopper_pearson(1, 4, side="left"),
        lambda: clopper_pearson(1, 4, confidence=95),
        lambda: wilson(0, 0),
        lambda: auc([1.0, 2.0], [True, True]),
        lambda: auc([1.0, 2.0, 3.0], [True, False]),
        lambda: epsilon_one_run(10, 5, 6),
        lambda: trials_to_exclude(0.0),
        lambda: mean_interval([1.0]),
        lambda: records_needed(0.01, 0.01),
    ],
)
def test_counts_that_cannot_be_are_refused(call):
    with pytest.raises(ValueError, match=r"\d|side"):
        call()


@given(
    st.integers(1, 5000),
    st.sampled_from([0.0, 1e-4, 0.01, 0.3, 0.999, 1.0]),
    st.sampled_from([1e-6, 0.0125, 0.05, 0.5, 0.975, 1 - 1e-6]),
)
def test_binomial_quantile_is_the_smallest_count_that_reaches_the_probability(n, rate, p):
    k = int(binomial_quantile(p, n, rate))
    assert 0 <= k <= n
    assert binom.cdf(k, n, rate) >= p - 1e-12
    assert k == 0 or binom.cdf(k - 1, n, rate) < p + 1e-12
