"""What is played in an audit of updates: batches of clients, decoys, and rounds of training."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
from attrs import evolve, field, frozen

from leakpro_core.arrays import AnyArray, Bools, Ints, array
from leakpro_core.errors import (
    BadArray,
    BadValue,
    MissingKey,
    NotAFactory,
)
from leakpro_core.games.gradient_inversion import Batch, draw
from leakpro_core.plan import Plan
from leakpro_core.protocols import Client
from leakpro_core.records import Auxiliary, ClientUpdate, Population, Release, UpdateRelease
from leakpro_core.seeds import generator, spawn
from leakpro_core.updates.given import (
    check_batch,
    check_values,
    form_of,
    members_of,
    modality_of,
    population,
)

SHARED = 2
"""Batches that a client's record is in, at most. Of an adversary who says the same of
every batch, 3% of 100 were called a leak at a nominal 5% where records were in two of 40 batches of
8; 9% where they were in five."""

NO_BATCH = "the client's batch was not given"
NO_DECOYS = "no other records were given to compare the client's batch with"


@frozen(kw_only=True)
class Item:
    """One batch of a client.

    records ``[b, ...]``, labels int64 ``[b]``: what its update is made of, None where not known;
    members: int64 ``[b]``, rows of these in the population, where core drew them; received: the
    update, None where core lets the client make it; batch: with the decoys, None where it cannot
    be judged, and why.
    """

    number: int
    records: AnyArray | None = array(optional=True)
    labels: Ints | None = array(np.int64, optional=True)
    members: Ints | None = array(np.int64, optional=True)
    received: ClientUpdate | None = field(default=None, repr=False)
    batch: Batch | None = field(default=None, repr=False)
    why: str = ""


@frozen(kw_only=True)
class UpdateStage:
    """Everything that core draws challenges on updates from.

    client: the target's handle; items: batches that are played; population: None where no
    records were given; rounds: updates of which membership is asked, in order, made of all
    members' records where core plays them.
    """

    client: Client
    release: UpdateRelease
    items: tuple[Item, ...]
    population: Population | None
    auxiliary: Auxiliary | None
    rounds: tuple[ClientUpdate, ...]
    shape: tuple[int, ...]
    classes: int
    modality: str
    seed: int

    @property
    def judged(self) -> tuple[Item, ...]:
        """Batches that can be judged."""
        return tuple(item for item in self.items if item.batch is not None)

    @property
    def batches(self) -> tuple[Batch, ...]:
        """What core knows of the batches that can be judged."""
        return tuple(item.batch for item in self.items if item.batch is not None)

    def sent(self, item: Item) -> ClientUpdate:
        """Return the update of a batch; the same each time, and not kept, since models are large.

        ``TrainingFailed`` where the client's update is not finite.
        """
        if item.received is not None:
            return item.received
        assert item.records is not None
        assert item.labels is not None
        before = self.release.before
        seed = spawn(self.seed, "update", item.number)
        values = self.client.update(before, item.records, item.labels, seed)
        what = f"the client's update of batch {item.number + 1}"
        check_values(before, values, what, self.release.buffers)
        return ClientUpdate(before=before, values=values, records=item.records, labels=item.labels)


def stage(plan: Plan, release: Release, *, inversion: bool, membership: bool) -> UpdateStage:
    """Return what the plan's games play on.

    inversion: whether batches are wanted, which core draws where no update was received;
    membership: whether rounds are.
    ``NotAFactory`` where the handle is no client, ``MissingKey``, ``BadArray`` and ``BadValue``
    where records or what was disclosed are missing or do not fit.
    """
    handle, updates = None if release.target is None else release.target.handle, release.updates
    if updates is None or not isinstance(handle, Client):
        raise NotAFactory(
            f"loader {plan.loader.offered.offer.name!r}",
            found="no updates" if updates is None else f"a {type(handle).__name__}",
            expected="updates whose target's handle is a client (update and after)",
        )
    people = population(plan, release)
    shape, classes = form_of(updates, people)
    seed = spawn(plan.seed, "updates")
    found = UpdateStage(
        client=handle,
        release=updates,
        items=_items(plan, updates, people, shape, classes, seed) if inversion else (),
        population=people,
        auxiliary=None if people is None else people.auxiliary,
        rounds=(),
        shape=shape,
        classes=classes,
        modality=modality_of(plan, people, shape),
        seed=seed,
    )
    found = evolve(found, items=tuple(with_decoys(plan, found, item) for item in found.items))
    return evolve(found, rounds=_rounds(found)) if membership else found


def fingerprint(release: Release, stage: UpdateStage) -> str:
    """Return a hash of all that an audit computes from beside its plan."""
    target, people = release.target, stage.population
    digest = hashlib.sha256(b"" if target is None else target.identity.encode())
    digest.update(repr((stage.release.disclosed, stage.shape, stage.classes)).encode())
    named: list[Mapping[str, AnyArray]] = [stage.release.before]
    arrays: list[AnyArray | None] = []
    for update in stage.release.updates:
        named += [update.before, update.values]
        arrays += [update.records, update.labels]
    arrays += [value for each in named for _, value in sorted(each.items())]
    if people is not None:
        arrays += [people.records, people.labels, people.subjects, people.members]
    if stage.auxiliary is not None:
        arrays += [stage.auxiliary.records, stage.auxiliary.labels]
    for values in arrays:
        if values is not None:
            digest.update(f"{values.dtype} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


# Batches.


def _items(
    plan: Plan,
    updates: UpdateRelease,
    people: Population | None,
    shape: tuple[int, ...],
    classes: int,
    seed: int,
) -> tuple[Item, ...]:
    if not updates.updates:
        return _drawn(plan, updates, people, seed)
    items = []
    for number, update in enumerate(updates.updates):
        what = f"update {number + 1}"
        check_values(update.before, update.values, what, updates.buffers)
        if update.records is not None and update.labels is not None:
            check_batch(update, shape, classes, updates.disclosed.examples, what)
        items.append(
            Item(number=number, records=update.records, labels=update.labels, received=update)
        )
    return tuple(items)


def _drawn(
    plan: Plan, updates: UpdateRelease, people: Population | None, seed: int
) -> tuple[Item, ...]:
    if people is None or people.records is None or people.members is None:
        raise MissingKey(
            "[data]",
            found="no records of clients",
            expected="records, and which of them are clients' (members): core draws batches",
            fix='Add path = "..." with records, labels and members.',
        )
    size, clients = updates.disclosed.examples, updates.disclosed.clients
    if size is None:
        raise MissingKey(
            "[target] examples",
            found="nothing",
            expected="how many records an update is made of",
            fix="Add examples to [target].",
        )
    if size % clients:
        raise BadValue(
            "[target] examples",
            found=f"{size} of {clients} clients",
            expected="equally many of each client",
        )
    rows = np.flatnonzero(people.members)
    if len(rows) < size:
        raise BadArray(
            "[data] members",
            found=f"{len(rows)} records of clients",
            expected=f"at least {size}, as many as one update is made of",
            fix="Give more records, or lower [target] examples.",
        )
    items = []
    for number, chosen in enumerate(_apart(rows, size, plan.games.batches, seed)):
        items.append(
            Item(
                number=number,
                records=people.records[chosen],
                labels=people.labels[chosen],
                members=chosen,
            )
        )
    return tuple(items)


def _apart(rows: Ints, size: int, batches: int, seed: int) -> Iterator[Ints]:
    """Yield rows of at most so many batches: none in two of them until all have been in one.

    Fewer where a record would be in more than ``SHARED``, or all of them in each: batches that
    share records are not independent, which the judge takes them to be.
    """
    rng = generator(seed, "batches")
    order = rng.permutation(rows)
    apart = len(rows) // size
    for _ in range(min(batches, SHARED * apart if apart > 1 else 1)):
        if len(order) < size:
            order = rng.permutation(rows)
        chosen, order = order[:size], order[size:]
        yield chosen


def with_decoys(plan: Plan, stage: UpdateStage, item: Item) -> Item:
    """Return the batch with decoys, or why it cannot be judged."""
    people = stage.population
    if item.records is None or item.labels is None:
        return evolve(item, why=NO_BATCH)
    if people is None or people.records is None or not others_of(people).any():
        return evolve(item, why=NO_DECOYS)
    if not _alike(item.records, people.records):
        raise BadArray(
            f"batch of update {item.number + 1}",
            found=f"records of dtype {item.records.dtype}",
            expected=f"{people.records.dtype}, as [data] has",
        )
    others = others_of(people)
    batch = draw(
        item.number,
        item.records,
        item.labels,
        people.records[others],
        people.labels[others],
        stage.auxiliary,
        decoys=max(plan.games.decoys, len(item.labels)),
        modality=stage.modality,
        groups=stage.release.groups,
        seed=spawn(stage.seed, "decoys", item.number),
    )
    return evolve(item, batch=batch)


def others_of(people: Population) -> Bools:
    """Return who is none of the clients', bool ``[n]``: nobody of whom a record is a member."""
    return ~np.isin(people.subjects, people.subjects[members_of(people)])


def _alike(one: AnyArray, other: AnyArray) -> bool:
    kinds = {"i": "i", "u": "i", "b": "i"}
    return kinds.get(one.dtype.kind, one.dtype.kind) == kinds.get(
        other.dtype.kind, other.dtype.kind
    )


# Rounds of training.


def _rounds(stage: UpdateStage) -> tuple[ClientUpdate, ...]:
    """Return the rounds that were received, or play them with all members as a client's data."""
    release, people = stage.release, stage.population
    if people is None or people.records is None or people.members is None:
        return ()
    if release.updates:
        return release.updates
    inside = people.members
    records, labels = people.records[inside], people.labels[inside]
    before, rounds = release.before, []
    for number in range(release.rounds):
        seed = spawn(stage.seed, "round", number)
        values = stage.client.update(before, records, labels, seed)
        check_values(before, values, f"the clients' update of round {number + 1}")
        rounds.append(ClientUpdate(before=before, values=values))
        before = stage.client.after(before, values)
    return tuple(rounds)
