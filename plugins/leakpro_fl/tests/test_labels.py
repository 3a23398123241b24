"""The labels of a batch are counted from the gradient of the last linear layer."""

from itertools import combinations_with_replacement
from pathlib import Path

import cifar
import models
import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_fl.client import TorchClient, arrays_of, buffers_of
from leakpro_fl.labels import attack, counts_of, labels_of, nearest_multiset, size_of
from leakpro_fl.seen import seen
from leakpro_fl.sizes import size_told
from networks import MLP, ConvNetBN, ConvNetSmall, LeNet, seeded
from torch import nn
from torch.nn.functional import cross_entropy

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Auxiliary, Disclosed
from leakpro_core.testing.conformance import PlainRun

RUN = PlainRun(seed=0, scratch=Path())
GRADIENT = {"kind": "gradient", "mode": "eval"}
STEPS = {"kind": "delta", "mode": "eval", "lr": 0.01}


def challenge(module, x, y, *, classes=10, modality="image", told=None, **said):
    """Return what a server sees of a client with these records; told: what it says otherwise."""
    disclosed = Disclosed(**{"examples": len(x)} | said)
    before = arrays_of(module)
    update = TorchClient(module=module, disclosed=disclosed).update(before, x, y, 1)
    return InversionChallenge(
        model=module,
        before=before,
        update=update,
        disclosed=evolve(disclosed, **told or {}),
        buffers=buffers_of(module),
        shape=x.shape[1:],
        classes=classes,
        modality=modality,
    )


def accuracy(of, y):
    """Return the share of the multiset of labels that is found."""
    found = labels_of(seen(of), of, len(y))
    both = [np.bincount(labels, minlength=of.classes) for labels in (found, y)]
    return np.minimum(*both).sum() / len(y)


