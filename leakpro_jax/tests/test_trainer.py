"""Cohorts: what they learn, that a model depends on its rows and seed alone, and bad input."""

import numpy as np
import pytest
from attrs import evolve
from leakpro_jax.options import TrainerOptions
from leakpro_jax.trainer import train
from leakpro_jax.trial import memory_of, trial

from leakpro_core.builtin.local import LocalOptions, execute
from leakpro_core.errors import BadArray, BadValue, MissingKey, NotAFactory, TrainingFailed
from leakpro_core.protocols import Cohort, Weights
from leakpro_core.recipes import Recipe
from leakpro_core.records import Choice
from leakpro_core.work import Work

QUICK = Recipe(epochs=2, lr=3e-3)


def logits(data, unit, run):
    return train(data, unit, run).query(data.records)


def trained_logits(data, unit, run):
    """Train in a worker process."""
    return train(data, unit, run).query(data.records[:50])


def test_a_cohort_returns_float32_logits_and_weights_of_every_model(digits, unit_of, user, run):
    cohort = train(
        digits, unit_of(TrainerOptions(factory=user("mlp"), recipe=QUICK), models=(4, 9)), run
    )
    found = cohort.query(digits.records)
    assert isinstance(cohort, Cohort)
    assert isinstance(cohort, Weights)
    assert found.shape == (2, 1797, 10)
    assert found.dtype == np.float32
    assert {name: values.shape for name, values in cohort.parameters().items()} == {
        "layers.0.weight": (2, 128, 64),
        "layers.0.bias": (2, 128),
        "layers.1.weight": (2, 10, 128),
        "layers.1.bias": (2, 10),
    }


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
    found = logits(digits, unit_of(TrainerOptions(factory=user("pair"), recipe=recipe)), run)[0]
    assert (found.argmax(1) == digits.labels)[:200].mean() > 0.9


def test_a_recipe_memorises_noisy_labels(digits, unit_of, user, run):
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


@pytest.mark.parametrize(("factory", "method"), [("pair", "map"), ("with_dropout", "vmap")])
def test_a_model_depends_on_its_seed_and_rows_only(factory, method, digits, unit_of, user, run):
    options = TrainerOptions(factory=user(factory), recipe=QUICK)
    choice = Choice(method=method)
    together = logits(
        digits, unit_of(options, models=(0, 1, 2), seeds=(5, 2**32 - 1, 5), choice=choice), run
    )
    alone = logits(digits, unit_of(options, models=(7,), seeds=(5,), choice=choice), run)
    assert np.array_equal(together[0], together[2])
    assert np.allclose(together[0], alone[0], atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-2)


def test_map_vmap_and_width_train_the_same_models(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("pair"), recipe=QUICK)
    expected, *others = (
        logits(digits, unit_of(options, models=(0, 1, 2), choice=choice), run)
        for choice in (Choice(), Choice(method="vmap", width=3), Choice(method="map", width=2))
    )
    for found in others:
        assert np.allclose(expected, found, atol=1e-4)


def test_models_with_other_numbers_of_rows_keep_their_places(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("pair"), recipe=QUICK)
    unit = unit_of(options, models=(0, 1, 2))
    mixed = evolve(unit, rows=(np.arange(200), np.arange(130), np.arange(200)))
    found = logits(digits, mixed, run)
    expected = logits(digits, unit, run)
    assert np.allclose(found[[0, 2]], expected[[0, 2]], atol=1e-5)
    assert not np.allclose(found[1], expected[1], atol=1e-2)


def test_dropout_is_off_after_training(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("with_dropout"), recipe=QUICK))
    cohort = train(digits, unit, run)
    first, second = cohort.query(digits.records), cohort.query(digits.records)
    assert np.array_equal(first, second)
    p = cohort.parameters()
    hidden = np.maximum(digits.records @ p["layers.0.weight"][0].T + p["layers.0.bias"][0], 0)
    by_hand = hidden @ p["layers.3.weight"][0].T + p["layers.3.bias"][0]
    assert np.allclose(first[0], by_hand, atol=1e-4)


