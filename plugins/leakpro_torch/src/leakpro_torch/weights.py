"""Weights files, read without running code unless the plan trusts them.

A state dict is read by ``torch.load(weights_only=True)``, safe since torch 2.6 (CVE-2025-32434).
"""

import io
import warnings
import zipfile
from collections.abc import Mapping

import safetensors.torch
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from leakpro_core.errors import BadArray, UnsafeFile
from leakpro_core.inputs import check_fits
from leakpro_torch.modules import because

State = Mapping[str, torch.Tensor]


def read(content: bytes, name: str, *, trust: bool) -> tuple[State | nn.Module, bool]:
    """Return the state dict, or the module where the file holds a whole one, on the CPU.

    With it goes whether the file could run code while it was read.
    ``UnsafeFile`` where reading it could run code and ``trust`` is false.
    """
    if content[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
        return _named_tensors(_safetensors(content, name), name), False
    entries = _entries(content)
    _check_format(content, name, entries)
    check_fits(name, sum(entry.file_size for entry in entries))
    if any(entry.filename.endswith("archive_format") for entry in entries):
        if not trust:
            raise _untrusted(name, "a torch.export program")
        return _exported(content, name), True
    trusted = False
    try:
        loaded = _load(content, weights_only=True)
    except Exception as error:  # what a hostile file raises has no limits
        if not trust:
            found = "neither safetensors nor a state dict of plain tensors"
            raise _untrusted(name, found) from error
        loaded, trusted = _unpickle(content, name), True
    if isinstance(loaded, nn.Module):
        return loaded.eval(), trusted
    return _named_tensors(loaded, name), trusted


def fit(module: nn.Module, state: State, name: str, factory: str) -> nn.Module:
    """Copy ``state`` into ``module``; every tensor must be there, in its shape."""
    expected, found = module.state_dict(), dict(state)
    wrong = [f"missing {key}" for key in expected if key not in found]
    wrong += [f"unexpected {key}" for key in found if key not in expected]
    wrong += [
        f"{key} of shape {list(found[key].shape)} instead of {list(expected[key].shape)}"
        for key in expected
        # A lazy module takes the shapes that it is given.
        if key in found and not is_lazy(expected[key]) and found[key].shape != expected[key].shape
    ]
    if wrong:
        listed = "; ".join(wrong[:6]) + (f"; and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise BadArray(
            f"weights {name} do not fit the module of {factory!r}",
            found=listed,
            expected=f"its {len(expected)} tensors",
            fix="Name the factory that the weights were saved from.",
        )
    module.load_state_dict(found)
    return module


def _safetensors(content: bytes, name: str) -> object:
    try:
        return safetensors.torch.load(content)
    except Exception as error:
        raise BadArray(f"weights {name}", found=because(error), expected="safetensors") from error


def _check_format(content: bytes, name: str, entries: list[zipfile.ZipInfo]) -> None:
    """``BadArray`` for what is no file of PyTorch: trusting it would not help."""
    if content.startswith(b"\x80") or any(
        e.filename.endswith((".pkl", "archive_format")) for e in entries
    ):
        return
    damaged = content.startswith(b"PK") and not entries
    raise BadArray(
        f"weights {name}",
        found="a damaged file" if damaged else "another format" if content else "an empty file",
        expected="safetensors, or what torch.save writes",
        fix="Save the weights again.",
    )


def _entries(content: bytes) -> list[zipfile.ZipInfo]:
    """Return the table of contents of a zip archive; it is empty for other files."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.infolist()
    except Exception:  # on damaged bytes zipfile raises many classes, and torch says more
        return []


def _load(content: bytes, *, weights_only: bool) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickle protocols, which no user chose
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=weights_only)


def _exported(content: bytes, name: str) -> nn.Module:
    try:
        module: nn.Module = torch.export.load(io.BytesIO(content)).module()
    except Exception as error:
        raise BadArray(
            f"program {name}", found=because(error), expected="a torch.export program"
        ) from error
    return module


def _unpickle(content: bytes, name: str) -> object:
    try:
        return _load(content, weights_only=False)
    except Exception as error:
        raise BadArray(
            f"weights {name}",
            found=because(error),
            expected="safetensors, a state dict, a pickled module or a torch.export program",
            fix="Save model.state_dict() itself, and name the factory.",
        ) from error


def _named_tensors(loaded: object, name: str) -> State:
    if isinstance(loaded, Mapping) and all(isinstance(v, torch.Tensor) for v in loaded.values()):
        return loaded
    found = f"a value of type {type(loaded).__name__}"
    if isinstance(loaded, Mapping):
        found = "other values among its keys " + ", ".join(map(str, list(loaded)[:6]))
    raise BadArray(
        f"weights {name}",
        found=found,
        expected="a mapping from names to tensors",
        fix="Save model.state_dict() itself.",
    )


def _untrusted(name: str, found: str) -> UnsafeFile:
    return UnsafeFile(
        f"weights {name} may run code while they are loaded",
        found=found,
        expected="safetensors, or a state dict saved by torch.save(model.state_dict(), ...)",
        fix="Save the weights so, or set trust = true if you trust whoever made the file.",
    )
