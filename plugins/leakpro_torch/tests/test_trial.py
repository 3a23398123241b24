"""The trial: what it chooses, what it must not choose, what it says."""

import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_torch.learners import One
from leakpro_torch.memory import per_model, room
from leakpro_torch.options import TrainerOptions
from leakpro_torch.trainer import pupils_of, task_of, train
from leakpro_torch.trial import trial

from leakpro_core.errors import BadValue, MissingKey, NotAFactory, TrainingFailed
from leakpro_core.recipes import Recipe
from leakpro_core.records import Choice

RECIPE = Recipe(epochs=3, batch_size=32)


@pytest.fixture
def tried(digits, unit_of, user, run):
    """Return the trial of a factory and options."""

    def make(factory, models=range(8), data=digits, **options):
        made = TrainerOptions(factory=user(factory), **({"recipe": RECIPE} | options))
        return trial(data, unit_of(made, models=models), run)

    return make


def test_small_models_are_stacked(tried):
    found = tried("mlp")
    assert found.choice == Choice(method="stack", width=found.choice.width)
    assert found.choice.width in (2, 4, 8)
    assert found.notes == ()
    assert 0.0 < found.seconds < 10.0
    assert found.memory > 8 * 9610 * 4


def test_it_leads_to_a_training_as_it_says(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("mlp"), recipe=RECIPE), models=range(8))
    choice = trial(digits, unit, run).choice
    cohort = train(digits, evolve(unit, choice=choice), run)
    assert cohort.query(digits.records).shape == (8, 1797, 10)


def test_one_model_is_no_stack(tried):
    assert Choice(method="loop", width=1) == tried("mlp", models=(3,)).choice


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "loop"}, Choice(method="loop", width=4)),
        ({"method": "loop", "width": 6}, Choice(method="loop", width=6)),
        ({"method": "stack", "width": 3}, Choice(method="stack", width=3)),
        ({"method": "stack", "width": 30}, Choice(method="stack", width=30)),
        (
            {"method": "loop", "threads": 2, "precision": "bfloat16"},
            Choice(method="loop", width=4, threads=2, dtype="bfloat16"),
        ),
        ({"method": "loop", "precision": "tf32"}, Choice(method="loop", width=4, dtype="tf32")),
    ],
    ids=str,
)
def test_what_is_forced_is_obeyed_and_measured(options, expected, tried):
    found = tried("mlp", **options)
    assert expected == found.choice
    assert found.seconds > 0.0
    assert found.memory > 0


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("branching", "stacked, it raises RuntimeError: .*data-dependent control flow"),
        ("noisy", "stacked, it raises RuntimeError: .*random"),
        ("stochastic_depth", "its forward pass draws from a global random generator"),
        ("projected", "projection differs between models, but is no parameter or buffer"),
    ],
)
def test_what_cannot_be_stacked_is_looped_with_a_note(factory, reason, tried):
    found = tried(factory)
    assert found.choice.method == "loop"
    (note,) = found.notes
    assert note.startswith("Models cannot be trained as a stack: ")
    assert note.endswith(".")
    with pytest.raises(BadValue, match=reason):
        tried(factory, method="stack")


def test_a_train_function_is_called_in_a_loop(tried, user):
    found = tried("mlp", recipe=None, train=user("fails"))
    assert found.choice == Choice(method="loop", width=4)
    assert found.seconds is None
    with pytest.raises(ValueError, match="a recipe with method 'stack'"):
        tried("mlp", recipe=None, train=user("fails"), method="stack")


def test_what_is_wrong_with_models_is_said_by_the_trial(tried, digits, unit_of, run):
    with pytest.raises(NotAFactory, match=r"shape \[4, 5\] for 4 records, expected \[4, 10\]"):
        tried("too_narrow")
    with pytest.raises(NotAFactory, match="raised ZeroDivisionError"):
        tried("raises")
    with pytest.raises(TrainingFailed, match="model 4: found RuntimeError"):
        tried("convolutional", models=(4, 5))
    with pytest.raises(MissingKey, match=r"\[shadows\] factory"):
        trial(digits, unit_of(TrainerOptions()), run)


def test_a_device_that_is_not_there(tried):
    with pytest.raises(BadValue, match=r"\[shadows\] device: found 'no such device'"):
        tried("mlp", device="no such device")


def test_divergence_is_left_to_training(tried):
    assert tried("mlp", recipe=Recipe(optimiser="sgd", lr=1e30)).seconds > 0.0


def test_models_with_other_numbers_of_rows(digits, unit_of, user, run):
    unit = unit_of(TrainerOptions(factory=user("normalised"), recipe=RECIPE), models=range(3))
    unit = evolve(unit, rows=tuple(np.arange(n) for n in (70, 65, 40)))
    assert trial(digits, unit, run).seconds > 0.0


def test_memory_of_a_model(digits, unit_of, user):
    task = task_of(digits, RECIPE, Choice())
    pupil = pupils_of(unit_of(TrainerOptions()))[0]
    own, beside = per_model(One(module=user("mlp").load()()), task, pupil, 64)
    parameters = 65 * 128 + 129 * 10
    assert own == 4 * parameters
    # Adam and gradients; the records of a batch and what two layers say of them.
    assert 4 * (3 * parameters + 64 * (64 + 128 + 10)) < beside < 4 * (3 * parameters + 64 * 1000)


def test_a_unit_may_take_a_part_of_the_memory():
    assert 2**20 < room(torch.device("cpu")) < 2**42


def test_global_generators_are_left_as_they_were(tried):
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    tried("with_dropout")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
