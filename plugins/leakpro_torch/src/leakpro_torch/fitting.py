"""Train models by a recipe, one by itself or many as a stack, by the same steps."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from attrs import field, frozen
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from leakpro_core.arrays import Ints
from leakpro_core.errors import NotAFactory, TrainingFailed
from leakpro_core.recipes import Epoch, Recipe, batches, epochs, rate
from leakpro_torch.augment import crop, flip
from leakpro_torch.draws import keys
from leakpro_torch.learners import Batch, Many, One
from leakpro_torch.modules import kind
from leakpro_torch.perceptrons import Perceptrons

Learner = One | Many | Perceptrons


@frozen(kw_only=True)
class Task:
    """What models learn: ``records`` ``[n, ...]``, int64 ``labels`` ``[n]``, on one device.

    dtype: the arithmetic, as ``Choice`` has it; channels_last: the layout of image batches;
    watched: whether a loss that is not finite is an error.
    """

    records: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    classes: int
    recipe: Recipe
    dtype: str = "float32"
    channels_last: bool = False
    watched: bool = True

    @property
    def device(self) -> torch.device:
        """Where the records are."""
        return self.records.device


@frozen(kw_only=True)
class Pupil:
    """Whom a training step is for. number: in errors; rows: int64, what it trains on."""

    number: int
    rows: Ints = field(repr=False)
    seed: int


@frozen(kw_only=True)
class _Dealt:
    """What the models of a stack draw for an epoch; positions beyond a model's rows are not read.

    order: row numbers ``[m, n]``; flip: bool ``[m, n]``; shift: ``[m, n, 2]``; keys: of dropout,
    int32 ``[m, steps, 2]``.
    """

    order: torch.Tensor
    flip: torch.Tensor | None
    shift: torch.Tensor | None
    keys: torch.Tensor


def steps(learner: Learner, task: Task, pupils: Sequence[Pupil]) -> Iterator[None]:
    """Train the ``pupils`` in place, those of ``learner`` in order; yields after each step.

    They have equally many batches an epoch, and stand in the order of their numbers of rows.
    ``TrainingFailed`` names a model and the epoch in which its loss was not finite.
    """
    recipe = task.recipe
    parameters = learner.parameters()
    optimiser = _optimiser(recipe, parameters)
    parts = [
        list(_parts(pieces))
        for pieces in zip(*(batches(len(p.rows), recipe.batch_size) for p in pupils), strict=True)
    ]
    total, warmup = recipe.epochs * len(parts), recipe.warmup * len(parts)
    step = 0
    for epoch, dealt in enumerate(_deals(task, pupils, len(parts))):
        sums = torch.zeros(len(pupils), device=task.device)
        for batch, pieces in enumerate(parts):
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr * rate(recipe.schedule, step, warmup, total)
            for parameter in parameters:
                parameter.grad = None
            for part, start, stop in pieces:
                sums[part] += _learn(learner, task, dealt, batch, part, start, stop)
            if recipe.clip is not None:
                learner.clip(recipe.clip)
            optimiser.step()
            step += 1
            yield
        if task.watched:
            _check_finite(sums, pupils, epoch, recipe.epochs)


def fit(learner: Learner, task: Task, pupils: Sequence[Pupil]) -> None:
    """Train to the end; see ``steps``."""
    for _ in steps(learner, task, pupils):
        pass


def _parts(pieces: Sequence[tuple[int, int]]) -> Iterator[tuple[slice, int, int]]:
    """Yield the models (a slice) that have a batch's start and stop in common."""
    first = 0
    for m in range(1, len(pieces) + 1):
        if m == len(pieces) or pieces[m] != pieces[first]:
            yield slice(first, m), *pieces[first]
            first = m


