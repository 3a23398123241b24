"""Targets: files that load, files that must not, and models that do not fit."""

import hashlib
import importlib
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from leakpro_torch.loader import TorchModel, load
from leakpro_torch.options import LoaderOptions
from safetensors.torch import save_file
from torch import nn

from leakpro_core.errors import (
    BadArray,
    BadValue,
    MissingFile,
    MissingKey,
    NotAFactory,
    ReferenceNotFound,
    UnsafeFile,
)
from leakpro_core.protocols import Native, Queryable, Weights
from leakpro_core.references import importable


class Bomb:
    """What a malicious pickle does when it is loaded."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return os.mkdir, (self.canary,)


@pytest.fixture
def network(user):
    torch.manual_seed(0)
    return user("normalised").load()()


@pytest.fixture
def saved(network, tmp_path):
    """Return the state dict of ``normalised`` in a file of each safe kind."""
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    return tmp_path


def message(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_factory_and_its_weights_make_a_target(name, saved, network, user, digits, run):
    release = load(LoaderOptions(factory=user("normalised"), weights=saved / name), run)
    target = release.target
    network.eval()
    with torch.no_grad():
        expected = network(torch.tensor(digits.records, dtype=torch.float32)).numpy()
    found = target.handle.query(digits.records)
    assert found.dtype == np.float32
    assert np.allclose(expected, found, atol=1e-6)
    assert target.identity == hashlib.sha256((saved / name).read_bytes()).hexdigest()
    assert target.architecture == user("normalised")
    assert target.parameters == sum(p.numel() for p in network.parameters())
    assert (release.population, release.notes) == (None, ())


def test_the_handle_is_queryable_has_weights_and_is_native(saved, network, user, run):
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt")
    handle = load(options, run).target.handle
    assert isinstance(handle, Queryable)
    assert isinstance(handle, Weights)
    assert isinstance(handle, Native)
    assert isinstance(handle.native(), nn.Module)
    assert list(handle.parameters()) == list(network.state_dict())
    assert np.array_equal(handle.parameters()["0.weight"], network[0].weight.detach().numpy())


def test_parameters_are_copies(saved, user, run):
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt")
    handle = load(options, run).target.handle
    handle.parameters()["0.weight"][:] = 0
    assert np.abs(handle.parameters()["0.weight"]).sum() > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int64, np.float64])
def test_records_of_any_number_type_are_taken(dtype, saved, user, run):
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt")
    query = load(options, run).target.handle.query
    records = np.random.default_rng(0).integers(0, 2, (5, 64))
    assert np.array_equal(query(records.astype(np.float32)), query(records.astype(dtype)))


def test_batches_do_not_change_what_a_model_says(saved, user, digits, run):
    one, small = (
        load(
            LoaderOptions(
                factory=user("normalised"), weights=saved / "weights.pt", batch_size=size
            ),
            run,
        ).target.handle.query(digits.records[:100])
        for size in (1000, 7)
    )
    assert np.allclose(one, small, atol=1e-6)


class Precision(nn.Module):
    def forward(self, x):
        return x + (torch.get_float32_matmul_precision() == "highest")


def test_a_target_is_asked_in_float32_as_shadows_are(digits):
    model = TorchModel(module=Precision().eval(), device="cpu", batch_size=8, threads=1)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert np.array_equal([[1.0]], model.query(np.zeros((1, 1))))
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_module_takes_the_shapes_of_its_weights(tmp_path, user, digits, run):
    network = user("lazy").load()()
    expected = network(torch.tensor(digits.records[:5]).float()).detach().numpy()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    release = load(LoaderOptions(factory=user("lazy"), weights=tmp_path / "weights.pt"), run)
    assert np.allclose(expected, release.target.handle.query(digits.records[:5]), atol=1e-6)
    assert release.target.parameters == 65 * 10


def test_a_target_that_draws_is_refused(tmp_path, user, digits, run):
    torch.save(user("always_dropping").load()().state_dict(), tmp_path / "weights.pt")
    options = LoaderOptions(factory=user("always_dropping"), weights=tmp_path / "weights.pt")
    with pytest.raises(NotAFactory, match="gives other outputs each time"):
        load(options, run).target.handle.query(digits.records)


def test_no_records_have_no_outputs(saved, user, digits, run):
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt")
    assert load(options, run).target.handle.query(digits.records[:0]).shape == (0, 10)


def test_a_target_with_probabilities_says_so_and_is_no_architecture_for_shadows(saved, user, run):
    options = LoaderOptions(
        factory=user("normalised"), weights=saved / "weights.pt", outputs="probabilities"
    )
    target = load(options, run).target
    assert target.outputs == "probabilities"
    assert target.architecture is None


def test_loading_leaves_the_global_generator_alone(saved, user, run):
    before = torch.get_rng_state()
    load(LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt"), run)
    assert torch.equal(before, torch.get_rng_state())


def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path, user, run):
    for name, write in (("zip.pt", torch.save), ("plain.pkl", _pickle)):
        write(Bomb(tmp_path / "canary"), tmp_path / name)
        with pytest.raises(UnsafeFile, match=f"{name}.*trust = true") as caught:
            load(LoaderOptions(factory=user("normalised"), weights=tmp_path / name), run)
        assert message(caught)
    assert not (tmp_path / "canary").exists()


def test_the_bomb_goes_off_where_it_is_trusted(tmp_path, user, run):
    torch.save(Bomb(tmp_path / "canary"), tmp_path / "bomb.pt")
    options = LoaderOptions(factory=user("normalised"), weights=tmp_path / "bomb.pt", trust=True)
    with pytest.raises(BadArray, match="NoneType"):
        load(options, run)
    assert (tmp_path / "canary").exists()


def _pickle(value, path):
    path.write_bytes(pickle.dumps(value))


def test_a_pickled_module_loads_where_it_is_trusted_and_the_report_says_so(tmp_path, run):
    torch.save(nn.Linear(64, 10), tmp_path / "module.pt")
    with pytest.raises(UnsafeFile, match=r"module\.pt"):
        load(LoaderOptions(weights=tmp_path / "module.pt"), run)
    release = load(LoaderOptions(weights=tmp_path / "module.pt", trust=True), run)
    assert release.target.handle.query(np.zeros((3, 64))).shape == (3, 10)
    assert release.notes == ("module.pt was trusted: it could run code while it was loaded.",)


def test_a_trusted_module_may_be_of_a_class_beside_its_file(tmp_path, run):
    (tmp_path / "beside.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Linear):\n    pass\n"
    )
    with importable(tmp_path):
        torch.save(importlib.import_module("beside").Net(4, 3), tmp_path / "whole.pt")
    target = load(LoaderOptions(weights=tmp_path / "whole.pt", trust=True), run).target
    assert target.handle.query(np.zeros((2, 4), np.float32)).shape == (2, 3)


def test_weights_that_unpack_to_more_than_the_memory_are_not_unpacked(saved, user, run):
    with zipfile.ZipFile(saved / "weights.pt", "a") as archive:
        archive.writestr("more", b"")
        archive.filelist[-1].file_size = 2**52  # the table of contents is written last
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt")
    with pytest.raises(BadArray, match="GiB of values, expected at most the memory"):
        load(options, run)


class Tensor:
    """A state dict's tensor that runs code on its way out of a pickle."""

    def __init__(self, values):
        self.values = values

    def __reduce__(self):
        return eval, (f"__import__('torch').tensor({self.values.tolist()!r})",)


