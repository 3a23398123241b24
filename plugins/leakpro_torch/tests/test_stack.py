"""A stack trains the models that a loop trains."""

import numpy as np
import pytest
import structlog
import torch
from attrs import evolve
from leakpro_torch.cohort import StackedCohort
from leakpro_torch.options import TrainerOptions
from leakpro_torch.trainer import train
from structlog.testing import capture_logs

from leakpro_core.errors import BadValue, NotAFactory, TrainingFailed
from leakpro_core.protocols import Cohort, Weights
from leakpro_core.recipes import Recipe
from leakpro_core.records import Choice
from leakpro_core.testing.conformance import PlainRun

LOOP, STACK = Choice(method="loop"), Choice(method="stack")
ONE_STEP = Recipe(epochs=1, batch_size=64, lr=1e-2)
"""Of 64 records, that is."""


@pytest.fixture
def images(digits):
    return evolve(digits, records=digits.records.reshape(-1, 1, 8, 8), modality="image")


@pytest.fixture
def trained(unit_of, user, run):
    """Return a cohort of models by factory, recipe and choice."""

    def make(data, factory, recipe, choice, models=(0, 1, 2), **more):
        options = TrainerOptions(factory=user(factory), recipe=recipe)
        return train(data, unit_of(options, models, choice=choice, **more), run)

    return make


def differences(first, second):
    """Return the largest difference of each parameter and buffer of two cohorts."""
    one, two = first.parameters(), second.parameters()
    assert list(one) == list(two)
    return {name: float(np.abs(one[name] - two[name]).max()) for name in one}


