"""A wrong kind is noticed, a right one is not doubted."""

import models
import numpy as np
import pytest
from leakpro_fl.client import TorchClient, arrays_of, buffers_of
from leakpro_fl.declared import contradicted, doubts
from torch import nn

from leakpro_core.records import ClientUpdate, Disclosed

SAID = {"lr": 0.1, "momentum": 0.9, "batch_size": 4, "epochs": 2}


def updated(kind, classes=(3,), n=4, seed=0, module=None):
    """Return what a client sends for records of the given classes, and the model before it."""
    module = models.with_batch_norm() if module is None else module
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 6)).astype(np.float32)
    y = rng.choice(classes, n)
    client = TorchClient(module=module, disclosed=Disclosed(kind=kind, **SAID))
    before = arrays_of(module)
    return ClientUpdate(before=before, values=client.update(before, x, y, seed))


def asked(update, kind, examples=4, **said):
    buffers = buffers_of(models.with_batch_norm())
    disclosed = Disclosed(kind=kind, examples=examples, **SAID, **said)
    return doubts(update, disclosed, buffers, "Update u")


@pytest.mark.parametrize("kind", ["gradient", "delta", "weights"])
@pytest.mark.parametrize("examples", [None, 12])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_declared_rightly_is_not_doubted(kind, examples, seed):
    update = updated(kind, classes=range(5), n=12, seed=seed)
    assert asked(update, kind, examples) == ()


@pytest.mark.parametrize(
    ("kind", "declared", "word"),
    [
        ("gradient", "delta", "is it a gradient"),
        ("delta", "gradient", "is it a delta"),
        ("weights", "delta", "looks like weights"),
        ("weights", "gradient", "looks like weights"),
        ("delta", "weights", "is it a delta"),
        ("gradient", "weights", "is it a delta, or another model's"),
    ],
)
def test_a_wrong_kind_is_doubted(kind, declared, word):
    (said,) = asked(updated(kind, n=3), declared, 3)
    assert word in said
    assert said.startswith("Update u is declared ")


def test_weights_of_which_the_model_before_was_exchanged_are_doubted():
    update = updated("weights", n=3)
    turned = ClientUpdate(before={**update.before, **update.values}, values=update.before)
    (said,) = asked(turned, "weights", 3)
    assert "exchanged" in said


def test_an_update_of_zeros_gives_nothing_away():
    before = arrays_of(models.with_batch_norm())
    zeros = {name: np.zeros_like(v) for name, v in before.items()}
    for kind in ("gradient", "delta"):
        (said,) = asked(ClientUpdate(before=before, values=zeros), kind)
        assert "is zero everywhere" in said
    (said,) = asked(ClientUpdate(before=before, values=before), "weights")
    assert "is the global model unchanged" in said


def test_a_model_of_zeros_does_not_hinder():
    module = models.with_batch_norm()
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    for kind in ("gradient", "delta", "weights"):
        assert asked(updated(kind, module=module), kind) == ()


def test_noise_silences_the_test_of_signs():
    assert asked(updated("gradient", n=3), "delta", 3, noise=0.1) == ()


def test_each_test_of_the_bias_by_itself():
    few = np.array([-0.4, -0.3, -0.2, 0.9])
    assert "at least 3 classes are among 2 records" in contradicted(few, 2, scaled=True)
    assert contradicted(few, 3, scaled=True) == ""
    far = np.array([1.2, -0.7, -0.5])
    assert "further than it can" in contradicted(far, None, scaled=True)
    assert contradicted(far, None, scaled=False) == ""
    most = np.array([0.9] + [-0.1] * 9)
    assert "9 of 10 classes are in the batch" in contradicted(most, None, scaled=True)
    assert contradicted(-most, None, scaled=True) == ""
    for other in (np.ones((2, 2)), np.zeros(5), np.array([1.0]), np.array([0.9, -0.1, -0.1])):
        assert contradicted(other, 1, scaled=True) == ""
