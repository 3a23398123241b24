"""What an audit of updates was given, checked: records, their form, and updates that fit."""

from collections.abc import Collection, Mapping

import numpy as np
from attrs import evolve

from leakpro_core.arrays import AnyArray, Bools
from leakpro_core.data import load
from leakpro_core.errors import BadArray, BadValue, MissingKey, TrainingFailed
from leakpro_core.plan import Plan
from leakpro_core.records import Auxiliary, ClientUpdate, Population, Release, UpdateRelease
from leakpro_core.seeds import generator, spawn

_IMAGE = 3
"""Dimensions of a record that is an image where no ``[data]`` says what it is."""


def population(plan: Plan, release: Release) -> Population | None:
    """Return the records, of ``[data]`` or the loader's own; None where there are none.

    Where no auxiliary records are given, a share of the people of whom no record is a member are
    set aside (``[games] auxiliary_share``): without any nothing is found recovered, and nobody is
    blind.
    """
    return _set_aside(plan, _loaded(plan, release))


def _loaded(plan: Plan, release: Release) -> Population | None:
    if release.population is not None:
        if plan.data.given:
            raise BadValue(
                "[data]",
                found="a path or factory",
                expected=f"none: loader {plan.loader.offered.offer.name!r} brings the records",
                fix="Remove it, or use a loader that reads [data].",
            )
        return evolve(release.population, sampling=plan.data.sampling, modality=plan.data.modality)
    if not plan.data.given:
        return None
    received = release.updates is not None and bool(release.updates.updates)
    # Beside an update that was received, all records may be others, for decoys.
    return load(
        plan.data,
        draw_members=received and plan.data.members is None,
        seed=spawn(plan.seed, "data"),
    )


def _set_aside(plan: Plan, people: Population | None) -> Population | None:
    share = plan.games.auxiliary_share
    if people is None or people.records is None or people.auxiliary is not None or not share:
        return people
    members = members_of(people)
    free = np.setdiff1d(people.subjects, people.subjects[members])
    known = generator(plan.seed, "auxiliary").permutation(free)[: int(share * len(free))]
    if not known.size:
        return people
    aside = np.isin(people.subjects, known)
    return evolve(
        people,
        records=people.records[~aside],
        labels=people.labels[~aside],
        subjects=people.subjects[~aside],
        members=None if people.members is None else people.members[~aside],
        auxiliary=Auxiliary(records=people.records[aside], labels=people.labels[aside]),
    )


def members_of(people: Population) -> Bools:
    """Return whose records are a client's, bool ``[n]``; nobody's where it is not said."""
    return np.zeros(len(people.labels), np.bool_) if people.members is None else people.members


def form_of(updates: UpdateRelease, people: Population | None) -> tuple[tuple[int, ...], int]:
    """Return the shape of a record and the number of classes."""
    shape, classes = updates.shape, updates.classes
    if people is not None and people.records is not None:
        own = people.records.shape[1:]
        if shape is not None and own != shape:
            raise BadArray(
                "[data] records", found=f"of shape {own}", expected=f"{shape}, as the target has"
            )
        shape, classes = own, max(classes or 0, people.classes)
    for name, found in (("shape", shape), ("classes", classes)):
        if found is None:
            raise MissingKey(
                f"[target] {name}",
                found="nothing",
                expected="what a record looks like, since no [data] says it",
                fix=f"Add {name} to [target], or records to [data].",
            )
    assert shape is not None
    assert classes is not None
    return shape, classes


def modality_of(plan: Plan, people: Population | None, shape: tuple[int, ...]) -> str:
    """Return the kind of record; one of three dimensions is an image where no data says it."""
    if people is not None:
        return people.modality
    said = plan.data.modality
    return "image" if said == "tabular" and len(shape) == _IMAGE else said


def check_values(
    before: Mapping[str, AnyArray],
    values: Mapping[str, AnyArray],
    what: str,
    buffers: Collection[str] = (),
) -> None:
    """Raise ``BadArray`` or ``TrainingFailed`` unless an update fits the model, and is finite.

    buffers: names that are no parameters, of which alone no update is made.
    """
    if not set(values) - set(buffers):
        raise BadArray(what, found="no parameter of the model", expected="at least one")
    for name, value in values.items():
        if name not in before or np.shape(value) != np.shape(before[name]):
            there = f"of shape {np.shape(before[name])}" if name in before else "no such array"
            raise BadArray(
                f"{what}: {name!r}", found=f"shape {np.shape(value)}", expected=f"{there} before"
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise TrainingFailed(
                f"{what}: {name!r}", found="values that are not finite", expected="numbers"
            )


def check_batch(
    update: ClientUpdate, shape: tuple[int, ...], classes: int, examples: int | None, what: str
) -> None:
    """Raise ``BadArray`` unless the records that an update was made of fit the model and it."""
    records, labels = update.records, update.labels
    assert records is not None
    assert labels is not None
    if records.shape != (len(labels), *shape) or not len(labels):
        raise BadArray(
            f"batch of {what}",
            found=f"records of shape {records.shape} and {len(labels)} labels",
            expected=f"records of shape (n, {', '.join(map(str, shape))}) and n labels",
        )
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        raise BadArray(
            f"batch of {what}, label of record {outside[0]}",
            found=str(labels[outside[0]]),
            expected=f"a class from 0 to {classes - 1}",
        )
    if examples is not None and examples != len(labels):
        raise BadArray(
            f"batch of {what}",
            found=f"{len(labels)} records",
            expected=f"{examples}, as the client disclosed",
        )
