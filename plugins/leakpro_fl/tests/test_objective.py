"""The distance of updates: least at the truth, whatever the client did."""

import math

import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_fl import batch_norm
from leakpro_fl.client import TorchClient
from leakpro_fl.inversion import IMAGES, buffers, update_of
from leakpro_fl.objective import Objective, objective_of
from leakpro_fl.seen import seen
from leakpro_fl.visible import VisibleMasks
from networks import seeded
from torch import nn
from torch.nn.functional import cross_entropy

from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Disclosed

CLASSES, SIDE = 3, 6


class Net(nn.Sequential):
    """Two convolutions, batch norm or not, one linear layer; for 1x6x6 images."""

    def __init__(self, norm: bool = False, momentum: float | None = 0.1) -> None:
        layers = [nn.Conv2d(1, 4, 3, padding=1)]
        layers += [nn.BatchNorm2d(4, momentum=momentum)] if norm else []
        layers += [nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()]
        super().__init__(*layers, nn.Linear(36, CLASSES))


def batch(b=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(b, 1, SIDE, SIDE)).astype(np.float32)
    return x, np.sort(rng.integers(0, CLASSES, b))


def challenge_of(disclosed, net=None, b=4, drop=()):
    """Return the challenge of what a client sends for a batch, and the batch."""
    net = net or seeded(Net, seed=1)
    x, y = batch(b)
    before = {name: v.numpy().copy() for name, v in net.state_dict().items()}
    update = TorchClient(module=net, disclosed=disclosed).update(before, x, y, seed=5)
    parameters = [name for name, _ in net.named_parameters()]
    found = InversionChallenge(
        model=net,
        before=before,
        update={name: v for name, v in update.items() if name not in drop},
        disclosed=disclosed,
        labels=y,
        buffers=tuple(name for name in before if name not in parameters),
        shape=(1, SIDE, SIDE),
        classes=CLASSES,
        modality="image",
    )
    return found, torch.from_numpy(x), torch.from_numpy(y)


def objective(challenge, train=False, **named) -> Objective:
    b = challenge.disclosed.examples
    update, sent, statistics = update_of(challenge, seen(challenge), b, train=train)
    rng = torch.Generator().manual_seed(9)
    y = torch.from_numpy(np.array(challenge.labels))
    blind = [(torch.randn(b, *challenge.shape, generator=rng), y) for _ in range(3)]
    named = {"scaled": True, "statistics": statistics} | named
    return objective_of(update, sent, blind, **named)


SGD = {"examples": 4, "optimiser": "sgd", "lr": 0.05, "mode": "train", "shuffled": True}
FEDERATED = {
    "one step": Disclosed(kind="delta", **SGD),
    "momentum, two epochs": Disclosed(
        kind="weights", **SGD, momentum=0.9, weight_decay=1e-3, epochs=2
    ),
    "nesterov": Disclosed(kind="delta", **SGD, momentum=0.9, nesterov=True, epochs=3),
    "adam": Disclosed(kind="delta", **(SGD | {"optimiser": "adam", "lr": 0.001}), epochs=2),
    "in order": Disclosed(
        kind="weights", **(SGD | {"shuffled": False}), momentum=0.9, epochs=2, batch_size=2
    ),
    "two clients": Disclosed(kind="delta", **SGD, momentum=0.9, epochs=2, clients=2),
    "sums": Disclosed(kind="weights", **SGD, epochs=2, reduction="sum"),
}


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("how", FEDERATED)
def test_after_local_training_the_true_records_have_the_least_residual(how, norm):
    challenge, x, y = challenge_of(FEDERATED[how], seeded(Net, seed=1, norm=norm))
    ours = objective(challenge, train=True)
    residuals = [ours.residual(x, y)]
    for noise in (0.02, 0.1, 0.5):
        rng = torch.Generator().manual_seed(3)
        residuals.append(ours.residual(x + noise * torch.randn(x.shape, generator=rng), y))
    assert residuals == sorted(residuals)
    # Adam moves biases before batch norm, whose gradients are 0, by the sign of rounding.
    assert residuals[0] < (0.1 if how == "adam" else 0.02) < residuals[-1]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_gradient_of_the_true_records_has_no_residual(reduction):
    disclosed = Disclosed(kind="gradient", examples=4, mode="eval", reduction=reduction)
    challenge, x, y = challenge_of(disclosed)
    assert objective(challenge).residual(x, y) < 1e-5


def test_records_that_know_nothing_are_as_far_as_one():
    challenge, _, y = challenge_of(Disclosed(kind="gradient", examples=4, mode="eval"))
    rng = torch.Generator().manual_seed(9)
    ours = objective(challenge)
    far = [ours.residual(torch.randn(4, 1, SIDE, SIDE, generator=rng), y) ** 2 for _ in range(3)]
    assert pytest.approx(1.0, rel=1e-4) == np.mean(far)


def test_a_length_that_is_not_known_does_not_count():
    challenge, x, y = challenge_of(Disclosed(kind="gradient", examples=4, mode="eval"))
    longer = {name: 7.0 * v for name, v in challenge.update.items()}
    ours = objective(evolve(challenge, update=longer), scaled=False)
    assert ours.residual(x, y) < 1e-3
    assert ours.residual(torch.zeros_like(x), y) > 0.3
    assert objective(evolve(challenge, update=longer)).residual(x, y) > 0.3


