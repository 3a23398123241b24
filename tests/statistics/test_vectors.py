"""Every reference vector that a public function answers, directly or indirectly."""

import math

import numpy as np
import pytest
from reference_vectors import vectors

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
from leakpro_core.statistics.epsilon import one_run_p_value
from leakpro_core.statistics.intervals import lower_bound, mean_interval, upper_bound
from leakpro_core.statistics.roc import budget, loose_rank, strict_rank

approx = pytest.approx

CLOSED = {"rel": 1e-9, "abs": 1e-9}
ROOT = {"rel": 1e-6, "abs": 1e-6}


def both(members, non_members):
    """Return scores and arms."""
    return [*members, *non_members], [True] * len(members) + [False] * len(non_members)


@pytest.mark.parametrize("v", vectors("clopper_pearson"))
def test_clopper_pearson(v):
    two = clopper_pearson(v["k"], v["n"], v["conf"])
    assert v["two_sided"] == approx([two.low, two.high], **CLOSED)
    lower = clopper_pearson(v["k"], v["n"], v["conf"], side="lower")
    assert (v["one_sided_lower"], 1.0) == approx((lower.low, lower.high), **CLOSED)
    upper = clopper_pearson(v["k"], v["n"], v["conf"], side="upper")
    assert (0.0, v["one_sided_upper"]) == approx((upper.low, upper.high), **CLOSED)


@pytest.mark.parametrize("v", vectors("wilson"))
def test_wilson(v):
    found = wilson(v["k"], v["n"], v["conf"])
    assert (v["lower"], v["upper"]) == approx((found.low, found.high), **CLOSED)


@pytest.mark.parametrize("v", vectors("newcombe_hybrid_score_difference"))
def test_newcombe_difference(v):
    found = newcombe_difference(v["k1"], v["n1"], v["k2"], v["n2"], v["conf"])
    assert (v["lower"], v["upper"]) == approx((found.low, found.high), **CLOSED)


@pytest.mark.parametrize("v", vectors("lr_plus"))
def test_likelihood_ratio_lower(v):
    found = likelihood_ratio_lower(v["tp"], v["members"], v["fp"], v["non_members"])
    assert v["rectangle_lower"] == approx(found, **CLOSED)


@pytest.mark.parametrize("v", vectors("auc_delong"))
def test_auc(v):
    found = auc(*both(v["members"], v["non_members"]))
    assert v["auc"] == approx(found.value, **CLOSED)
    if "logit_ci95" in v:
        assert v["logit_ci95"] == approx([found.low, found.high], **CLOSED)
    else:
        assert v["delong_var"] == 0.0
        assert found.low < 1.0 == found.high


@pytest.mark.parametrize("v", vectors("delong_paired_attack_minus_blind"))
def test_auc_difference(v):
    attack, arms = both(v["attack"]["members"], v["attack"]["non_members"])
    blind, _ = both(v["blind"]["members"], v["blind"]["non_members"])
    assert v["auc_attack"] == approx(auc(attack, arms).value, **CLOSED)
    assert v["auc_blind"] == approx(auc(blind, arms).value, **CLOSED)
    found = auc_difference(attack, blind, arms)
    assert v["diff"] == approx(found.value, **CLOSED)
    se = (found.high - found.low) / 2 / 1.959963984540054
    assert v["se_diff"] == approx(se, **CLOSED)


@pytest.mark.parametrize("v", vectors("tpr_at_fpr"))
def test_roc_has_whole_tie_groups(v):
    found = roc(*both(v["members"], v["non_members"]))
    m, n = len(v["members"]), len(v["non_members"])
    assert (math.inf, 0.0, 0.0) == (found.threshold[0], found.tpr[0], found.fpr[0])
    assert [r["threshold"] for r in v["roc"]] == found.threshold[1:].tolist()
    assert [r["tp"] / m for r in v["roc"]] == approx(found.tpr[1:].tolist(), **CLOSED)
    assert [r["fp"] / n for r in v["roc"]] == approx(found.fpr[1:].tolist(), **CLOSED)


@pytest.mark.parametrize("v", vectors("tpr_at_fpr"))
def test_tpr_at_fpr(v):
    for fpr, at in v["at"].items():
        found = tpr_at_fpr(*both(v["members"], v["non_members"]), float(fpr))
        assert (at["threshold"], at["tp"], at["fp"]) == (found.threshold, found.tp, found.fp)
        assert (at["tpr"], at["fpr_achieved"]) == approx((found.tpr, found.fpr), **CLOSED)
        naive = clopper_pearson(found.tp, found.members)
        assert at["tpr_cp95"] == approx([naive.low, naive.high], **CLOSED)
        upper = clopper_pearson(found.fp, found.nonmembers, side="upper").high
        assert at["fpr_cp95_upper_one_sided"] == approx(upper, **CLOSED)


@pytest.mark.parametrize("v", vectors("conservative_tpr_interval_example", "rows"))
def test_tpr_at_fpr_interval_includes_the_error_of_the_threshold(v):
    found = tpr_at_fpr(*both(200.5 + 2.0 * np.arange(500), np.arange(1000.0)), v["f"])
    assert (v["lower"], v["upper"], v["point"]) == approx(
        (found.low, found.high, found.tpr), **CLOSED
    )
    assert found.resolvable


@pytest.mark.parametrize("v", vectors("order_statistic_k", "rows"))
def test_ranks_of_certain_thresholds(v):
    strict, loose = (int(rank(v["f"], v["n"], 0.05 / 4)) for rank in (strict_rank, loose_rank))
    assert (v["k_strict"] or 0, v["k_loose"]) == (strict, loose)


