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
from leakpro_mia.prior import shrink_means, shrink_variances, smooth
from leakpro_mia.shadows import Side, Sides, all_sides, need_sides, target_model


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
class Student:
    """Predictions of both sides."""

    inside: Prediction
    outside: Prediction

    @classmethod
    def fit(cls, sides: Sides, *, shrink: bool = True) -> "Student":
        """Fit to records that have shadows on both sides."""
        return cls(
            inside=_predict(sides.inside, sides.outside, shrink),
            outside=_predict(sides.outside, sides.inside, shrink),
        )

    def score(self, phi: Floats) -> Floats:
        """Return the log-likelihood ratio ``[n]``, the mean over queries."""
        terms = self.inside.log_density(phi) - self.outside.log_density(phi)
        score: Floats = terms.mean(axis=1)
        return score


def attack(challenge: MembershipChallenge, options: StudentOptions, run: Run) -> MembershipAnswer:
    """Claim the log-likelihood ratio of the margin."""
    need_sides(challenge)
    student = Student.fit(all_sides(challenge, 1.0), shrink=options.shrink_means)
    return MembershipAnswer(claims=student.score(target_model(challenge, 1.0).phi))


def _predict(side: Side, other: Side, shrink: bool) -> Prediction:
    shape, count = side.mean.shape, side.count.ravel()
    mean, covariate = side.mean.ravel(), other.mean.ravel()
    squares, known = side.squares.ravel(), count - 1
    if not known.any():
        # One shadow for every record: what stands in for spread is the distance from the trend.
        squares, known = (mean - smooth(mean, covariate)) ** 2, np.ones_like(count)
    variance, degrees = shrink_variances(squares, known, covariate)
    kept = np.ones_like(mean)
    if shrink:
        mean, kept = shrink_means(mean, variance / count, covariate)
    return Prediction(
        mean=mean.reshape(shape),
        scale=(variance * (1 + kept / count)).reshape(shape),
        degrees=(degrees + known).reshape(shape),
    )
