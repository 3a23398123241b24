"""Files of updates: what is read, what is refused, and which tensors do not fit."""

import json
import pickle
from contextlib import suppress

import models
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leakpro_fl.client import arrays_of
from leakpro_fl.formats import read
from leakpro_fl.models import fitted, global_model
from safetensors.torch import save_file
from torch import nn

from leakpro_core.errors import BadArray, LeakProError, MissingFile, NotAFactory, UnsafeFile
from leakpro_core.references import ImportPath

ARRAYS = arrays_of(models.with_batch_norm())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan")
    (path / "my_models.py").write_text(models.MY_MODELS)
    return path


@pytest.fixture
def written(tmp_path):
    """Return one file of each format with the same arrays."""
    tensors = {name: torch.from_numpy(v.copy()) for name, v in ARRAYS.items()}
    save_file(tensors, tmp_path / "u.safetensors")
    torch.save(tensors, tmp_path / "u.pt")
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    np.savez(tmp_path / "u.npz", **ARRAYS)
    np.savez_compressed(tmp_path / "small.npz", **ARRAYS)
    (tmp_path / "folder").mkdir()
    for name, values in ARRAYS.items():
        np.save(tmp_path / "folder" / f"{name}.npy", values)
    return tmp_path


def held(path, trust=False):
    return read(path, "update", trust=trust, home=path.parent)


def said(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


FORMATS = ["u.safetensors", "u.pt", "old.pth", "u.npz", "small.npz", "folder"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_arrays(name, written):
    found = held(written / name)
    assert set(ARRAYS) == set(found.arrays)
    for key, values in ARRAYS.items():
        assert np.array_equal(values, found.arrays[key])
        assert values.dtype == found.arrays[key].dtype
    assert (found.half, found.notes) == (None, ())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("how", ["safetensors", "pt"])
def test_halves_are_kept_as_numbers(dtype, how, tmp_path):
    there = {"a": torch.randn(5).to(dtype), "n": torch.tensor(3)}
    path = tmp_path / f"u.{how}"
    (save_file if how == "safetensors" else torch.save)(there, path)
    found = held(path)
    assert np.array_equal(there["a"].float().numpy(), found.arrays["a"])
    assert (np.float32, 3) == (found.arrays["a"].dtype, found.arrays["n"])
    assert str(dtype).removeprefix("torch.") == found.half


def test_halves_of_numpy_are_kept_as_numbers(tmp_path):
    np.savez(tmp_path / "u.npz", a=np.array([0.1], np.float16))
    found = held(tmp_path / "u.npz")
    assert ("float16", np.float32(np.float16(0.1))) == (found.half, found.arrays["a"][0])
    np.savez(tmp_path / "mixed.npz", a=np.zeros(1, np.float16), b=np.zeros(1, np.float32))
    assert held(tmp_path / "mixed.npz").half is None


def test_a_list_of_tensors_is_numbered(tmp_path):
    torch.save([torch.ones(2), torch.zeros(3)], tmp_path / "g.pt")
    found = held(tmp_path / "g.pt").arrays
    assert list(found) == ["arr_0", "arr_1"]
    assert found["arr_0"].tolist() == [1.0, 1.0]


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        import os

        return os.mkdir, (self.path,)


def test_a_pickle_runs_nothing_unless_it_is_trusted(tmp_path):
    canary = tmp_path / "canary"
    for name in ("u.pkl", "u.npz", "u.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb(canary)))
        with pytest.raises(UnsafeFile) as caught:
            held(tmp_path / name)
        assert "trust" in said(caught)
    np.savez(tmp_path / "objects.npz", a=np.array([Bomb(canary)], dtype=object))
    with pytest.raises(UnsafeFile):
        held(tmp_path / "objects.npz")
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "a.npy", np.array([Bomb(canary)], dtype=object))
    with pytest.raises(UnsafeFile):
        held(tmp_path / "f")
    assert not canary.exists()


def test_a_trusted_module_is_read_and_the_report_says_so(tmp_path):
    module = models.mlp()
    torch.save(module, tmp_path / "m.pt")
    with pytest.raises(UnsafeFile):
        held(tmp_path / "m.pt")
    found = held(tmp_path / "m.pt", trust=True)
    assert list(arrays_of(module)) == list(found.arrays)
    assert "was trusted" in found.notes[0]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "found none"),
        (b"hello, world: no arrays", "another format"),
        (b"PK\x03\x04 cut short", "damaged"),
        (b"\x93NUMPY\x01\x00", "one array without a name"),
        (json.dumps({"a": [1, 2]}).encode(), "another format"),
    ],
)
def test_other_files_are_refused_with_what_is_read(content, word, tmp_path):
    path = tmp_path / "u.bin"
    path.write_bytes(content)
    with pytest.raises(BadArray) as caught:
        held(path)
    assert word in said(caught)


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(MissingFile):
        held(tmp_path / "nowhere.npz")
    (tmp_path / "f").mkdir()
    with pytest.raises(BadArray, match="a folder without npy files"):
        held(tmp_path / "f")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(BadArray):
        held(tmp_path / "none.npz")
    torch.save({}, tmp_path / "none.pt")
    with pytest.raises(BadArray, match="no arrays"):
        held(tmp_path / "none.pt")


