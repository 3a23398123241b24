"""Files of a run: never half written, and damage is noticed by their SHA-256."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkstemp
from typing import IO

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray
from leakpro_core.errors import CannotWrite, DamagedFile

TEMPORARY = ".tmp"
"""Ending of files that are not whole yet; a killed run may leave some behind."""

COPIES = "leakpro-"
"""Beginning of the name of a folder with copies of records, there while models are trained."""

_BLOCK = 1 << 20
"""Values written at once, so that an array larger than memory can be."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` never holds a part of it; ``CannotWrite``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def save_array(folder: Path, values: AnyArray) -> str:
    """Write an array into ``folder`` under the SHA-256 of the file's bytes; return that name.

    The file is what ``np.save`` would write. ``CannotWrite`` where the disk is full, say.
    """
    digest = hashlib.sha256()
    temporary = None
    try:
        handle, name = mkstemp(dir=folder, prefix=".array.", suffix=TEMPORARY)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            for part in _parts(values):
                digest.update(part)
                file.write(part)
        # Even where the file is there already: it may be damaged, and is whole afterwards.
        temporary.chmod(0o644)
        temporary.replace(folder / f"{digest.hexdigest()}.npy")
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise cannot_write(folder, error) from error
    return digest.hexdigest()


def load_array(folder: Path, name: str, *, verify: bool = True) -> AnyArray:
    """Return an array that ``save_array`` wrote, memory-mapped and read-only.

    verify: whether the file's bytes are looked at; ``DamagedFile`` if they changed.
    """
    path = folder / f"{name}.npy"
    if verify and sha256(path) != name:
        raise DamagedFile(
            f"file {path}", expected=f"SHA-256 {name[:12]}…", fix="Give the same command again."
        )
    values: AnyArray = np.load(path, mmap_mode=None if _empty(path) else "r", allow_pickle=False)
    return values


def sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@frozen
class Shelf:
    """A folder of arrays, each under the SHA-256 of its file, and notes of which belong together.

    What is noted is whole: ``recall`` answers None where a file of it is missing or damaged.
    """

    folder: Path

    def note(self, key: str, names: Mapping[str, str]) -> None:
        """Note that ``key`` is finished and which files hold its arrays."""
        note = {"names": dict(names), "sha256": _hash(names)}
        write_atomic(self.folder / f"{key}.json", json.dumps(note, indent=1).encode())

    def recall(self, key: str) -> dict[str, str] | None:
        """Return the files noted under ``key`` by name, if every one is there and undamaged."""
        path = self.folder / f"{key}.json"
        if not path.exists():
            return None
        try:
            note = json.loads(path.read_bytes())
            names = note["names"]
            whole = note["sha256"] == _hash(names) and all(
                sha256(self.folder / f"{name}.npy") == name for name in names.values()
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return names if whole else None

    def array(self, name: str) -> AnyArray:
        """Return an array, memory-mapped; ``recall`` or this run verified it."""
        return load_array(self.folder, name, verify=False)


def _hash(names: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(names), sort_keys=True).encode()).hexdigest()


def lock(file: IO[str]) -> bool:
    """Return whether nobody else holds ``file``; until it is closed, nobody else will.

    The system lets go of it when a process ends, killed even. Where files cannot be held, as on
    some network file systems, everybody may.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def sweep(folder: Path) -> None:
    """Delete what a killed run left in ``folder``: files half written, and copies of records."""
    for path in folder.glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)
    for path in folder.glob(f"{COPIES}*/"):
        shutil.rmtree(path, ignore_errors=True)


def _parts(values: AnyArray) -> Iterator[bytes]:
    """Yield the bytes of an npy file: its header, then the values in C order."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": values.dtype.str, "fortran_order": False, "shape": values.shape}
    )
    yield header.getvalue()
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield flat[start : start + _BLOCK].tobytes()


def _empty(path: Path) -> bool:
    """Whether an npy file holds no value: such a file cannot be mapped."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return 0 in shape


def cannot_write(path: Path, error: OSError) -> CannotWrite:
    """Return the error for a file of a run that cannot be written."""
    return CannotWrite(
        f"file {path}",
        found=error.strerror or str(error),
        fix="Free space and give the same command again: what is finished is kept.",
    )
