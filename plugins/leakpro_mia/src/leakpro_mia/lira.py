"""Likelihood ratio attack (Carlini et al. 2022, algorithm 1): Gaussians of the margin."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from attrs import field, frozen, validators

from leakpro_core import spill
from leakpro_core.arrays import Floats, Singles
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.shadows import blocks, need_sides

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
    out = _gaussian(challenge, False, options)
    if options.mode == "offline":
        weight = out.inverse.sum(axis=2)
        z = (weight * (phi - out.mean)).sum(axis=1) / np.sqrt(weight.sum(axis=1))
        return MembershipAnswer(claims=z)
    claims = _gaussian(challenge, True, options).log_density(phi)
    return MembershipAnswer(claims=claims - out.log_density(phi))


@frozen(kw_only=True, eq=False)
class Gaussian:
    """Margins on one side: mean ``[n, q]``, inverse covariance ``[n or 1, q, q]``, its log-det."""

    mean: Floats
    inverse: Floats
    log_det: Floats

    def log_density(self, phi: Floats) -> Floats:
        """Return the log-density at ``phi [n, q]`` but for its constant."""
        deviation = phi - self.mean
        distance = (deviation * (self.inverse @ deviation[:, :, None])[:, :, 0]).sum(axis=1)
        density: Floats = -0.5 * (distance + self.log_det)
        return density


def _margin(margin: Singles, epsilon: float) -> Floats:
    phi: Floats = margin.astype(np.float64)
    if epsilon == 0.0:
        return phi
    log_epsilon = np.log(epsilon)
    true, rest = -np.logaddexp(0.0, -phi), -np.logaddexp(0.0, phi)
    clipped: Floats = np.logaddexp(true, log_epsilon) - np.logaddexp(rest, log_epsilon)
    return clipped


def _gaussian(challenge: MembershipChallenge, inside: bool, options: LiraOptions) -> Gaussian:
    """Return the Gaussian of one side, by blocks of records."""
    n, queries = challenge.target.margin.shape
    mean = np.empty((n, queries))
    own = options.variance == "per-record"
    inverse = spill.empty((n if own else 1, queries, queries), np.float64)
    log_det = np.empty(len(inverse))
    scatter, degrees, total, rounds = np.zeros((queries, queries)), 0.0, np.zeros(queries), 0.0
    for block, phi, weight in _side(challenge, inside, options.epsilon):
        count = weight.sum(axis=0)
        sums = (weight * phi).sum(axis=0)
        mean[block] = sums / count
        deviation = weight * (phi - mean[block])
        if own:
            inverse[block], log_det[block] = _inverse(_own_covariance(deviation, count))
        flat = deviation.reshape(-1, queries)
        scatter += flat.T @ flat
        degrees += float((count - 1).sum())
        total, rounds = total + sums.sum(axis=0), rounds + float(count.sum())
    if options.variance == "pooled-global":
        shared = _around(challenge, inside, options.epsilon, total / rounds) / rounds
    else:
        # One shadow for every record tells nothing of spread; one squared logit is a guess.
        shared = scatter / degrees if degrees else np.eye(queries)
    if not own:
        inverse[:], log_det[:] = _inverse(shared[None])
    return Gaussian(mean=mean, inverse=inverse, log_det=log_det)


def _side(
    challenge: MembershipChallenge, inside: bool, epsilon: float
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield blocks, margins ``[models, n, q]`` and weights ``[models, n, 1]``: 0 or 1."""
    for block in blocks(challenge):
        on = challenge.trained_on[:, block, None] == inside
        yield block, _margin(challenge.shadows.margin[:, block], epsilon), on.astype(np.float64)


def _around(challenge: MembershipChallenge, inside: bool, epsilon: float, centre: Floats) -> Floats:
    """Return the scatter ``[q, q]`` of one side's margins around ``centre [q]``."""
    scatter = np.zeros((len(centre), len(centre)))
    for _, phi, weight in _side(challenge, inside, epsilon):
        chosen = phi[weight[:, :, 0] > 0] - centre
        scatter += chosen.T @ chosen
    return scatter


def _own_covariance(deviation: Floats, count: Floats) -> Floats:
    """Return each record's covariance ``[n, q, q]``."""
    queries = deviation.shape[2]
    covariance: Floats = np.einsum("knq,knr->nqr", deviation, deviation) / count[:, :, None]
    # With few shadows a covariance of many queries is singular: its off-diagonal part shrinks.
    keep = np.maximum(1 - queries / count, 0.0)[:, :, None]
    return np.where(np.eye(queries, dtype=bool), covariance, keep * covariance)


def _inverse(covariance: Floats) -> tuple[Floats, Floats]:
    size = 1 + np.trace(covariance, axis1=1, axis2=2)
    spread = covariance + _FLOOR * size[:, None, None] * np.eye(covariance.shape[-1])
    return np.linalg.inv(spread), np.linalg.slogdet(spread)[1]
