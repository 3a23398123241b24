"""LiRA with shrunken variances and means and Student-t tails: strong with few shadow models.

Variances by empirical Bayes as in BaVarIA (2026) and limma (Smyth 2004); the prior's scale
follows the mean margin on the other side, and so may the means.
"""

import numpy as np
from attrs import frozen
from scipy.special import gammaln

from leakpro_core.arrays import Floats
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.prior import Bins, Curve, MeanPrior, VariancePrior
from leakpro_mia.shadows import Side, Sides, all_sides, blocks, need_sides, target_model


@frozen(kw_only=True)
class StudentOptions:
    """Options of ``student``.

    shrink_means: whether each side's mean is drawn towards its regression on the other side's.
    """

    shrink_means: bool = True


@frozen(kw_only=True, eq=False)
class Prediction:
    """Student-t of another model's margin, float64 ``[n, queries]``; scale is squared."""

    mean: Floats
    scale: Floats
    degrees: Floats

    def log_density(self, phi: Floats) -> Floats:
        """Return the log-density at ``phi [n, queries]``."""
        half = (self.degrees + 1) / 2
        constant = gammaln(half) - gammaln(self.degrees / 2)
        squared = (phi - self.mean) ** 2 / (self.degrees * self.scale)
        density: Floats = (
            constant - 0.5 * np.log(self.degrees * np.pi * self.scale) - half * np.log1p(squared)
        )
        return density


@frozen(kw_only=True, eq=False)
class SidePrior:
    """What all records say of one side's margins.

    alone: trend of the mean where every record has one shadow, else None; means: None where means
    are not shrunken.
    """

    alone: Curve | None
    variances: VariancePrior
    means: MeanPrior | None

    @classmethod
    def fit(cls, side: Side, other: Side, *, shrink: bool) -> "SidePrior":
        """Fit to one side's statistics, along the other's mean."""
        mean, covariate, count = side.mean.ravel(), other.mean.ravel(), side.count.ravel()
        alone = None if (count > 1).any() else Bins.along(covariate).curve(mean)
        squares, known = _spread(side, covariate, alone)
        variances = VariancePrior.fit(squares, known, covariate)
        if not shrink:
            return cls(alone=alone, variances=variances, means=None)
        noise = variances.shrink(squares, known, covariate) / count
        means = MeanPrior.fit(mean, noise, covariate)
        return cls(alone=alone, variances=variances, means=means)

    def predict(self, side: Side, other: Side) -> Prediction:
        """Return what another model's margin would be on this side, for these records."""
        shape, count = side.mean.shape, side.count.ravel()
        mean, covariate = side.mean.ravel(), other.mean.ravel()
        squares, known = _spread(side, covariate, self.alone)
        variance = self.variances.shrink(squares, known, covariate)
        kept = np.ones_like(mean)
        if self.means is not None:
            mean, kept = self.means.shrink(mean, variance / count, covariate)
        return Prediction(
            mean=mean.reshape(shape),
            scale=(variance * (1 + kept / count)).reshape(shape),
            degrees=(self.variances.degrees + known).reshape(shape),
        )


@frozen(kw_only=True, eq=False)
class Predictions:
    """Predictions of both sides."""

    inside: Prediction
    outside: Prediction

    def score(self, phi: Floats) -> Floats:
        """Return the log-likelihood ratio ``[n]``, the mean over queries."""
        terms = self.inside.log_density(phi) - self.outside.log_density(phi)
        score: Floats = terms.mean(axis=1)
        return score


@frozen(kw_only=True, eq=False)
class Student:
    """Priors of both sides; fitted once, they predict for any records."""

    inside: SidePrior
    outside: SidePrior

    @classmethod
    def fit(cls, sides: Sides, *, shrink: bool = True) -> "Student":
        """Fit to records that have shadows on both sides."""
        return cls(
            inside=SidePrior.fit(sides.inside, sides.outside, shrink=shrink),
            outside=SidePrior.fit(sides.outside, sides.inside, shrink=shrink),
        )

    def predict(self, sides: Sides) -> Predictions:
        """Return predictions for the records of ``sides``."""
        return Predictions(
            inside=self.inside.predict(sides.inside, sides.outside),
            outside=self.outside.predict(sides.outside, sides.inside),
        )


def attack(challenge: MembershipChallenge, options: StudentOptions, run: Run) -> MembershipAnswer:
    """Claim the log-likelihood ratio of the margin."""
    need_sides(challenge)
    sides = all_sides(challenge, 1.0)
    student = Student.fit(sides, shrink=options.shrink_means)
    claims = np.empty(len(challenge.ids))
    for block in blocks(challenge):
        phi = target_model(challenge, 1.0, block).phi
        claims[block] = student.predict(sides.at(block)).score(phi)
    return MembershipAnswer(claims=claims)


def _spread(side: Side, covariate: Floats, alone: Curve | None) -> tuple[Floats, Floats]:
    """Return sums of squares ``[m]`` and their degrees of freedom ``[m]``.

    One shadow for every record: what stands in for spread is the distance from the trend.
    """
    if alone is not None:
        mean = side.mean.ravel()
        return (mean - alone.at(covariate)) ** 2, np.ones_like(mean)
    return side.squares.ravel(), side.count.ravel() - 1
