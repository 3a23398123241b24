"""The interval of the TPR at an FPR covers whatever the ROC: docs/decisions/0022-tpr-interval."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from leakpro_core.statistics.intervals import lower_bound, upper_bound
from leakpro_core.statistics.roc import (
    Tally,
    loose_rank,
    strict_rank,
    tally,
    tpr_at_fpr,
    tpr_interval,
    tpr_upper,
)


def worst_error(n: int, m: int, fpr: float, tpr: float) -> float:
    """Return the largest chance, over all ROCs through (fpr, tpr), that either 95% limit fails.

    On either side of fpr the worst ROC is constant; its height there is searched.
    """
    k_strict, k_loose = (int(rank(fpr, n, 0.025)) for rank in (strict_rank, loose_rank))
    beyond = beta.sf(fpr, k_strict, n + 1 - k_strict) if k_strict else 0.0
    short = beta.cdf(fpr, k_loose, n + 1 - k_loose)
    counts = np.arange(m + 1)
    low = lower_bound(counts, m, 0.025) if k_strict else np.zeros(m + 1)
    fails_low = np.searchsorted(low, tpr, side="right") - 1
    fails_high = np.searchsorted(upper_bound(counts, m, 0.025), tpr) - 1
    height = np.append(np.linspace(0.0, 1.0, 1001), tpr)
    too_many, too_few = binom.sf(fails_low, m, height), binom.cdf(fails_high, m, height)
    right = (beyond * too_many + (1 - short) * too_few)[height >= tpr].max()
    left = ((1 - beyond) * too_many + short * too_few)[height <= tpr].max()
    return float(right + left)


@pytest.mark.parametrize(("n", "fpr"), [(100, 0.1), (500, 0.01), (1000, 0.1), (5000, 0.001)])
@pytest.mark.parametrize("m", [20, 1000])
def test_no_roc_is_covered_less_often_than_95_times_in_100(n, m, fpr):
    heights = [*np.geomspace(1e-3, 0.5, 12), 0.7, 0.9, 0.99]
    assert max(worst_error(n, m, fpr, tpr) for tpr in heights) <= 0.05


def best_by_coin(members: list[float], others: list[float], fpr: float) -> float:
    """Return the TPR at an FPR of an attacker who breaks ties by a coin; highest claims first."""
    return float(np.interp(fpr, np.cumsum([0.0, *others]), np.cumsum([0.0, *members])))


STEPS = (
    ([0.95, 0.05], [0.8, 0.2]),
    ([0.3, 0.7], [0.1, 0.9]),
    ([0.05, 0.95], [0.01, 0.99]),
    ([0.5, 0.5], [0.012, 0.988]),
    ([0.04, 0.5, 0.46], [0.008, 0.3, 0.692]),
    ([1.0], [1.0]),
)


@pytest.mark.parametrize(("members", "others"), STEPS)
@pytest.mark.parametrize(("m", "n"), [(300, 300), (50, 2000), (2000, 500)])
@pytest.mark.parametrize("sampled", [True, False])
def test_the_bound_of_claims_in_steps_holds_for_an_attacker_who_breaks_ties(
    members, others, m, n, sampled
):
    rng = np.random.default_rng(1)
    failed = np.zeros(2)
    for _ in range(300):
        exposed, control = rng.multinomial(m, members), rng.multinomial(n, others)
        t = Tally(value=-np.arange(len(members)), exposed=exposed, control=control)
        bounds = tpr_upper(t, [0.01, 0.1], 0.05, sampled=sampled)
        truth = members if sampled else exposed / m
        failed += [
            b < best_by_coin(truth, others, f) for b, f in zip(bounds, (0.01, 0.1), strict=True)
        ]
    assert failed.max() <= 0.05 * 300 + 3 * (0.05 * 0.95 * 300) ** 0.5


def test_equal_claims_are_bounded_as_guesses_are():
    arms = np.arange(4000) < 2000
    equal = tpr_upper(tally(np.zeros(4000), arms), [0.01], 0.05)[0]
    guesses = tpr_upper(tally(np.random.default_rng(0).random(4000), arms), [0.01], 0.05)[0]
    assert equal < 0.03
    assert equal == pytest.approx(guesses, abs=0.01)


def test_members_tied_with_a_single_control_all_count():
    t = tally([3.0, 3.0, 3.0, 2.0, 3.0, 1.0], np.arange(6) < 4)
    assert loose_rank([0.0], t.nonmembers, 0.025)[0] == 1
    assert tpr_interval(t, [0.0], sampled=False)[1][0] == 0.75


def test_the_public_interval_takes_tie_groups_whole() -> None:
    claims = np.array([1.0] * 6 + [0.0] * 4 + [1.0] * 3 + [0.0] * 7)
    exposed = np.arange(20) < 10
    assert tpr_interval(tally(claims, exposed), [0.3], sampled=False, whole=True)[1][0] == 1.0
    assert tpr_at_fpr(claims, exposed, 0.3).high == 1.0
