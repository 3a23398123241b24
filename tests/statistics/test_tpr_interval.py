"""The interval of the TPR at an FPR covers whatever the ROC: docs/decisions/0022-tpr-interval."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from leakpro_core.statistics.intervals import lower_bound, upper_bound
from leakpro_core.statistics.roc import loose_rank, strict_rank


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
