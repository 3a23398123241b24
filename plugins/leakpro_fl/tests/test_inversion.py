"""Records by optimisation: found where an update tells them, chosen by the residual alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_fl import search as descent
from leakpro_fl.client import TorchClient
from leakpro_fl.inversion import InversionOptions, attack
from leakpro_fl.objective import Objective
from leakpro_fl.priors import prior_of
from leakpro_fl.search import Attempt, Method, Problem, descend, search
from networks import seeded
from torch import nn

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Auxiliary, Disclosed

CLASSES, SIDE = 4, 8


class Images(nn.Sequential):
    """Two convolutions with sigmoids, one linear layer; for 1x8x8 images."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.Sigmoid(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.Sigmoid(),
            nn.Flatten(),
            nn.Linear(128, CLASSES),
        )
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5)


class Rows(nn.Sequential):
    """A multi-layer perceptron for rows of six numbers."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, CLASSES))


def smooth(b, seed):
    """Return images from 0 to 1 that are brighter to one side or the other."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    slope = rng.normal(size=(3, b, 1, 1, 1))
    return (1 / (1 + np.exp(-slope[0] - 2 * slope[1] * across - 2 * slope[2] * down))).astype("f4")


GRADIENT = Disclosed(kind="gradient", examples=2, mode="eval", mean=(0.0,), std=(1.0,))


def challenge_of(disclosed=GRADIENT, *, images=True, labels=True, knows=None, shape=None):
    """Return a challenge and the batch's records; knows: what the adversary has, else all."""
    net = seeded(Images if images else Rows, seed=3)
    b = disclosed.examples
    x = smooth(b, 1) if images else np.random.default_rng(2).normal(size=(b, 6)).astype("f4")
    y = np.arange(b) % CLASSES
    before = {name: v.numpy().copy() for name, v in net.state_dict().items()}
    found = InversionChallenge(
        model=net,
        before=before,
        update=TorchClient(module=net, disclosed=disclosed).update(before, x, y, seed=0),
        disclosed=knows or disclosed,
        labels=y if labels else None,
        shape=shape or x.shape[1:],
        classes=CLASSES,
        modality="image" if images else "tabular",
    )
    return found, x


def run(seed=0):
    return SimpleNamespace(seed=seed)


def error(found, x):
    """Return the mean square distance of each record's nearest reconstruction."""
    off = ((np.asarray(found)[:, None] - x[None]) ** 2).reshape(len(found), len(x), -1).mean(-1)
    return off.min(axis=0)


def blind(x):
    return ((x - x.mean()) ** 2).reshape(len(x), -1).mean(-1)


def test_images_are_found_from_a_gradient():
    challenge, x = challenge_of()
    answer = attack(challenge, InversionOptions(iterations=300), run())
    assert (error(answer.records, x) < 0.03 * blind(x)).all()
    assert answer.residual < 0.05
    assert answer.labels.tolist() == [0, 1]
    assert [pytest.approx(-np.log(answer.residual))] * 2 == answer.claims.tolist()
    assert not answer.certified.any()
    assert x.shape == answer.records.shape
    assert 0.0 <= answer.records.min() <= answer.records.max() <= 1.0


def test_rows_are_found_from_a_gradient():
    challenge, x = challenge_of(evolve(GRADIENT, mean=None, std=None), images=False)
    answer = attack(challenge, InversionOptions(iterations=400), run())
    assert (error(answer.records, x) < 0.01).all()


@pytest.mark.parametrize("kind", ["delta", "weights"])
def test_images_are_found_after_local_training(kind):
    how = evolve(GRADIENT, kind=kind, optimiser="sgd", lr=0.1, momentum=0.9, epochs=2, mode="train")
    challenge, x = challenge_of(how)
    answer = attack(challenge, InversionOptions(iterations=300), run())
    assert (error(answer.records, x) < 0.1 * blind(x)).all()
    assert answer.notes == ()


def test_an_order_of_records_that_is_not_known_is_said():
    how = evolve(
        GRADIENT, kind="delta", examples=4, batch_size=2, epochs=2, optimiser="sgd", lr=0.05
    )
    challenge, _ = challenge_of(how)
    answer = attack(challenge, InversionOptions(iterations=60, restarts=2), run())
    assert "assumes an order" in answer.notes[0]


def test_a_learning_rate_that_is_not_known_is_said():
    how = evolve(GRADIENT, kind="delta", optimiser="sgd", lr=0.05, epochs=3, mode="train")
    challenge, _ = challenge_of(how, knows=Disclosed(kind="delta", examples=2, epochs=3))
    answer = attack(challenge, InversionOptions(iterations=60), run())
    assert "direction of one gradient" in answer.notes[0]


def test_labels_that_are_not_known_are_those_that_the_update_tells():
    challenge, x = challenge_of(labels=False)
    answer = attack(challenge, InversionOptions(iterations=300), run())
    assert sorted(answer.labels.tolist()) == [0, 1]
    assert (error(answer.records, x) < 0.1 * blind(x)).all()


def test_labels_that_the_update_does_not_tell_are_sought_with_the_records():
    challenge, x = challenge_of(labels=False)
    without = {name: v for name, v in challenge.update.items() if not name.startswith("5.")}
    answer = attack(evolve(challenge, update=without), InversionOptions(iterations=400), run())
    assert answer.labels.shape == (2,)
    assert error(answer.records, x).mean() < blind(x).mean()


