"""Stage 2 at work: train cohorts wherever the executor puts them, keep signals, not models."""

import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.files import COPIES, cannot_write, sha256
from leakpro_core.observing import Wanted, signals_of
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.records import Choice, Population, Signals, TrainingUnit, Trial
from leakpro_core.references import ImportPath, resolve
from leakpro_core.seeds import spawn
from leakpro_core.spill import empty
from leakpro_core.store import Store
from leakpro_core.units import RunOf, TrainingJob
from leakpro_core.view import Lens
from leakpro_core.work import Vetting, Work

WEIGHTS = "weights/"
"""Before the name of a parameter, among the arrays that are kept of a unit."""


@frozen(kw_only=True)
class Course:
    """What is to be trained, on files that every unit reads.

    rows: for each model the row numbers of candidates, then auxiliary records, that it trains on;
    architecture: import path of the target's model; folder: holds the records for a while.
    """

    plan: Plan
    rows: tuple[Ints, ...]
    wanted: Wanted
    classes: int
    modality: str
    architecture: ImportPath | None
    vetting: Vetting | None
    folder: Path

    @property
    def data(self) -> tuple[Path, Path]:
        """The files of records and labels."""
        return self.folder / "records.npy", self.folder / "labels.npy"


@frozen(kw_only=True)
class Trained:
    """What is kept of all models, by model number: signals by lens; weights by name, if asked."""

    signals: Mapping[Lens, Signals]
    weights: Mapping[str, AnyArray]


@contextmanager
def course(
    plan: Plan,
    population: Population,
    rows: Sequence[Ints],
    wanted: Wanted,
    *,
    architecture: ImportPath | None,
    vetting: Vetting | None,
    home: Path | None = None,
) -> Iterator[Course]:
    """Yield the course, its records written where workers can map them.

    home: the run's folder, which finds and deletes copies of records that a killed run left;
    None: the folder for temporary files. ``CannotWrite`` where the disk is full.
    """
    if plan.shadows is None or population.records is None:
        raise ValueError("shadows and records are checked before training")
    with tempfile.TemporaryDirectory(prefix=COPIES, dir=home) as name:
        made = Course(
            plan=plan,
            rows=tuple(rows),
            wanted=wanted,
            classes=population.classes,
            modality=population.modality,
            architecture=architecture,
            vetting=vetting,
            folder=Path(name),
        )
        records, labels = together(population)
        for path, values in zip(made.data, (records, labels), strict=True):
            try:
                np.save(path, values)
            except OSError as error:
                raise cannot_write(path, error) from error
        yield made


