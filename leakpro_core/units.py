"""What runs in a worker: train one cohort and derive its signals, or try out how to."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from attrs import evolve, field, frozen

from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.errors import BadRecord, NotAFactory, TrainingFailed
from leakpro_core.memory import taken
from leakpro_core.observing import Wanted, arrays_of, observe
from leakpro_core.protocols import Cohort, Log, Weights
from leakpro_core.records import Signals, TrainingSet, TrainingUnit, Trial
from leakpro_core.references import resolve
from leakpro_core.view import Lens


@frozen(kw_only=True)
class RunOf:
    """The run that a function behind an offer is given (see ``protocols.Run``)."""

    seed: int
    scratch: Path
    log: Log = field(repr=False)


@frozen(kw_only=True)
class TrainingJob:
    """One unit of work: ``ref`` is a trainer's ``train`` or ``trial``.

    scratch: the caller's folder, where the worker is on its machine.
    """

    ref: str
    unit: TrainingUnit
    classes: int
    modality: str
    wanted: Wanted
    seed: int
    scratch: Path


def train_unit(job: TrainingJob, records: AnyArray, labels: Ints) -> dict[str, AnyArray]:
    """Train one cohort; return its signals by "lens/array", and its weights where asked."""
    data = _data(job, records, labels)
    with _run(job) as run:
        cohort = resolve(job.ref)(data, job.unit, run)
        found: dict[str, AnyArray] = {}
        for number, lens in enumerate(job.wanted.lenses):
            signals = _observed(cohort, job, data, lens)
            found |= {f"{number}/{name}": each for name, each in arrays_of(signals).items()}
        if job.wanted.keep_weights:
            found |= {f"weights/{name}": each for name, each in _weights(cohort, job).items()}
    return found


def try_unit(job: TrainingJob, records: AnyArray, labels: Ints) -> Trial:
    """Return what the trainer's trial finds."""
    with _run(job) as run:
        trial = resolve(job.ref)(_data(job, records, labels), job.unit, run)
    if not isinstance(trial, Trial):
        raise NotAFactory(f"trial {job.ref!r}", found=type(trial).__name__, expected="a Trial")
    # What the interpreter and its libraries take comes on top, in every worker.
    return evolve(trial, memory=trial.memory + taken()) if trial.memory else trial


def _data(job: TrainingJob, records: AnyArray, labels: Ints) -> TrainingSet:
    return TrainingSet(records=records, labels=labels, classes=job.classes, modality=job.modality)


@contextmanager
def _run(job: TrainingJob) -> Iterator[RunOf]:
    # Below the parent's folder, which the parent deletes even where this worker is stopped.
    home = job.scratch if job.scratch.is_dir() else None
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        log = structlog.wrap_logger(structlog.ReturnLogger())
        yield RunOf(seed=job.seed, scratch=Path(scratch), log=log)


def _observed(cohort: Cohort, job: TrainingJob, data: TrainingSet, lens: Lens) -> Signals:
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


def _weights(cohort: Cohort, job: TrainingJob) -> dict[str, AnyArray]:
    """Return the cohort's parameters ``[models, ...]`` by name."""
    models = len(job.unit.models)
    named = dict(cohort.parameters()) if isinstance(cohort, Weights) else {}
    wrong = [name for name, values in named.items() if len(values) != models]
    if not named or wrong:
        raise NotAFactory(
            f"trainer {job.ref!r}",
            found=f"{wrong[0]} for {len(named[wrong[0]])} models" if wrong else "no weights",
            expected=f"the weights of all {models} models: an attack of the plan asks for them",
            fix="Use a trainer whose cohorts have parameters(), or leave the attack out.",
        )
    return named