@pytest.mark.parametrize("kind", ["distance", "cosine"])
@pytest.mark.parametrize("scaled", [True, False])
def test_derivatives_are_those_of_automatic_differentiation(kind, scaled):
    rng = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5,), (2, 2, 2)]
    sent = [torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes]
    guesses = [[torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes]]
    ours = objective_of(
        lambda x, y, graph: guesses[0], sent, [(sent[0], sent[0])], scaled=scaled, pruned=True
    )
    made = [torch.randn(s, generator=rng, dtype=torch.float64).requires_grad_() for s in shapes]
    flat, want = torch.cat([t.reshape(-1) for t in made]), torch.cat([t.reshape(-1) for t in sent])
    if kind == "cosine":
        expected = (1 - flat @ want / (flat.norm() * want.norm())) / ours.blind
    elif scaled:
        expected = (ours.weights * (flat - want) ** 2).sum()
    else:
        along = (ours.weights * want) @ flat
        expected = (ours.weights * want) @ want - along**2 / ((ours.weights * flat) @ flat)
    value, slopes = ours.loss(kind, made)
    assert pytest.approx(float(expected.detach())) == value
    for slope, true in zip(slopes, torch.autograd.grad(expected, made), strict=True):
        torch.testing.assert_close(slope, true)


def test_coordinates_that_were_pruned_do_not_count():
    disclosed = Disclosed(kind="gradient", examples=4, mode="eval", pruned=0.7)
    challenge, x, y = challenge_of(disclosed)
    assert objective(challenge, pruned=True).residual(x, y) < 1e-5
    assert objective(challenge).residual(x, y) > 0.01


def test_a_tensor_counts_by_the_square_root_of_how_far_records_that_know_nothing_are():
    challenge, _, y = challenge_of(Disclosed(kind="gradient", examples=4, mode="eval"))
    ours = objective(challenge)
    rng = torch.Generator().manual_seed(9)
    blind = [torch.randn(4, 1, SIDE, SIDE, generator=rng) for _ in range(3)]
    sizes = [value.size for value in challenge.update.values()]
    far = torch.stack(
        [
            torch.cat([t.reshape(-1) for t in ours.update(x, y, False)]).sub(ours.sent).square()
            for x in blind
        ]
    ).mean(0)
    plain = torch.stack([part.sum() for part in far.split(sizes)]).sqrt()
    counted = torch.stack([part.sum() for part in (ours.weights * far).split(sizes)])
    torch.testing.assert_close(counted, plain / plain.sum(), rtol=1e-3, atol=1e-5)


def test_visible_masks_change_no_output_and_no_gradient():
    net, (x, y) = seeded(Net, seed=1), batch()
    found = []
    for mode in (None, VisibleMasks()):
        inputs = torch.from_numpy(x).requires_grad_()
        if mode is None:
            value = cross_entropy(net(inputs), torch.from_numpy(y))
        else:
            with mode:
                value = cross_entropy(net(inputs), torch.from_numpy(y))
            assert mode.met == 2
        found.append([value, *torch.autograd.grad(value, [inputs, *net.parameters()])])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-8)


def test_the_derivative_of_a_visible_mask_is_that_of_a_ramp():
    z = torch.tensor([-3.0, -0.4, 0.3, 2.3], requires_grad=True)  # mean size 1.5
    with VisibleMasks():
        (mask,) = torch.autograd.grad(torch.relu(z).sum(), z, create_graph=True)
    (slope,) = torch.autograd.grad(mask.sum(), z)
    assert mask.tolist() == [0.0, 0.0, 1.0, 1.0]
    # Of height 1 over a width of twice the mean size.
    assert [0.0, pytest.approx(1 / 3), pytest.approx(1 / 3), 0.0] == slope.tolist()


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("epochs", [1, 3])
def test_buffers_tell_the_statistics_of_batches(momentum, epochs):
    disclosed = Disclosed(kind="weights", **SGD, epochs=epochs)
    challenge, x, _ = challenge_of(disclosed, seeded(Net, seed=1, norm=True, momentum=momentum))
    told = batch_norm.told(challenge.model, *buffers(challenge), epochs)
    assert epochs == batch_norm.steps_told(*buffers(challenge))
    assert told.layers == ("1",)
    assert pytest.approx(1.0) == sum(told.weights)
    if epochs == 1:
        entered = challenge.model[0](x).detach().double()
        torch.testing.assert_close(told.means[0], entered.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(told.variances[0], entered.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_buffers_that_did_not_move_tell_of_evaluation_mode():
    moved = challenge_of(Disclosed(kind="delta", **SGD), seeded(Net, seed=1, norm=True))[0]
    still = challenge_of(
        Disclosed(kind="delta", **(SGD | {"mode": "eval"})), seeded(Net, seed=1, norm=True)
    )[0]
    none = challenge_of(Disclosed(kind="delta", **SGD))[0]
    assert [batch_norm.trains(*buffers(c)) for c in (moved, still, none)] == [True, False, None]


def test_statistics_that_were_sent_are_matched():
    net = seeded(Net, seed=1, norm=True)
    challenge, x, y = challenge_of(Disclosed(kind="weights", **SGD), net)
    statistics = update_of(challenge, seen(challenge), 4, train=True)[2]
    kept = ("1.running_mean", "1.running_var", "1.num_batches_tracked")
    without = challenge_of(Disclosed(kind="weights", **SGD), net, drop=kept)[0]
    assert [statistics, update_of(without, seen(without), 4, train=True)[2]] == [2, 0]
    # Shifted records have the same gradients behind batch norm, but not its statistics.
    shifted = objective(challenge, train=True).residual(x + 1.0, y)
    assert shifted > 2 * objective(without, train=True).residual(x + 1.0, y)


def test_every_method_has_a_loss_that_is_known():
    assert {"distance", "cosine"} == {method.loss for method in IMAGES}
    assert all(math.isfinite(method.variation) for method in IMAGES)