def try_out(course: Course, log: Log) -> Trial:
    """Let the trainer find out on a worker how cohorts are best trained here."""
    shadows = course.plan.shadows
    assert shadows is not None
    if shadows.offered.offer.trial is None:
        return Trial(choice=Choice())
    most = -(-len(course.rows) // slots(course.plan))
    models = max(divide(course.rows, most), key=len)
    log.info("trying out", models=len(models))
    job = _job(course, models, Choice(), shadows.offered.offer.trial, ("trial",))
    work = _work(course, "leakpro_core.units:try_unit", job)
    ((_, trial),) = _execute(course, [work], log)
    assert isinstance(trial, Trial)
    for note in trial.notes:
        log.warning("trial", note=note)
    return trial


def train(course: Course, store: Store, log: Log) -> Trained:
    """Train all models and return what is kept of them.

    How is settled once, in the run folder, by a trial unless an earlier run settled it. What an
    earlier run of the same plan finished is not trained again.
    """
    trial = store.settled()
    if trial is None:
        trial = try_out(course, log)
        store.settle(trial)
    units = divide(course.rows, trial.choice.width)
    shadows = course.plan.shadows
    assert shadows is not None
    digests = [sha256(path) for path in course.data]
    done: dict[int, dict[str, str]] = {}
    works, numbers, keys = [], [], []
    for number, models in enumerate(units):
        job = _job(course, models, trial.choice, shadows.offered.offer.ref, ("unit", number))
        key = _key(job, digests)
        known = store.signals.recall(key)
        if known is not None:
            done[number] = known
            continue
        work = _work(course, "leakpro_core.units:train_unit", job)
        works.append(evolve(work, results=store.signals.folder, memory=trial.memory))
        numbers.append(number)
        keys.append(key)
    progress = _Progress(units, done, log)
    for position, names in _execute(course, works, log):
        assert isinstance(names, dict)
        store.signals.note(keys[position], names)
        done[numbers[position]] = names
        progress.tell(numbers[position])
    return _gather(course.wanted, units, done, store)


def divide(rows: Sequence[Ints], width: int) -> list[tuple[int, ...]]:
    """Return units of at most ``width`` models: as even as can be, equal numbers of rows together.

    Models with equally many rows take the same steps, so they can be trained as one.
    """
    order = np.argsort([len(each) for each in rows], kind="stable")
    count = -(-len(rows) // width)
    return [tuple(int(m) for m in part) for part in np.array_split(order, count) if part.size]


def slots(plan: Plan) -> int:
    """Return how many units the plan's executor runs at once."""
    ref = plan.executor.offered.offer.slots
    return 1 if ref is None else max(1, int(resolve(ref)(plan.executor.options)))


def together(population: Population) -> tuple[AnyArray, Ints]:
    """Return the records and labels of candidates, then auxiliary records."""
    records, auxiliary = population.records, population.auxiliary
    if records is None:
        raise ValueError("records are checked before training")
    if auxiliary is None or auxiliary.records is None:
        return records, population.labels
    n, more = len(records), len(auxiliary.records)
    whole = empty((n + more, *records.shape[1:]), records.dtype)
    whole[:n], whole[n:] = records, auxiliary.records
    return whole, np.concatenate([population.labels, auxiliary.labels])


class _Progress:
    """Tells how many models are done, how fast they come and how long it may still take."""

    def __init__(self, units: Sequence[tuple[int, ...]], done: Mapping[int, object], log: Log):
        self._units, self._log = units, log
        self._models = sum(map(len, units))
        self._finished = sum(len(units[number]) for number in done)
        self._since, self._before, self._started = time.monotonic(), self._finished, False
        log.info("training", models=self._models, known=self._finished, units=len(units))

    def tell(self, unit: int) -> None:
        self._finished += len(self._units[unit])
        now = time.monotonic()
        pace = (now - self._since) / (self._finished - self._before)
        self._log.info(
            "trained",
            unit=unit,
            models=self._finished,
            of=self._models,
            models_per_minute=round(60.0 / pace, 2) if pace else None,
            seconds_left=round(pace * (self._models - self._finished), 1),
        )
        if not self._started:
            # The first unit waited for workers to start; the pace of the rest does without.
            self._since, self._before, self._started = now, self._finished, True


def _job(
    course: Course,
    models: tuple[int, ...],
    choice: Choice,
    ref: str,
    purpose: tuple[str | int, ...],
) -> TrainingJob:
    plan = course.plan
    assert plan.shadows is not None
    return TrainingJob(
        ref=ref,
        unit=TrainingUnit(
            models=models,
            rows=tuple(course.rows[m] for m in models),
            seeds=tuple(spawn(plan.seed, "model", m) for m in models),
            options=plan.shadows.options,
            architecture=course.architecture,
            choice=choice,
        ),
        classes=course.classes,
        modality=course.modality,
        wanted=course.wanted,
        seed=spawn(plan.seed, *purpose),
        scratch=course.folder,
    )


def _work(course: Course, ref: str, job: TrainingJob) -> Work:
    return Work(ref=ref, arguments=(job,), data=course.data, vetting=course.vetting)


def _execute(course: Course, works: list[Work], log: Log) -> Iterator[tuple[int, object]]:
    executor = course.plan.executor
    run = RunOf(seed=spawn(course.plan.seed, "executor"), scratch=course.folder, log=log)
    yield from resolve(executor.offered.offer.ref)(works, executor.options, run)


def _key(job: TrainingJob, digests: Sequence[str]) -> str:
    """Return what a unit's signals depend on, as a hash; paths of this run are no part of it."""
    digest = hashlib.sha256(repr(evolve(job, scratch=Path())).encode())
    for rows in job.unit.rows:
        digest.update(rows.tobytes())
    digest.update(" ".join(digests).encode())
    return digest.hexdigest()[:24]


def _gather(
    wanted: Wanted,
    units: Sequence[tuple[int, ...]],
    done: Mapping[int, Mapping[str, str]],
    store: Store,
) -> Trained:
    """Put the arrays of all units together, model by model."""
    models = sum(map(len, units))
    whole: dict[str, AnyArray] = {}
    for number, unit in enumerate(units):
        if done[number].keys() != done[0].keys():
            raise ValueError(f"units that keep different things: {done[number]} and {done[0]}")
        for name, file in done[number].items():
            values = store.signals.array(file)
            if name not in whole:
                whole[name] = empty((models, *values.shape[1:]), values.dtype)
            for model, part in zip(unit, values, strict=True):
                whole[name][model] = part

    def named(prefix: str) -> dict[str, AnyArray]:
        return {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}

    return Trained(
        signals={
            lens: signals_of(named(f"{number}/")) for number, lens in enumerate(wanted.lenses)
        },
        weights=named(WEIGHTS),
    )