STEPS = {
    "plain": ("mlp", ONE_STEP),
    "dropout": ("with_dropout", ONE_STEP),
    "all dropouts": ("with_all_dropouts", ONE_STEP),
    "batch norm": ("normalised_without_bias", ONE_STEP),
    "shared weights": ("tied", ONE_STEP),
    "shared layers": ("with_a_shared_layer", ONE_STEP),
    "a shared linear layer": ("with_a_shared_linear", ONE_STEP),
    "no dimensions": ("scaled", evolve(ONE_STEP, optimiser="sgd", lr=1.0, clip=0.05)),
    "clip": ("mlp", evolve(ONE_STEP, optimiser="sgd", lr=1.0, clip=0.05)),
    "smoothing": ("mlp", evolve(ONE_STEP, label_smoothing=0.2)),
    "momentum": ("normalised", evolve(ONE_STEP, optimiser="sgd", lr=0.1, momentum=0.9)),
    "adamw": ("with_dropout", evolve(ONE_STEP, optimiser="adamw", weight_decay=0.1)),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_of_a_stack_is_a_step_of_a_loop(name, digits, trained):
    factory, recipe = STEPS[name]
    rows = np.arange(64)
    loop, stack = (trained(digits, factory, recipe, c, rows=rows) for c in (LOOP, STACK))
    assert isinstance(stack, StackedCohort)
    assert max(differences(loop, stack).values()) < 1e-5
    said, alike = (cohort.query(digits.records[:300]) for cohort in (loop, stack))
    assert said.dtype == alike.dtype == np.float32
    assert np.abs(said - alike).max() < 1e-5


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_a_step_on_complex_numbers(optimiser, digits, trained):
    recipe = evolve(ONE_STEP, optimiser=optimiser, clip=0.05)
    loop, stack = (trained(digits, "complex_numbers", recipe, c) for c in (LOOP, STACK))
    assert np.abs(loop.query(digits.records) - stack.query(digits.records)).max() < 1e-5


def test_a_step_on_images(images, trained):
    recipe = evolve(ONE_STEP, optimiser="sgd", lr=0.1, augment=("flip", "crop"))
    rows = np.arange(64)
    loop, stack = (trained(images, "residual", recipe, c, rows=rows) for c in (LOOP, STACK))
    found = differences(loop, stack)
    assert max(found.values()) < 1e-5
    assert found["norm.num_batches_tracked"] == 0.0
    untrained = trained(images, "residual", evolve(recipe, lr=1e-30), STACK, rows=rows)
    changed = differences(stack, untrained)
    assert changed["second.weight"] > 1e-3
    assert changed["first.bias"] == 0.0


def test_a_step_with_one_logit(digits, trained):
    odd = evolve(digits, labels=digits.labels % 2, classes=2)
    recipe = evolve(ONE_STEP, label_smoothing=0.1)
    loop, stack = (trained(odd, "binary", recipe, c, rows=np.arange(64)) for c in (LOOP, STACK))
    assert max(differences(loop, stack).values()) < 1e-5
    assert stack.query(odd.records).shape == (3, 1797, 1)


@pytest.mark.parametrize("factory", ["normalised", "normalised_without_bias"])
def test_mixed_precision(factory, digits, trained):
    rows = np.arange(64)
    choices = [Choice(method=m, dtype="bfloat16") for m in ("loop", "stack")]
    recipe = evolve(ONE_STEP, optimiser="sgd", lr=0.1)
    loop, stack = (trained(digits, factory, recipe, c, rows=rows) for c in choices)
    exact = trained(digits, factory, recipe, LOOP, rows=rows)
    assert max(differences(loop, stack).values()) < 5e-3
    assert 1e-6 < max(differences(loop, exact).values()) < 1e-2


@pytest.mark.parametrize("factory", ["with_dropout", "normalised"])
def test_an_epoch_with_numbers_of_rows_that_differ(factory, digits, unit_of, user, run):
    """Last batches of 6, 1 (joined to the one before it), 6 and none."""
    counts = (70, 65, 70, 128, 64)
    recipe = evolve(ONE_STEP, optimiser="sgd", lr=0.1, schedule="cosine", clip=0.5)
    options = TrainerOptions(factory=user(factory), recipe=recipe)
    rows = tuple(np.random.default_rng(n).permutation(1797)[:n] for n in counts)
    unit = evolve(unit_of(options, models=range(5)), rows=rows)
    loop, stack = (train(digits, evolve(unit, choice=c), run) for c in (LOOP, STACK))
    assert max(differences(loop, stack).values()) < 1e-5
    assert np.abs(loop.query(digits.records) - stack.query(digits.records)).max() < 1e-5
    assert len(stack.stacks) == 2


def test_a_model_does_not_depend_on_its_company(digits, trained):
    recipe = Recipe(epochs=2, batch_size=64)

    def said(choice, *models):
        return trained(digits, "with_dropout", recipe, choice, models).query(digits.records)

    assert np.array_equal(said(LOOP, 0, 1, 2)[1], said(LOOP, 1)[0])
    assert np.abs(said(STACK, 0, 1, 2)[1] - said(STACK, 1)[0]).max() < 1e-4
    assert np.abs(said(STACK, 0, 1, 2)[1] - said(STACK, 1, 2, 5, 6, 7)[0]).max() < 1e-4


def test_a_cohort_can_be_asked_and_its_weights_read(digits, trained):
    for choice in (LOOP, STACK):
        cohort = trained(digits, "mlp", ONE_STEP, choice)
        assert isinstance(cohort, Cohort)
        assert isinstance(cohort, Weights)
        weights = cohort.parameters()
        assert list(weights) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert weights["0.weight"].shape == (3, 128, 64)
        assert cohort.query(digits.records[:0]).shape == (3, 0, 10)


def test_weights_of_models_that_differ(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("mlp"), train=user("one_or_another"))
    cohort = train(digits, unit_of(options, models=(0, 1)), run)
    with pytest.raises(NotAFactory, match="expected models of one architecture"):
        cohort.parameters()


def test_divergence_in_a_stack_names_the_model_and_the_epoch(digits, unit_of, user, run):
    recipe = Recipe(epochs=3, batch_size=64)
    records = np.array(digits.records, np.float32)
    records[700] = np.nan
    options = TrainerOptions(factory=user("mlp"), recipe=recipe)
    unit = unit_of(options, models=(4, 8, 12), choice=STACK)
    rows = (unit.rows[0], unit.rows[0], np.r_[unit.rows[0][1:], 700])
    with pytest.raises(TrainingFailed, match=r"^model 12, epoch 1 of 3: found a loss of nan.*lr"):
        train(evolve(digits, records=records), evolve(unit, rows=rows), run)


@pytest.mark.parametrize("choice", [LOOP, STACK], ids=lambda choice: choice.method)
@pytest.mark.parametrize(
    ("factory", "found"),
    [
        ("too_narrow", r"shape \[64, 5\]"),
        ("flat", r"shape \[64\]"),
        ("two_outputs", "a value of type tuple"),
    ],
)
def test_outputs_of_another_shape(choice, factory, found, digits, trained):
    with pytest.raises(NotAFactory, match=rf"{found} for 64 records, expected \[64, 10\]"):
        trained(digits, factory, ONE_STEP, choice)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("branching", r"it raises RuntimeError.*data-dependent control flow"),
        ("noisy", "it raises RuntimeError.*random"),
        ("stochastic_depth", "draws from a global random generator"),
        ("projected", "projection differs between models, but is no parameter or buffer"),
    ],
)
def test_what_cannot_be_stacked(factory, reason, digits, trained):
    expected = rf"\[shadows\] method: found 'stack' for models 0 to 2 .*{reason}.*'auto' or 'loop'"
    with pytest.raises(BadValue, match=expected) as caught:
        trained(digits, factory, ONE_STEP, STACK)
    assert "\n" not in str(caught.value)


