"""Targets: weights by name, what a handle can do, and every wrong file in one clear line."""

import hashlib
import io
import pickle
import zipfile

import equinox as eqx
import jax
import numpy as np
import pytest
import safetensors.numpy
from leakpro_jax.loader import load
from leakpro_jax.models import named
from leakpro_jax.options import LoaderOptions

from leakpro_core.errors import (
    BadArray,
    BadValue,
    LeakProError,
    MissingFile,
    NotAFactory,
    UnsafeFile,
)
from leakpro_core.protocols import Native, Queryable, Weights


@pytest.fixture
def weights(user):
    """Return the named arrays of a factory's model, from another seed than the run's."""

    def of(name: str, seed: int = 9) -> dict[str, np.ndarray]:
        built = user(name).call(jax.random.key(seed))
        return dict(
            named(built[0] if isinstance(built, tuple) else eqx.filter(built, eqx.is_array))
        )

    return of


@pytest.fixture
def saved(weights, tmp_path):
    """Save a factory's weights as npz and return the path."""

    def save(name: str, **changed: np.ndarray):
        arrays = {**weights(name), **changed}
        np.savez(tmp_path / "weights.npz", **{k: v for k, v in arrays.items() if v is not None})
        return tmp_path / "weights.npz"

    return save


def test_an_equinox_module_says_what_it_said_where_it_was_saved(saved, user, digits, run):
    path = saved("with_dropout")
    target = load(LoaderOptions(factory=user("with_dropout"), weights=path), run).target
    module = eqx.nn.inference_mode(user("with_dropout").call(jax.random.key(9)))
    expected = jax.vmap(module)(digits.records.astype(np.float32))
    assert np.allclose(target.handle.query(digits.records), expected, atol=1e-5)
    assert target.identity == hashlib.sha256(path.read_bytes()).hexdigest()
    assert target.parameters == 64 * 32 + 32 + 32 * 10 + 10
    assert target.architecture == user("with_dropout")


def test_parameters_and_a_function_are_a_model_too(weights, user, digits, run, tmp_path):
    arrays = weights("pair")
    (tmp_path / "w.safetensors").write_bytes(safetensors.numpy.save(arrays))
    target = load(
        LoaderOptions(factory=user("pair"), weights=tmp_path / "w.safetensors"), run
    ).target
    found = target.handle.query(digits.records)
    assert found.dtype == np.float32
    assert np.allclose(found, digits.records @ arrays["w"] + arrays["b"], atol=1e-5)
    parameters, apply = target.handle.native()
    assert np.array_equal(apply(parameters, np.eye(64, dtype=np.float32)), arrays["w"])


def test_the_handle_is_queryable_has_weights_and_is_native(saved, weights, user, run):
    options = LoaderOptions(factory=user("mlp"), weights=saved("mlp"))
    handle = load(options, run).target.handle
    assert isinstance(handle, Queryable)
    assert isinstance(handle, Weights)
    assert isinstance(handle, Native)
    assert isinstance(handle.native(), eqx.nn.MLP)
    found, expected = handle.parameters(), weights("mlp")
    assert list(found) == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    found["layers.0.weight"][:] = 0
    assert np.abs(handle.parameters()["layers.0.weight"]).sum() > 0


def test_batches_and_number_types_do_not_change_what_a_model_says(saved, user, run):
    path, records = saved("mlp"), np.random.default_rng(0).integers(0, 2, (50, 64))
    one, small = (
        load(LoaderOptions(factory=user("mlp"), weights=path, batch_size=size), run).target.handle
        for size in (1000, 7)
    )
    expected = one.query(records.astype(np.float32))
    assert np.allclose(expected, small.query(records), atol=1e-6)
    for dtype in (np.uint8, np.bool_, np.float64):
        assert np.array_equal(expected, one.query(records.astype(dtype)))
    assert one.query(records[:0]).shape == (0, 10)


def test_probabilities_are_no_architecture_for_shadows(saved, user, digits, run):
    options = LoaderOptions(
        factory=user("softmax_pair"), weights=saved("softmax_pair"), outputs="probabilities"
    )
    target = load(options, run).target
    assert (target.outputs, target.architecture) == ("probabilities", None)
    assert np.allclose(target.handle.query(digits.records).sum(axis=1), 1, atol=1e-5)


