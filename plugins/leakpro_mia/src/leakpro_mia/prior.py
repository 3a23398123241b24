"""Empirical Bayes: few shadows per record, many records (Smyth 2004, section 6.2, with a trend)."""

import numpy as np
from attrs import frozen
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from leakpro_core.arrays import Bools, Floats, Ints

_FLOOR = 1e-8
"""Least variance of a margin, in squared logits: float32 outputs resolve no less."""

_LOOSEST, _TIGHTEST = 0.1, 1e6
"""Limits of the prior's degrees of freedom."""


@frozen(kw_only=True, eq=False)
class Trend:
    """Smooths values along a covariate: means of bins of equal size, joined by straight lines.

    at: covariate ``[m]``; used: bool ``[m]``, values that may enter a mean; which: bin of each
    used value; count: used values by bin; knots: mean covariate of each bin, increasing.
    """

    at: Floats
    used: Bools
    which: Ints
    count: Floats
    knots: Floats

    @classmethod
    def along(cls, at: Floats, used: Bools) -> "Trend":
        """Return the trend along ``at``; bins hold at least 50 values and are at most 40."""
        known = at[used]
        bins = int(np.clip(len(known) // 50, 1, 40))
        # Equal values stay in one bin, so the order of the records does not matter.
        edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
        _, which = np.unique(np.searchsorted(edges, known, "right"), return_inverse=True)
        count = np.bincount(which).astype(np.float64)
        return cls(
            at=at, used=used, which=which, count=count, knots=np.bincount(which, known) / count
        )

    def smooth(self, values: Floats) -> Floats:
        """Return the trend of ``values [used]`` at all ``m`` places."""
        heights = np.bincount(self.which, values) / self.count
        smoothed: Floats = np.interp(self.at, self.knots, heights)
        return smoothed


def smooth(values: Floats, covariate: Floats) -> Floats:
    """Return the trend of ``values [m]`` along ``covariate [m]``."""
    return Trend.along(covariate, np.ones(len(values), np.bool_)).smooth(values)


def shrink_variances(squares: Floats, degrees: Floats, covariate: Floats) -> tuple[Floats, float]:
    """Return shrunken variances ``[m]`` and the prior's degrees of freedom.

    squares: sums of squares ``[m]`` with so many ``degrees [m]``, not all 0; covariate: ``[m]``.
    The prior is inverse-gamma; its scale follows the covariate, its degrees match the spread of
    the logarithms.
    Variances under a hundredth of their trend are raised to it: saturated records, whose outputs
    hardly move, would otherwise decide the spread.
    """
    known = degrees > 0
    d = degrees[known]
    trend = Trend.along(covariate, known)
    variance = np.maximum(squares[known] / d, _FLOOR)
    variance = np.maximum(variance, 0.01 * np.exp(trend.smooth(np.log(variance))[known]))
    distinct, which = np.unique(d, return_inverse=True)  # degrees take few values
    logs = np.log(variance) - (digamma(distinct / 2) - np.log(distinct / 2))[which]
    centre = trend.smooth(logs)
    free = max(len(logs) - len(trend.knots), 1)
    spread = ((logs - centre[known]) ** 2).sum() / free - polygamma(1, distinct / 2)[which].mean()
    half = _inverse_trigamma(float(spread))
    scale = np.exp(centre + digamma(half) - np.log(half))
    return (2 * half * scale + squares) / (2 * half + degrees), 2 * half


def shrink_means(mean: Floats, noise: Floats, covariate: Floats) -> tuple[Floats, Floats]:
    """Return means ``[m]`` drawn towards their trend, and the weight ``[m]`` that each kept.

    noise: variance of each mean. How far means lie from the trend beyond their noise decides.
    """
    trend = Trend.along(covariate, np.ones(len(mean), np.bool_))
    expected = trend.smooth(mean)
    between = np.maximum(trend.smooth((mean - expected) ** 2 - noise), 0.05 * noise)
    kept = between / (between + noise)
    return expected + kept * (mean - expected), kept


def _inverse_trigamma(value: float) -> float:
    low, high = _LOOSEST / 2, _TIGHTEST / 2
    if value <= polygamma(1, high):
        return high
    if value >= polygamma(1, low):
        return low
    return float(brentq(lambda x: polygamma(1, x) - value, low, high))
