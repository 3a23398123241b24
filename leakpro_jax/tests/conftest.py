"""Digits as a training set, a run, and a user's module of factories."""

import os

import numpy as np
import pytest
from sklearn.datasets import load_digits

from leakpro_core.records import TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath
from leakpro_core.testing.conformance import PlainRun

# Tests compile much and compute little: this halves their time. Read when jax starts.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

MY_MODELS = """
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox import nn


def mlp(key):
    return nn.MLP(64, 10, 128, 1, key=key)


def with_dropout(key):
    first, second = jax.random.split(key)
    return nn.Sequential([
        nn.Linear(64, 32, key=first), nn.Dropout(0.5), nn.Lambda(jax.nn.relu),
        nn.Linear(32, 10, key=second),
    ])


def pair(key):
    parameters = {"w": jax.random.normal(key, (64, 10)) / 8, "b": np.zeros(10, np.float32)}
    return parameters, lambda p, x: x @ p["w"] + p["b"]


def softmax_pair(key):
    parameters, apply = pair(key)
    return parameters, lambda p, x: jax.nn.softmax(apply(p, x))


def binary(key):
    return {"w": jax.random.normal(key, (64, 1)) / 8}, lambda p, x: x @ p["w"]


class Convolutional(eqx.Module):
    convolution: nn.Conv2d
    norm: nn.GroupNorm
    last: nn.Linear

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.convolution = nn.Conv2d(1, 8, 3, key=first)
        self.norm = nn.GroupNorm(2, 8)
        self.last = nn.Linear(8, 10, key=second)

    def __call__(self, x):
        return self.last(jax.nn.relu(self.norm(self.convolution(x))).mean(axis=(1, 2)))


def convolutional(key):
    return Convolutional(key)


def normalised(key):
    return nn.Sequential([nn.Linear(64, 10, key=key), nn.BatchNorm(10, "batch", mode="batch")])


def stateful(key):
    return nn.make_with_state(normalised)(key)


def too_narrow(key):
    return nn.MLP(64, 5, 8, 1, key=key)


def flat(key):
    return nn.MLP(64, "scalar", 8, 1, key=key)


def of_another_shape(key):
    width = 8 + int(jax.random.randint(key, (), 0, 1000))
    return nn.MLP(64, 10, width, 1, key=key)


def same_paths(key):
    return {"a.b": jnp.zeros(2), "a": {"b": jnp.zeros(2)}}, lambda p, x: x


def fails_when_asked(key):
    return {"w": jnp.zeros((64, 10))}, lambda p, x: np.dot(x, p["w"])


def raises(key):
    return 1 / 0


def no_key():
    return mlp(jax.random.key(0))


def a_number(key):
    return 7


def not_arrays(key):
    return {"w": "text"}, lambda p, x: x


def complex_pair(key):
    weights = jax.random.normal(key, (64, 10), "complex64") / 8
    return {"w": weights}, lambda p, x: jnp.imag(x @ p["w"])


def bfloat16_pair(key):
    weights = jax.random.normal(key, (64, 10), "bfloat16") / 8
    return {"w": weights}, lambda p, x: x.astype("bfloat16") @ p["w"]


def closure(key):
    projection, parameters = jax.random.normal(key, (64, 64)), {"w": jnp.zeros((64, 10))}
    return parameters, lambda p, x: jnp.tanh(x @ projection) @ p["w"]


def rate_of_dropout(key):
    rate = float(jax.random.uniform(key))
    return nn.Sequential([nn.Linear(64, 10, key=key), nn.Dropout(rate)])


def noisy(key):
    return {"w": jnp.zeros((64, 10))}, lambda p, x: x @ p["w"] + np.random.normal(size=10)


class Keyless(eqx.Module):
    last: nn.Linear
    dropout: nn.Dropout

    def __init__(self, key):
        self.last, self.dropout = nn.Linear(64, 10, key=key), nn.Dropout(0.5)

    def __call__(self, x):
        return self.dropout(self.last(x))


def keyless_dropout(key):
    return Keyless(key)


def no_gradient(key):
    def apply(p, x):
        return jax.lax.while_loop(lambda y: y.sum() > 1e9, lambda y: y / 2, x @ p["w"])

    return {"w": jnp.zeros((64, 10))}, apply


not_callable = 3
"""


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    """Keep compiled programs out of the user's folder; all tests share them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def run(tmp_path):
    return PlainRun(seed=3, scratch=tmp_path)


@pytest.fixture(scope="session")
def user(tmp_path_factory):
    """Return the import path of a name in the user's module."""
    folder = tmp_path_factory.mktemp("plan")
    (folder / "my_models.py").write_text(MY_MODELS)

    def path(name: str) -> ImportPath:
        return ImportPath(f"my_models:{name}", folder)

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
