"""Membership from updates: was a record among the client's, by the updates of several rounds?

Detection, judged as membership in a model is (Nasr, Shokri, Houmansadr 2019).
"""

from collections.abc import Collection, Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.games.membership import MembershipAnswer, Secret
from leakpro_core.games.outcome import Refereed
from leakpro_core.records import Auxiliary, ClientUpdate, Disclosed, Population, UpdateRelease

__all__ = ["Secret", "UpdateMembershipChallenge", "challenge", "referee"]


@frozen(kw_only=True)
class UpdateMembershipChallenge:
    """What the adversary gets.

    ids: opaque int64 ``[n]``; records ``[n, ...]``, labels int64 ``[n]``: the candidates, shuffled;
    model: the framework's own object, which must not be changed; rounds: the global model and the
    update of each round, in order, without what they were made of; disclosed: what the adversary
    knows of how updates came about; auxiliary: records that are in no update, to calibrate on, or
    None.
    """

    ids: Ints = array(np.int64)
    records: AnyArray = array()
    labels: Ints = array(np.int64)
    classes: int
    model: object
    rounds: tuple[ClientUpdate, ...]
    disclosed: Disclosed
    auxiliary: Auxiliary | None = None


def challenge(
    population: Population,
    members: Bools,
    rounds: Sequence[ClientUpdate],
    release: UpdateRelease,
    *,
    model: object,
    knows: Collection[str],
    auxiliary: Auxiliary | None,
    rows: Ints | None = None,
    seed: int,
) -> tuple[UpdateMembershipChallenge, Secret]:
    """Draw a challenge over the population's ``rows``, all where None, in a secret order.

    members: bool ``[population]``. ``NotApplicable`` where the adversary does not know the
    candidate records, or the population has none.
    """
    raise NotImplementedError


def referee(
    answer: MembershipAnswer,
    secret: Secret,
    *,
    blind: Floats | None,
    attack: str,
    tenth: Bools | None = None,
) -> Refereed:
    """Compare an answer with the secret; rounds come in the population's order.

    blind: claims ``[population]`` of the blind adversary, None where there is none; tenth: bool
    ``[population]``, the most vulnerable tenth. ``WrongAnswer`` if the claims are not one number
    (or NaN) for each candidate.
    """
    raise NotImplementedError