def test_the_report_says_so_of_a_trusted_state_dict_too(tmp_path, network, user, run):
    state = {name: Tensor(values) for name, values in network.state_dict().items()}
    torch.save(state, tmp_path / "state.pt")
    options = LoaderOptions(factory=user("normalised"), weights=tmp_path / "state.pt", trust=True)
    notes = load(options, run).notes
    assert notes == ("state.pt was trusted: it could run code while it was loaded.",)


def test_an_exported_program_loads_only_where_it_is_trusted(tmp_path, network, digits, run):
    batch = torch.export.Dim("batch")
    network.eval()
    program = torch.export.export(network, (torch.zeros(3, 64),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.raises(UnsafeFile, match=r"model\.pt2.*torch\.export program.*trust = true"):
        load(LoaderOptions(weights=tmp_path / "model.pt2"), run)
    release = load(LoaderOptions(weights=tmp_path / "model.pt2", trust=True), run)
    with torch.no_grad():
        expected = network(torch.tensor(digits.records, dtype=torch.float32)).numpy()
    assert np.allclose(expected, release.target.handle.query(digits.records), atol=1e-6)
    assert release.notes == ("model.pt2 was trusted: it could run code while it was loaded.",)


def test_trust_adds_no_note_where_nothing_needed_it(saved, user, run):
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt", trust=True)
    assert load(options, run).notes == ()


def test_a_missing_file(tmp_path, user, run):
    with pytest.raises(MissingFile, match=r"absent\.pt: found No such file"):
        load(LoaderOptions(factory=user("mlp"), weights=tmp_path / "absent.pt"), run)


def test_half_a_pickle(tmp_path, user, run):
    (tmp_path / "odd.pt").write_bytes(b"\x80\x04")
    for trust, error in ((False, UnsafeFile), (True, BadArray)):
        options = LoaderOptions(factory=user("mlp"), weights=tmp_path / "odd.pt", trust=trust)
        with pytest.raises(error, match=r"odd\.pt") as caught:
            load(options, run)
        assert message(caught)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04 half of a file", "a damaged file"),
        (b"a,b\n1,2\n", "another format"),
        (bytes(100), "another format"),
    ],
)
@pytest.mark.parametrize("trust", [False, True])
def test_what_torch_never_writes_is_not_a_question_of_trust(
    content, found, trust, tmp_path, user, run
):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(BadArray) as caught:
        load(LoaderOptions(factory=user("mlp"), weights=path, trust=trust), run)
    assert message(caught) == (
        f"weights weights.pt: found {found}, expected safetensors, or what torch.save writes. "
        "Save the weights again."
    )


