"""Stages 1 and 2: load the target and the population, train what core trains, derive signals."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import AnyArray, Ints, Singles
from leakpro_core.controls.canaries import plant
from leakpro_core.controls.design import pairs
from leakpro_core.data import load as load_data
from leakpro_core.errors import BadArray, BadValue, MissingKey, NotAFactory
from leakpro_core.observing import Wanted, observe
from leakpro_core.offers import Access
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log, Queryable, Recorded
from leakpro_core.records import (
    Population,
    Release,
    ShadowOutputs,
    ShadowPlan,
    Signals,
    Target,
)
from leakpro_core.references import resolve
from leakpro_core.scene import Cast
from leakpro_core.seeds import spawn
from leakpro_core.shadows import draw
from leakpro_core.signals import derive, stack
from leakpro_core.store import Store
from leakpro_core.training import Trained, course, together, train
from leakpro_core.units import RunOf
from leakpro_core.view import Lens
from leakpro_core.work import Vetting

_HASHED = 65_536
"""Records whose bytes are hashed at once."""

_FEW = 256
"""Records that a target is tried out with: enough to tell logits from probabilities."""


@frozen(kw_only=True)
class Loaded:
    """A release with its population and, where planted, the canaries' strengths ``[n]``."""

    release: Release
    population: Population
    strength: AnyArray


def released(plan: Plan, scratch: Path, log: Log) -> Release:
    """Stage 1: return what the plan's loader returns."""
    run = RunOf(seed=spawn(plan.seed, "load"), scratch=scratch, log=log)
    release: Release = resolve(plan.loader.offered.offer.ref)(plan.loader.options, run)
    if release.tables is not None and plan.data.given:
        raise _brings_records(plan)
    if release.updates is None and plan.loader.offered.offer.kind == "update":
        raise NotAFactory(
            f"loader {plan.loader.offered.offer.name!r}",
            found="a release without updates",
            expected="one that says what clients sent, or how they make an update",
        )
    return release


def load(plan: Plan, release: Release) -> Loaded:
    """Return the release of models and the population, canaries planted."""
    _check_shadows(plan, release.target)
    if release.population is None:
        population = load_data(
            plan.data, draw_members=release.targets > 0, seed=spawn(plan.seed, "data")
        )
    elif plan.data.given:
        raise _brings_records(plan)
    else:
        population = evolve(
            release.population, sampling=plan.data.sampling, modality=plan.data.modality
        )
    _check_people(plan, population, release.targets)
    strength = np.zeros(len(population.labels), np.int64)
    if release.targets:
        population = evolve(population, members=None, sampling="all")
        if plan.controls.canaries and population.records is not None:
            planted = plant(
                population.records,
                population.labels,
                population.classes,
                population.subjects,
                plan.controls.canaries,
                spawn(plan.seed, "canaries"),
            )
            population = evolve(
                population,
                records=planted.records,
                labels=planted.labels,
                subjects=planted.subjects,
            )
            strength = planted.strength
    return Loaded(release=release, population=population, strength=strength)


def _brings_records(plan: Plan) -> BadValue:
    return BadValue(
        "[data]",
        found="a path or factory",
        expected=f"none: loader {plan.loader.offered.offer.name!r} brings the records",
        fix="Remove it, or use a loader that reads [data].",
    )


def fingerprint(loaded: Loaded) -> str:
    """Return a hash of what was loaded: all that an audit computes from beside its plan."""
    people, target = loaded.population, loaded.release.target
    beside, shadows = people.auxiliary, loaded.release.shadows
    arrays = [people.records, people.labels, people.subjects, people.members, loaded.strength]
    arrays += [] if beside is None else [beside.records, beside.labels]
    arrays += [] if shadows is None else [shadows.trained_on]
    digest = hashlib.sha256(b"" if target is None else target.identity.encode())
    for values in arrays:
        if values is not None:
            digest.update(f"{values.dtype} {values.shape}\n".encode())
            for start in range(0, len(values), _HASHED):
                digest.update(np.ascontiguousarray(values[start : start + _HASHED]).data)
    return digest.hexdigest()


