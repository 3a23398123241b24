"""Steps, losses and augmentations, against what PyTorch documents, computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from leakpro_jax.cohort import gather, program, schedule
from leakpro_jax.steps import Data, Draw, augmented, losses, optimiser

from leakpro_core.recipes import Recipe, batches, epochs, rate

STEPS = 4


def by_hand(recipe: Recipe, weights: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return weights after steps of torch.optim, from the formulas of its documentation."""
    p, first, second = weights.astype(np.float64), 0.0, 0.0
    for t, g in enumerate(gradients.astype(np.float64), 1):
        if recipe.clip is not None:
            g = g * min(1.0, recipe.clip / (np.sqrt((g**2).sum()) + 1e-6))
        if recipe.optimiser == "adamw":
            p = p - recipe.lr * recipe.weight_decay * p
        else:
            g = g + recipe.weight_decay * p
        if recipe.optimiser == "sgd":
            first = g if t == 1 else recipe.momentum * first + g
            p = p - recipe.lr * first
        else:
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
            mean, spread = first / (1 - 0.9**t), np.sqrt(second / (1 - 0.999**t))
            p = p - recipe.lr * mean / (spread + 1e-8)
    return p


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimiser="sgd", lr=0.1),
        Recipe(optimiser="sgd", lr=0.1, momentum=0.9, weight_decay=0.1, clip=0.5),
        Recipe(optimiser="adam", lr=0.1, weight_decay=0.1),
        Recipe(optimiser="adamw", lr=0.1, weight_decay=0.1, clip=0.5),
    ],
)
def test_a_step_is_that_of_torch(recipe):
    random = np.random.default_rng(0)
    weights = random.normal(size=(5, 3)).astype(np.float32)
    gradients = random.normal(size=(STEPS, 5, 3)).astype(np.float32)
    tool, p = optimiser(recipe), jnp.asarray(weights)
    moments = tool.init(p)
    for gradient in gradients:
        update, moments = tool.update(jnp.asarray(gradient), moments, p)
        p = p - recipe.lr * update
    assert np.allclose(by_hand(recipe, weights, gradients), p, atol=1e-5)


def trained(user, digits, recipe, n, method="map"):
    """Return the weights of a linear model after training, and those it started from."""
    data = Data(jnp.asarray(digits.records, jnp.float32), jnp.asarray(digits.labels, jnp.int32))
    group = gather(user("pair"), recipe, digits, [np.arange(n)], [5])
    started = jax.tree.map(lambda a: np.array(a[0], np.float64), group.states.arrays)
    run, states = jax.jit(program(method, group.model, recipe, 10)), group.states
    for draws, pace in schedule(group, recipe, data):
        states, _ = run(states, draws, group.keys, pace, data)
    return started, jax.tree.map(lambda a: np.array(a[0]), states.arrays)


@pytest.mark.parametrize(("n", "size"), [(70, 32), (65, 32), (64, 32), (20, 32)])
def test_training_is_gradient_descent_over_exactly_the_batches_of_core(n, size, user, digits):
    recipe = Recipe(optimiser="sgd", lr=0.5, epochs=3, batch_size=size, schedule="cosine", warmup=1)
    p, found = trained(user, digits, recipe, n)
    cuts, step = batches(n, size), 0
    for epoch in epochs(recipe, n, 5):
        for start, stop in cuts:
            rows = epoch.order[start:stop]
            x = digits.records[rows]
            scores = np.exp(x @ p["w"] + p["b"])
            error = scores / scores.sum(1, keepdims=True) - np.eye(10)[digits.labels[rows]]
            lr = recipe.lr * rate("cosine", step, len(cuts), 3 * len(cuts))
            p = {
                "w": p["w"] - lr * x.T @ error / len(rows),
                "b": p["b"] - lr * error.mean(axis=0),
            }
            step += 1
    assert step == 3 * len(cuts)
    assert np.allclose(p["w"], found["w"], atol=1e-5)
    assert np.allclose(p["b"], found["b"], atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_logit_has_the_loss_of_two(smoothing):
    one, labels = jnp.array([[2.0], [-1.0], [0.5]]), jnp.array([1, 1, 0])
    two = jnp.concatenate([jnp.zeros((3, 1)), one], axis=1)
    expected = losses(two, labels, 2, smoothing)
    assert np.allclose(expected, losses(one, labels, 2, smoothing), atol=1e-6)


def test_smoothing_spreads_a_share_of_the_label_over_all_classes():
    outputs = np.random.default_rng(0).normal(size=(6, 4))
    labels = np.array([0, 1, 2, 3, 0, 1])
    log_p = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    share = 0.8 * np.eye(4)[labels] + 0.2 / 4
    found = losses(jnp.asarray(outputs), jnp.asarray(labels), 4, 0.2)
    assert np.allclose(-(share * log_p).sum(axis=1), found, atol=1e-5)


def test_images_are_mirrored_and_shifted_as_drawn():
    images = np.random.default_rng(0).random((4, 2, 16, 8)).astype(np.float32)
    flip = np.array([True, False, True, False])
    shift = np.array([[0, 0], [4, 2], [2, 1], [1, 2]], np.int32)
    found = augmented(jnp.asarray(images), Draw(np.arange(4), flip, shift))
    for image, mirrored, (down, right), one in zip(images, flip, shift, found, strict=True):
        turned = image[..., ::-1] if mirrored else image
        wide = np.pad(turned, ((0, 0), (2, 2), (1, 1)), mode="reflect")
        assert np.array_equal(wide[:, down : down + 16, right : right + 8], one)


def test_the_records_are_no_constants_of_the_program(user, digits):
    data = Data(jnp.asarray(digits.records, jnp.float32), jnp.asarray(digits.labels, jnp.int32))
    group = gather(user("pair"), Recipe(), digits, [np.arange(200)], [5])
    draws, pace = next(schedule(group, Recipe(), data))
    run = program("map", group.model, Recipe(), 10)
    closed = jax.make_jaxpr(run)(group.states, draws, group.keys, pace, data)
    assert sum(np.size(each) for each in closed.consts) < 100
