"""Weights files, read without running code: safetensors, and npz without pickles."""

import io
import zipfile
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from leakpro_core.arrays import AnyArray
from leakpro_core.errors import BadArray, UnsafeFile
from leakpro_core.inputs import check_fits
from leakpro_jax.models import Arrays, because, named

_FIX = "Write it with safetensors.numpy.save_file or numpy.savez."


def read(content: bytes, name: str) -> Mapping[str, AnyArray]:
    """Return the arrays of a weights file by name.

    ``UnsafeFile`` for pickles, ``BadArray`` for another format or a damaged file.
    """
    if content[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
        try:
            return safetensors.numpy.load(content)
        except Exception as error:
            raise BadArray(
                f"weights {name}", found=because(error), expected="safetensors, none of bfloat16"
            ) from error
    if content.startswith(b"\x80"):
        raise _unsafe(name, "a pickle")
    if content.startswith(b"PK"):
        return _npz(content, name)
    raise BadArray(
        f"weights {name}",
        found="another format" if content else "an empty file",
        expected="safetensors or npz",
        fix=_FIX,
    )


def fit(arrays: Arrays, found: Mapping[str, AnyArray], name: str, factory: str) -> Arrays:
    """Return the pytree with the arrays of a file; every one must be there, in its shape."""
    expected = named(arrays)
    wrong = [f"missing {key}" for key in expected if key not in found]
    wrong += [f"unexpected {key}" for key in found if key not in expected]
    wrong += [
        f"{key} of shape {list(found[key].shape)} instead of {list(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    wrong += [
        f"{key} of dtype {found[key].dtype} instead of {expected[key].dtype}"
        for key in expected
        if key in found and not np.can_cast(found[key].dtype, expected[key].dtype, "same_kind")
    ]
    if wrong:
        listed = "; ".join(wrong[:6]) + (f"; and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise BadArray(
            f"weights {name} do not fit the model of {factory!r}",
            found=listed,
            expected=f"its {len(expected)} arrays",
            fix="Name the factory that the weights were saved from.",
        )
    values = [jnp.asarray(found[key].astype(expected[key].dtype)) for key in expected]
    return jax.tree.unflatten(jax.tree.structure(arrays), values)


def _npz(content: bytes, name: str) -> Mapping[str, AnyArray]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            entries = archive.zip.infolist()
            _check_entries(name, entries)
            return {key: archive[key] for key in archive.files}
    except (BadArray, UnsafeFile):
        raise
    except Exception as error:  # numpy and zipfile raise many classes on damaged bytes
        if "allow_pickle" in str(error):
            raise _unsafe(name, "an array of Python objects, which is a pickle") from None
        raise BadArray(
            f"weights {name}", found=because(error), expected="an npz file", fix=_FIX
        ) from None


def _check_entries(name: str, entries: list[zipfile.ZipInfo]) -> None:
    check_fits(name, sum(entry.file_size for entry in entries))
    for entry in entries:
        if entry.filename.endswith(".pkl"):  # what torch.save writes is a zip too
            raise _unsafe(name, "a pickle in a zip archive")
        if not entry.filename.endswith(".npy"):
            raise BadArray(
                f"weights {name}", found="another format", expected="safetensors or npz", fix=_FIX
            )


def _unsafe(name: str, found: str) -> UnsafeFile:
    return UnsafeFile(
        f"weights {name} may run code while they are loaded",
        found=found,
        expected="safetensors or npz",
        fix=_FIX,
    )
