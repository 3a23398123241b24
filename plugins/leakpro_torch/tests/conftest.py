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


def binary():
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10)
    )


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
