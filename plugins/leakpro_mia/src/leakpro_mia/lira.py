"""Likelihood ratio attack (Carlini et al. 2022, algorithm 1): Gaussians of the margin."""

from typing import Literal

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Bools, Floats, Singles
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.shadows import need_sides

_FLOOR = 1e-6


@frozen(kw_only=True)
class LiraOptions:
    """Options of ``lira``.

    mode: "online" compares both sides; "offline" asks how far the margin lies above those of the
    shadows trained without the record;
    variance: "pooled" over records, centred per record (best with few shadows);
    "per-record" (from 64 shadows on); "pooled-global" over records around one mean for all, as
    published code does: it takes differences between records for spread, and is weaker;
    epsilon: added to the probabilities of the true class and of the rest before their logarithms
    are taken; 1e-45 as in published code that computes them in float32 stops margins at 103.6.
    """

    mode: Literal["online", "offline"] = "online"
    variance: Literal["pooled", "per-record", "pooled-global"] = "pooled"
    epsilon: float = field(default=0.0, validator=[validators.ge(0.0), validators.lt(0.5)])


def attack(challenge: MembershipChallenge, options: LiraOptions, run: Run) -> MembershipAnswer:
    """Claim the log-likelihood ratio of the margins of all queries, multivariate Gaussian.

    Offline the claim is z, the number of standard deviations above the OUT mean in the direction
    that the covariance makes most telling: the published one-sided normal distribution function
    of it ranks alike and saturates.
    """
    need_sides(challenge, both=options.mode == "online")
    phi = _margin(challenge.target.margin, options.epsilon)
    shadows = _margin(challenge.shadows.margin, options.epsilon)
    mean, inverse, log_det = _gaussian(shadows, ~challenge.trained_on, options.variance)
    if options.mode == "offline":
        weight = inverse.sum(axis=2)
        z = (weight * (phi - mean)).sum(axis=1) / np.sqrt(weight.sum(axis=1))
        return MembershipAnswer(claims=z)
    out = _log_density(phi - mean, inverse, log_det)
    inside = _gaussian(shadows, challenge.trained_on, options.variance)
    return MembershipAnswer(claims=_log_density(phi - inside[0], *inside[1:]) - out)


def _margin(margin: Singles, epsilon: float) -> Floats:
    phi: Floats = margin.astype(np.float64)
    if epsilon == 0.0:
        return phi
    log_epsilon = np.log(epsilon)
    true, rest = -np.logaddexp(0.0, -phi), -np.logaddexp(0.0, phi)
    clipped: Floats = np.logaddexp(true, log_epsilon) - np.logaddexp(rest, log_epsilon)
    return clipped


def _gaussian(phi: Floats, on: Bools, variance: str) -> tuple[Floats, Floats, Floats]:
    """Return mean ``[n, q]``, inverse covariance ``[n or 1, q, q]`` and its log-determinant."""
    weight = on[:, :, None].astype(np.float64)
    count = weight.sum(axis=0)
    mean = (weight * phi).sum(axis=0) / count
    return mean, *_inverse(_covariance(phi, weight, count, mean, variance))


def _covariance(phi: Floats, weight: Floats, count: Floats, mean: Floats, variance: str) -> Floats:
    queries = phi.shape[2]
    if variance == "pooled-global":
        chosen = phi[weight[:, :, 0] > 0]
        return np.atleast_2d(np.cov(chosen, rowvar=False, ddof=0))[None]
    deviation = weight * (phi - mean)
    if variance == "pooled":
        flat = deviation.reshape(-1, queries)
        degrees = float((count - 1).sum())
        # One shadow for every record tells nothing of spread; one squared logit is a guess.
        return (flat.T @ flat)[None] / degrees if degrees else np.eye(queries)[None]
    covariance: Floats = np.einsum("knq,knr->nqr", deviation, deviation) / count[:, :, None]
    # With few shadows a covariance of many queries is singular: its off-diagonal part shrinks.
    keep = np.maximum(1 - queries / count, 0.0)[:, :, None]
    return np.where(np.eye(queries, dtype=bool), covariance, keep * covariance)


def _inverse(covariance: Floats) -> tuple[Floats, Floats]:
    size = 1 + np.trace(covariance, axis1=1, axis2=2)
    spread = covariance + _FLOOR * size[:, None, None] * np.eye(covariance.shape[-1])
    return np.linalg.inv(spread), np.linalg.slogdet(spread)[1]


def _log_density(deviation: Floats, inverse: Floats, log_det: Floats) -> Floats:
    """Return the Gaussian log-density but for its constant."""
    distance = (deviation * (inverse @ deviation[:, :, None])[:, :, 0]).sum(axis=1)
    density: Floats = -0.5 * (distance + log_det)
    return density
