"""What a factory builds: parameters, and a pure function of parameters and records.

A factory is ``build(key)``, called with a ``jax.random.key``. It returns one of two things:

- an Equinox module, called for one record at a time, ``module(x)``; where its ``__call__`` takes a
  ``key``, it is given one for each record of each training step, and None afterwards;
- a pair ``(parameters, apply)``: a pytree of arrays, and a pure function
  ``apply(parameters, x[n, ...]) -> [n, classes]``.

All that is drawn from the key must be among the arrays: a cohort runs its first model's program.
"""

import inspect
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from attrs import field, frozen

import leakpro_core
from leakpro_core.arrays import AnyArray, Singles
from leakpro_core.errors import BadArray, LeakProError, NotAFactory
from leakpro_core.references import ImportPath

Arrays = Any
"""A pytree of arrays."""

_EXPECTED = "an Equinox module, or a pair (parameters, apply)"
_NOT_THE_USERS = (
    Path(leakpro_core.__file__).parent,
    Path(__file__).parent,
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
)


@frozen(kw_only=True, eq=False)
class Model:
    """A model taken apart.

    arrays: its parameters. apply: (arrays, float32 ``[n, ...]``, key) -> ``[n, classes]``, with a
    key where it is trained and None where it is asked. native: arrays -> what the factory returns.
    fixed: what both depend on besides the arrays.
    """

    arrays: Arrays = field(repr=False)
    apply: Callable[[Arrays, jax.Array, jax.Array | None], jax.Array]
    native: Callable[[Arrays], object]
    fixed: tuple[object, ...] = field(repr=False)


def build(factory: ImportPath, key: jax.Array) -> Model:
    """Call a user's factory. ``NotAFactory`` if it raises or returns no model."""
    try:
        returned = factory.call(key)
    except LeakProError:
        raise
    except Exception as error:
        raise NotAFactory(
            f"factory {factory.ref!r}",
            found=f"it raised {because(error)}",
            expected=f"a callable of a jax.random.key that returns {_EXPECTED}",
        ) from error
    leaves = jax.tree.leaves(returned, is_leaf=lambda x: isinstance(x, eqx.nn.StateIndex))
    if any(isinstance(leaf, eqx.nn.StateIndex) for leaf in leaves):
        raise NotAFactory(
            f"factory {factory.ref!r}",
            found="a module with state (batch normalisation, perhaps)",
            expected="a module that is a pure function of its parameters",
            fix="Use eqx.nn.GroupNorm or eqx.nn.LayerNorm.",
        )
    if isinstance(returned, eqx.Module) and callable(returned):
        return _of_module(returned)
    if isinstance(returned, tuple) and len(returned) == 2 and callable(returned[1]):
        return _of_pair(*returned, factory)
    raise NotAFactory(
        f"factory {factory.ref!r}",
        found=f"it returned a value of type {type(returned).__name__}",
        expected=_EXPECTED,
    )


def _of_module(module: Callable[..., jax.Array]) -> Model:
    arrays, rest = eqx.partition(module, eqx.is_array)
    keyed = "key" in inspect.signature(module).parameters

    def apply(arrays: Arrays, x: jax.Array, key: jax.Array | None) -> jax.Array:
        one: Callable[..., jax.Array] = (
            eqx.combine(arrays, rest) if key is not None else native(arrays)
        )
        if not keyed:
            return jax.vmap(one)(x)
        keys = None if key is None else jax.random.split(key, len(x))
        return jax.vmap(lambda record, key: one(record, key=key))(x, keys)

    def native(arrays: Arrays) -> Any:
        return eqx.nn.inference_mode(eqx.combine(arrays, rest))

    leaves, structure = jax.tree.flatten(rest)
    return Model(arrays=arrays, apply=apply, native=native, fixed=(structure, *leaves))


def _of_pair(parameters: Arrays, apply: Callable[..., jax.Array], factory: ImportPath) -> Model:
    try:
        arrays = jax.tree.map(jnp.asarray, parameters)
    except (TypeError, ValueError) as error:
        raise NotAFactory(
            f"parameters of factory {factory.ref!r}",
            found=because(error),
            expected="a pytree of arrays",
        ) from error
    return Model(
        arrays=arrays,
        apply=lambda arrays, x, _: apply(arrays, x),
        native=lambda arrays: (arrays, apply),
        fixed=(apply,),
    )


def named(arrays: Arrays) -> Mapping[str, AnyArray]:
    """Return copies of a pytree's arrays by path: keys, indices and fields, joined by dots."""
    found: dict[str, AnyArray] = {}
    for path, value in jax.tree_util.tree_leaves_with_path(arrays):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name in found:
            raise NotAFactory(
                "parameters of the factory's model",
                found=f"two arrays whose path is {name!r}",
                expected="paths that differ",
                fix="Leave the dots out of the keys.",
            )
        found[name] = np.array(value)
    return found


def check(model: Model, shape: tuple[int, ...]) -> int:
    """Return the number of outputs for records of that shape, without computing any.

    ``BadArray`` where the model cannot take them, or does not give ``[n, classes]``.
    """
    records = jax.ShapeDtypeStruct(shape, jnp.float32)  # type: ignore[no-untyped-call]
    try:
        found = jax.eval_shape(
            lambda arrays, x: model.apply(arrays, x, None), model.arrays, records
        )
    except Exception as error:  # it is the user's code
        raise BadArray(
            f"the model cannot take records of shape {shape}",
            found=because(error),
            fix="Give the records in the shape that the model takes; an Equinox module is called "
            "for one record, without the first axis. It is asked with float32.",
        ) from error
    shapes = getattr(found, "shape", None)
    if shapes is None or len(shapes) != 2 or shapes[0] != shape[0]:
        said = f"a value of type {type(found).__name__}" if shapes is None else f"{list(shapes)}"
        raise BadArray(
            f"output of the model for {shape[0]} records",
            found=said if shapes is None else f"shape {said}",
            expected=f"an array of shape [{shape[0]}, classes]",
            fix="A binary model with one logit returns one column.",
        )
    return int(shapes[1])


def check_numbers(records: AnyArray) -> None:
    """``BadArray`` where records are anything else."""
    if records.dtype.kind not in "buif":
        raise BadArray("records", found=f"dtype {records.dtype}", expected="numbers")


def in_batches(
    query: Callable[[jax.Array], jax.Array], records: AnyArray, batch_size: int
) -> Singles:
    """Return what a compiled query says on float32 records, joined along its last axis but one.

    Batches have the size of a power of two, so that few programs are compiled.
    """
    size = min(batch_size, 1 << max(0, len(records) - 1).bit_length())
    parts = []
    for start in range(0, max(1, len(records)), size):
        batch = records[start : start + size].astype(np.float32)
        filled = np.zeros((size, *records.shape[1:]), np.float32)
        filled[: len(batch)] = batch
        parts.append(np.asarray(query(jnp.asarray(filled)), np.float32)[..., : len(batch), :])
    return np.concatenate(parts, axis=-2)


def because(error: Exception) -> str:
    """Return an exception as part of a line: its kind, first line, place in the user's code."""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(home) for home in _NOT_THE_USERS):
            return f"{said} ({frame.filename}, line {frame.lineno})"
    return said
