"""Challenges on federated updates, drawn from a release by the same code as in an audit."""

from collections.abc import Callable, Collection

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import AnyArray, Bools
from leakpro_core.errors import NotApplicable
from leakpro_core.games import gradient_inversion, update_membership
from leakpro_core.games.gradient_inversion import Batch, InversionAnswer, InversionChallenge, draw
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.outcome import Refereed
from leakpro_core.games.update_membership import UpdateMembershipChallenge
from leakpro_core.offers import AttackOffer
from leakpro_core.plan import OF_CLIENTS
from leakpro_core.protocols import Client, Native
from leakpro_core.records import ClientUpdate, Population, Release, UpdateRelease
from leakpro_core.testing.runs import ask
from leakpro_core.updates.planted import named, plain

Challenge = InversionChallenge | UpdateMembershipChallenge
Answer = InversionAnswer | MembershipAnswer
Change = Callable[[ClientUpdate], ClientUpdate]

DECOYS = 20

ROUNDS = 2
"""Rounds of training of which membership is asked."""

TRIED = 5
"""Single records that a working attack must name most of; by luck it names three of five once in a
thousand times."""


@frozen(kw_only=True)
class Case:
    """What an attack is tried on.

    release: its target's handle is a ``Client`` and ``Native``, its population has members, others
    and auxiliary records, and its ``updates`` none that were received, what is disclosed in full
    and ``before``. options: the attack's, such as fewer iterations; its defaults where None.
    """

    release: Release
    options: object = None

    @property
    def client(self) -> Client:
        """The client that makes updates."""
        handle = None if self.release.target is None else self.release.target.handle
        assert isinstance(handle, Client), "the release's target has no client for a handle"
        return handle

    @property
    def updates(self) -> UpdateRelease:
        """What is known of the client's updates."""
        assert self.release.updates is not None, "the release has no updates"
        return self.release.updates

    @property
    def people(self) -> Population:
        """The client's records, and others."""
        people = self.release.population
        assert people is not None, "the release has no population"
        assert people.records is not None, "the population has no records"
        return people

    @property
    def members(self) -> Bools:
        """Which records are the client's."""
        assert self.people.members is not None, "the population has no members"
        return self.people.members


def answer(offer: AttackOffer, case: Case, challenge: Challenge, *, seed: int = 0) -> Answer | None:
    """Return the attack's answer, None where it says that it does not apply."""
    try:
        if of_membership(offer):
            return ask(offer, challenge, MembershipAnswer, seed=seed, options=case.options)
        return ask(offer, challenge, InversionAnswer, seed=seed, options=case.options)
    except NotApplicable:
        return None


def challenge_for(
    offer: AttackOffer,
    case: Case,
    knows: Collection[str] = OF_CLIENTS,
    *,
    change: Change = lambda update: update,
    seed: int = 0,
) -> tuple[Challenge, Callable[[Answer], Refereed]]:
    """Return a challenge of the offer's game, and the referee of answers to it.

    change: what becomes of each update before it is handed over.
    """
    if of_membership(offer):
        return _of_rounds(offer, case, knows, change, seed)
    batch, update = _of_batch(case, case.updates.disclosed.examples or 1, seed)
    drawn = _inversion(case, case.updates, change(update), knows)
    return drawn, lambda said: _refereed(offer, case, [batch], [said], knows)


def of_membership(offer: AttackOffer) -> bool:
    """Whether it is played on rounds of training, not on batches."""
    return offer.game == "membership"


def _of_batch(case: Case, size: int, seed: int) -> tuple[Batch, ClientUpdate]:
    people, inside = case.people, case.members
    assert people.records is not None
    rows = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(inside))[:size]
    x, y = people.records[rows], people.labels[rows]
    batch = draw(
        seed,
        x,
        y,
        people.records[~inside],
        people.labels[~inside],
        people.auxiliary,
        decoys=max(DECOYS, size),
        modality=people.modality,
        groups=case.updates.groups,
        seed=seed,
    )
    before = case.updates.before
    values = case.client.update(before, x, y, seed)
    return batch, ClientUpdate(before=before, values=values, records=x, labels=y)