def test_damaged_safetensors(saved, user, run):
    content = (saved / "weights.safetensors").read_bytes()
    (saved / "half.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadArray, match=r"half\.safetensors.*expected safetensors") as caught:
        load(LoaderOptions(factory=user("normalised"), weights=saved / "half.safetensors"), run)
    assert message(caught)


def test_a_checkpoint_is_not_a_state_dict(tmp_path, network, user, run):
    torch.save({"epoch": 3, "model": network.state_dict()}, tmp_path / "checkpoint.pt")
    with pytest.raises(
        BadArray, match=r"found other values among its keys epoch, model.*model\.state_dict\(\)"
    ):
        load(LoaderOptions(factory=user("normalised"), weights=tmp_path / "checkpoint.pt"), run)


def test_weights_that_do_not_fit_are_named(saved, user, run):
    with pytest.raises(BadArray) as caught:
        load(LoaderOptions(factory=user("mlp"), weights=saved / "weights.pt"), run)
    assert message(caught) == (
        "weights weights.pt do not fit the module of 'my_models:mlp': found missing 2.weight; "
        "missing 2.bias; unexpected 1.weight; unexpected 1.bias; unexpected 1.running_mean; "
        "unexpected 1.running_var; and 5 more, expected its 4 tensors. "
        "Name the factory that the weights were saved from."
    )


def test_a_tensor_of_another_shape_is_named(tmp_path, user, run):
    state = user("mlp").load()().state_dict()
    torch.save(state | {"0.bias": torch.zeros(7)}, tmp_path / "weights.pt")
    with pytest.raises(BadArray, match=r"found 0\.bias of shape \[7\] instead of \[128\]"):
        load(LoaderOptions(factory=user("mlp"), weights=tmp_path / "weights.pt"), run)


def test_a_state_dict_needs_a_factory(saved, run):
    with pytest.raises(MissingKey, match=r"\[target\] factory.*state dict in weights\.pt"):
        load(LoaderOptions(weights=saved / "weights.pt"), run)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("raises", NotAFactory),
        ("a_number", NotAFactory),
        ("not_callable", ReferenceNotFound),
        ("absent", ReferenceNotFound),
    ],
)
def test_what_is_not_a_factory(name, error, saved, user, run):
    with pytest.raises(error, match=name) as caught:
        load(LoaderOptions(factory=user(name), weights=saved / "weights.pt"), run)
    assert message(caught)


def test_a_device_that_is_not_there(saved, user, run):
    options = LoaderOptions(
        factory=user("normalised"), weights=saved / "weights.pt", device="no such device"
    )
    with pytest.raises(BadValue, match=r"\[target\] device.*'no such device'") as caught:
        load(options, run)
    assert message(caught)


def test_outputs_without_a_column_for_each_class(tmp_path, user, run):
    torch.save(user("flat").load()().state_dict(), tmp_path / "weights.pt")
    handle = load(
        LoaderOptions(factory=user("flat"), weights=tmp_path / "weights.pt"), run
    ).target.handle
    with pytest.raises(BadArray, match=r"shape \[4\], expected a tensor of shape \[4, classes\]"):
        handle.query(np.zeros((4, 64)))


def test_records_of_another_shape(saved, user, run):
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt")
    handle = load(options, run).target.handle
    with pytest.raises(BadArray, match=r"cannot take records of shape \(4, 9\)") as caught:
        handle.query(np.zeros((4, 9)))
    assert message(caught)


def test_records_that_are_no_numbers(saved, user, run):
    options = LoaderOptions(factory=user("normalised"), weights=saved / "weights.pt")
    handle = load(options, run).target.handle
    with pytest.raises(BadArray, match=r"records: found dtype <U1, expected numbers"):
        handle.query(np.array([["a"]]))
