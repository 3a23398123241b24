"""Digits as a training set, a run, and a user's module of factories and train functions."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from leakpro_core.records import TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath
from leakpro_core.testing.conformance import PlainRun

MY_MODELS = """
import torch
from torch import nn


def mlp():
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def with_dropout():
    return nn.Sequential(nn.Linear(64, 32), nn.Dropout(0.5), nn.ReLU(), nn.Linear(32, 10))


def normalised():
    return nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))


def normalised_without_bias():
    # a bias before batch norm has a gradient of rounding errors, which Adam makes steps of
    return nn.Sequential(
        nn.Linear(64, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10)
    )


def with_a_shared_layer():
    relu, dropout = nn.ReLU(), nn.Dropout(0.3)
    layers = nn.Linear(64, 32), relu, dropout, nn.Linear(32, 32), relu, dropout, nn.Linear(32, 10)
    return nn.Sequential(*layers)


def with_a_shared_linear():
    linear = nn.Linear(64, 64)
    return nn.Sequential(linear, nn.ReLU(), linear, nn.ReLU(), nn.Linear(64, 10))


class Scaled(nn.Linear):
    # a parameter without dimensions

    def __init__(self):
        super().__init__(64, 10)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.scale * super().forward(x)


def scaled():
    return Scaled()


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(64, 10, dtype=torch.complex64))

    def forward(self, x):
        return (x.to(torch.complex64) @ self.weight).abs()


def complex_numbers():
    return Complex()


def lazy():
    return nn.LazyLinear(10)


def always_dropping():
    return AlwaysDropping(64, 10)


class AlwaysDropping(nn.Linear):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x))


def binary():
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10)
    )


def with_all_dropouts():
    return Dropouts()


class Dropouts(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 32), nn.Linear(32, 10)
        self.inner = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.AlphaDropout(0.2))
        self.features = nn.Dropout1d(0.3)

    def forward(self, x):
        x = self.inner(torch.selu(self.first(x)))
        x = self.features(x[:, :, None].expand(-1, -1, 2)).mean(2)
        return self.second(nn.functional.dropout(x, 0.4, self.training))


def residual():
    return Residual()


class Residual(nn.Module):
    # convolutions, batch norm and a frozen parameter

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6 * 16, 10)
        self.first.bias.requires_grad_(False)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = nn.functional.max_pool2d(x + self.second(x), 2)
        return self.last(x.flatten(1))


def tied():
    module = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Linear(64, 10))
    module[2].weight = module[0].weight
    return module


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


def branching():
    return Branching(64, 10)


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x) if self.training else x)


def noisy():
    return Noisy(64, 10)


class Depth(nn.Linear):
    # by a draw of Python's

    def forward(self, x):
        import random

        drawn = self.training and random.random() < 0.5
        return super().forward(x) * (1 + 1e-6 * drawn)


def stochastic_depth():
    return Depth(64, 10)


class Projected(nn.Module):
    # a random tensor that is no buffer

    def __init__(self):
        super().__init__()
        self.projection = torch.randn(64, 16)
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        return self.last(x @ self.projection)


def projected():
    return Projected()


class Full(nn.Linear):
    # runs out of memory the first time that it is called in training mode

    calls = 0

    def forward(self, x):
        Full.calls += self.training
        if Full.calls == 1 and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(x)


def full():
    return Full(64, 10)


def two_outputs():
    return Two(64, 10)


class Two(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


def too_narrow():
    return nn.Linear(64, 5)


def flat():
    return nn.Sequential(nn.Linear(64, 1), nn.Flatten(0))


def raises():
    return 1 / 0


def a_number():
    return 7


def in_place(model, x, y, seed):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()


def another_module(model, x, y, seed):
    model = nn.Linear(64, 10)
    in_place(model, x, y, seed)
    return model


def draws_from_every_generator(model, x, y, seed):
    import random

    import numpy

    noise = random.random() + numpy.random.random() + torch.rand(1)
    with torch.no_grad():
        model[0].bias += noise


def one_or_another(model, x, y, seed):
    return model if seed else nn.Linear(64, 10)


def returns_a_number(model, x, y, seed):
    return 7


def fails(model, x, y, seed):
    raise RuntimeError("no luck\\nsecond line")


def fails_inside_torch(model, x, y, seed):
    nn.functional.cross_entropy(model(x), y[:3])


def ends(model, x, y, seed):
    raise SystemExit(5)


not_callable = 3
"""


@pytest.fixture
def run(tmp_path):
    return PlainRun(seed=3, scratch=tmp_path)


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    (folder / "my_models.py").write_text(MY_MODELS)
    return folder


@pytest.fixture(scope="session")
def user(models_folder):
    """Return the import path of a name in the user's module."""

    def path(name: str) -> ImportPath:
        return ImportPath(f"my_models:{name}", models_folder)

    return path


@pytest.fixture(scope="session")
def digits():
    images, labels = load_digits(return_X_y=True)
    return TrainingSet(records=images / 16, labels=labels, classes=10)


@pytest.fixture(scope="session")
def unit_of():
    """Return a unit of models that train on 200 records each."""

    def make(options: object, models=(0,), seeds=None, rows=None, **more: object) -> TrainingUnit:
        return TrainingUnit(
            models=tuple(models),
            rows=tuple(np.arange(200) if rows is None else rows for _ in models),
            seeds=tuple(models) if seeds is None else tuple(seeds),
            options=options,
            **more,
        )

    return make
