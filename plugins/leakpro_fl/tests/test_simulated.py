"""Loader "client": a client's procedure as a target, and the options that contradict it."""

import models
import numpy as np
import pytest
from leakpro_fl.options import ClientOptions, ReceivedOptions
from leakpro_fl.plugin import leakpro_target_loaders
from leakpro_fl.simulated import load

from leakpro_core.errors import BadValue, MissingFile, MissingKey, UnknownKey
from leakpro_core.options import build
from leakpro_core.protocols import Client
from leakpro_core.records import Disclosed
from leakpro_core.references import resolve
from leakpro_core.testing.conformance import PlainRun


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_models.py").write_text(models.MY_MODELS)
    return tmp_path


@pytest.fixture
def run(tmp_path):
    return PlainRun(seed=3, scratch=tmp_path)


def options(folder, **changes):
    table = {"factory": "my_models:images", "examples": 8} | changes
    return build(ClientOptions, table, at="[target]", folder=folder)


def test_a_plain_client_is_that_of_flowers_quickstart(folder, run):
    release = load(options(folder), run)
    expected = Disclosed(
        kind="weights",
        examples=8,
        optimiser="sgd",
        lr=0.1,
        momentum=0.9,
        nesterov=False,
        weight_decay=0.0,
        epochs=1,
        batch_size=32,
        shuffled=True,
        mode="train",
        reduction="mean",
        dtype="float32",
    )
    assert expected == release.updates.disclosed
    assert isinstance(release.target.handle, Client)
    assert (release.updates.updates, release.updates.rounds, release.notes) == ((), 0, ())
    assert release.updates.buffers == ("1.running_mean", "1.running_var", "1.num_batches_tracked")
    assert (release.target.kind, len(release.target.identity)) == ("update", 64)
    assert "its weights after local training on 8 records" in release.target.description


def test_a_gradient_says_nothing_of_local_training(folder, run):
    found = load(options(folder, kind="gradient", clients=2), run)
    said = found.updates.disclosed
    assert (said.momentum, said.epochs, said.batch_size, said.optimiser) == (None, None, None, None)
    assert (said.lr, said.mode, said.reduction, said.clients) == (0.1, "train", "mean", 2)
    assert "the gradient on 8 records, the mean over 2 clients" in found.target.description


def test_the_model_is_drawn_from_the_seed_or_read(folder, run):
    first, again = (load(options(folder), run) for _ in range(2))
    assert first.target.identity == again.target.identity
    other = load(options(folder), PlainRun(seed=4, scratch=folder))
    assert first.target.identity != other.target.identity
    np.savez(folder / "w.npz", **first.updates.before)
    saved = load(options(folder, weights="w.npz"), PlainRun(seed=5, scratch=folder))
    assert first.target.identity == saved.target.identity
    assert "of w.npz" in saved.target.description
    assert first.target.identity != load(options(folder, lr=0.2), run).target.identity


def test_a_missing_file_is_said(folder, run):
    with pytest.raises(MissingFile, match=r"weights .*nowhere\.npz"):
        load(options(folder, weights="nowhere.npz"), run)


def test_a_device_that_is_not_there_is_said(folder, run):
    with pytest.raises(BadValue, match=r"\[target\] device"):
        load(options(folder, device="nowhere"), run)


def test_noise_has_an_epsilon_in_the_notes(folder, run):
    notes = load(options(folder, clip=1.0, noise=1.0), run).notes
    assert "epsilon" in notes[0]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"examples": 7, "clients": 2}, "2 clients can share equally"),
        ({"kind": "gradient", "epochs": 2}, "which is one step"),
        ({"nesterov": True, "momentum": 0.0}, "momentum above 0"),
        ({"lr": 0.0}, "[target] lr"),
        ({"momentum": 1.0}, "[target] momentum"),
        ({"bits": 0}, "[target] bits"),
        ({"pruned": 1.0}, "[target] pruned"),
        ({"clip": -1.0}, "[target] clip"),
        ({"noise": -1.0}, "[target] noise"),
        ({"examples": 0}, "[target] examples"),
        ({"mode": "test"}, "[target] mode"),
        ({"groups": [[0, -1]]}, "numbered from 0"),
    ],
)
def test_options_that_make_no_client_are_refused_by_their_key(change, word, folder):
    with pytest.raises(BadValue) as caught:
        options(folder, **change)
    assert word in str(caught.value)


def test_misspelt_and_missing_keys_are_named(folder):
    with pytest.raises(UnknownKey, match="momentum"):
        options(folder, momentun=0.9)
    with pytest.raises(MissingKey, match="factory"):
        build(ClientOptions, {"examples": 8}, at="[target]", folder=folder)


def test_the_loaders_are_offered():
    offers = {offer.name: offer for offer in leakpro_target_loaders()}
    assert {"update", "client"} == set(offers)
    assert resolve(offers["client"].ref) is load
    assert resolve(offers["client"].options) is ClientOptions
    assert resolve(offers["update"].options) is ReceivedOptions
