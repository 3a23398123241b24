"""A cohort: models of one architecture, trained by one compiled program an epoch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Ints, Singles
from leakpro_core.errors import BadValue, NotAFactory, TrainingFailed
from leakpro_core.protocols import Log
from leakpro_core.recipes import Epoch, Recipe, batches, epochs, rate
from leakpro_core.records import Choice, TrainingSet
from leakpro_core.references import ImportPath
from leakpro_jax.machine import settled
from leakpro_jax.models import Arrays, Model, build, check, in_batches, named
from leakpro_jax.steps import Data, Draw, Pace, State, epoch, start
from leakpro_jax.tracing import check_alike, check_repeats

QUERY_BATCH = 1024

Program = Callable[[State, Draw, jax.Array, Pace, Data], tuple[State, jax.Array]]
"""``steps.epoch`` of several models: states, draws, keys and losses are ``[models, ...]``."""


@frozen(kw_only=True, eq=False)
class Group:
    """Models of one architecture with equally many rows.

    model: one of them; states ``[models, ...]``; keys ``[models]``, for dropout; rows int64
    ``[models, n]``; seeds: of order and augmentation.
    """

    model: Model
    states: State = field(repr=False)
    keys: jax.Array = field(repr=False)
    rows: Ints = field(repr=False)
    seeds: tuple[int, ...]


@frozen(kw_only=True, eq=False)
class JaxCohort:
    """Trained models; Cohort and Weights. arrays: their parameters ``[models, ...]``."""

    arrays: Arrays = field(repr=False)
    choice: Choice
    log: Log = field(repr=False)
    answers: Callable[[Arrays, jax.Array], jax.Array] = field(repr=False)

    def query(self, records: AnyArray) -> Singles:
        """Return logits on ``records`` ``[n, ...]``, float32 ``[models, n, classes]``."""
        with settled(self.choice.device, self.choice.threads, self.log, "[shadows]"):
            return in_batches(partial(self.answers, self.arrays), records, QUERY_BATCH)

    def parameters(self) -> Mapping[str, AnyArray]:
        """Return copies of the parameters by path, each ``[models, ...]``."""
        return named(self.arrays)


def gather(
    factory: ImportPath,
    recipe: Recipe,
    data: TrainingSet,
    rows: Sequence[Ints],
    seeds: Sequence[int],
) -> Group:
    """Build the models of a group, each from the key of its seed.

    ``NotAFactory`` where they do not fit the data, or are not one model with arrays of its own.
    """
    models, keys = [], []
    for seed in seeds:
        initial, dropout = jax.random.split(jax.random.key(seed))
        models.append(build(factory, initial))
        keys.append(dropout)
    check_outputs(models[0], data)
    arrays = joined([model.arrays for model in models], factory)
    check_repeats(models[0], (2, *data.records.shape[1:]))
    check_alike(models, factory, (2, *data.records.shape[1:]))
    return Group(
        model=models[0],
        states=jax.jit(jax.vmap(partial(start, recipe=recipe)))(arrays),
        keys=jnp.stack(keys),
        rows=np.stack(rows),
        seeds=tuple(seeds),
    )


def check_outputs(model: Model, data: TrainingSet) -> None:
    """``NotAFactory`` where the model has fewer outputs than there are classes."""
    found = check(model, (2, *data.records.shape[1:]))
    if found < data.classes and not (found == 1 and data.classes == 2):
        raise NotAFactory(
            "output of the factory's model",
            found=f"shape [2, {found}] for 2 records",
            expected=f"[2, {data.classes}], a logit for each class of the labels",
        )


def joined(models: Sequence[Arrays], factory: ImportPath) -> Arrays:
    """Stack pytrees of equal shapes along a new first axis."""
    leaves = [jax.tree.leaves(arrays) for arrays in models]
    if len({tuple((leaf.shape, leaf.dtype) for leaf in each) for each in leaves}) > 1:
        raise NotAFactory(
            f"factory {factory.ref!r}",
            found="parameters of other shapes for another key",
            expected="one architecture, whatever the key",
        )
    stacked = [np.stack(same) for same in zip(*leaves, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(models[0]), jax.device_put(stacked))


def program(method: str, model: Model, recipe: Recipe, classes: int) -> Program:
    """Return the function that is compiled. It takes its data as arguments: a constant is copied.

    method: "map", models one after another, or "vmap", all at once; "loop" means "map".
    """
    if method not in ("loop", "map", "vmap"):
        raise BadValue(
            "choice of a training method",
            found=repr(method),
            expected='"map" or "vmap"',
            fix="Run the audit in a new folder, so that its choice is made again.",
        )

    def run(
        states: State, draws: Draw, keys: jax.Array, pace: Pace, data: Data
    ) -> tuple[State, jax.Array]:
        one = partial(epoch, model, recipe, classes, pace, data)
        if method == "vmap":
            return jax.vmap(one)(states, draws, keys)
        found: tuple[State, jax.Array]
        found = jax.lax.map(lambda each: one(*each), (states, draws, keys))
        return found

    return run


def fit(group: Group, run: Program, recipe: Recipe, data: Data, numbers: Sequence[int]) -> Arrays:
    """Train a group, with a program that was compiled; return the models' arrays.

    ``TrainingFailed`` names the model and the epoch in which its loss was not finite.
    """
    states = group.states
    for at, (draws, pace) in enumerate(schedule(group, recipe, data)):
        states, losses = run(states, draws, group.keys, pace, data)
        totals = np.asarray(losses)
        if not np.isfinite(totals).all():
            wrong = int(np.argmin(np.isfinite(totals)))
            raise TrainingFailed(
                f"model {numbers[wrong]}, epoch {at + 1} of {recipe.epochs}",
                found=f"a loss of {totals[wrong]}",
                expected="a finite loss",
                fix="Lower recipe.lr, set recipe.clip or scale the records.",
            )
    return states.arrays


def schedule(group: Group, recipe: Recipe, data: Data) -> Iterator[tuple[Draw, Pace]]:
    """Yield what a group draws for each epoch ``[models, steps, b, ...]``, and its steps."""
    n = group.rows.shape[1]
    height, width = data.records.shape[-2:] if recipe.augment else (0, 0)
    cuts = np.array(batches(n, recipe.batch_size))
    steps, sizes = len(cuts), cuts[:, 1] - cuts[:, 0]
    # Position by position of an epoch's batches; the last is filled up with its own first records.
    places = cuts[:, :1] + np.arange(sizes.max()) % sizes[:, None]
    total, warmup = recipe.epochs * steps, recipe.warmup * steps
    streams = [epochs(recipe, n, seed, (height, width)) for seed in group.seeds]
    for at, models in enumerate(zip(*streams, strict=True)):
        numbers = range(at * steps, (at + 1) * steps)
        rates = [recipe.lr * rate(recipe.schedule, step, warmup, total) for step in numbers]
        pace = Pace(
            np.array(numbers, np.int32), np.array(rates, np.float32), sizes.astype(np.int32)
        )
        yield _draw(group.rows, models, places), pace


def _draw(rows: Ints, models: Sequence[Epoch], places: Ints) -> Draw:
    orders = [own[each.order][places] for own, each in zip(rows, models, strict=True)]
    flips = [each.flip[places] for each in models if each.flip is not None]
    shifts = [each.shift[places] for each in models if each.shift is not None]
    return Draw(
        rows=np.array(orders, np.int32),
        flip=np.array(flips) if flips else None,
        shift=np.array(shifts, np.int32) if shifts else None,
    )


def cohort(model: Model, arrays: Arrays, choice: Choice, log: Log) -> JaxCohort:
    """Return trained models that can be asked; one after another, whose memory is small."""
    answers = jax.jit(
        lambda arrays, batch: jax.lax.map(lambda one: model.apply(one, batch, None), arrays)
    )
    return JaxCohort(arrays=arrays, choice=choice, log=log, answers=answers)


def resident(data: TrainingSet, device: jax.Device) -> Data:
    """Put the records on the device once; bytes stay bytes until a batch is taken."""
    records = np.asarray(data.records)
    if records.dtype != np.uint8:
        records = records.astype(np.float32, copy=False)
    return Data(*jax.device_put((records, data.labels.astype(np.int32)), device))
