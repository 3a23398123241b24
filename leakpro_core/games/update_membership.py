"""Membership from updates: was a record among the client's, by the updates of several rounds?

Detection, judged as membership in a model is (Nasr, Shokri, Houmansadr 2019).
"""

from collections.abc import Collection, Sequence

import numpy as np
from attrs import frozen

from leakpro_core import spill
from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer, Secret
from leakpro_core.games.membership import referee as judged
from leakpro_core.games.narrowing import auxiliary_to, copied, disclosed_to, values_to
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

    members: bool ``[population]``; rounds: in order; what they were made of is taken away.
    ``NotApplicable`` where the adversary does not know the candidate records, or there are none.
    """
    if "candidate records" not in knows or population.records is None:
        raise NotApplicable(
            "membership from updates",
            found="an adversary without the candidate records"
            if population.records is not None
            else "a population without records",
            expected="candidate records, whose gradients are compared with the updates",
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.arange(len(population.labels)) if rows is None else rows)
    drawn = UpdateMembershipChallenge(
        ids=rng.permutation(len(order)),
        records=spill.chosen(population.records, order),
        labels=population.labels[order],
        classes=population.classes,
        model=model,
        rounds=tuple(
            ClientUpdate(
                before=copied(update.before), values=values_to(knows, update.values, release)
            )
            for update in rounds
        ),
        disclosed=disclosed_to(knows, release.disclosed),
        auxiliary=auxiliary_to(knows, auxiliary),
    )
    secret = Secret(order=order, members=members[order], subjects=population.subjects[order])
    return drawn, secret


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
    evidence = judged(answer, secret, blind=blind, cluster=0, attack=attack)
    return Refereed(
        evidence=evidence,
        facets=("",),
        asked=len(evidence.claim),
        made=int(np.count_nonzero(~np.isnan(evidence.claim))),
        tenth=None if tenth is None else tenth[np.sort(secret.order)],
    )