def _learn(
    learner: Learner, task: Task, dealt: _Dealt, batch: int, part: slice, start: int, stop: int
) -> torch.Tensor:
    """Add a batch's gradients of the models in ``part``; return their mean losses ``[m]``."""
    rows = dealt.order[part, start:stop].reshape(-1)
    records = task.records.index_select(0, rows).float()
    if dealt.flip is not None:
        records = flip(records, dealt.flip[part, start:stop].reshape(-1))
    if dealt.shift is not None:
        records = crop(records, dealt.shift[part, start:stop].reshape(-1, 2))
    if task.channels_last:
        records = records.contiguous(memory_format=torch.channels_last)
    models, size = part.stop - part.start, stop - start
    labels = task.labels.index_select(0, rows)

    alone = isinstance(learner, One)

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        _check_outputs(outputs, size, task.classes, alone=alone)
        smoothing = task.recipe.label_smoothing
        if alone:
            return losses(outputs.float(), labels, task.classes, smoothing, "mean")
        each = losses(outputs.flatten(0, 1).float(), labels, task.classes, smoothing)
        return each.view(models, size).mean(1)

    return learner.learn(
        Batch(
            records=records.view(models, size, *records.shape[1:]),
            keys=dealt.keys[part, batch],
            loss=loss,
            part=None if models == len(dealt.order) else part,
            mixed=task.dtype == "bfloat16",
        )
    )


def _check_outputs(outputs: object, size: int, classes: int, *, alone: bool) -> None:
    shape = list(outputs.shape)[not alone :] if isinstance(outputs, torch.Tensor) else []
    wide = len(shape) == 2 and (shape[1] >= classes or (classes == 2 and shape[1] == 1))
    if not wide or shape[0] != size:
        found = f"shape {shape}" if isinstance(outputs, torch.Tensor) else kind(outputs)
        raise NotAFactory(
            "output of the factory's module",
            found=f"{found} for {size} records",
            expected=f"[{size}, {classes}], a logit for each class of the labels",
        )


def _check_finite(sums: torch.Tensor, pupils: Sequence[Pupil], epoch: int, last: int) -> None:
    found = sums.cpu().numpy()  # once an epoch: it waits for the device
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        raise TrainingFailed(
            f"model {pupils[wrong[0]].number}, epoch {epoch + 1} of {last}",
            found=f"a loss of {found[wrong[0]]}",
            expected="a finite loss",
            fix="Lower recipe.lr, set recipe.clip or scale the records.",
        )


def losses(
    outputs: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    smoothing: float = 0.0,
    reduction: str = "none",
) -> torch.Tensor:
    """Return cross-entropies ``[n]``; one output column is the logit of class 1 of two.

    Smoothing moves that share of a label's weight to all classes evenly (Szegedy et al. 2016).
    """
    if outputs.shape[1] == 1 and classes == 2:
        soft = labels.to(outputs.dtype) * (1 - smoothing) + smoothing / 2
        return binary_cross_entropy_with_logits(outputs[:, 0], soft, reduction=reduction)
    return cross_entropy(outputs, labels, label_smoothing=smoothing, reduction=reduction)


def _deals(task: Task, pupils: Sequence[Pupil], count: int) -> Iterator[_Dealt]:
    """Yield what each epoch needs, on the task's device. count: steps of an epoch."""
    size = tuple(task.records.shape[2:4]) if task.recipe.augment else (0, 0)
    drawn = [epochs(task.recipe, len(p.rows), p.seed, (size[0], size[1])) for p in pupils]
    widest = max(len(p.rows) for p in pupils)

    def together(arrays: list[Ints]) -> torch.Tensor:
        padded = np.zeros((len(arrays), widest, *arrays[0].shape[1:]), arrays[0].dtype)
        for place, array in zip(padded, arrays, strict=True):
            place[: len(array)] = array
        return torch.from_numpy(padded).to(task.device)

    def optional(arrays: list[Ints | None]) -> torch.Tensor | None:
        given = [array for array in arrays if array is not None]
        return together(given) if given else None

    for number, each in enumerate(zip(*drawn, strict=True)):
        deal: tuple[Epoch, ...] = each
        chosen = [p.rows[e.order] for p, e in zip(pupils, deal, strict=True)]
        of_dropout = np.stack([keys(p.seed, count, number) for p in pupils])
        yield _Dealt(
            order=together(chosen),
            flip=optional([e.flip for e in deal]),
            shift=optional([e.shift for e in deal]),
            keys=torch.from_numpy(of_dropout).to(task.device),
        )


def _optimiser(recipe: Recipe, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    lr, decay = recipe.lr, recipe.weight_decay
    # One pass over memory, also over the parameters of all models of a stack.
    fused = not any(parameter.is_complex() for parameter in parameters)
    match recipe.optimiser:
        case "sgd":
            return torch.optim.SGD(
                parameters, lr, momentum=recipe.momentum, weight_decay=decay, fused=fused
            )
        case "adam":
            return torch.optim.Adam(parameters, lr, weight_decay=decay, fused=fused)
        case "adamw":
            return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=fused)
