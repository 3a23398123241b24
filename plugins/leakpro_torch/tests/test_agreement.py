"""What a stack would get wrong without a word is found before it trains."""

import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_torch.agreement import check_stack
from leakpro_torch.fitting import Task
from leakpro_torch.layout import laid_out
from leakpro_torch.options import TrainerOptions
from leakpro_torch.trainer import pupils_of, task_of, train
from leakpro_torch.trial import trial

from leakpro_core.errors import BadValue, NotAFactory
from leakpro_core.recipes import Recipe
from leakpro_core.records import Choice
from leakpro_core.references import ImportPath

RECIPE = Recipe(epochs=3, batch_size=32)

ODD_MODELS = """
import numpy as np
import torch
from torch import nn


def layers(activation):
    return nn.Sequential(nn.Linear(64, 16), activation, nn.Linear(16, 10))


def hook_on_a_parameter():
    module = layers(nn.ReLU())
    module[0].weight.register_hook(lambda gradient: 0 * gradient)
    return module


def hook_after_a_gradient():
    def forget(parameter):
        parameter.grad.zero_()

    module = layers(nn.Tanh())
    module[0].weight.register_post_accumulate_grad_hook(forget)
    return module


def hook_on_a_module():
    module = layers(nn.Tanh())
    module[1].register_full_backward_hook(lambda module, below, above: (0.1 * below[0],))
    return module


def merged():
    return Merged()


class Merged(nn.Linear):
    # a low-rank update, added to the weights in evaluation mode

    def __init__(self):
        super().__init__(64, 10)
        self.weight.requires_grad_(False)
        self.down, self.up = nn.Parameter(torch.randn(2, 64)), nn.Parameter(torch.zeros(10, 2))

    def train(self, mode=True):
        if mode != self.training:
            self.weight.data += (-1 if mode else 1) * self.up @ self.down
        return super().train(mode)

    def forward(self, x):
        return super().forward(x) + (x @ self.down.T @ self.up.T if self.training else 0)


def counted():
    return Counted(64, 10)


class Counted(nn.Linear):
    steps = 0

    def forward(self, x):
        self.steps += self.training
        return (1 + self.steps / 100) * super().forward(x)


def own_generator():
    module = OwnGenerator(64, 10)
    module.random = np.random.default_rng(0)
    return module


class OwnGenerator(nn.Linear):
    def forward(self, x):
        if self.training:
            x = x + torch.from_numpy(self.random.normal(size=x.shape)).float()
        return super().forward(x)


def buffer_anew():
    return Centred()


class Centred(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)
        self.register_buffer("mean", torch.zeros(64))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return super().forward(x - self.mean)


def weights_set_anew():
    return Limited(64, 10)


class Limited(nn.Linear):
    def forward(self, x):
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 0.5)
        return super().forward(x)


def writes_to_records():
    return Written()


class Written(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)
        self.register_buffer("mean", torch.full((64,), 0.5))

    def forward(self, x):
        return super().forward(x.sub_(self.mean))


def with_view():
    return WithView()


class WithView(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 10)

    def forward(self, x):
        x = self.first(x)
        return self.last(x.view(len(x), -1))
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd_models.py").write_text(ODD_MODELS)
    return lambda name: ImportPath(f"odd_models:{name}", folder)


@pytest.fixture
def tried(digits, unit_of, run):
    def make(factory, **options):
        made = TrainerOptions(factory=factory, recipe=RECIPE, **options)
        return trial(digits, unit_of(made, models=range(3)), run)

    return make


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("hook_on_a_parameter", "it learns another 0.weight than by itself"),
        ("hook_after_a_gradient", "it learns another 0.weight than by itself"),
        ("hook_on_a_module", "it learns another 0.weight than by itself"),
        ("merged", "it learns another weight than by itself"),
        ("counted", "than by itself"),
        ("own_generator", "it learns another weight than by itself"),
        ("buffer_anew", "it learns another weight than by itself"),
        ("weights_set_anew", "accessing `data` under vmap transform"),
        ("writes_to_records", "it raises RuntimeError: vmap: inplace arithmetic"),
    ],
)
def test_what_a_stack_gets_wrong_is_looped_with_a_note(factory, reason, tried, odd):
    found = tried(odd(factory))
    assert found.choice.method == "loop"
    (note,) = found.notes
    assert reason in note
    assert "\n" not in note
    with pytest.raises(BadValue, match=r"found 'stack' for models 0 to 2 that cannot be stacked"):
        tried(odd(factory), method="stack")


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_modules_are_looped_with_a_note(tried, user):
    found = tried(user("lazy"))
    assert found.choice.method == "loop"
    assert found.notes[0].endswith("before it is called, it has lazy modules.")


@pytest.mark.parametrize(
    "factory",
    [
        "mlp",
        "with_a_shared_layer",
        "with_a_shared_linear",
        "with_dropout",
        "with_all_dropouts",
        "normalised",
        "normalised_without_bias",
        "tied",
        "scaled",
        "complex_numbers",
    ],
)
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7, 8, 100])
def test_what_a_stack_gets_right_passes(factory, rows, digits, unit_of, user):
    if rows == 1 and factory.startswith("normalised"):
        pytest.skip("batch norm needs two records")
    unit = unit_of(TrainerOptions(), models=(3, 4), rows=np.arange(rows))
    for count in (1, 2):
        check_stack(user(factory), task_of(digits, RECIPE, Choice()), pupils_of(unit)[:count])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 255.0])
def test_a_convolutional_network_passes(scale, digits, unit_of, user):
    records = (scale * digits.records).reshape(-1, 1, 8, 8)
    images = evolve(digits, records=records, modality="image")
    task = task_of(images, evolve(RECIPE, augment=("flip", "crop")), Choice())
    check_stack(user("residual"), task, pupils_of(unit_of(TrainerOptions(), models=(3, 4))))


def test_records_that_are_not_finite_are_left_to_training(digits, unit_of, user):
    records = np.array(digits.records)
    records[3] = np.nan
    task = task_of(evolve(digits, records=records), RECIPE, Choice())
    check_stack(user("mlp"), task, pupils_of(unit_of(TrainerOptions(), models=(3, 4))))


@pytest.mark.parametrize("method", ["loop", "auto", "stack"])
def test_a_model_that_always_drops_is_an_error_before_training(method, tried, user):
    with pytest.raises(NotAFactory, match=r"gives other outputs each time.*training=self\.train"):
        tried(user("always_dropping"), method=method)


def test_a_model_that_always_drops_gives_no_evidence(digits, unit_of, user, run):
    options = TrainerOptions(factory=user("always_dropping"), recipe=RECIPE)
    cohort = train(digits, unit_of(options), run)
    with pytest.raises(
        NotAFactory, match="model AlwaysDropping in evaluation mode: found it gives"
    ):
        cohort.query(digits.records)


@pytest.mark.parametrize(
    ("factory", "channels_last"), [("with_view", False), ("convolutional", True)]
)
def test_the_layout_is_one_that_models_can_take(factory, channels_last, odd, user, unit_of):
    path = odd(factory) if factory == "with_view" else user(factory)
    task = Task(
        records=torch.rand(40, 1, 8, 8),
        labels=torch.arange(40) % 10,
        classes=10,
        recipe=RECIPE,
        channels_last=True,
    )
    assert channels_last == laid_out(path, task, pupils_of(unit_of(None))[0]).channels_last
