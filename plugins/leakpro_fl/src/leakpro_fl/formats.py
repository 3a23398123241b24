"""Named arrays from files: updates and global models.

safetensors, npz, a folder of npy files, and what ``torch.save`` writes: a state dict or a list of
tensors. Nothing is unpickled unless it is trusted.
"""

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from attrs import field, frozen
from leakpro_torch import weights
from leakpro_torch.modules import because
from torch import Tensor, nn

from leakpro_core import inputs
from leakpro_core.arrays import AnyArray
from leakpro_core.errors import BadArray, MissingFile
from leakpro_core.references import importable
from leakpro_core.wording import show
from leakpro_fl.client import arrays_of

KNOWN = "safetensors, npz, a folder of npy files, or a state dict by torch.save"
_HALVES = {torch.float16: "float16", torch.bfloat16: "bfloat16"}


@frozen(kw_only=True)
class Held:
    """What a file holds. arrays: by name, halves as float32; half: the dtype of all numbers with a
    fraction where they are halves, else None; notes: for the report.
    """

    arrays: Mapping[str, AnyArray] = field(repr=False)
    half: str | None = None
    notes: tuple[str, ...] = ()


def read(path: Path, what: str, *, trust: bool, home: Path) -> Held:
    """Return the arrays of a file or folder; what: as errors call it; home: of trusted code.

    ``MissingFile``, ``UnsafeFile`` (reading it could run code), ``BadArray`` (another format,
    damaged, empty).
    """
    if path.is_dir():
        return _converted(_folder(path, what), what)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{what} {show(path)}", found=error.strerror or str(error)) from error
    named = f"{what} {path.name}"
    if content.startswith(b"PK") and not _is_torch(content):
        names = inputs.npz_names(path)
        # Never mapped: the file may be written anew while the audit goes on.
        arrays = inputs.read_npz(path, names, least=2**63)
        return _converted(arrays, named)
    if content[8:9] != b"{" and not content.startswith((b"PK", b"\x80")):
        alone = content.startswith(b"\x93NUMPY")
        raise BadArray(
            named,
            found="one array without a name" if alone else "another format" if content else "none",
            expected=KNOWN,
            fix="Write the arrays by their names with numpy.savez." if alone else "",
        )
    return _by_torch(content, named, trust=trust, home=home)


def _by_torch(content: bytes, named: str, *, trust: bool, home: Path) -> Held:
    try:
        with importable(home):
            loaded, trusted = weights.read(content, named, trust=trust)
    except BadArray:
        # By now it is known to fit into memory.
        listed = _list_of_tensors(content)
        if listed is None:
            raise
        return _converted(listed, named)
    notes = (f"{named} was trusted: it could run code while it was loaded.",) if trusted else ()
    if isinstance(loaded, nn.Module):
        return Held(arrays=arrays_of(loaded), notes=notes)
    return _converted(loaded, named, notes)


def _is_torch(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(n.endswith((".pkl", "archive_format")) for n in archive.namelist())
    except Exception:  # damaged: numpy's reader says so
        return False


def _list_of_tensors(content: bytes) -> dict[str, Tensor] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:
        return None
    if not isinstance(loaded, list | tuple) or not all(isinstance(v, Tensor) for v in loaded):
        return None
    return {f"arr_{number}": value for number, value in enumerate(loaded)}


def _folder(path: Path, what: str) -> dict[str, AnyArray]:
    found = {file.stem: inputs.read_npy(file, least=2**63) for file in sorted(path.glob("*.npy"))}
    if not found:
        raise BadArray(
            f"{what} {show(path)}", found="a folder without npy files", expected=f"{KNOWN}"
        )
    return found


def _converted(
    values: Mapping[str, AnyArray | Tensor], what: str, notes: tuple[str, ...] = ()
) -> Held:
    if not values:
        raise BadArray(what, found="no arrays", expected="the arrays of a model, by name")
    arrays, halves = {}, set()
    for name, value in values.items():
        fraction = None
        if isinstance(value, Tensor):
            if value.is_floating_point():
                fraction = _HALVES.get(value.dtype, "other")
            arrays[name] = _numpy(value, f"{what}, {name}")
        else:
            if value.dtype.kind == "f":
                fraction = "float16" if value.dtype == np.float16 else "other"
            arrays[name] = value.astype(np.float32) if fraction == "float16" else value
        halves |= set() if fraction is None else {fraction}
    half = halves.pop() if len(halves) == 1 else None
    return Held(arrays=arrays, half=None if half == "other" else half, notes=notes)


def _numpy(value: Tensor, what: str) -> AnyArray:
    try:
        plain = value.detach().to_dense()
        if plain.is_floating_point() and plain.itemsize < 4:
            plain = plain.float()
        found: AnyArray = plain.cpu().resolve_conj().resolve_neg().numpy()
    except Exception as error:
        raise BadArray(what, found=because(error), expected="numbers") from error
    return found
