"""Challenges for tests, changed in ways that should or should not matter."""

from functools import cache

import numpy as np
from attrs import evolve
from leakpro_mia.plugin import leakpro_attacks

from leakpro_core.games.membership import AuxiliaryView, MembershipChallenge, Secret
from leakpro_core.offers import AttackOffer
from leakpro_core.records import Signals
from leakpro_core.signals import derive, stack, take
from leakpro_core.testing.conformance import answer
from leakpro_core.testing.simulation import simulated_challenge

TEMPERATURES = (1.0, 2.0)


def offer_of(name: str) -> AttackOffer:
    return next(offer for offer in leakpro_attacks() if offer.name == name)


def claims(name: str, challenge: MembershipChallenge, options=None, seed: int = 0):
    return answer(offer_of(name), challenge, options=options, seed=seed).claims


@cache
def scene(seed: int = 0, **changes) -> tuple[MembershipChallenge, Secret]:
    settings = {"records": 300, "temperatures": TEMPERATURES, "raw_outputs": True}
    return simulated_challenge(seed, **(settings | changes))


def with_shadows(challenge: MembershipChallenge, order) -> MembershipChallenge:
    """Take some shadows, in that order."""
    return evolve(
        challenge,
        shadows=take(challenge.shadows, order),
        trained_on=challenge.trained_on[order],
        pair=challenge.pair[order],
    )


def with_records(challenge: MembershipChallenge, rows) -> MembershipChallenge:
    """Take some candidates, in that order."""
    return evolve(
        challenge,
        ids=challenge.ids[rows],
        labels=challenge.labels[rows],
        records=challenge.records[rows],
        target=take(challenge.target, rows),
        shadows=take(challenge.shadows, rows, axis=1),
        trained_on=challenge.trained_on[:, rows],
    )


def with_logits_moved(challenge: MembershipChallenge, by: float) -> MembershipChallenge:
    """Derive all signals anew from outputs to which a constant was added."""

    def again(signals: Signals, labels) -> Signals:
        return derive(signals.outputs + np.float32(by), labels, TEMPERATURES)

    def of_shadows(signals: Signals, labels) -> Signals:
        return stack([again(take(signals, k), labels) for k in range(len(signals.margin))])

    beside = challenge.auxiliary
    return evolve(
        challenge,
        target=again(challenge.target, challenge.labels),
        shadows=of_shadows(challenge.shadows, challenge.labels),
        auxiliary=AuxiliaryView(
            labels=beside.labels,
            records=beside.records,
            target=again(beside.target, beside.labels),
            shadows=None,
        ),
    )
