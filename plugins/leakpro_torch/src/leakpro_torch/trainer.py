"""Trainer "torch": a cohort of PyTorch classifiers, one after another or as a stack."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import nn

from leakpro_core.arrays import AnyArray
from leakpro_core.errors import BadValue, LeakProError, MissingKey, NotAFactory, TrainingFailed
from leakpro_core.protocols import Log, Run
from leakpro_core.recipes import Recipe, batches
from leakpro_core.records import Choice, TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath
from leakpro_torch.cohort import StackedCohort, TorchCohort
from leakpro_torch.fitting import Learner, Pupil, Task, fit
from leakpro_torch.layout import laid_out, placed
from leakpro_torch.learners import Many, One, Unstackable, nothing_drawn, stacked
from leakpro_torch.modules import (
    arithmetic,
    because,
    build,
    check_device,
    check_numbers,
    kind,
    seeded,
    threads,
)
from leakpro_torch.options import TrainerOptions
from leakpro_torch.perceptrons import Perceptrons, is_perceptron

_TAKEN = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
"""Types of records that torch takes rows of; others are copied as float32."""


def train(data: TrainingSet, unit: TrainingUnit, run: Run) -> TorchCohort | StackedCohort:
    """Train the unit's models as ``unit.choice`` says.

    A model depends on its rows and its seed alone: initial weights, order, augmentation and
    dropout are drawn from the seed, whatever the other models of the unit or the process.
    In a stack that holds to rounding.
    ``TrainingFailed`` names the model and, where it diverged, the epoch.
    """
    choice, options, factory = unit.choice, options_of(unit), factory_of(unit)
    if choice.method not in ("loop", "stack"):
        raise BadValue("method", found=repr(choice.method), expected="'loop' or 'stack'")
    check_device(choice.device, "[shadows] device")
    task = task_of(data, options.recipe or Recipe(), choice)
    pupils = pupils_of(unit)
    with threads(choice.threads), arithmetic(choice.dtype):
        task = laid_out(factory, task, pupils[0])
        if choice.method == "loop" or options.train is not None:
            modules = [_alone(factory, options, task, pupil, run.log) for pupil in pupils]
            return TorchCohort(modules=tuple(modules), device=choice.device, threads=choice.threads)
        stacks, places = [], []
        for group in _equally_many_batches(pupils, task.recipe.batch_size):
            for many, members in _together(factory, task, pupils, group, run.log):
                stacks.append(many)
                places.append(members)
    return StackedCohort(
        stacks=tuple(stacks), places=tuple(places), device=choice.device, threads=choice.threads
    )


def options_of(unit: TrainingUnit) -> TrainerOptions:
    """Return the options of this trainer."""
    assert isinstance(unit.options, TrainerOptions)
    return unit.options


def factory_of(unit: TrainingUnit) -> ImportPath:
    """Return what models are built from; ``MissingKey`` where nobody named it."""
    factory = options_of(unit).factory or unit.architecture
    if factory is None:
        raise MissingKey(
            "[shadows] factory",
            found="none there, and none in [target] whose module returns logits",
            expected="the import path of a callable that builds a module which returns logits",
            fix='Set factory = "my_models:build" in [shadows].',
        )
    return factory


def pupils_of(unit: TrainingUnit) -> list[Pupil]:
    """Return the unit's models in order."""
    each = zip(unit.models, unit.rows, unit.seeds, strict=True)
    return [Pupil(number=number, rows=np.asarray(rows), seed=seed) for number, rows, seed in each]


def task_of(data: TrainingSet, recipe: Recipe, choice: Choice) -> Task:
    """Return what the models learn; its records are those of ``data``, not copied on a CPU."""
    images = data.modality == "image" and data.records.ndim == 4
    if recipe.augment and not images:
        raise BadValue(
            "[shadows] recipe.augment",
            found=f"{data.modality} records of shape {list(data.records.shape)}",
            expected="image records of shape [n, C, H, W]",
            fix="Leave augment out, or augment in a train function of your own.",
        )
    records = data.records
    check_numbers(records)
    if records.dtype.name not in _TAKEN or not records.dtype.isnative:
        records = records.astype(np.float32)
    return Task(
        records=_shared(records).to(choice.device),
        labels=_shared(data.labels).to(choice.device),
        classes=data.classes,
        recipe=recipe,
        dtype=choice.dtype,
        # The layout in which GPUs convolve fastest.
        channels_last=data.records.ndim == 4 and choice.device.startswith("cuda"),
    )


