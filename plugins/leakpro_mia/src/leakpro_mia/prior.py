"""Empirical Bayes: few shadows per record, many records (Smyth 2004, section 6.2, with a trend).

A prior is fitted to some records and holds for others too.
"""

import numpy as np
from attrs import frozen
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from leakpro_core.arrays import Floats, Ints

_FLOOR = 1e-8
"""Least variance of a margin, in squared logits: float32 outputs resolve no less."""

_LOOSEST, _TIGHTEST = 0.1, 1e6
"""Limits of the prior's degrees of freedom."""


@frozen(kw_only=True, eq=False)
class Curve:
    """Straight lines between points; float64 ``[bins]``, knots increasing."""

    knots: Floats
    heights: Floats

    def at(self, places: Floats) -> Floats:
        """Return the curve's heights at ``places [m]``."""
        heights: Floats = np.interp(places, self.knots, self.heights)
        return heights


@frozen(kw_only=True, eq=False)
class Bins:
    """Bins of equal size along a covariate, whose means a curve joins.

    which: bin of each of ``m`` values; count: values by bin; knots: mean covariate of each bin.
    """

    which: Ints
    count: Floats
    knots: Floats

    @classmethod
    def along(cls, covariate: Floats) -> "Bins":
        """Return bins along ``covariate [m]``; they hold at least 50 values and are at most 40."""
        bins = int(np.clip(len(covariate) // 50, 1, 40))
        # Equal values stay in one bin, so the order of the records does not matter.
        edges = np.unique(np.quantile(covariate, np.linspace(0, 1, bins + 1)[1:-1]))
        _, which = np.unique(np.searchsorted(edges, covariate, "right"), return_inverse=True)
        count = np.bincount(which).astype(np.float64)
        return cls(which=which, count=count, knots=np.bincount(which, covariate) / count)

    def curve(self, values: Floats) -> Curve:
        """Return the trend of ``values [m]``."""
        return Curve(knots=self.knots, heights=np.bincount(self.which, values) / self.count)


@frozen(kw_only=True, eq=False)
class VariancePrior:
    """Inverse-gamma prior of variances: log-scale along a covariate, and degrees of freedom."""

    centre: Curve
    degrees: float

    @classmethod
    def fit(cls, squares: Floats, degrees: Floats, covariate: Floats) -> "VariancePrior":
        """Fit to sums of squares ``[m]`` with so many ``degrees [m]``, not all 0.

        The scale follows ``covariate [m]``, the degrees match the spread of the logarithms.
        Variances under a hundredth of their trend are raised to it: saturated records, whose
        outputs hardly move, would otherwise decide the spread.
        """
        known = degrees > 0
        d, along = degrees[known], covariate[known]
        bins = Bins.along(along)
        variance = np.maximum(squares[known] / d, _FLOOR)
        variance = np.maximum(variance, 0.01 * np.exp(bins.curve(np.log(variance)).at(along)))
        distinct, which = np.unique(d, return_inverse=True)  # degrees take few values
        logs = np.log(variance) - (digamma(distinct / 2) - np.log(distinct / 2))[which]
        centre = bins.curve(logs)
        free = max(len(logs) - len(bins.knots), 1)
        spread = ((logs - centre.at(along)) ** 2).sum() / free
        spread -= polygamma(1, distinct / 2)[which].mean()
        return cls(centre=centre, degrees=2 * _inverse_trigamma(float(spread)))

    def shrink(self, squares: Floats, degrees: Floats, covariate: Floats) -> Floats:
        """Return variances ``[m]`` drawn towards the prior's, as in ``fit``."""
        half = self.degrees / 2
        scale = np.exp(self.centre.at(covariate) + digamma(half) - np.log(half))
        variance: Floats = (self.degrees * scale + squares) / (self.degrees + degrees)
        return variance


@frozen(kw_only=True, eq=False)
class MeanPrior:
    """Means along a covariate, and the variance of true means around that trend."""

    expected: Curve
    between: Curve

    @classmethod
    def fit(cls, mean: Floats, noise: Floats, covariate: Floats) -> "MeanPrior":
        """Fit to means ``[m]``, each with a variance ``noise [m]``."""
        bins = Bins.along(covariate)
        expected = bins.curve(mean)
        between = bins.curve((mean - expected.at(covariate)) ** 2 - noise)
        return cls(expected=expected, between=between)

    def shrink(self, mean: Floats, noise: Floats, covariate: Floats) -> tuple[Floats, Floats]:
        """Return means ``[m]`` drawn towards their trend, and the weight ``[m]`` that each kept.

        How far means lie from the trend beyond their noise decides.
        """
        expected = self.expected.at(covariate)
        between = np.maximum(self.between.at(covariate), 0.05 * noise)
        kept = between / (between + noise)
        return expected + kept * (mean - expected), kept


def _inverse_trigamma(value: float) -> float:
    low, high = _LOOSEST / 2, _TIGHTEST / 2
    if value <= polygamma(1, high):
        return high
    if value >= polygamma(1, low):
        return low
    return float(brentq(lambda x: polygamma(1, x) - value, low, high))