def noise(b, classes=10, shape=(3, 32, 32), seed=0):
    """Return made-up records and labels."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(b, *shape)).astype(np.float32), rng.integers(0, classes, b)


@cifar.needed
@pytest.mark.parametrize("b", [4, 8, 16, 64])
@pytest.mark.parametrize("steps", [1, 4])
def test_labels_of_images_are_found_by_an_untrained_network(b, steps):
    x, y = cifar.images(b, start=b)
    said = GRADIENT if steps == 1 else STEPS | {"batch_size": b // steps}
    assert accuracy(challenge(seeded(ConvNetSmall, 8, seed=b), x, y, **said), y) == 1.0


@cifar.needed
def test_a_model_of_one_epoch_tells_nine_labels_in_ten():
    x, y = cifar.images(1600)
    module = seeded(ConvNetSmall, 8, seed=0)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    for part in torch.from_numpy(np.random.default_rng(0).permutation(1200)).split(16):
        optimiser.zero_grad()
        cross_entropy(module(torch.from_numpy(x)[part]), torch.from_numpy(y)[part]).backward()
        optimiser.step()
    batches = [slice(1200 + 16 * i, 1216 + 16 * i) for i in range(12)]
    shares = [accuracy(challenge(module, x[i], y[i], **GRADIENT), y[i]) for i in batches]
    assert np.mean(shares) >= 0.9


@pytest.mark.parametrize("make", [LeNet, ConvNetSmall, ConvNetBN])
@pytest.mark.parametrize("kind", ["gradient", "delta", "weights"])
def test_every_kind_of_update_of_every_network_tells_labels(make, kind):
    x, y = noise(8)
    said = {"kind": kind, "mode": "eval"} | ({} if kind == "gradient" else {"lr": 0.01})
    assert accuracy(challenge(seeded(make, seed=3), x, y, **said), y) == 1.0


def test_a_delta_is_not_taken_for_a_gradient_which_would_give_the_other_labels():
    x = noise(2)[0]
    y = np.array([3, 3])
    of = challenge(seeded(ConvNetSmall, 8, seed=0), x, y, **STEPS)
    assert labels_of(seen(of), of, 2).tolist() == [3, 3]
    wrong = evolve(of, disclosed=evolve(of.disclosed, kind="gradient", lr=None))
    assert 3 not in labels_of(seen(wrong), wrong, 2)


def test_without_the_learning_rate_labels_are_those_that_make_whole_counts():
    x, y = noise(8, seed=2)
    of = challenge(seeded(ConvNetSmall, 8, seed=0), x, y, **STEPS, told={"lr": None})
    assert not seen(of).scaled
    assert accuracy(of, y) == 1.0


def test_the_size_of_a_batch_is_the_least_that_makes_whole_counts():
    x, _ = noise(6)
    y = np.array([0, 0, 1, 4, 4, 4])
    of = challenge(seeded(ConvNetSmall, 8, seed=0), x, y, **GRADIENT, told={"examples": None})
    assert size_of(seen(of), of) == 6
    assert sorted(y) == attack(of, None, RUN).labels.tolist()


@pytest.mark.parametrize("counts", [(2, 1, 1), (3, 4, 1), (5, 7, 3)])
def test_shares_with_small_errors_tell_the_size(counts):
    share = np.array(counts) / sum(counts) + np.array([-1e-4, 2e-4, -1e-4])
    assert size_told(share) == sum(counts)


def test_records_of_one_class_are_one_record_where_there_are_many_classes_only():
    assert [size_told(np.eye(classes)[0]) for classes in (2, 10)] == [None, 1]


def test_shares_drawn_at_random_tell_a_size_in_one_of_ten():
    rng = np.random.default_rng(0)
    told = [size_told(rng.dirichlet(np.full(10, a))) for a in (1.0, 30.0) for _ in range(30)]
    assert sum(size is not None for size in told) <= 6


def test_where_shares_tell_no_size_no_attack_is_played(monkeypatch):
    x, y = noise(8)
    of = challenge(seeded(ConvNetSmall, 8, seed=0), x, y, **GRADIENT, told={"examples": None})
    share = np.random.default_rng(0).dirichlet(np.ones(10))
    monkeypatch.setattr("leakpro_fl.labels.counts_of", lambda *_, **__: share)
    with pytest.raises(NotApplicable, match=r"number of records.*at most 256 records"):
        attack(of, None, RUN)


def test_a_last_layer_without_a_bias_tells_labels_by_its_weights():
    x, y = noise(8)
    module = seeded(ConvNetSmall, 8, seed=0)
    module.model.linear = nn.Linear(32, 10, bias=False)
    torch.nn.init.normal_(module.model.linear.weight, std=0.1, generator=torch.manual_seed(0))
    assert accuracy(challenge(module, x, y, **GRADIENT), y) >= 0.875


def test_batch_norm_in_training_mode_tells_labels_and_stays_as_it_is():
    x, y = noise(8)
    module = seeded(ConvNetBN, 4, seed=0)
    before = arrays_of(module)
    assert accuracy(challenge(module, x, y, kind="gradient", mode="train"), y) == 1.0
    after = arrays_of(module)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_texts_tell_labels():
    module = models_text()
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 20, (6, 7)), rng.integers(0, 5, 6)
    of = challenge(module, x, y, classes=5, modality="text", **GRADIENT)
    assert accuracy(of, y) == 1.0


def models_text():
    spaces = {}
    exec(models.MY_MODELS, spaces)  # the users' file of the loaders' tests
    torch.manual_seed(0)
    return spaces["text"]()


def test_rows_of_one_hot_columns_tell_labels():
    rng = np.random.default_rng(1)
    x = np.eye(6, dtype=np.float32)[rng.integers(0, 6, 5)]
    y = rng.integers(0, 2, 5)
    of = challenge(seeded(MLP, 6, 16, 2, seed=0), x, y, classes=2, modality="tabular", **GRADIENT)
    assert accuracy(evolve(of, groups=((0, 1, 2), (3, 4, 5))), y) == 1.0


def test_auxiliary_records_are_asked_where_there_are_any():
    x, y = noise(8)
    of = challenge(seeded(ConvNetSmall, 8, seed=0), x, y, **GRADIENT)
    others = noise(20, seed=5)
    assert accuracy(evolve(of, auxiliary=Auxiliary(records=others[0], labels=others[1])), y) == 1.0


def test_counts_are_at_least_0_and_sum_to_the_size():
    x, y = noise(8)
    of = challenge(seeded(LeNet, seed=0), x, y, **GRADIENT)
    counts = counts_of(seen(of), of, 8)
    assert counts.min() >= 0.0
    assert pytest.approx(counts.sum()) == 8.0


@given(st.lists(st.floats(-1.0, 4.0), min_size=3, max_size=3), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_nearest_multiset_is_the_nearest_of_all(counts, b):
    every = combinations_with_replacement(range(3), b)
    far = [np.square(counts - np.bincount(labels, minlength=3)).sum() for labels in every]
    found = np.bincount(nearest_multiset(np.array(counts), b), minlength=3)
    assert min(far) == pytest.approx(np.square(counts - found).sum())


def test_labels_that_are_known_are_returned_and_no_attack_is_played():
    x, y = noise(4)
    of = evolve(challenge(seeded(LeNet, seed=0), x, y, **GRADIENT), labels=np.sort(y))
    assert np.sort(y).tolist() == labels_of(seen(of), of, 4).tolist()
    with pytest.raises(NotApplicable, match="labels that are known"):
        attack(of, None, RUN)


def test_a_model_whose_logits_are_of_no_linear_layer_is_not_played():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10), nn.LogSoftmax(1))
    of = challenge(module, *noise(4), **GRADIENT)
    with pytest.raises(NotApplicable, match="no linear layer that gives the logits"):
        attack(of, None, RUN)


def test_an_answer_says_labels_only_and_certifies_none():
    x, y = noise(4)
    answer = attack(challenge(seeded(LeNet, seed=0), x, y, **GRADIENT), None, RUN)
    assert (answer.records, 4, 4) == (None, len(answer.labels), len(answer.claims))
    assert not answer.certified.any()