def _shared(values: AnyArray) -> torch.Tensor:
    """Return a tensor over the array's own memory, which may be read-only or a mapped file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(values))  # nothing writes to it


def _alone(
    factory: ImportPath, options: TrainerOptions, task: Task, pupil: Pupil, log: Log
) -> nn.Module:
    with seeded(pupil.seed):
        model = placed(build(factory), task)
        try:
            if options.train is None:
                fit(One(module=model.train()), task, [pupil])
            else:
                model = _by_user(options.train, model, task, pupil)
        except LeakProError:
            raise
        except Exception as error:
            raise TrainingFailed(f"model {pupil.number}", found=because(error)) from error
    log.debug("model trained", model=pupil.number, records=len(pupil.rows))
    return model.eval()


def _by_user(path: ImportPath, model: nn.Module, task: Task, pupil: Pupil) -> nn.Module:
    rows = torch.from_numpy(np.array(pupil.rows)).to(task.device)
    records, labels = task.records[rows].float(), task.labels[rows]
    result = path.call(model, records, labels, pupil.seed)
    if result is None:
        return model
    if not isinstance(result, nn.Module):
        raise NotAFactory(
            f"train function {path.ref!r}",
            found=f"it returned {kind(result)}",
            expected="the trained torch.nn.Module, or None where it was trained in place",
        )
    return result


def _equally_many_batches(pupils: Sequence[Pupil], size: int) -> Iterator[list[int]]:
    """Yield positions of models with equally many batches, in the order of their rows."""

    def count(position: int) -> int:
        return len(batches(len(pupils[position].rows), size))

    order = sorted(range(len(pupils)), key=lambda i: (count(i), len(pupils[i].rows)))
    for _, group in groupby(order, key=count):
        yield list(group)


def _together(
    factory: ImportPath, task: Task, pupils: list[Pupil], group: list[int], log: Log
) -> Iterator[tuple[Many, tuple[int, ...]]]:
    """Train the pupils at the positions ``group`` as a stack; yield it with its positions.

    Two stacks of halves, each trained from the start, where a GPU's memory is too small for one.
    """
    members = [pupils[i] for i in group]
    try:
        many = _stack(factory, task, members)
    except torch.OutOfMemoryError as error:
        if len(group) == 1:
            raise TrainingFailed(
                f"model {members[0].number}",
                found=because(error),
                fix="Set a smaller recipe.batch_size, or train on another device.",
            ) from error
        many = None  # and outside of this clause the error keeps no memory either
    if many is not None:
        for pupil in members:
            log.debug("model trained", model=pupil.number, records=len(pupil.rows))
        yield many, tuple(group)
        return
    torch.cuda.empty_cache()
    log.warning("out of memory, trained as two stacks", models=len(group))
    half = len(group) // 2
    yield from _together(factory, task, pupils, group[:half], log)
    yield from _together(factory, task, pupils, group[half:], log)


def _stack(factory: ImportPath, task: Task, pupils: Sequence[Pupil]) -> Many:
    """Return trained models in evaluation mode."""
    try:
        many = stack_of(factory, task, pupils)
        with nothing_drawn():
            fit(learner_of(many, task), task, pupils)
    except (LeakProError, torch.OutOfMemoryError):
        raise
    except Unstackable as error:
        raise unstackable(pupils, error) from error
    except Exception as error:
        raise unstackable(pupils, Unstackable(f"it raises {because(error)}")) from error
    many.base.eval()
    return many


def stack_of(factory: ImportPath, task: Task, pupils: Sequence[Pupil]) -> Many:
    """Return untrained models, each built as it would be by itself; ``Unstackable``."""
    modules = []
    for pupil in pupils:
        with seeded(pupil.seed):
            modules.append(build(factory).to(task.device))
    many = stacked(modules)
    many.base.train()
    return many


def learner_of(many: Many, task: Task) -> Learner:
    """Return what trains a stack fastest."""
    plain = task.dtype != "bfloat16" and is_perceptron(many.base)
    return Perceptrons(many=many) if plain else many


def unstackable(pupils: Sequence[Pupil], error: Unstackable) -> BadValue:
    """Return what is raised where models should be stacked that cannot be."""
    numbers = f"models {pupils[0].number} to {pupils[-1].number}" if pupils[1:] else "a model"
    return BadValue(
        "[shadows] method",
        found=f"'stack' for {numbers} that cannot be stacked: {error}",
        expected="'auto' or 'loop'",
    )