@pytest.mark.parametrize("name", ["u.safetensors", "u.pt", "u.npz", "small.npz"])
def test_corrupted_bytes_are_an_error_of_the_user_or_arrays(name, written):
    content = (written / name).read_bytes()
    path = written / f"broken-{name}"

    @settings(
        max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8),
        st.integers(0, len(content)),
    )
    def corrupted(changes, end):
        broken = bytearray(content)
        for at, value in changes:
            broken[at] = value
        path.write_bytes(bytes(broken[: end if end % 3 == 0 else None]))
        with suppress(LeakProError):
            assert all(isinstance(v, np.ndarray) for v in held(path).arrays.values())

    corrupted()


# Whether they fit.


def fit(arrays, module=None, **how):
    return fitted(
        arrays,
        models.with_batch_norm() if module is None else module,
        "update u",
        "my:model",
        **how,
    )


def without(*names):
    return {name: v for name, v in ARRAYS.items() if name not in names}


def test_arrays_come_in_the_order_of_the_model():
    turned = dict(reversed(ARRAYS.items()))
    found, notes = fit(turned)
    assert (list(ARRAYS), ()) == (list(found), notes)


def test_one_error_names_what_is_missing_unexpected_and_of_another_shape():
    wrong = without("3.weight") | {"extra": np.ones(2), "3.bias": np.ones(7, np.float32)}
    with pytest.raises(BadArray) as caught:
        fit(wrong)
    text = said(caught)
    for part in ("missing 3.weight", "unexpected extra", "3.bias of shape [7] instead of [5]"):
        assert part in text
    assert "my:model" in text


def test_an_error_names_six_tensors_and_counts_the_others():
    with pytest.raises(BadArray) as caught:
        fit({f"other.{i}": np.ones(1) for i in range(20)})
    assert "and 19 more" in said(caught)