def _check_shadows(plan: Plan, target: Target | None) -> None:
    if target is None and plan.shadows is None:
        raise MissingKey(
            "[shadows]",
            found="nothing",
            expected="a table with a trainer: core trains the targets by the shadows' recipe",
            fix='Add [shadows] with trainer = "torch" and a recipe.',
        )
    if plan.shadows is not None and plan.shadows.offered.offer.kind != "model":
        raise BadValue(
            "[shadows] trainer",
            found=f"{plan.shadows.offered.offer.name!r}, which fits generators of tables",
            expected="one that trains models",
        )
    if target is not None and isinstance(target.handle, Recorded) and plan.shadows is not None:
        raise BadValue(
            "[shadows]",
            found="a trainer",
            expected="none: recorded outputs bring their own shadows",
            fix="Remove the table.",
        )


def _check_people(plan: Plan, population: Population, targets: int) -> None:
    """Check that there are people of whom each model can be trained on half."""
    if plan.shadows is None:
        return
    if plan.shadows.pool == "auxiliary" and population.auxiliary is None:
        raise BadValue(
            "[shadows] pool",
            found='"auxiliary", and no auxiliary records',
            expected="records to train shadows on",
            fix='Set auxiliary or auxiliary_share in [data], or pool = "candidates".',
        )
    drawn = targets or plan.shadows.pool == "candidates"
    if drawn and len(np.unique(population.subjects)) < 2:
        raise BadArray(
            "[data] subjects",
            found="one person only",
            expected="at least two, for a model is trained on the records of half of them",
        )


def wanted(plan: Plan) -> Wanted:
    """Return which signals the plan's attacks and adversaries ask for."""
    lenses = dict.fromkeys(
        Lens.of(adversary, attack.offered.offer.probes)
        for adversary in plan.adversaries
        for attack in plan.attacks
    )
    temperatures = {
        float(getattr(attack.options, attack.offered.offer.temperature))
        for attack in plan.attacks
        if attack.offered.offer.temperature is not None
    }
    return Wanted(
        lenses=tuple(lenses),
        temperatures=tuple(sorted(temperatures | {1.0})),
        keep_outputs=any(a.offered.offer.raw_outputs for a in plan.attacks),
        keep_weights=any(a.offered.offer.shadow_access == "models" for a in plan.attacks),
    )


def rehearse(plan: Plan, loaded: Loaded, store: Store, vetting: Vetting | None, log: Log) -> Cast:
    """Stage 2: return all models as signals."""
    signals = wanted(plan)
    target = loaded.release.target
    if target is None:
        return _trained(plan, loaded, signals, store, vetting, log)
    if isinstance(target.handle, Recorded):
        return _recorded(plan, loaded, target, signals)
    if isinstance(target.handle, Queryable):
        return _queried(plan, loaded, target, target.handle, signals, store, vetting, log)
    raise NotAFactory(
        f"loader {plan.loader.offered.offer.name!r}",
        found=f"a handle of type {type(target.handle).__name__}",
        expected="one that can be queried or holds recorded outputs",
    )


def drawn(plan: Plan, loaded: Loaded) -> tuple[ShadowPlan, list[Ints]]:
    """Return who trains on what: the design, and for each model the rows that it trains on."""
    return draw(
        loaded.population,
        targets=loaded.release.targets,
        count=0 if plan.shadows is None else plan.shadows.count,
        pool="candidates" if plan.shadows is None else plan.shadows.pool,
        seed=spawn(plan.seed, "shadows"),
    )


def _trained(
    plan: Plan,
    loaded: Loaded,
    signals: Wanted,
    store: Store,
    vetting: Vetting | None,
    log: Log,
) -> Cast:
    people, targets = loaded.population, loaded.release.targets
    design, rows = drawn(plan, loaded)
    with course(
        plan, people, rows, signals, architecture=None, vetting=vetting, home=store.folder
    ) as planned:
        trained = train(planned, store, log)
    return Cast(
        population=people,
        members=design.trained_on[:targets],
        released=None,
        targets={lens: _models(s, slice(targets)) for lens, s in trained.signals.items()},
        shadows={lens: _models(s, slice(targets, None)) for lens, s in trained.signals.items()},
        trained_on=design.trained_on[targets:],
        pair=design.pair[targets:],
        weights={name: values[targets:] for name, values in trained.weights.items()},
    )


