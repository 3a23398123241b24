"""Cohorts: what they learn, and that each model depends on its rows and seed alone."""

import random

import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_torch.modules import seeded
from leakpro_torch.options import TrainerOptions
from leakpro_torch.trainer import train

from leakpro_core.builtin.local import LocalOptions, execute
from leakpro_core.errors import (
    BadArray,
    BadValue,
    MissingKey,
    NotAFactory,
    ReferenceNotFound,
    TrainingFailed,
)
from leakpro_core.protocols import Cohort
from leakpro_core.recipes import Recipe
from leakpro_core.work import Work

QUICK = Recipe(epochs=2, lr=3e-3)


def logits(data, unit, run):
    return train(data, unit, run).query(data.records)


def trained_logits(data, unit, run):
    """Train in a worker process."""
    return train(data, unit, run).query(data.records[:50])


def next_draws():
    """Return what the three global generators would draw next."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    draws = random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    return draws


def test_a_cohort_returns_float32_logits_of_every_model(digits, unit_of, user, run):
    cohort = train(
        digits, unit_of(TrainerOptions(factory=user("mlp"), recipe=QUICK), models=(4, 9)), run
    )
    found = cohort.query(digits.records)
    assert isinstance(cohort, Cohort)
    assert found.shape == (2, 1797, 10)
    assert found.dtype == np.float32


def test_a_recipe_learns_and_memorises_noisy_labels(digits, unit_of, user, run):
    noise = np.random.default_rng(0)
    wrong = noise.random(len(digits.labels)) < 0.2
    labels = np.where(wrong, noise.integers(0, 10, len(wrong)), digits.labels)
    rows = noise.permutation(len(labels))[:300]
    options = TrainerOptions(factory=user("mlp"), recipe=Recipe(epochs=80, lr=1e-2))
    found = logits(evolve(digits, labels=labels), unit_of(options, rows=rows), run)[0]
    right = found.argmax(1) == labels
    others = np.setdiff1d(np.arange(len(labels)), rows)
    assert right[rows].mean() > 0.95
    assert 0.6 < right[others].mean() < 0.85


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimiser="sgd", lr=0.1, momentum=0.9, epochs=15, schedule="cosine", warmup=2),
        Recipe(optimiser="adam", lr=1e-2, epochs=15, schedule="step", label_smoothing=0.1),
        Recipe(optimiser="adamw", lr=1e-2, epochs=15, weight_decay=0.01, clip=1.0),
    ],
    ids=lambda recipe: recipe.optimiser,
)
def test_every_optimiser_learns(recipe, digits, unit_of, user, run):
    found = logits(digits, unit_of(TrainerOptions(factory=user("mlp"), recipe=recipe)), run)[0]
    assert (found.argmax(1) == digits.labels)[:200].mean() > 0.95


@pytest.mark.parametrize("factory", ["mlp", "with_dropout", "normalised"])
def test_a_model_depends_on_its_seed_and_rows_only(factory, digits, unit_of, user, run):
    options = TrainerOptions(factory=user(factory), recipe=QUICK)
    together = logits(digits, unit_of(options, models=(0, 1, 2), seeds=(5, 6, 5)), run)
    alone = logits(digits, unit_of(options, models=(7,), seeds=(5,)), run)
    assert np.array_equal(together[0], together[2])
    assert np.array_equal(together[0], alone[0])
    assert not np.allclose(together[0], together[1])


def test_a_worker_process_trains_the_same_model(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("with_dropout"), recipe=QUICK), models=(0, 1))
    work = Work(ref=f"{__name__}:trained_logits", arguments=(digits, unit, run))
    ((_, found),) = execute([work], LocalOptions(workers=1), run)
    assert np.array_equal(found, trained_logits(digits, unit, run))


def test_global_generators_and_threads_are_left_as_they_were(digits, unit_of, user, run):
    before, count = next_draws(), torch.get_num_threads()
    train(
        digits,
        unit_of(TrainerOptions(factory=user("with_dropout"), recipe=Recipe(epochs=1), threads=2)),
        run,
    )
    assert before == next_draws()
    assert count == torch.get_num_threads()


def test_a_users_train_function_trains_in_place(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), train=user("in_place"))
    untrained = TrainerOptions(factory=user("mlp"), train=user("draws_from_every_generator"))
    assert not np.allclose(
        logits(digits, unit_of(options), run), logits(digits, unit_of(untrained), run)
    )


def test_a_users_train_function_may_return_another_module(digits, unit_of, user, run):
    cohort = train(
        digits, unit_of(TrainerOptions(factory=user("mlp"), train=user("another_module"))), run
    )
    assert isinstance(cohort.modules[0], torch.nn.Linear)


def test_a_users_own_draws_come_from_the_models_seed(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), train=user("draws_from_every_generator"))
    unit = unit_of(options, models=(0, 1), seeds=(3, 3))
    first, second = logits(digits, unit, run)
    assert np.array_equal(first, second)


def test_one_logit_is_enough_for_two_classes(digits, unit_of, user, run):
    odd = evolve(digits, labels=digits.labels % 2, classes=2)
    options = TrainerOptions(factory=user("binary"), recipe=Recipe(epochs=30, lr=1e-2))
    found = logits(odd, unit_of(options), run)
    assert found.shape == (1, 1797, 1)
    assert ((found[0, :, 0] > 0) == odd.labels)[:200].mean() > 0.95


def test_bytes_are_trained_on_as_floats(digits, unit_of, user, run):
    whole = np.round(digits.records * 16)
    unit = unit_of(TrainerOptions(factory=user("mlp"), recipe=QUICK))
    as_bytes = logits(evolve(digits, records=whole.astype(np.uint8)), unit, run)
    assert np.array_equal(as_bytes, logits(evolve(digits, records=whole), unit, run))


def test_a_last_batch_of_one_record_does_not_trouble_batch_norm(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("normalised"), recipe=QUICK)
    found = logits(digits, unit_of(options, rows=np.arange(129)), run)
    assert np.isfinite(found).all()


def test_images_are_augmented(digits, unit_of, user, run):
    images = evolve(digits, records=digits.records.reshape(-1, 1, 8, 8), modality="image")
    plain = TrainerOptions(factory=user("convolutional"), recipe=QUICK)
    moved = evolve(plain, recipe=evolve(QUICK, augment=("flip", "crop")))
    first, again, without = (logits(images, unit_of(o), run) for o in (moved, moved, plain))
    assert np.array_equal(first, again)
    assert not np.allclose(first, without)


def test_augmentation_needs_images(digits, unit_of, user, run):
    recipe = Recipe(augment=("flip",))
    with pytest.raises(BadValue, match=r"tabular records of shape \[1797, 64\].*\[n, C, H, W\]"):
        train(digits, unit_of(TrainerOptions(factory=user("mlp"), recipe=recipe)), run)


@pytest.mark.parametrize("dtype", ["<U4", "complex64"])
def test_records_that_are_no_numbers(dtype, digits, unit_of, user, run):
    data = evolve(digits, records=digits.records.astype(dtype))
    with pytest.raises(BadArray, match=r"records: found dtype .*, expected numbers"):
        train(data, unit_of(TrainerOptions(factory=user("mlp"))), run)


def test_a_gpu_that_nothing_uses_is_left_alone(monkeypatch):
    """Its generator could not even be read here."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert not torch.cuda.is_initialized()
    with seeded(3):
        first = torch.rand(1)
    with seeded(3):
        assert first == torch.rand(1)


