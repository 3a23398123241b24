"""Every kind of update of one batch is seen as one gradient: its sign, scale and buffers."""

import models
import numpy as np
import pytest
import torch
from leakpro_fl.client import TorchClient, arrays_of, buffers_of
from leakpro_fl.procedure import gradient, own, state_of
from leakpro_fl.seen import read

from leakpro_core.records import ClientUpdate, Disclosed

X, Y = models.batch()


def truth(module, x=X, y=Y, train=True):
    """Return the gradient of the mean loss over all records, by autograd."""
    names = [name for name, _ in module.named_parameters()]
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    found = gradient(own(module, train=train), state_of(arrays_of(module)), x, y, names)
    return {name: value.numpy() for name, value in found.items()}


def sent(module, **said):
    """Return what is seen of the update that a client sends who discloses all that it does."""
    disclosed = Disclosed(**{"examples": len(X), "mode": "train"} | said)
    before = arrays_of(module)
    client = TorchClient(module=module, disclosed=disclosed)
    update = ClientUpdate(before=before, values=client.update(before, X, Y, 1))
    return read(update, disclosed, buffers_of(module))


def close(expected, found, tolerance=1e-5):
    assert list(expected) == list(found.gradient)
    for name, values in expected.items():
        np.testing.assert_allclose(found.gradient[name].numpy(), values, atol=tolerance)


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "said",
    [
        {"kind": "gradient"},
        {"kind": "delta", "lr": 0.1},
        {"kind": "delta", "lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"kind": "delta", "lr": 0.1, "weight_decay": 0.1},
        {"kind": "weights", "lr": 0.1},
        {"kind": "weights", "lr": 0.1, "batch_size": 64},
    ],
)
def test_one_step_is_seen_as_the_gradient_of_the_mean_loss(said, reduction, clients):
    module = models.mlp()
    found = sent(module, **said, reduction=reduction, clients=clients)
    close(truth(module), found)
    assert (found.single, found.scaled) == (True, True)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "said", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.2}]
)
def test_many_tiny_steps_are_seen_as_the_mean_gradient(said, reduction):
    module = models.mlp()
    how = {"kind": "delta", "lr": 1e-4, "epochs": 5, "reduction": reduction, **said}
    found = sent(module, **how)
    assert (found.single, found.scaled) == (False, True)
    close(truth(module), found, tolerance=0.005)


def test_uneven_steps_of_a_sum_have_the_scale_of_their_mean_size():
    module = models.mlp()
    found = sent(module, kind="delta", lr=1e-3, batch_size=5, reduction="sum")
    close(truth(module), found, tolerance=0.02)


@pytest.mark.parametrize(
    ("said", "single"),
    [
        ({"kind": "delta"}, True),
        ({"kind": "delta", "batch_size": 4}, False),
        ({"kind": "weights", "epochs": 2}, False),
    ],
)
def test_without_a_learning_rate_only_the_direction_is_seen(said, single):
    module = models.mlp()
    found = sent(module, **said)
    assert (single, False) == (found.single, found.scaled)
    mine = np.concatenate([v.numpy().ravel() for v in found.gradient.values()])
    right = np.concatenate([v.ravel() for v in truth(module).values()])
    assert mine @ right / (np.linalg.norm(mine) * np.linalg.norm(right)) > 0.9


@pytest.mark.parametrize("examples", [None, 12])
def test_unknown_examples_hide_the_scale_of_a_sum_but_not_of_a_mean(examples):
    values = {"w": np.ones(2)}
    update = ClientUpdate(before=values, values=values)
    for kind, lr in (("gradient", None), ("delta", 0.5)):
        mean = read(update, Disclosed(kind=kind, lr=lr, examples=examples))
        total = read(update, Disclosed(kind=kind, lr=lr, examples=examples, reduction="sum"))
        assert (True, examples is not None) == (mean.scaled, total.scaled)


def test_unknown_examples_hide_the_steps_of_a_batch_size():
    values = {"w": np.ones(2)}
    found = read(
        ClientUpdate(before=values, values=values), Disclosed(kind="delta", lr=0.1, batch_size=4)
    )
    assert (found.single, found.scaled) == (False, False)


def test_a_step_of_adam_is_no_gradient():
    found = sent(models.mlp(), kind="delta", lr=0.1, optimiser="adam")
    assert (found.single, found.scaled) == (False, False)


def test_a_clipped_update_keeps_its_direction_and_loses_its_scale():
    module = models.mlp()
    right = truth(module)
    length = float(np.sqrt(sum((v**2).sum() for v in right.values())))
    short = sent(module, kind="gradient", clip=length / 3)
    assert not short.scaled
    for name, values in right.items():
        np.testing.assert_allclose(3 * short.gradient[name].numpy(), values, atol=1e-5)
    assert sent(module, kind="gradient", clip=3 * length).scaled
    assert not sent(module, kind="gradient", clip=3 * length, clients=2).scaled
    assert not sent(module, kind="gradient", clip=length / 3, pruned=0.5).scaled
    assert not sent(module, kind="gradient", clip=length / 3, noise=0.01).scaled


@pytest.mark.parametrize("kind", ["delta", "weights"])
def test_statistics_of_batch_norm_are_those_after_whatever_was_sent(kind):
    module = models.with_batch_norm()
    found = sent(module, kind=kind, lr=0.1)
    after = own(module, train=True)
    after(torch.from_numpy(X))
    expected = {name: value.double() for name, value in after.named_buffers()}
    assert list(expected) == list(found.buffers)
    for name, value in expected.items():
        assert torch.allclose(value, found.buffers[name], atol=1e-6), name
    assert not sent(module, kind="gradient").buffers


def test_parameters_that_are_not_trained_have_no_gradient_from_weight_decay():
    module = models.mlp()
    module[0].requires_grad_(False)
    found = sent(module, kind="weights", lr=0.1, weight_decay=0.5)
    assert not found.gradient["0.weight"].any()
    assert found.gradient["2.weight"].any()


def test_an_update_of_zeros_is_a_gradient_of_zeros():
    before = arrays_of(models.mlp())
    zeros = {name: np.zeros_like(v) for name, v in before.items()}
    for said in ({"kind": "gradient", "clip": 1.0}, {"kind": "delta", "lr": 0.1}):
        found = read(ClientUpdate(before=before, values=zeros), Disclosed(**said))
        assert not any(value.any() for value in found.gradient.values())
