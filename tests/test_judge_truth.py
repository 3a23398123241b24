"""Does the judge tell the truth? Slices of bench/evidence_statistics.py, with fixed seeds.

The bounds leave room for the slice's own chance: three standard deviations or more.
"""

import numpy as np
import pytest
from evidence import stale
from evidence_statistics import (
    ATTACKS,
    BINORMAL,
    RATES,
    arms,
    audit,
    binormal,
    delta_width,
    epsilon_coverage,
    gdp_coverage,
    leak,
    null_audit,
    one_run_coverage,
    overfitted_audit,
    planted_audit,
    rate_coverage,
    tied_coverage,
    tpr_limits,
)

from leakpro_core.report import LEAKS, Word
from leakpro_core.statistics.intervals import upper_bound

approx = pytest.approx
MANY = 4000
LEAST = 0.95 - 3 * (0.05 * 0.95 / MANY) ** 0.5


def rng():
    return np.random.default_rng(5)


def test_the_full_counts_belong_to_this_code():
    assert stale("statistics") is None


@pytest.mark.parametrize(("n", "rate"), RATES)
def test_clopper_pearson_covers(n, rate):
    assert rate_coverage(n, rate, MANY, rng()).mean() >= LEAST


@pytest.mark.parametrize(("mu", "fpr", "n"), BINORMAL)
def test_the_tpr_at_an_fpr_is_covered_by_an_interval_that_is_not_wide(mu, fpr, n):
    low, high = tpr_limits(mu, fpr, n, MANY, rng())
    truth, _ = binormal(mu, fpr)
    assert ((low <= truth) & (truth <= high)).mean() >= LEAST
    if fpr * n >= 50:
        assert (high - low).mean() <= 1.5 * delta_width(mu, fpr, n, n)


@pytest.mark.parametrize("fpr", [0.01, 0.1])
def test_the_tpr_at_an_fpr_is_covered_where_claims_are_tied(fpr):
    of_judge, of_function = tied_coverage(fpr, 300, 300, rng())
    assert of_judge.mean() >= 0.95
    assert of_function.mean() >= of_judge.mean()


@pytest.mark.parametrize(("epsilon", "fpr"), [(0.5, 0.3), (2.0, 0.01), (2.0, 0.1)])
def test_epsilon_lower_holds(epsilon, fpr):
    assert epsilon_coverage(epsilon, fpr, 500, MANY, rng()).mean() >= LEAST


@pytest.mark.parametrize(("epsilon", "guesses"), [(0.5, 200), (2.0, 100), (4.0, 500)])
def test_epsilon_one_run_holds(epsilon, guesses):
    assert one_run_coverage(epsilon, guesses, MANY, rng()).mean() >= LEAST


def test_gdp_mu_lower_holds():
    assert gdp_coverage(1.0, 0.01, 500, MANY, rng()).mean() >= LEAST


def test_useless_attacks_are_given_a_leak_word_in_at_most_5_of_100_audits():
    """60 audits of eight attacks: more than 8 alarms would refute 5% at three deviations."""
    assert ATTACKS == 8
    assert sum(leak(null_audit(seed, n=800)) for seed in range(60)) <= 8


def test_useless_attacks_on_several_targets_too():
    assert sum(leak(null_audit(seed, n=200, targets=4)) for seed in range(20)) <= 4


def test_a_planted_leak_of_5_percent_at_fpr_1_percent_is_found():
    """2,000 + 2,000 rounds, one leaking attack of eight."""
    assert sum(leak(planted_audit(seed)) for seed in range(20)) >= 18


def test_the_loss_of_an_overfitted_model_is_at_least_a_weak_leak():
    """A rule on one low point alone would have cleared it."""
    for seed in range(5):
        judged, findings = overfitted_audit(seed)
        assert judged[0].auc.value == approx(0.82, abs=0.02)
        assert judged[0].points[1].level == 0.01
        assert judged[0].points[1].likelihood_low < 1.0
        assert judged[0].exclusion[1].high == approx(0.03, abs=0.015)
        assert findings[0].word in LEAKS


def test_an_attack_that_is_always_wrong_is_not_a_leak():
    exposed = np.arange(2000) < 1000
    claim = rng().normal(size=2000) - 0.5 * exposed
    assert audit([claim], exposed, seed=1)[1][0].word in (Word.NOT_FOUND, Word.INCONCLUSIVE)


def test_without_the_error_of_the_member_side_bounds_would_fail_far_too_often():
    """docs/decisions/0021: useless attacks, FPR 10%, a bound that may fail once in 1,000."""
    chance = rng()
    kept = dropped = 0
    for _ in range(2000):
        exposed = arms(1000, chance)
        claim = chance.random(1000)
        threshold = np.sort(claim[~exposed])[-51]
        share = (claim[exposed] > threshold).mean()
        bound = float(upper_bound(50, 500, 0.001))
        dropped += share > bound
        kept += 1.0 - float(upper_bound(500 - round(500 * share), 500, 0.001)) > bound
    assert dropped >= 10
    assert kept == 0
