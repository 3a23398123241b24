"""Stage 2 at work: train cohorts wherever the executor puts them, keep signals, not models."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import structlog
from attrs import evolve, field, frozen

from leakpro_core.arrays import AnyArray, Ints, Singles
from leakpro_core.errors import BadRecord, NotAFactory, TrainingFailed
from leakpro_core.inputs import first_unfinite
from leakpro_core.plan import Plan
from leakpro_core.protocols import Cohort, Log
from leakpro_core.records import Population, Signals, TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath, resolve
from leakpro_core.seeds import spawn
from leakpro_core.signals import check_scale, derive, stack
from leakpro_core.store import Store, load_array
from leakpro_core.view import Lens
from leakpro_core.work import Vetting, Work

UNIT = 4
"""Models per unit of work. Each model has a seed of its own, so this changes no result."""

_BLOCK = 4096
"""Records per query of a model."""


@frozen(kw_only=True)
class Wanted:
    """Which signals are derived of every model."""

    lenses: tuple[Lens, ...]
    temperatures: tuple[float, ...]
    keep_outputs: bool


@frozen(kw_only=True)
class RunOf:
    """The run that a function behind an offer is given (see ``protocols.Run``)."""

    seed: int
    scratch: Path
    log: Log = field(repr=False)


@frozen(kw_only=True)
class TrainingJob:
    """One unit of work. scratch: the caller's, if this is its machine."""

    trainer: str
    unit: TrainingUnit
    classes: int
    modality: str
    wanted: Wanted
    seed: int
    scratch: Path


def train_unit(job: TrainingJob, records: AnyArray, labels: Ints) -> dict[str, AnyArray]:
    """Train one cohort and derive its signals; runs in a worker. Returns them by "lens/array"."""
    data = TrainingSet(records=records, labels=labels, classes=job.classes, modality=job.modality)
    # Below the parent's folder, which the parent deletes even where this worker is stopped.
    home = job.scratch if job.scratch.is_dir() else None
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        log = structlog.wrap_logger(structlog.ReturnLogger())
        run = RunOf(seed=job.seed, scratch=Path(scratch), log=log)
        cohort = resolve(job.trainer)(data, job.unit, run)
        found = {}
        for number, lens in enumerate(job.wanted.lenses):
            models = _observed(cohort, job, data, lens)
            for name, values in _arrays(stack(models)).items():
                found[f"{number}/{name}"] = values
    return found


def _observed(cohort: Cohort, job: TrainingJob, data: TrainingSet, lens: Lens) -> list[Signals]:
    try:
        return observe(
            cohort.query,
            len(job.unit.models),
            data.records,
            data.labels,
            data.classes,
            lens,
            job.wanted,
            what=[f"model {m}" for m in job.unit.models],
            fix="Leave the softmax or sigmoid out of the module: it is trained on its logits.",
        )
    except BadRecord as error:
        raise TrainingFailed(
            error.what,
            found=error.found,
            expected=error.expected,
            fix="Its training diverged: lower the learning rate, or scale the records.",
        ) from error


def observe(
    query: Callable[[AnyArray], Singles],
    models: int,
    records: AnyArray,
    labels: Ints,
    classes: int,
    lens: Lens,
    wanted: Wanted,
    *,
    what: Sequence[str],
    kind: str = "logits",
    fix: str = "",
) -> list[Signals]:
    """Return the signals of ``models`` models on all records, in record blocks.

    query: records ``[n, ...]`` -> outputs ``[models, n, classes]`` of that ``kind``.
    fix: what to do where they are of the other kind.
    """
    probes = resolve(lens.probes) if lens.probes else None
    blocks = []
    for start in range(0, len(records), _BLOCK):
        block = np.asarray(records[start : start + _BLOCK])
        asked = block[:, None] if probes is None else probes(block)
        answers = query(asked.reshape(-1, *asked.shape[2:]))
        _check_shape(answers, (models, asked.shape[0] * asked.shape[1]), classes, what[0])
        for name, model in zip(what, answers, strict=True):
            _check_finite(model, name, start, asked.shape[1])
            if start == 0:
                check_scale(model[:, None], f"outputs of {name}", kind, fix)
        shown, shown_kind = lens.show(answers, kind)
        blocks.append(shown.reshape(models, *asked.shape[:2], -1))
    outputs = np.concatenate(blocks, axis=1)
    return [
        derive(
            outputs[m],
            labels,
            wanted.temperatures,
            kind=shown_kind,
            keep=wanted.keep_outputs,
            what=what[m],
        )
        for m in range(models)
    ]


def _check_shape(answers: Singles, expected: tuple[int, int], classes: int, what: str) -> None:
    # A model may know classes that no record here has; fewer than the labels it may not.
    wide = answers.ndim == 3 and (
        answers.shape[2] >= classes or (classes == 2 and answers.shape[2] == 1)
    )
    if answers.shape[:2] != expected or not wide:
        raise NotAFactory(
            f"outputs of {what}",
            found=f"{' x '.join(map(str, answers.shape[1:]))} for {expected[1]} records",
            expected=f"{expected[1]} x {classes}, for the highest label is {classes - 1}",
            fix="Number the labels from 0, and give the model an output for each class "
            "(or one logit for two).",
        )