def test_a_worker_process_trains_the_same_model(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("pair"), recipe=QUICK), models=(0, 1))
    work = Work(ref=f"{__name__}:trained_logits", arguments=(digits, unit, run))
    ((_, found),) = execute([work], LocalOptions(workers=1), run)
    assert np.array_equal(found, trained_logits(digits, unit, run))


def test_one_logit_is_enough_for_two_classes(digits, unit_of, user, run):
    odd = evolve(digits, labels=digits.labels % 2, classes=2)
    options = TrainerOptions(factory=user("binary"), recipe=Recipe(epochs=30, lr=3e-2))
    found = logits(odd, unit_of(options), run)
    assert found.shape == (1, 1797, 1)
    assert ((found[0, :, 0] > 0) == odd.labels)[:200].mean() > 0.9


def test_bytes_are_trained_on_as_floats(digits, unit_of, user, run):
    whole = np.round(digits.records * 16)
    unit = unit_of(TrainerOptions(factory=user("pair"), recipe=QUICK))
    as_bytes = logits(evolve(digits, records=whole.astype(np.uint8)), unit, run)
    expected = logits(evolve(digits, records=whole), unit, run)
    assert np.allclose(expected, as_bytes, atol=1e-4)


def test_images_are_augmented(digits, unit_of, user, run):
    images = evolve(digits, records=digits.records.reshape(-1, 1, 8, 8), modality="image")
    plain = TrainerOptions(factory=user("convolutional"), recipe=QUICK)
    moved = evolve(plain, recipe=evolve(QUICK, augment=("flip", "crop")))
    found, without = (logits(images, unit_of(o), run) for o in (moved, plain))
    assert np.isfinite(found).all()
    assert not np.allclose(found, without, atol=1e-3)


def test_a_trial_chooses_and_its_choice_trains(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("pair"), recipe=QUICK), models=range(3))
    found = trial(digits, unit, run)
    assert found.choice.method in ("map", "vmap")
    assert (found.choice.width, found.choice.device, found.choice.dtype) == (3, "cpu", "float32")
    assert 0 < found.seconds < 10
    assert found.overhead > 0
    assert found.memory > 3 * 65 * 10 * 4
    assert logits(digits, evolve(unit, choice=found.choice), run).shape == (3, 1797, 10)


@pytest.mark.parametrize("method", ["map", "vmap"])
def test_what_the_options_force_is_chosen(method, digits, unit_of, user, run):
    options = TrainerOptions(factory=user("pair"), recipe=QUICK, method=method, width=2, threads=1)
    found = trial(digits, unit_of(options, models=range(3)), run)
    assert found.choice == Choice(method=method, width=2, threads=1)


@pytest.mark.parametrize("method", ["map", "vmap"])
def test_a_cohort_is_as_wide_as_memory_allows(method, digits, unit_of, user, run, monkeypatch):
    monkeypatch.setattr("leakpro_jax.trial.memory_of", lambda device: 100_000)
    options = TrainerOptions(factory=user("pair"), recipe=QUICK, method=method)
    found = trial(digits, unit_of(options, models=range(32)), run)
    assert 1 <= found.choice.width < 32
    assert found.memory <= 100_000
    assert found.notes == (
        f"{method}: {found.choice.width} models at once instead of 32, for lack of memory.",
    )


def test_a_machine_has_memory():
    import jax

    assert memory_of(jax.devices("cpu")[0]) > 2**26


def test_a_recipe_that_diverges_names_model_and_epoch(digits, unit_of, user, run):
    options = TrainerOptions(
        factory=user("mlp"), recipe=Recipe(optimiser="sgd", lr=1e20, epochs=40)
    )
    expected = (
        r"^model 5, epoch [12] of 40: found a loss of (nan|inf), expected a finite loss\. Low"
    )
    with pytest.raises(TrainingFailed, match=expected):
        train(digits, unit_of(options, (5, 8)), run)


def test_the_models_of_a_factory_have_one_shape(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("of_another_shape"), recipe=QUICK)
    with pytest.raises(NotAFactory, match="other shapes for another key"):
        train(digits, unit_of(options, (0, 1)), run)