def _inversion(
    case: Case, release: UpdateRelease, update: ClientUpdate, knows: Collection[str]
) -> InversionChallenge:
    people = case.people
    assert people.records is not None
    return gradient_inversion.challenge(
        update,
        release,
        model=_model(case),
        knows=knows,
        shape=people.records.shape[1:],
        classes=people.classes,
        modality=people.modality,
        auxiliary=people.auxiliary,
    )


def _refereed(
    offer: AttackOffer,
    case: Case,
    batches: list[Batch],
    said: list[Answer],
    knows: Collection[str],
) -> Refereed:
    return gradient_inversion.referee(
        [one for one in said if isinstance(one, InversionAnswer)],
        batches,
        [None] * len(batches),
        attack=offer.name,
        modality=case.people.modality,
        groups=case.updates.groups,
        classes=case.people.classes,
        labels_known="labels" in knows,
    )


def _of_rounds(
    offer: AttackOffer,
    case: Case,
    knows: Collection[str],
    change: Change,
    seed: int,
) -> tuple[Challenge, Callable[[Answer], Refereed]]:
    people, inside = case.people, case.members
    assert people.records is not None
    x, y, before = people.records[inside], people.labels[inside], case.updates.before
    rounds = []
    for number in range(ROUNDS):
        values = case.client.update(before, x, y, seed + number)
        rounds.append(change(ClientUpdate(before=before, values=values)))
        before = case.client.after(before, values)
    disclosed = evolve(case.updates.disclosed, examples=len(y))
    drawn, secret = update_membership.challenge(
        people,
        inside,
        rounds,
        evolve(case.updates, disclosed=disclosed),
        model=_model(case),
        knows=knows,
        auxiliary=people.auxiliary,
        seed=seed,
    )

    def referee(said: Answer) -> Refereed:
        assert isinstance(said, MembershipAnswer)
        return update_membership.referee(said, secret, blind=None, attack=offer.name)

    return drawn, referee


def singles_named(offer: AttackOffer, case: Case, knows: Collection[str]) -> int:
    """Return how many single records the attack names by their plain gradients."""
    asked = plain(case.client, case.updates.disclosed)
    assert asked is not None, "the case's client cannot be asked for a plain gradient"
    target = case.release.target
    assert target is not None
    own = evolve(
        case,
        release=evolve(
            case.release,
            target=evolve(target, handle=asked.client),
            updates=evolve(case.updates, disclosed=asked.disclosed),
        ),
    )
    count = 0
    for seed in range(TRIED):
        batch, update = _of_batch(own, 1, seed)
        said = answer(offer, own, _inversion(own, own.updates, update, knows), seed=seed)
        if said is not None:
            count += named(_refereed(offer, own, [batch], [said], knows))
    return count


def _model(case: Case) -> object:
    return case.client.native() if isinstance(case.client, Native) else None


# Updates that give nothing away.


def zeros(update: ClientUpdate) -> ClientUpdate:
    """Return an update of zeros."""
    values = {name: np.zeros_like(value) for name, value in update.values.items()}
    return evolve(update, values=values)


def last_alone(update: ClientUpdate) -> ClientUpdate:
    """Return an update of which nothing but its last array was sent."""
    return evolve(update, values=dict([list(update.values.items())[-1]]))


def noise(update: ClientUpdate) -> ClientUpdate:
    """Return normal noise of the size that each array has."""
    rng = np.random.default_rng(0)
    values: dict[str, AnyArray] = {}
    for name, value in update.values.items():
        if value.dtype.kind != "f":
            values[name] = value
            continue
        size = float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) if value.size else 0.0
        values[name] = (size * rng.standard_normal(value.shape)).astype(value.dtype)
    return evolve(update, values=values)