@pytest.mark.parametrize("iterations", [20, 133, 300])
def test_no_more_gradients_are_taken_than_allowed(iterations, monkeypatch):
    taken = []
    for name in ("loss", "residual"):
        plain = getattr(Objective, name)
        monkeypatch.setattr(
            Objective, name, lambda *a, plain=plain: taken.append(None) or plain(*a)
        )
    challenge, _ = challenge_of()
    attack(challenge, InversionOptions(iterations=iterations), run())
    assert 0.5 * iterations - 10 <= len(taken) <= iterations - 4


def test_the_same_seed_gives_the_same_answer_and_the_model_stays_as_it_was():
    challenge, _ = challenge_of()
    state = torch.random.get_rng_state()
    options = InversionOptions(iterations=40)
    first, again, other = (attack(challenge, options, run(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.records, again.records)
    assert (first.records != other.records).any()
    assert torch.equal(state, torch.random.get_rng_state())
    for name, value in challenge.model.state_dict().items():
        np.testing.assert_array_equal(challenge.before[name], value.numpy())


def test_of_all_starts_the_least_residual_is_kept():
    challenge, _ = challenge_of()
    prior = prior_of(challenge)
    problem = Problem(prior=prior, labels=torch.tensor([0, 1]))
    seen_, plain = [], descent.descend

    def watched(*arguments):
        seen_.append(plain(*arguments))
        return seen_[-1]

    target = torch.zeros(2, 1, SIDE, SIDE).reshape(-1)
    ours = Objective(
        update=lambda x, y, graph: [x], sent=target, weights=torch.full((128,), 1 / 128)
    )
    starts = [
        Attempt(method=method, objective=ours, parts=tuple(prior.start(2, rng, 1.0)))
        for rng in [torch.Generator().manual_seed(0)]
        for method in (
            Method(loss="distance", optimiser="signed", variation=0.1),
            Method(loss="distance", optimiser="signed", variation=100.0),
            Method(loss="distance", optimiser="l-bfgs", variation=0.0),
        )
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "descend", watched)
        best = search(problem, starts, 100)
    assert min(each.residual for each in seen_) == best.residual


@pytest.mark.parametrize(("visible", "seen_"), [(True, 2), (False, 0)])
def test_masks_are_seen_in_every_other_step(visible, seen_):
    kinds = []

    def update(x, y, graph):
        made = torch.relu(x)
        kinds.append(type(made.grad_fn).__name__)
        return [made]

    prior = prior_of(challenge_of()[0])
    begun = Attempt(
        method=Method(loss="distance", optimiser="signed", variation=0.0, visible=visible),
        objective=Objective(update=update, sent=torch.zeros(128), weights=torch.ones(128)),
        parts=tuple(prior.start(2, torch.Generator().manual_seed(0), 1.0)),
    )
    descend(Problem(prior=prior, labels=torch.tensor([0, 1])), begun, 6, 0.1)
    assert kinds[:4].count("_ReluBackward") == seen_


def test_an_attempt_never_ends_worse_than_it_began():
    challenge, _ = challenge_of()
    prior = prior_of(challenge)
    ours = Objective(
        update=lambda x, y, graph: [x],
        sent=torch.zeros(128),
        weights=torch.full((128,), 1 / 128),
    )
    method = Method(loss="distance", optimiser="signed", variation=0.0)
    parts = tuple(torch.zeros_like(p) for p in prior.start(2, torch.Generator(), 1.0))
    begun = Attempt(method=method, objective=ours, parts=parts, residual=0.0)
    problem = Problem(prior=prior, labels=torch.tensor([0, 1]))
    ended = descend(problem, begun, 5, 0.2)
    assert (ended.residual, ended.spent) == (0.0, 5)


def test_images_are_sums_of_coarse_and_fine_pictures():
    challenge, _ = challenge_of()
    prior = prior_of(challenge)
    assert prior.levels == ((2, 2), (4, 4), (8, 8))
    parts = prior.start(3, torch.Generator().manual_seed(0), 1.0)
    enlarged = [
        nn.functional.interpolate(p, size=SIDE, mode="bilinear", align_corners=False) for p in parts
    ]
    torch.testing.assert_close(prior.records(parts), sum(enlarged))


def test_bounds_and_scale_come_from_auxiliary_records():
    challenge, _ = challenge_of(evolve(GRADIENT, mean=None, std=None), images=False)
    records = np.array([[0, 1, 2, 3, 4, 7], [2, 1, 2, 3, 8, 7]], dtype=np.float32)
    known = evolve(challenge, auxiliary=Auxiliary(records=records, labels=np.zeros(2, np.int64)))
    prior = prior_of(known)
    assert records.min(axis=0).tolist() == prior.low[0].tolist()
    assert records.max(axis=0).tolist() == prior.high[0].tolist()
    assert prior.centre[0].tolist() == [1, 1, 2, 3, 6, 7]
    answer = attack(known, InversionOptions(iterations=40), run())
    assert (answer.records >= records.min(axis=0)).all()
    assert (answer.records <= records.max(axis=0)).all()


def test_texts_are_refused():
    challenge, _ = challenge_of()
    with pytest.raises(NotApplicable):
        attack(evolve(challenge, modality="text"), InversionOptions(), run())


def test_what_is_not_disclosed_is_done_without():
    knows = Disclosed(kind="gradient", examples=2)
    challenge, x = challenge_of(knows=knows)
    answer = attack(challenge, InversionOptions(iterations=200), run())
    assert (error(answer.records, x) < blind(x)).all()
