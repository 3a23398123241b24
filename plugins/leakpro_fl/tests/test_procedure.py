"""What a client does is what torch.optim and autograd do, and can be differentiated through."""

from itertools import chain

import models
import numpy as np
import pytest
import torch
from leakpro_fl.client import arrays_of
from leakpro_fl.procedure import Steps, gradient, order, own, state_of, steps_of, trained
from torch import nn

from leakpro_core.records import Disclosed


def names_of(module):
    return [name for name, _ in module.named_parameters()]


def tensors(n=12, seed=0):
    x, y = models.batch(n, seed)
    return torch.from_numpy(x), torch.from_numpy(y)


def by_torch(module, x, y, how, rows):
    """Return the state dict after training with torch.optim."""
    module = own(module, train=True).requires_grad_(True)
    kinds = {
        "sgd": lambda: torch.optim.SGD(
            module.parameters(),
            lr=how.lr,
            momentum=how.momentum,
            nesterov=how.nesterov,
            weight_decay=how.weight_decay,
        ),
        "adam": lambda: torch.optim.Adam(
            module.parameters(), lr=how.lr, weight_decay=how.weight_decay
        ),
    }
    optimiser = kinds[how.optimiser]()
    for chosen in rows:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(module(x[chosen]), y[chosen], reduction=how.reduction)
        loss.backward()
        optimiser.step()
    return module.state_dict()


@pytest.mark.parametrize(
    "how",
    [
        Steps(lr=0.1),
        Steps(lr=0.1, momentum=0.9, epochs=3, batch_size=5),
        Steps(lr=0.05, momentum=0.8, nesterov=True, epochs=2, batch_size=4),
        Steps(lr=0.1, momentum=0.9, weight_decay=0.05, epochs=2, batch_size=6),
        Steps(lr=0.01, reduction="sum", epochs=2, batch_size=5),
        Steps(lr=0.01, optimiser="adam", epochs=3, batch_size=5),
        Steps(lr=0.01, optimiser="adam", weight_decay=0.1, epochs=2),
    ],
)
@pytest.mark.parametrize("make", [models.mlp, models.with_batch_norm])
def test_local_training_is_that_of_torch_optim(how, make):
    module, (x, y) = make(), tensors()
    rows = order(len(x), how, seed=3)
    state = state_of(arrays_of(module))
    found = trained(own(module, train=True), state, x, y, names_of(module), how, rows)
    expected = by_torch(module, x, y, how, rows)
    assert list(expected) == list(found)
    for name, values in expected.items():
        assert torch.allclose(values.to(found[name].dtype), found[name], atol=2e-6), name


def test_training_leaves_the_state_that_it_started_from():
    module, (x, y) = models.with_batch_norm(), tensors()
    state = state_of(arrays_of(module))
    before = {name: value.clone() for name, value in state.items()}
    how = Steps(lr=0.1, epochs=2)
    trained(own(module, train=True), state, x, y, names_of(module), how, order(12, how, None))
    assert all(torch.equal(before[name], state[name]) for name in before)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_gradient_is_that_of_autograd(reduction):
    module, (x, y) = models.mlp(), tensors()
    found = gradient(
        own(module, train=False),
        state_of(arrays_of(module)),
        x,
        y,
        names_of(module),
        reduction=reduction,
    )
    nn.functional.cross_entropy(module(x), y, reduction=reduction).backward()
    for name, parameter in module.named_parameters():
        assert torch.allclose(parameter.grad, found[name], atol=1e-6), name


def test_a_parameter_that_the_loss_does_not_depend_on_has_a_gradient_of_zeros():
    module, (x, y) = models.mlp(), tensors()
    module.register_parameter("unused", nn.Parameter(torch.ones(3)))
    names = ["2.bias", "unused"]
    found = gradient(own(module, train=True), state_of(arrays_of(module)), x, y, names)
    assert found["2.bias"].any()
    assert torch.equal(torch.zeros(3), found["unused"])


@pytest.mark.parametrize(
    "how",
    [
        Steps(lr=0.1, momentum=0.9, weight_decay=0.01, epochs=2, batch_size=3),
        Steps(lr=0.01, optimiser="adam", epochs=2, batch_size=3),
    ],
)
def test_training_can_be_differentiated_through_by_the_records(how):
    torch.manual_seed(1)
    # Smooth, so that differences tell the derivative.
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    names = names_of(module)
    state = {name: value.detach().clone() for name, value in module.named_parameters()}
    y, rows = torch.tensor([0, 1, 1, 0, 1, 0]), order(6, how, 1)

    def length(x):
        after = trained(own(module, train=True), state, x, y, names, how, rows, create_graph=True)
        return sum((after[n] - state[n]).square().sum() for n in names)

    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(length, x)


def test_a_dead_unit_leaves_the_derivative_through_adam_finite():
    module, (x, y) = models.mlp(), tensors(4)
    with torch.no_grad():
        module[0].bias.fill_(-100.0)  # no ReLU is active: gradients of 0
    x.requires_grad_()
    how = Steps(lr=0.01, optimiser="adam", epochs=2)
    names = names_of(module)
    state = state_of(arrays_of(module))
    after = trained(
        own(module, train=True), state, x, y, names, how, order(4, how, None), create_graph=True
    )
    (found,) = torch.autograd.grad(sum(v.sum() for v in after.values()), x, allow_unused=True)
    assert found is None or bool(torch.isfinite(found).all())


def test_every_epoch_has_each_record_once_and_shuffled_epochs_differ():
    how = Steps(lr=1.0, epochs=3, batch_size=4)
    rows = [step.tolist() for step in order(10, how, seed=5)]
    assert how.count(10) == len(rows) == 9
    assert [len(step) for step in rows] == [4, 4, 2] * 3
    epochs = [[*chain(*rows[start : start + 3])] for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    plain = [step.tolist() for step in order(10, how, None)]
    assert plain == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 3


def test_steps_that_are_not_disclosed_are_those_of_torch():
    assert steps_of(Disclosed(kind="delta")) is None
    assert Steps(lr=0.1) == steps_of(Disclosed(kind="delta", lr=0.1))
    said = Disclosed(kind="delta", lr=0.2, momentum=0.5, nesterov=True, epochs=2, batch_size=8)
    expected = Steps(lr=0.2, momentum=0.5, nesterov=True, epochs=2, batch_size=8)
    assert expected == steps_of(said)


def test_a_copy_of_a_model_is_ones_own():
    module = models.mlp()
    mine = own(module, train=False)
    assert not mine.training
    assert module.training
    with torch.no_grad():
        mine[0].weight.zero_()
    assert module[0].weight.any()
    with pytest.raises(TypeError, match="the model is a int"):
        own(3, train=True)


def test_tensors_of_a_model_are_copies_in_single_precision():
    arrays = {"a": np.ones(2), "n": np.array(3)}
    state = state_of(arrays)
    assert (torch.float32, torch.int64) == (state["a"].dtype, state["n"].dtype)
    state["a"][0] = 5
    assert arrays["a"][0] == 1
