"""Attribute inference from the released rows that are nearest in all other columns.

The risk is that of WP216 (Article 29 Working Party 2014, section 2.1).
"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Floats
from leakpro_core.games.attribute_inference import AttributeAnswer, AttributeChallenge
from leakpro_core.protocols import Run
from leakpro_core.seeds import spawn
from leakpro_core.tabular.distance import Neighbours, Space, nearest

_ROWS = 16
"""Of rows that tie, so many are drawn at most."""


@frozen(kw_only=True)
class NearestRowsOptions:
    """Options of ``nearest-rows``.

    neighbours: how many released rows vote, and all that tie with the last.
    """

    neighbours: int = field(default=5, validator=[validators.ge(1), validators.le(100)])


def attack(challenge: AttributeChallenge, options: NearestRowsOptions, run: Run) -> AttributeAnswer:
    """Guess the value that most of the nearest rows vote for, within the tolerance.

    A row's vote weighs less in proportion to its distance; rows at distance 0 decide alone. A claim
    is the share of the votes, times 1 - the distance of the nearest row. Released rows that lack
    the secret value have no vote; where there are none, all abstain.
    """
    at = challenge.synthetic.index(challenge.secret.name)
    value = challenge.synthetic.only([challenge.secret.name]).matrix()[:, 0]
    voters = challenge.synthetic.rows(np.flatnonzero(~np.isnan(value)))
    if not len(voters):
        nothing = np.full(len(challenge.known), np.nan)
        return AttributeAnswer(guesses=nothing, claims=nothing)
    rows = voters.only([name for name in voters.names if name != challenge.secret.name])
    space = Space.of(challenge.known, rows)
    found = nearest(
        space.encode(challenge.known),
        space.encode(rows),
        max(options.neighbours, _ROWS),
        seed=spawn(run.seed, "released"),
    )
    votes = voters.values[at].astype(np.float64)[found.index]
    return _elected(votes, _weights(found, options.neighbours), found, challenge.tolerance)


def _weights(found: Neighbours, neighbours: int) -> Floats:
    """Return ``[n, rows]``, what each row's vote weighs; a person's sum to 1."""
    far = found.distance
    first, last = far[:, :1], far[:, min(neighbours, far.shape[1]) - 1, None]
    weight = np.ones(far.shape)
    np.divide(first, far, out=weight, where=far > first)
    weight[far > last] = 0.0
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def _elected(votes: Floats, weight: Floats, found: Neighbours, tolerance: float) -> AttributeAnswer:
    """Return for each person the vote that most weight lies near; of equals the nearest row's."""
    with np.errstate(invalid="ignore"):  # Infinity is no farther than 0 from infinity.
        apart = np.abs(votes[:, :, None] - votes[:, None, :])
    near = (apart <= tolerance) | (votes[:, :, None] == votes[:, None, :])
    support = np.einsum("nij,nj->ni", near, weight)
    # A row that does not vote is no candidate; sums that are equal may differ in the last digits.
    best = np.argmax(np.where(weight > 0, np.round(support, 9), -1.0), axis=1)[:, None]
    guess = np.take_along_axis(votes, best, axis=1)[:, 0]
    share = np.take_along_axis(support, best, axis=1)[:, 0]
    return AttributeAnswer(guesses=guess, claims=share * (1 - found.distance[:, 0]))