def _check_finite(answers: Singles, what: str, start: int, queries: int) -> None:
    # Before the lens: the likeliest label of NaN looks like any other.
    row = first_unfinite(answers)
    if row is not None:
        raise BadRecord(
            f"output of {what} for record {start + row // queries}",
            found="NaN or an infinite value",
            expected="finite numbers",
            fix="Mend the model or leave the record out.",
        )


def train(
    plan: Plan,
    population: Population,
    rows: list[Ints],
    wanted: Wanted,
    store: Store,
    *,
    architecture: ImportPath | None,
    vetting: Vetting | None,
    log: Log,
) -> dict[Lens, Signals]:
    """Return signals ``[models, candidates + auxiliary, queries]`` of all models, by lens.

    What an earlier run of the same plan finished is not trained again.
    """
    if plan.shadows is None or population.records is None:
        raise ValueError("shadows and records are checked before training")
    with tempfile.TemporaryDirectory(prefix="leakpro-") as name:
        folder = Path(name)
        records, labels = together(population)
        np.save(folder / "records.npy", records)
        np.save(folder / "labels.npy", labels)
        done: dict[int, dict[str, str]] = {}
        works, numbers, keys = [], [], []
        for number, models in enumerate(_units(len(rows))):
            job = TrainingJob(
                trainer=plan.shadows.offered.offer.ref,
                unit=TrainingUnit(
                    models=models,
                    rows=tuple(rows[m] for m in models),
                    seeds=tuple(spawn(plan.seed, "model", m) for m in models),
                    options=plan.shadows.options,
                    architecture=architecture,
                ),
                classes=population.classes,
                modality=population.modality,
                wanted=wanted,
                seed=spawn(plan.seed, "unit", number),
                scratch=folder,
            )
            key = _key(job, records, labels)
            known = store.recall(key)
            if known is None:
                works.append(
                    Work(
                        ref="leakpro_core.training:train_unit",
                        arguments=(job,),
                        data=(folder / "records.npy", folder / "labels.npy"),
                        results=store.signals,
                        vetting=vetting,
                    )
                )
                numbers.append(number)
                keys.append(key)
            else:
                done[number] = known
        log.info("training", models=len(rows), units=len(works), known=len(done))
        run = RunOf(seed=spawn(plan.seed, "executor"), scratch=folder, log=log)
        execute = resolve(plan.executor.offered.offer.ref)
        for position, names in execute(works, plan.executor.options, run):
            store.note(keys[position], names)
            done[numbers[position]] = names
            log.info("trained", unit=numbers[position], finished=len(done))
    return {
        lens: _read(store, [done[i] for i in sorted(done)], number)
        for number, lens in enumerate(wanted.lenses)
    }


def together(population: Population) -> tuple[AnyArray, Ints]:
    """Return the records and labels of candidates, then auxiliary records."""
    records, auxiliary = population.records, population.auxiliary
    if records is None:
        raise ValueError("records are checked before training")
    if auxiliary is None or auxiliary.records is None:
        return records, population.labels
    return (
        np.concatenate([records, auxiliary.records]),
        np.concatenate([population.labels, auxiliary.labels]),
    )


def _units(models: int) -> Iterator[tuple[int, ...]]:
    for start in range(0, models, UNIT):
        yield tuple(range(start, min(models, start + UNIT)))


def _key(job: TrainingJob, records: AnyArray, labels: Ints) -> str:
    """Return what a unit's signals depend on, as a hash; paths of this run are no part of it."""
    digest = hashlib.sha256()
    same = evolve(job, scratch=Path())
    digest.update(repr(same).encode())
    for rows in job.unit.rows:
        digest.update(rows.tobytes())
    digest.update(hashlib.sha256(np.ascontiguousarray(records).tobytes()).digest())
    digest.update(labels.tobytes())
    return digest.hexdigest()[:24]


def _arrays(signals: Signals) -> dict[str, AnyArray]:
    named: dict[str, AnyArray] = {"margin": signals.margin}
    named |= {f"log_p@{t}": values for t, values in signals.log_p.items()}
    if signals.outputs is not None:
        named["outputs"] = signals.outputs
    return named


def _read(store: Store, units: list[dict[str, str]], lens: int) -> Signals:
    def whole(name: str) -> AnyArray:
        return np.concatenate([load_array(store.signals, u[f"{lens}/{name}"]) for u in units])

    prefix = f"{lens}/log_p@"
    temperatures = [key.removeprefix(prefix) for key in units[0] if key.startswith(prefix)]
    return Signals(
        margin=whole("margin"),
        log_p={float(t): whole(f"log_p@{t}") for t in temperatures},
        outputs=whole("outputs") if f"{lens}/outputs" in units[0] else None,
    )