def _models(signals: Signals, models: slice) -> Signals:
    """Return views of the signals of some models."""
    return Signals(
        margin=signals.margin[models],
        log_p={t: values[models] for t, values in signals.log_p.items()},
        outputs=None if signals.outputs is None else signals.outputs[models],
    )


def _queried(
    plan: Plan,
    loaded: Loaded,
    target: Target,
    handle: Queryable,
    signals: Wanted,
    store: Store,
    vetting: Vetting | None,
    log: Log,
) -> Cast:
    people = loaded.population
    if people.records is None or people.members is None:
        raise MissingKey("[data] records and members", expected="both, to query the target with")
    records, labels = together(people)

    def query(block: AnyArray) -> Singles:
        return handle.query(block)[None]

    targets = {
        lens: observe(
            query,
            1,
            records,
            labels,
            people.classes,
            lens,
            signals,
            what=["the target"],
            kind=target.outputs,
        )
        for lens in signals.lenses
    }
    design, rows = drawn(plan, loaded)
    trained = Trained(
        signals={lens: _models(s, slice(0)) for lens, s in targets.items()}, weights={}
    )
    if rows:
        with course(
            plan,
            people,
            rows,
            signals,
            architecture=target.architecture,
            vetting=vetting,
            home=store.folder,
        ) as planned:
            trained = train(planned, store, log)
    return Cast(
        population=people,
        members=people.members[None],
        released=target,
        targets=targets,
        shadows=trained.signals,
        trained_on=design.trained_on,
        pair=design.pair,
        weights=trained.weights,
    )


def try_out(loaded: Loaded) -> None:
    """Ask a target that can be asked about a few records; errors as in an audit."""
    people, target = loaded.population, loaded.release.target
    if target is None or people.records is None or not isinstance(target.handle, Queryable):
        return
    handle, few = target.handle, slice(_FEW)
    observe(
        lambda block: handle.query(block)[None],
        1,
        np.asarray(people.records[few]),
        people.labels[few],
        people.classes,
        Lens(Access.LOGITS),
        Wanted(lenses=(), temperatures=(), keep_outputs=False),
        what=["the target"],
        kind=target.outputs,
    )


def _recorded(plan: Plan, loaded: Loaded, target: Target, signals: Wanted) -> Cast:
    people, shadows = loaded.population, loaded.release.shadows
    handle = target.handle
    if not isinstance(handle, Recorded) or people.members is None:
        raise MissingKey("members", expected="who was in the training data, bool [n]")
    candidates, spare = handle.recorded("candidates"), handle.recorded("auxiliary")
    if candidates is None:
        raise MissingKey("target_outputs", expected="outputs on the candidates")
    labels = people.labels
    if spare is not None and people.auxiliary is not None:
        labels = np.concatenate([labels, people.auxiliary.labels])
    lenses = list(dict.fromkeys(evolve(lens, probes=None) for lens in signals.lenses))

    def seen(outputs: Singles, others: Singles | None, lens: Lens, what: str) -> Signals:
        whole = outputs if others is None else np.concatenate([outputs, others])
        shown, kind = lens.show(whole, target.outputs)
        return derive(
            shown,
            labels[: len(whole)],
            signals.temperatures,
            kind=kind,
            keep=signals.keep_outputs,
            what=what,
        )

    targets = {lens: stack([seen(candidates, spare, lens, "the target")]) for lens in lenses}
    return Cast(
        population=people,
        members=people.members[None],
        released=target,
        targets=targets,
        shadows={lens: _shadow_signals(shadows, seen, lens, targets[lens]) for lens in lenses},
        trained_on=np.zeros((0, len(people.labels)), bool)
        if shadows is None
        else shadows.trained_on,
        pair=np.zeros(0, np.int64) if shadows is None else pairs(shadows.trained_on),
    )


def _shadow_signals(
    shadows: ShadowOutputs | None,
    seen: Callable[[Singles, Singles | None, Lens, str], Signals],
    lens: Lens,
    like: Signals,
) -> Signals:
    if shadows is None or not len(shadows.outputs):
        return _models(like, slice(0))
    spare = shadows.auxiliary
    return stack(
        (
            seen(outputs, None if spare is None else spare[k], lens, f"shadow {k}")
            for k, outputs in enumerate(shadows.outputs)
        ),
        len(shadows.outputs),
    )
