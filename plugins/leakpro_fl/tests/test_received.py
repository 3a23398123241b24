"""Loader "update": releases of received updates, and every way in which they are refused."""

import json

import models
import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leakpro_fl.client import TorchClient
from leakpro_fl.models import global_model
from leakpro_fl.options import ClientOptions, ReceivedOptions
from leakpro_fl.received import load
from leakpro_fl.simulated import load as simulate

from leakpro_core.errors import (
    BadArray,
    BadRecord,
    BadValue,
    DuplicateName,
    LeakProError,
    MissingFile,
    MissingKey,
    UnknownKey,
    UnsafeFile,
    WrongType,
)
from leakpro_core.options import build
from leakpro_core.records import Disclosed
from leakpro_core.references import ImportPath
from leakpro_core.testing.conformance import PlainRun
from leakpro_core.testing.runs import SilentLog

SIDECAR = {"kind": "weights", "examples": 12, "lr": 0.1, "momentum": 0.9, "batch_size": 4}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a model, its update of a batch, the batch and a sidecar."""
    (tmp_path / "my_models.py").write_text(models.MY_MODELS)
    for name, shape in (("mlp", (6,)), ("images", (3, 8, 8))):
        factory = ImportPath(f"my_models:{name}", tmp_path)
        module, before, _ = global_model(factory, None, trust=False, seed=4)
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((12, *shape)).astype(np.float32), rng.integers(0, 5, 12)
        client = TorchClient(module=module, disclosed=Disclosed(**SIDECAR, mode="train"))
        np.savez(tmp_path / f"{name}-before.npz", **before)
        np.savez(tmp_path / f"{name}-update.npz", **client.update(before, x, y, 0))
        np.savez(tmp_path / f"{name}-batch.npz", x=x, y=y)
    (tmp_path / "said.json").write_text(json.dumps(SIDECAR))
    return tmp_path


@pytest.fixture
def run(tmp_path):
    return PlainRun(seed=3, scratch=tmp_path)


def plan(folder, name="mlp", **changes):
    """Return the table of a plan, without the keys that are None."""
    table = {
        "factory": f"my_models:{name}",
        "before": f"{name}-before.npz",
        "updates": [f"{name}-update.npz"],
        "sidecar": "said.json",
        "batch": f"{name}-batch.npz",
    } | changes
    table = {key: value for key, value in table.items() if value is not None}
    return build(ReceivedOptions, table, at="[target]", folder=folder)


def refused(kind, folder, run, **changes):
    with pytest.raises(kind) as caught:
        load(plan(folder, **changes), run)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def arrays(path):
    with np.load(path) as held:
        return dict(held)


def test_a_release_has_the_update_the_model_and_the_batch(folder, run):
    release = load(plan(folder, "images"), run)
    (update,) = release.updates.updates
    for name, values in arrays(folder / "images-update.npz").items():
        assert np.array_equal(values, update.values[name])
    for name, values in arrays(folder / "images-before.npz").items():
        assert np.array_equal(values, update.before[name])
        assert np.array_equal(values, release.updates.before[name])
    batch = arrays(folder / "images-batch.npz")
    assert np.array_equal(batch["x"], update.records)
    assert np.array_equal(batch["y"], update.labels)
    assert Disclosed(**SIDECAR) == release.updates.disclosed
    assert (release.updates.shape, release.updates.classes) == ((3, 8, 8), 5)
    expected = ("1.running_mean", "1.running_var", "1.num_batches_tracked")
    assert expected == release.updates.buffers
    assert (release.target.kind, release.notes) == ("update", ())
    assert release.target.parameters == sum(
        p.numel() for p in release.target.handle.native().parameters()
    )
    assert "its weights after local training on 12 records, 1 update" in release.target.description


def test_the_handle_makes_the_same_update_of_the_batch(folder, run):
    release = load(plan(folder, mode="train"), run)
    (update,) = release.updates.updates
    again = release.target.handle.update(update.before, update.records, update.labels, 0)
    assert all(np.array_equal(update.values[name], again[name]) for name in again)


def test_the_identity_is_that_of_arrays_and_what_was_disclosed(folder, run):
    first = load(plan(folder), run).target.identity
    assert len(first) == 64
    assert first == load(plan(folder, batch=None), run).target.identity
    torch.save(
        {n: torch.from_numpy(v) for n, v in arrays(folder / "mlp-update.npz").items()},
        folder / "u.pt",
    )
    assert first == load(plan(folder, updates=["u.pt"]), run).target.identity
    assert first != load(plan(folder, mode="train"), run).target.identity
    assert first != load(plan(folder, updates=["mlp-before.npz"]), run).target.identity


def test_without_batch_shape_and_disclosure_nothing_crashes(folder, run):
    release = load(plan(folder, sidecar=None, batch=None, kind="weights"), run)
    (update,) = release.updates.updates
    assert (update.records, update.labels, release.updates.shape) == (None, None, None)
    assert Disclosed(kind="weights") == release.updates.disclosed
    release = load(plan(folder, sidecar=None, batch=None, kind="weights", shape=[6]), run)
    assert (release.updates.shape, release.updates.classes) == ((6,), 5)


def test_a_batch_without_a_learning_rate_is_noted(folder, run):
    release = load(plan(folder, sidecar=None, kind="weights"), run)
    assert "The learning rate was not disclosed" in release.notes[0]
    update = release.updates.updates[0]
    release.target.handle.update(update.before, update.records, update.labels, 0)


def test_several_updates_are_rounds_each_with_its_model(folder, run):
    updates = ["mlp-update.npz", "mlp-update.npz", "mlp-before.npz"]
    befores = ["mlp-before.npz", "mlp-update.npz", "mlp-update.npz"]
    batch = ["mlp-batch.npz"] * 3
    release = load(plan(folder, before=None, befores=befores, updates=updates, batch=batch), run)
    assert (release.updates.rounds, len(release.updates.updates)) == (3, 3)
    for update, before in zip(release.updates.updates, befores, strict=True):
        expected = arrays(folder / before)
        assert all(np.array_equal(expected[name], v) for name, v in update.before.items())
    assert any("is the global model unchanged" in note for note in release.notes)
    one = load(plan(folder, updates=updates[:2]), run).updates.updates
    assert all(np.array_equal(one[0].before[n], one[1].before[n]) for n in one[0].before)
    assert one[1].records is not None


def test_the_sidecar_may_be_toml_and_null_says_nothing(folder, run):
    (folder / "said.toml").write_text("".join(f"{k} = {v!r}\n" for k, v in SIDECAR.items()))
    found = load(plan(folder, sidecar="said.toml"), run).updates.disclosed
    assert Disclosed(**SIDECAR) == found
    (folder / "null.json").write_text(json.dumps({**SIDECAR, "clip": None, "mean": [0.5]}))
    found = load(plan(folder, sidecar="null.json"), run).updates.disclosed
    assert Disclosed(**SIDECAR, mean=(0.5,)) == found


@pytest.mark.parametrize("name", ["said.json", "said.toml"])
def test_that_nothing_is_clipped_can_be_said(name, folder, run):
    content = json.dumps({**SIDECAR, "clipped": False})
    if name.endswith("toml"):
        content = 'kind = "weights"\nclipped = false\n'
    (folder / name).write_text(content)
    said = load(plan(folder, sidecar=name), run).updates.disclosed
    assert (said.clipped, said.clip) == (False, None)


def test_the_dtype_of_halves_is_seen(folder, run):
    half = {n: v.astype(np.float16) for n, v in arrays(folder / "mlp-update.npz").items()}
    np.savez(folder / "half.npz", **half)
    release = load(plan(folder, updates=["half.npz"]), run)
    assert release.updates.disclosed.dtype == "float16"
    assert np.float32 == release.updates.updates[0].values["0.weight"].dtype


class Warned(SilentLog):
    """A log that keeps its warnings."""

    def __init__(self):
        self.said = []

    def warning(self, event, **values):
        self.said.append((event, values))


def test_a_wrong_kind_is_noted_and_warned_of(folder, run):
    (folder / "said.json").write_text(json.dumps(SIDECAR | {"kind": "delta"}))
    log = Warned()
    (note,) = load(plan(folder), evolve(run, log=log)).notes
    assert "declared a delta, but looks like weights" in note
    assert log.said == [("doubtful update", {"why": note})]


def test_an_update_of_zeros_is_loaded_with_a_note(folder, run):
    zeros = {n: np.zeros_like(v) for n, v in arrays(folder / "mlp-update.npz").items()}
    np.savez(folder / "zeros.npz", **zeros)
    (folder / "said.json").write_text(json.dumps(SIDECAR | {"kind": "gradient"}))
    (note,) = load(plan(folder, updates=["zeros.npz"]), run).notes
    assert "Update zeros.npz is zero everywhere" in note


def test_noise_has_an_epsilon_in_the_notes(folder, run):
    said = json.dumps(SIDECAR | {"clip": 1.0, "noise": 2.0})
    (folder / "said.json").write_text(said)
    assert any("epsilon" in note for note in load(plan(folder), run).notes)


# What is refused.


@pytest.mark.parametrize(
    ("kind", "content", "word"),
    [
        (BadValue, "", "an empty file"),
        (BadValue, "{kind: gradient}", "expected JSON"),
        (BadValue, "[1, 2]", "an object"),
        (BadValue, "[" * 100_000, "sidecar said.json"),
        (UnknownKey, '{"kind": "delta", "learning_rate": 0.1}', "learning_rate"),
        (UnknownKey, '{"kind": "delta", "epoch": 1}', "epochs"),
        (WrongType, '{"kind": "delta", "lr": "0.1"}', "sidecar said.json lr"),
        (BadValue, '{"kind": "gradiant"}', "gradient"),
        (BadValue, '{"kind": "delta", "lr": -1}', "sidecar said.json lr"),
        (BadValue, '{"kind": "delta", "lr": NaN}', "finite"),
        (BadValue, '{"kind": "delta", "bits": 64}', "bits"),
        (MissingKey, '{"lr": 0.1}', "kind"),
        (BadValue, '{"kind": "delta", "clip": 1.5, "clipped": false}', "no clip with clipped"),
    ],
)
def test_a_sidecar_that_says_nothing_sensible_is_refused(kind, content, word, folder, run):
    (folder / "said.json").write_text(content)
    assert word in refused(kind, folder, run)


def test_a_sidecar_of_bytes_or_none_is_refused(folder, run):
    (folder / "said.json").write_bytes(b"\xff\xfe\x00")
    assert "no text" in refused(BadValue, folder, run)
    assert "nowhere.json" in refused(MissingFile, folder, run, sidecar="nowhere.json")
    (folder / "said.toml").write_text("kind = gradient")
    assert "TOML" in refused(BadValue, folder, run, sidecar="said.toml")


def test_a_key_in_plan_and_sidecar_names_both(folder, run):
    text = refused(DuplicateName, folder, run, lr=0.2)
    assert "0.1 in sidecar said.json and 0.2 in [target]" in text


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"befores": ["mlp-before.npz"]}, "before"),
        ({"before": None}, "before"),
        ({"updates": []}, "updates"),
        ({"before": None, "befores": ["mlp-before.npz"] * 2}, "as many befores"),
        ({"batch": ["mlp-batch.npz"] * 2}, "one batch, or as many as updates"),
        ({"shape": [0]}, "above 0"),
        ({"kind": "weight"}, "weights"),
        ({"std": [0.0], "mean": [1.0]}, "above 0"),
        ({"groups": [[1, 2], [2, 3]]}, "each in one group"),
        ({"groups": [[1]]}, "at least two columns"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(change, word, folder):
    with pytest.raises(BadValue) as caught:
        plan(folder, **change)
    assert word in str(caught.value)


def test_files_that_do_not_fit_the_model_are_refused(folder, run):
    text = refused(BadArray, folder, run, updates=["images-update.npz"])
    assert "update images-update.npz does not fit" in text
    assert "missing 2.weight" in text
    text = refused(BadArray, folder, run, before="images-before.npz")
    assert "global model images-before.npz does not fit" in text
    assert "no.npz" in refused(MissingFile, folder, run, updates=["no.npz"])


def test_what_is_not_finite_or_a_pickle_is_refused(folder, run):
    broken = arrays(folder / "mlp-update.npz")
    broken["2.bias"][1] = np.nan
    np.savez(folder / "nan.npz", **broken)
    assert "nan.npz, 2.bias" in refused(BadArray, folder, run, updates=["nan.npz"])
    torch.save(models.mlp(), folder / "module.pt")
    assert "trust" in refused(UnsafeFile, folder, run, updates=["module.pt"])
    release = load(plan(folder, updates=["module.pt"], trust=True), run)
    assert "update module.pt was trusted" in release.notes[0]


@pytest.mark.parametrize(
    ("x", "y", "kind", "word"),
    [
        (np.zeros((12, 6)), np.arange(12) % 9, BadRecord, "a class from 0 to 4"),
        (np.zeros((12, 7)), np.arange(12) % 5, BadArray, "cannot take records of shape"),
        (np.zeros((3, 6)), np.arange(3), BadArray, "as many examples as were disclosed"),
        (np.zeros((12, 6)), np.arange(11) % 5, BadArray, "12"),
        (np.full((12, 6), np.nan), np.arange(12) % 5, BadRecord, "record 0"),
        (np.zeros((12, 6)), np.linspace(0, 1, 12), BadArray, "integers"),
    ],
)
def test_a_batch_that_cannot_be_it_is_refused(x, y, kind, word, folder, run):
    np.savez(folder / "batch.npz", x=x, y=y)
    assert word in refused(kind, folder, run, batch="batch.npz")


def test_a_batch_without_records_or_of_another_shape_is_refused(folder, run):
    np.savez(folder / "batch.npz", records=np.zeros((12, 6)))
    assert "x, the records, and y" in refused(BadArray, folder, run, batch="batch.npz")
    assert "[target] shape says" in refused(BadArray, folder, run, shape=[7])
    assert "cannot take" in refused(BadArray, folder, run, batch=None, shape=[7])
    assert "the model's, 5" in refused(BadValue, folder, run, classes=4)
    assert "column 6" in refused(BadValue, folder, run, groups=[[5, 6]])
    assert "expected rows" in refused(BadValue, folder, run, name="images", groups=[[5, 6]])


def test_texts_are_tokens_whatever_says_their_shape(folder, run):
    factory = ImportPath("my_models:text", folder)
    _, before, _ = global_model(factory, None, trust=False, seed=1)
    np.savez(folder / "text-before.npz", **before)
    np.savez(folder / "text-update.npz", **before)
    np.savez(folder / "text-batch.npz", x=np.ones((12, 7), np.int64), y=np.arange(12) % 5)
    for change in ({}, {"batch": None, "shape": [7]}):
        release = load(plan(folder, "text", **change), run)
        assert (release.updates.shape, release.updates.classes) == ((7,), 5)


@pytest.mark.parametrize("name", ["said.json", "mlp-batch.npz", "mlp-update.npz"])
def test_corrupted_bytes_are_an_error_of_the_user_or_loaded(name, folder, run):
    content = (folder / name).read_bytes()

    @settings(
        max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1),
        st.integers(0, 3),
    )
    def corrupted(changes, cut):
        broken = bytearray(content)
        for at, value in changes:
            broken[at] = value
        (folder / name).write_bytes(bytes(broken[: len(broken) // cut if cut else None]))
        try:
            load(plan(folder), run)
        except LeakProError as error:
            lines = str(error).splitlines()
            assert len(lines) == 1

    corrupted()


def test_a_simulated_update_that_is_written_is_received(folder, run):
    table = {"factory": "my_models:images", "kind": "gradient", "examples": 4}
    release = simulate(build(ClientOptions, table, at="[target]", folder=folder), run)
    batch = arrays(folder / "images-batch.npz")
    before = release.updates.before
    sent = release.target.handle.update(before, batch["x"][:4], batch["y"][:4], 0)
    np.savez(folder / "b.npz", **before)
    np.savez(folder / "g.npz", *sent.values())
    changes = {"before": "b.npz", "updates": ["g.npz"], "batch": None, "sidecar": None}
    received = load(plan(folder, "images", **changes, kind="gradient", examples=4), run)
    (update,) = received.updates.updates
    assert list(sent) == list(update.values)
    assert all(np.array_equal(sent[name], v) for name, v in update.values.items())
    assert "in the order of the model, as its parameters" in received.notes[0]