@pytest.mark.parametrize("v", vectors("order_statistic_k", "n_min_for_nonzero_lower"))
def test_fewest_non_members_with_a_lower_limit(v):
    for f, n in v.items():
        assert tuple(int(strict_rank(float(f), k, 0.05 / 4)) for k in (n - 1, n)) == (0, 1)


@pytest.mark.parametrize("v", vectors("fpr_of_order_statistic_threshold", "rows"))
def test_bound_of_the_kth_largest_control_claim_is_clopper_pearson_of_k_less_1(v):
    k, n = v["k"], v["n"]
    assert v["q95"] == approx(float(upper_bound(k - 1, n, 0.05)), **CLOSED)
    assert v["q975"] == approx(float(upper_bound(k - 1, n, 0.025)), **CLOSED)


@pytest.mark.parametrize("v", vectors("min_resolvable_fpr", "rows"))
def test_smallest_fpr_that_n_resolves(v):
    n = v["n"]
    assert v["zero_fp_upper95"] == approx(clopper_pearson(0, n, side="upper").high, **CLOSED)
    expected = (v["fp_budget_at_0p1pct"], v["fp_budget_at_0p01pct"])
    assert expected == (budget(0.001, n), budget(0.0001, n))


@pytest.mark.parametrize("v", vectors("n_to_exclude_rate", "rows"))
def test_trials_to_exclude(v):
    assert v["n"] == trials_to_exclude(v["p"], v["k"])


@pytest.mark.parametrize("v", vectors("per_record_models_needed", "rows"))
def test_trials_to_exclude_counts_models_too(v):
    assert v["out_models"] == trials_to_exclude(v["f"])


@pytest.mark.parametrize("v", vectors("n_nonmembers_to_demonstrate_ppv90", "rows"))
def test_non_members_needed_for_a_ppv(v):
    assert v["n"] == trials_to_exclude(v["fpr_needed"], confidence=0.975)


@pytest.mark.parametrize("v", vectors("per_record_resolution", "rows"))
def test_bound_per_record(v):
    k, n = v["k"], v["T_in"]
    assert v["lower"] == approx(clopper_pearson(k, n, 0.95, "lower").low, **CLOSED)
    assert v["lower_bonf_1000"] == approx(clopper_pearson(k, n, 1 - 5e-5, "lower").low, **CLOSED)


@pytest.mark.parametrize("v", vectors("eps_lower_bound_clopper_pearson"))
def test_epsilon_lower(v):
    counts = (v["tp"], v["members"], v["fp"], v["non_members"])
    assert v["eps_lower"] == approx(epsilon_lower(*counts, v["delta"]), **CLOSED)
    assert v["tpr_lower"] == approx(float(lower_bound(v["tp"], v["members"], 0.025)), **CLOSED)


@pytest.mark.parametrize("v", vectors("max_epsilon_certifiable", "rows"))
def test_epsilon_ceiling(v):
    assert v["eps_lower"] == approx(epsilon_ceiling(v["n"], v["n"]), **CLOSED)


@pytest.mark.parametrize("v", vectors("max_epsilon_certifiable", "one_run"))
def test_epsilon_one_run_of_a_perfect_attack(v):
    assert v["eps_lower"] == approx(epsilon_one_run(v["m"], v["r"], v["r"], 1e-5), **ROOT)


@pytest.mark.parametrize("v", vectors("one_run_eps_lower"))
def test_epsilon_one_run(v):
    found = epsilon_one_run(v["m"], v["r"], v["v"], v["delta"], 1 - v["significance"])
    assert v["eps_lower"] == approx(found, **ROOT)


@pytest.mark.parametrize("v", vectors("one_run_p_value"))
def test_one_run_p_value(v):
    found = one_run_p_value(v["m"], v["r"], v["v"], v["eps"], v["delta"])
    assert v["p"] == approx(found, **CLOSED)


@pytest.mark.parametrize("v", vectors("gdp_mu_lower_from_counts"))
def test_gdp_mu_lower(v):
    mu = gdp_mu_lower(v["tp"], v["members"], v["fp"], v["non_members"], 1 - v["alpha"])
    assert v["mu_lower"] == approx(mu, **CLOSED)
    assert v["eps_lower"] == approx(gdp_epsilon(mu, v["delta"]), **ROOT)


@pytest.mark.parametrize("v", vectors("gdp_conversion"))
def test_gdp_epsilon(v):
    assert v["eps"] == approx(gdp_epsilon(v["mu"], v["delta"]), **ROOT)


@pytest.mark.parametrize("v", vectors("ppv"))
def test_ppv(v):
    assert v["ppv"] == approx(ppv(v["tpr"], v["fpr"], v["prior"]), **CLOSED)


@pytest.mark.parametrize("v", vectors("ppv_interval_rectangle"))
def test_ppv_interval(v):
    found = ppv_interval(v["tp"], v["members"], v["fp"], v["non_members"], v["prior"])
    assert (v["lower"], v["upper"]) == approx((found.low, found.high), **CLOSED)


@pytest.mark.parametrize("v", vectors("holm"))
def test_holm(v):
    assert v["adjusted"] == approx(holm(v["p"]).tolist(), **CLOSED)


@pytest.mark.parametrize("v", vectors("multi_seed_t_interval"))
def test_mean_interval_over_targets(v):
    found = mean_interval(v["tpr_per_seed"])
    assert v["ci95"] == approx([found.low, found.high], **CLOSED)