@pytest.mark.parametrize(
    ("factory", "recipe", "dtype"),
    [
        ("complex_pair", Recipe(optimiser="sgd", lr=0.1, epochs=10), "complex64"),
        ("bfloat16_pair", Recipe(optimiser="adamw", lr=1e-2, epochs=10, clip=1.0), "bfloat16"),
    ],
)
def test_arrays_of_other_dtypes_learn_and_keep_them(
    factory, recipe, dtype, digits, unit_of, user, run
):
    cohort = train(digits, unit_of(TrainerOptions(factory=user(factory), recipe=recipe)), run)
    right = cohort.query(digits.records)[0].argmax(1) == digits.labels
    assert right[:200].mean() > 0.8
    assert cohort.parameters()["w"].dtype == dtype


@pytest.mark.parametrize("factory", ["closure", "rate_of_dropout"])
@pytest.mark.parametrize("function", [train, trial])
def test_models_that_differ_by_more_than_their_arrays_are_not_mixed_up(
    function, factory, digits, unit_of, user, run
):
    unit = unit_of(TrainerOptions(factory=user(factory), recipe=QUICK), models=(0, 1))
    message = "depends on the key by more than its arrays, expected all that is drawn"
    with pytest.raises(NotAFactory, match=message):
        function(digits, unit, run)


def test_neither_are_models_of_other_numbers_of_rows(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("closure"), recipe=QUICK), models=(0, 1))
    with pytest.raises(NotAFactory, match="depends on the key by more than its arrays"):
        train(digits, evolve(unit, rows=(np.arange(200), np.arange(130))), run)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keyless_dropout", r"^model 5: found RuntimeError: .*my_models.py, line \d+\)"),
        ("no_gradient", r"^model 5: found ValueError: Reverse-mode differentiation"),
    ],
)
@pytest.mark.parametrize("function", [train, trial])
def test_what_raises_in_training_only_is_said_in_one_line(
    function, name, message, digits, unit_of, user, run
):
    unit = unit_of(TrainerOptions(factory=user(name), recipe=QUICK), models=(5,))
    with pytest.raises(TrainingFailed, match=message):
        function(digits, unit, run)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("raises", NotAFactory, r"raised ZeroDivisionError: division by zero \(.*my_models.py"),
        ("a_number", NotAFactory, "returned a value of type int"),
        ("normalised", NotAFactory, "with state"),
        ("noisy", NotAFactory, "other outputs each time"),
        ("too_narrow", NotAFactory, r"shape \[2, 5\].*expected \[2, 10\], a logit for each class"),
        ("flat", BadArray, r"found shape \[2\], expected an array of shape \[2, classes\]"),
        ("convolutional", BadArray, r"cannot take records of shape \(2, 64\)"),
    ],
)
@pytest.mark.parametrize("function", [train, trial])
def test_bad_factories_are_said_in_one_line(
    function, name, error, message, digits, unit_of, user, run
):
    with pytest.raises(error, match=message) as caught:
        function(digits, unit_of(TrainerOptions(factory=user(name), recipe=QUICK)), run)
    assert "\n" not in str(caught.value)


def test_augmenting_what_is_no_image(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), recipe=evolve(QUICK, augment=("flip",)))
    with pytest.raises(BadValue, match=r"recipe\.augment: found tabular records"):
        train(digits, unit_of(options), run)


def test_a_choice_of_another_trainer(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("pair")), choice=Choice(method="stack"))
    with pytest.raises(BadValue, match="found 'stack'"):
        train(digits, unit, run)


def test_a_device_that_is_not_there(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("pair"), device="no such device")
    with pytest.raises(BadValue, match=r"\[shadows\] device: found 'no such device'"):
        trial(digits, unit_of(options), run)


def test_the_targets_architecture_is_the_factory_unless_one_is_named(digits, unit_of, user, run):
    options = TrainerOptions(recipe=QUICK)
    named = TrainerOptions(recipe=QUICK, factory=user("pair"))
    assert np.array_equal(
        logits(digits, unit_of(options, architecture=user("pair")), run),
        logits(digits, unit_of(named, architecture=user("too_narrow")), run),
    )


def test_no_factory_at_all(digits, unit_of, run):
    with pytest.raises(MissingKey, match=r"\[shadows\] factory"):
        train(digits, unit_of(TrainerOptions()), run)