def test_a_method_that_is_not_known(digits, trained):
    with pytest.raises(BadValue, match="found 'scan', expected 'loop' or 'stack'"):
        trained(digits, "mlp", ONE_STEP, Choice(method="scan"))


def test_a_stack_too_large_for_memory_is_trained_as_halves(digits, unit_of, user, tmp_path):
    unit = unit_of(
        TrainerOptions(factory=user("full"), recipe=ONE_STEP), models=range(5), choice=STACK
    )
    with capture_logs() as logged:
        run = PlainRun(seed=3, scratch=tmp_path, log=structlog.get_logger())
        cohort = train(digits, unit, run)
    (warning,) = [line for line in logged if line["log_level"] == "warning"]
    assert warning["event"] == "out of memory, trained as two stacks"
    assert cohort.places == ((0, 1), (2, 3, 4))
    whole = train(digits, unit, run)
    assert whole.places == ((0, 1, 2, 3, 4),)
    assert max(differences(whole, cohort).values()) < 1e-5


def test_records_are_not_copied(digits, unit_of, user, run, monkeypatch):
    """A mapped file stays one: only rows of a batch are taken from it."""
    from leakpro_torch.trainer import task_of

    data = evolve(digits, records=np.array(digits.records, np.float32))
    task = task_of(data, ONE_STEP, LOOP)
    assert task.records.data_ptr() == data.records.ctypes.data


def test_global_generators_are_left_as_they_were(digits, trained):
    before = torch.get_rng_state()
    trained(digits, "with_dropout", ONE_STEP, STACK)
    assert torch.equal(before, torch.get_rng_state())


def auc(scores, members):
    """Return the probability that a member's score lies above a non-member's."""
    inside, outside = scores[members], np.sort(scores[~members])
    below = np.searchsorted(outside, inside, "left") + np.searchsorted(outside, inside, "right")
    return below.mean() / 2 / len(outside)


def test_attacks_see_no_difference_after_training(digits, unit_of, user, run):
    """Over 16 targets: loop and stack differ by less than two seeds do."""
    random = np.random.default_rng(0)
    labels = np.where(random.random(1797) < 0.2, random.integers(0, 10, 1797), digits.labels)
    data, models = evolve(digits, labels=labels), range(16)
    rows = tuple(random.permutation(1797)[:300] for _ in models)
    options = TrainerOptions(factory=user("mlp"), recipe=Recipe(epochs=20, batch_size=64, lr=1e-2))
    unit = evolve(unit_of(options, models=models), rows=rows)

    def aucs(choice, seeds):
        cohort = train(data, evolve(unit, choice=choice, seeds=seeds), run)
        logits = cohort.query(data.records).astype(float)
        log_p = logits[:, np.arange(1797), labels] - np.log(np.exp(logits).sum(2))
        return np.array(
            [auc(each, np.isin(np.arange(1797), r)) for each, r in zip(log_p, rows, strict=True)]
        )

    loop, stack = (aucs(choice, tuple(models)) for choice in (LOOP, STACK))
    other = aucs(STACK, tuple(m + 100 for m in models))
    assert loop.mean() > 0.6
    spread = (loop - other).std(ddof=1)
    assert np.abs(loop - stack).max() < 3 * spread
    assert abs((loop - stack).mean()) < 2 * spread / 4