def test_divergence_names_the_model_and_the_epoch(digits, unit_of, user, run):
    recipe = Recipe(optimiser="sgd", lr=1e30, epochs=3)
    with pytest.raises(TrainingFailed, match=r"model 12, epoch 1 of 3: found a loss of nan.*lr"):
        train(digits, unit_of(TrainerOptions(factory=user("mlp"), recipe=recipe), (12,)), run)


def test_too_few_outputs_for_the_labels(digits, unit_of, user, run):
    with pytest.raises(NotAFactory, match=r"shape \[64, 5\].*\[64, 10\]"):
        train(digits, unit_of(TrainerOptions(factory=user("too_narrow"))), run)


def test_records_that_the_module_cannot_take_fail_in_one_line(digits, unit_of, user, run):
    with pytest.raises(TrainingFailed, match="model 2: found RuntimeError") as caught:
        train(digits, unit_of(TrainerOptions(factory=user("convolutional")), (2,)), run)
    assert "\n" not in str(caught.value)


def test_a_failure_inside_torch_names_the_users_line(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), train=user("fails_inside_torch"))
    with pytest.raises(TrainingFailed, match=r"\(.*my_models.py, line \d+\)$"):
        train(digits, unit_of(options, (5,)), run)


def test_a_train_function_that_ends_the_program(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), train=user("ends"))
    with pytest.raises(NotAFactory, match=r"my_models:ends.*SystemExit: 5"):
        train(digits, unit_of(options, (5,)), run)


def test_a_train_function_that_fails_names_model_and_line(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), train=user("fails"))
    expected = r"model 5: found RuntimeError: no luck \(.*my_models.py, line \d+\)$"
    with pytest.raises(TrainingFailed, match=expected):
        train(digits, unit_of(options, (5,)), run)


def test_a_train_function_that_returns_something_else(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), train=user("returns_a_number"))
    with pytest.raises(NotAFactory, match=r"my_models:returns_a_number.*type int"):
        train(digits, unit_of(options), run)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("raises", NotAFactory, r"raised ZeroDivisionError: division by zero \(.*my_models.py"),
        ("a_number", NotAFactory, "returned a value of type int.*torch.nn.Module"),
        ("not_callable", ReferenceNotFound, "found int, expected a callable"),
        ("mpl", ReferenceNotFound, "Did you mean 'mlp'"),
    ],
)
def test_what_is_not_a_factory_is_said_in_one_line(
    name, error, message, digits, unit_of, user, run
):
    with pytest.raises(error, match=message) as caught:
        train(digits, unit_of(TrainerOptions(factory=user(name))), run)
    assert "\n" not in str(caught.value)


def test_the_targets_architecture_is_the_factory_unless_one_is_named(digits, unit_of, user, run):
    options = TrainerOptions(recipe=QUICK)
    named = TrainerOptions(recipe=QUICK, factory=user("mlp"))
    assert np.array_equal(
        logits(digits, unit_of(options, architecture=user("mlp")), run),
        logits(digits, unit_of(named, architecture=user("too_narrow")), run),
    )


def test_no_factory_at_all(digits, unit_of, run):
    with pytest.raises(MissingKey, match=r"\[shadows\] factory"):
        train(digits, unit_of(TrainerOptions()), run)


def test_recipe_and_train_exclude_each_other(user):
    with pytest.raises(ValueError, match="either a recipe or a train function, not both"):
        TrainerOptions(recipe=Recipe(), train=user("in_place"))


def test_momentum_belongs_to_sgd():
    with pytest.raises(ValueError, match="no momentum with adam, it is an option of sgd"):
        Recipe(optimiser="adam", momentum=0.9)


def test_warmup_is_shorter_than_training():
    with pytest.raises(ValueError, match="a warmup shorter than the 5 epochs, not 5"):
        Recipe(epochs=5, warmup=5)
