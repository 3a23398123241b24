"""What one model computes: a loss, a step of an optimiser, an epoch of steps.

All functions are pure, of one model and of arrays; ``cohort.py`` maps them over models.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from leakpro_core.arrays import AnyArray
from leakpro_core.recipes import Recipe
from leakpro_jax.models import Arrays, Model


class State(NamedTuple):
    """What changes while a model is trained: its arrays and its optimiser's moments."""

    arrays: Arrays
    moments: Any


class Data(NamedTuple):
    """What every model reads: ``records`` ``[n, ...]``, int32 ``labels`` ``[n]``."""

    records: jax.Array
    labels: jax.Array


class Draw(NamedTuple):
    """What a model draws for an epoch (see ``leakpro_core.recipes.Epoch``), batch by batch.

    rows: int32 ``[steps, b]``, numbers of records; flip: bool ``[steps, b]`` or None; shift: int32
    ``[steps, b, 2]`` or None. A batch with fewer records than others is filled up.
    """

    rows: jax.Array | AnyArray
    flip: jax.Array | AnyArray | None = None
    shift: jax.Array | AnyArray | None = None


class Pace(NamedTuple):
    """The steps of an epoch: number from 0, int32; learning rate, float32; size, records, int32."""

    number: jax.Array | AnyArray
    rate: jax.Array | AnyArray
    size: jax.Array | AnyArray


def start(arrays: Arrays, recipe: Recipe) -> State:
    """Return the state of an untrained model."""
    return State(arrays, optimiser(recipe).init(eqx.filter(arrays, eqx.is_inexact_array)))


def epoch(
    model: Model,
    recipe: Recipe,
    classes: int,
    pace: Pace,
    data: Data,
    state: State,
    draw: Draw,
    key: jax.Array,
) -> tuple[State, jax.Array]:
    """Return a model's state after an epoch, and the sum of its steps' losses. key: for dropout."""
    step = partial(_step, model, recipe, classes, data, key)
    state, losses = jax.lax.scan(step, state, (draw, pace))
    return state, losses.sum()


def _step(
    model: Model,
    recipe: Recipe,
    classes: int,
    data: Data,
    key: jax.Array,
    state: State,
    batch: tuple[Draw, Pace],
) -> tuple[State, jax.Array]:
    draw, pace = batch
    # Rows lie inside by construction; looking for others is a tenth of a small model's step.
    rows, within = jnp.asarray(draw.rows), "promise_in_bounds"
    records = augmented(data.records.at[rows].get(mode=within).astype(jnp.float32), draw)
    labels = data.labels.at[rows].get(mode=within)
    learned, fixed = eqx.partition(state.arrays, eqx.is_inexact_array)

    def objective(learned: Arrays) -> jax.Array:
        arrays, own = eqx.combine(learned, fixed), jax.random.fold_in(key, pace.number)
        outputs = model.apply(arrays, records, own)
        each = losses(outputs, labels, classes, recipe.label_smoothing)
        return jnp.where(jnp.arange(len(each)) < pace.size, each, 0.0).sum() / pace.size

    value, gradient = jax.value_and_grad(objective)(learned)
    gradient = jax.tree.map(jnp.conj, gradient)  # jax's of complex numbers points uphill without
    update, moments = optimiser(recipe).update(gradient, state.moments, learned)
    # The rate is of float32, and a parameter of fewer bits keeps its own.
    learned = jax.tree.map(lambda p, u: (p - pace.rate * u).astype(p.dtype), learned, update)
    return State(eqx.combine(learned, fixed), moments), value


def losses(
    outputs: jax.Array, labels: jax.Array, classes: int, smoothing: float = 0.0
) -> jax.Array:
    """Return each record's cross-entropy ``[n]``; one output column is the logit of class 1 of two.

    Smoothing moves that share of a label's weight to all classes evenly (Szegedy et al. 2016).
    """
    if outputs.shape[1] == 1 and classes == 2:
        soft = labels * (1 - smoothing) + smoothing / 2
        each: jax.Array = optax.sigmoid_binary_cross_entropy(outputs[:, 0], soft)
        return each
    log_p = jax.nn.log_softmax(outputs)
    # Not by an index, whose gradient is a scatter: slow on a CPU.
    right = jnp.where(labels[:, None] == jnp.arange(outputs.shape[1]), log_p, 0.0).sum(axis=1)
    return -right if not smoothing else -(1 - smoothing) * right - smoothing * log_p.mean(axis=1)


def optimiser(recipe: Recipe) -> optax.GradientTransformation:
    """Return the step of ``torch.optim`` of that name, before it is multiplied by the rate.

    Weight decay is part of the gradient for sgd and adam, and of the step for adamw.
    """
    decay = optax.add_decayed_weights(recipe.weight_decay)
    clip = optax.identity() if recipe.clip is None else clipped(recipe.clip)
    match recipe.optimiser:
        case "sgd":
            velocity = optax.trace(recipe.momentum) if recipe.momentum else optax.identity()
            return optax.chain(clip, decay, velocity)
        case "adam":
            return optax.chain(clip, decay, optax.scale_by_adam())
        case "adamw":
            return optax.chain(clip, optax.scale_by_adam(), decay)


def clipped(largest: float) -> optax.GradientTransformation:
    """Limit the L2 norm of a whole gradient as ``clip_grad_norm_`` of torch does.

    That of optax leaves the 1e-6 out, a difference that float32 can see.
    """

    def clip(gradient: Any, _: Any) -> Any:
        share = jnp.minimum(1.0, largest / (optax.tree.norm(gradient) + 1e-6))
        return jax.tree.map(lambda g: g * share, gradient)

    return optax.stateless(clip)


def augmented(images: jax.Array, draw: Draw) -> jax.Array:
    """Return images ``[n, C, H, W]``, mirrored and shifted over a reflected border as drawn."""
    if draw.flip is not None:
        images = jnp.where(draw.flip[:, None, None, None], images[..., ::-1], images)
    if draw.shift is not None:
        _, channels, height, width = images.shape
        down, right = height // 8, width // 8
        padded = jnp.pad(images, ((0, 0), (0, 0), (down, down), (right, right)), mode="reflect")
        images = jax.vmap(
            lambda image, at: jax.lax.dynamic_slice(
                image, (0, at[0], at[1]), (channels, height, width)
            )
        )(padded, draw.shift)
    return images