def test_weights_that_do_not_fit_are_listed(saved, user, run):
    path = saved("pair", b=None, c=np.zeros(3), w=np.zeros((2, 10), np.float32))
    with pytest.raises(BadArray) as caught:
        load(LoaderOptions(factory=user("pair"), weights=path), run)
    assert str(caught.value) == (
        "weights weights.npz do not fit the model of 'my_models:pair': found missing b; "
        "unexpected c; w of shape [2, 10] instead of [64, 10], expected its 2 arrays. "
        "Name the factory that the weights were saved from."
    )


def test_complex_weights_are_no_real_ones(saved, user, run):
    path = saved("pair", b=np.zeros(10, complex))
    with pytest.raises(BadArray, match="b of dtype complex128 instead of float32"):
        load(LoaderOptions(factory=user("pair"), weights=path), run)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return self.path.write_text, ("boom",)


def test_pickles_are_refused_and_not_executed(tmp_path, user, run):
    bomb = Bomb(tmp_path / "canary")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(bomb))
    np.savez(tmp_path / "b.npz", w=np.array([bomb], dtype=object))
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("weights/data.pkl", pickle.dumps(bomb))
    for name in ("a.pkl", "b.npz", "c.pt"):
        with pytest.raises(UnsafeFile, match=f"{name}.*pickle.*safetensors or npz"):
            load(LoaderOptions(factory=user("pair"), weights=tmp_path / name), run)
    assert not (tmp_path / "canary").exists()


def _half(name: str) -> bytes:
    arrays = {"w": np.zeros((64, 10), np.float32)}
    if name == "npz":
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return stream.getvalue()[:500]
    return safetensors.numpy.save(arrays)[:200]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"a,b\n1,2\n", "another format"),
        (_half("npz"), "expected an npz file"),
        (_half("safetensors"), "expected safetensors"),
    ],
)
def test_files_that_hold_no_weights(content, message, tmp_path, user, run):
    (tmp_path / "odd").write_bytes(content)
    with pytest.raises(BadArray, match=f"weights odd: .*{message}"):
        load(LoaderOptions(factory=user("pair"), weights=tmp_path / "odd"), run)


def test_a_missing_file(tmp_path, user, run):
    with pytest.raises(MissingFile, match=r"absent\.npz: found No such file"):
        load(LoaderOptions(factory=user("mlp"), weights=tmp_path / "absent.npz"), run)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", r"raised ZeroDivisionError: division by zero \(.*my_models.py, line \d+\)"),
        ("no_key", "raised TypeError"),
        ("a_number", "returned a value of type int, expected an Equinox module, or a pair"),
        ("not_arrays", "parameters of factory .* expected a pytree of arrays"),
        ("normalised", r"module with state.*eqx\.nn\.GroupNorm"),
        ("stateful", r"module with state.*eqx\.nn\.GroupNorm"),
        ("same_paths", r"two arrays whose path is 'a\.b'"),
    ],
)
def test_what_is_not_a_factory_is_said_in_one_line(name, message, saved, user, run):
    with pytest.raises(NotAFactory, match=message) as caught:
        load(LoaderOptions(factory=user(name), weights=saved("pair")), run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "records", "message"),
    [
        ("mlp", np.zeros((4, 9)), r"cannot take records of shape \(4, 9\)"),
        ("mlp", np.array([["a"]]), "dtype <U1, expected numbers"),
        (
            "flat",
            np.zeros((4, 64)),
            r"found shape \[4\], expected an array of shape \[4, classes\]",
        ),
        ("fails_when_asked", np.zeros((4, 64)), r"TracerArrayConversionError.*my_models.py"),
    ],
)
def test_what_a_model_cannot_be_asked(factory, records, message, saved, user, run):
    options = LoaderOptions(factory=user(factory), weights=saved(factory))
    with pytest.raises(BadArray, match=message) as caught:
        load(options, run).target.handle.query(records)
    assert isinstance(caught.value, LeakProError)
    assert "\n" not in str(caught.value)


def test_a_model_that_draws_where_it_is_asked(saved, user, run):
    handle = load(LoaderOptions(factory=user("noisy"), weights=saved("noisy")), run).target.handle
    with pytest.raises(NotAFactory, match="other outputs each time"):
        handle.query(np.zeros((4, 64)))


def test_a_device_that_is_not_there(saved, user, run):
    options = LoaderOptions(factory=user("mlp"), weights=saved("mlp"), device="no such device")
    with pytest.raises(BadValue, match=r"\[target\] device: found 'no such device'"):
        load(options, run)