def test_buffers_may_be_missing_and_parameters_only_where_they_are_frozen():
    found, _ = fit(without("1.running_mean", "1.num_batches_tracked"))
    assert "1.running_var" in found
    with pytest.raises(BadArray, match=r"missing 0\.weight"):
        fit(without("0.weight"))
    module = models.with_batch_norm()
    module[0].requires_grad_(False)
    found, _ = fit(without("0.weight"), module, gradient=True)
    assert "0.weight" not in found
    with pytest.raises(BadArray, match=r"missing 0\.weight"):
        fit(without("0.weight"), module, whole=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_by_its_tensor(value):
    broken = ARRAYS["3.weight"].copy()
    broken[0, :2] = value
    with pytest.raises(BadArray) as caught:
        fit(ARRAYS | {"3.weight": broken})
    assert "update u, 3.weight: found NaN or infinite values, 2 of 40" in said(caught)


@pytest.mark.parametrize("dtype", [np.int8, np.complex64, np.bool_, "U3"])
def test_numbers_of_another_kind_are_refused(dtype):
    with pytest.raises(BadArray, match=r"3\.bias"):
        fit(ARRAYS | {"3.bias": np.ones(5).astype(dtype)})


def test_a_buffer_of_integers_may_come_as_a_mean():
    found, _ = fit(ARRAYS | {"1.num_batches_tracked": np.array(2.5)})
    assert float(found["1.num_batches_tracked"]) == 2.5


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_names_of_a_wrapped_module_are_those_of_the_inner_one(prefix):
    found, _ = fit({prefix + name: v for name, v in ARRAYS.items()})
    assert list(ARRAYS) == list(found)


def parameters_only():
    return [v for n, v in ARRAYS.items() if "running" not in n and "tracked" not in n]


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("form", ["arr_{}", "{}"])
def test_arrays_without_names_are_taken_in_the_order_of_the_model(gradient, form):
    listed = {form.format(i): v for i, v in enumerate(parameters_only())}
    found, notes = fit(listed, gradient=gradient)
    assert [n for n, _ in models.with_batch_norm().named_parameters()] == list(found)
    assert all(np.array_equal(ARRAYS[name], v) for name, v in found.items())
    assert "as its parameters." in notes[0]
    # What a Flower client of NumPy arrays sends.
    whole = {form.format(i): v for i, v in enumerate(ARRAYS.values())}
    found, notes = fit(whole, gradient=gradient)
    assert list(ARRAYS) == list(found)
    assert "as its state dict." in notes[0]


def test_ten_and_more_arrays_without_names_are_in_order_of_their_numbers():
    module = nn.Sequential(*(nn.Linear(i + 1, i + 2) for i in range(7)))
    own = arrays_of(module)
    listed = dict(sorted({f"arr_{i}": v for i, v in enumerate(own.values())}.items()))
    found, _ = fit(listed, module, gradient=True)
    assert all(np.array_equal(own[name], v) for name, v in found.items())


def test_arrays_without_names_of_another_number_or_shape_are_refused():
    some = {f"arr_{i}": v for i, v in enumerate(parameters_only()[:3])}
    with pytest.raises(BadArray) as caught:
        fit(some)
    assert "found 3, expected as many as the model has: 5 (its parameters)" in said(caught)
    turned = {f"arr_{i}": v for i, v in enumerate(reversed(parameters_only()))}
    with pytest.raises(BadArray, match=r"0\.weight of shape \[5\] instead of \[8, 6\]"):
        fit(turned)


def test_parameters_that_are_trained_may_come_alone_without_names():
    module = models.mlp()
    module[0].requires_grad_(False)
    own = arrays_of(module)
    listed = {"arr_0": own["2.weight"], "arr_1": own["2.bias"]}
    found, _ = fit(listed, module, gradient=True)
    assert list(found) == ["2.weight", "2.bias"]


# The global model.


def made(folder, name, path=None, seed=0):
    return global_model(ImportPath(f"my_models:{name}", folder), path, trust=False, seed=seed)


def test_without_weights_the_factorys_own_are_drawn_from_the_seed(folder):
    first, again, other = (made(folder, "mlp", seed=s)[1]["0.weight"] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_weights_from_a_file_are_in_the_module_too(folder, tmp_path):
    _, before, _ = made(folder, "images", seed=5)
    np.savez(tmp_path / "w.npz", **{n: v for n, v in before.items() if "running_var" not in n})
    module, found, (note,) = made(folder, "images", tmp_path / "w.npz")
    assert "lacks 1.running_var" in note
    assert all(np.array_equal(before[name], v) for name, v in found.items())
    assert np.array_equal(before["0.weight"], module[0].weight.detach().numpy())
    assert list(before) == list(found)


def test_a_second_name_of_a_tensor_is_taken_and_left_out(folder, tmp_path):
    module, before, _ = made(folder, "tied")
    torch.save(module.state_dict(), tmp_path / "w.pt")
    _, found, notes = made(folder, "tied", tmp_path / "w.pt", seed=9)
    assert "2.weight" not in found
    assert (list(before), ()) == (list(found), notes)
    np.savez(tmp_path / "list.npz", *module.state_dict().values())
    _, found, _ = made(folder, "tied", tmp_path / "list.npz", seed=9)
    assert all(np.array_equal(before[name], v) for name, v in found.items())


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_module_needs_weights(folder, tmp_path):
    with pytest.raises(BadArray, match="a lazy module"):
        made(folder, "lazy")
    np.savez(tmp_path / "w.npz", weight=np.ones((5, 3), np.float32), bias=np.zeros(5, np.float32))
    _, found, _ = made(folder, "lazy", tmp_path / "w.npz")
    assert found["weight"].shape == (5, 3)


def test_a_factory_that_makes_nothing_to_train_is_refused(folder):
    for name in ("a_number", "raises"):
        with pytest.raises(NotAFactory):
            made(folder, name)
