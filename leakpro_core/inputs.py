"""Arrays as users hand them over: read without unpickling, checked, named in every error.

``what`` is how an array is called in errors: ``labels``, ``[data] members``.
"""

import os
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from leakpro_core.arrays import AnyArray, Bools, Ints
from leakpro_core.errors import BadArray, BadRecord, LeakProError, MissingFile, UnsafeFile
from leakpro_core.mapped import member_of_file, member_of_zip
from leakpro_core.spill import LEAST
from leakpro_core.wording import show

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")
_BLOCK = 2**20
"""Values looked at at once: arrays may be mapped files, and larger than memory."""

_ZIP, _NPY, _PICKLE = b"PK", b"\x93NUMPY", b"\x80"


# Files.


def npz_names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an npz file; errors as for ``read_npz``."""
    _check_kind(path, _ZIP, "npz")
    try:
        with zipfile.ZipFile(path) as archive:
            files = archive.namelist()
    except Exception as error:  # zipfile raises many classes on damaged bytes
        raise _unreadable(path, error) from None
    for file in files:
        if file.endswith(".pkl"):  # what torch.save writes is a zip too
            raise _unsafe(path, f"the pickle {show(file)} in it")
    return tuple(file.removesuffix(".npy") for file in files)


def read_npz(path: Path, names: Collection[str], *, least: int = LEAST) -> dict[str, AnyArray]:
    """Return the named arrays, which the file has.

    Arrays of ``least`` bytes and more that are stored as they are, as numpy.savez does, are mapped
    and not read, so that they may be larger than memory; compressed ones must fit.

    Raises MissingFile, UnsafeFile (a pickle, or an array of Python objects, which is one) or
    BadArray (another format, or damaged).
    """
    _check_kind(path, _ZIP, "npz")
    arrays: dict[str, AnyArray] = {}
    name = ""
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            members = {f.filename.removesuffix(".npy"): f for f in archive.zip.filelist}
            for name in names:
                mapped = member_of_zip(path, members[name], least) if name in members else None
                if mapped is not None:
                    arrays[name] = mapped
            left = [name for name in names if name not in arrays]
            check_fits(path, sum(members[name].file_size for name in left if name in members))
            for name in left:
                arrays[name] = archive[name]
    except LeakProError:
        raise
    except Exception as error:  # numpy and zipfile raise many classes on damaged bytes
        raise _unreadable(path, error, name) from None
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray):
            raise BadArray(f"{show(name)} in file {show(path)}", expected="an array")
    return {name: arrays[name] for name in names}


def read_npy(path: Path, *, least: int = LEAST) -> AnyArray:
    """Return the array of an npy file, mapped where it is large; errors as for ``read_npz``."""
    _check_kind(path, _NPY, "npy")
    try:
        mapped = member_of_file(path, least)
        value: AnyArray = np.load(path, allow_pickle=False) if mapped is None else mapped
    except Exception as error:
        raise _unreadable(path, error) from None
    return value


def check_readable(path: Path) -> bytes:
    """Return the first bytes of a file; MissingFile where there is none, UnsafeFile for pickles."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_NPY))
    except FileNotFoundError:
        raise _missing(path, "no such file") from None
    except IsADirectoryError:
        raise _missing(path, "a folder") from None
    except (OSError, ValueError) as error:
        raise _missing(path, getattr(error, "strerror", None) or str(error)) from None
    if path.suffix.lower() in _PICKLES or head.startswith(_PICKLE):
        raise _unsafe(path, "a pickle")
    return head


def check_fits(path: Path | str, size: int) -> None:
    """Check that what a file holds, ``size`` bytes, fits into memory: a small file may unpack to
    more than there is, and the system would kill the process without a word.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise BadArray(
            f"file {show(path)}",
            found=f"{size / 2**30:.3g} GiB of values",
            expected=f"at most the memory of this machine, {memory / 2**30:.3g} GiB",
        )


def _check_kind(path: Path, magic: bytes, kind: str) -> None:
    head = check_readable(path)
    if not head.startswith(magic):
        raise BadArray(
            f"file {show(path)}",
            found="another format" if head else "an empty file",
            expected=f"an {kind} file",
            fix=f"Write it with numpy.save{'z' if kind == 'npz' else ''}.",
        )


def _missing(path: Path, found: str) -> LeakProError:
    return MissingFile(f"file {show(path)}", found=found, expected="a file that can be read")


def _unsafe(path: Path, found: str) -> LeakProError:
    return UnsafeFile(
        f"file {show(path)}",
        found=found,
        expected="plain arrays: loading a pickle can run code",
        fix="Save the arrays with numpy.savez, as numbers, booleans or strings.",
    )


def _unreadable(path: Path, error: Exception, name: str = "") -> LeakProError:
    if "allow_pickle" in str(error):
        return _unsafe(path, f"Python objects in array {show(name)}" if name else "Python objects")
    reason = " ".join(str(error).split())[:120]
    return BadArray(
        f"file {show(path)}" + (f", array {show(name)}" if name else ""),
        found=f"damaged content ({type(error).__name__}: {reason})",
        expected="an array as numpy writes it",
        fix="Write the file again.",
    )


# Arrays.


def labels(values: AnyArray, what: str) -> Ints:
    """Return int64 ``[n]``, all at least 0."""
    _one_axis(values, what)
    if values.dtype.kind not in "iu":
        raise BadArray(
            what,
            found=f"dtype {values.dtype}",
            expected="integers, the classes numbered from 0",
            fix=f'Convert with {what.split()[-1]}.astype("int64").'
            if values.dtype.kind in "fb"
            else "",
        )
    wrong = (values < 0) | (values > np.iinfo(np.int64).max)
    if wrong.any():
        row = int(wrong.argmax())
        raise BadRecord(
            f"{what} of record {row}",
            found=str(values[row]),
            expected="a class, numbered from 0",
            fix="Number the classes from 0.",
        )
    return values.astype(np.int64, copy=False)


def check_range(values: Ints, what: str, classes: int) -> None:
    """Check that all labels, at least 0, are below the number of classes."""
    row = int(values.argmax())
    if values[row] >= classes:
        raise BadRecord(
            f"{what} of record {row}",
            found=str(values[row]),
            expected=f"a class from 0 to {classes - 1}",
            fix="Number the classes from 0.",
        )


def flags(values: AnyArray, what: str, shape: tuple[int, ...]) -> Bools:
    """Return bool of ``shape``; nothing is taken for a truth value."""
    if values.dtype.kind != "b":
        raise BadArray(
            what,
            found=f"dtype {values.dtype}",
            expected="bool",
            fix="Make it true and false, true for trained on"
            + (" (in numpy: .astype(bool))." if values.dtype.kind in "iuf" else "."),
        )
    if values.shape != shape:
        raise BadArray(what, found=f"shape {values.shape}", expected=f"shape {shape}")
    return values


def subjects(values: AnyArray, what: str) -> Ints:
    """Return int64 ``[n]``: integers as they are, strings numbered in sorted order."""
    _one_axis(values, what)
    if values.dtype.kind == "U":
        codes: Ints = np.unique(values, return_inverse=True)[1].astype(np.int64)
        return codes
    if values.dtype.kind not in "iu" or values.dtype == np.uint64:
        raise BadArray(what, found=f"dtype {values.dtype}", expected="int64 or strings")
    return values.astype(np.int64, copy=False)


def records(values: AnyArray, what: str) -> AnyArray:
    """Return ``[n, ...]`` of numbers or booleans, all finite."""
    if values.dtype.kind not in "biuf":
        raise BadArray(what, found=f"dtype {values.dtype}", expected="numbers or booleans")
    if values.ndim < 2 or values.size == 0:
        raise BadArray(
            what, found=f"shape {values.shape}", expected="shape [n, ...], nothing of it empty"
        )
    row = first_unfinite(values)
    if row is not None:
        raise BadRecord(
            f"{what} of record {row}",
            found="NaN or an infinite value",
            expected="finite numbers",
            fix="Mend the record or leave it out.",
        )
    return values


def same_form(values: AnyArray, what: str, other: AnyArray, other_what: str) -> None:
    """Check that the records of both arrays have one shape and one dtype."""
    if (values.shape[1:], values.dtype) != (other.shape[1:], other.dtype):
        raise BadArray(
            f"{what} and {other_what}",
            found=f"records of shape {values.shape[1:]}, {values.dtype}, and {other.shape[1:]}, "
            f"{other.dtype}",
            expected="the same shape and dtype in both",
        )


def same_rows(values: AnyArray, what: str, n: int, other: str) -> None:
    """Check that ``values`` has ``n`` rows, as the array called ``other`` has."""
    if len(values) != n:
        raise BadArray(
            f"{what} and {other}",
            found=f"{len(values)} and {n} rows",
            expected="one row per record in both",
        )


def first_unfinite(values: AnyArray) -> int | None:
    """Return the first row of ``[n, ...]`` with NaN or an infinite value; None: there is none."""
    if values.dtype.kind != "f" or values.size == 0:
        return None
    step = max(1, _BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), step):
        block = values[start : start + step]
        # The extremes carry NaN and infinity, and need no copy.
        if not (np.isfinite(block.min()) and np.isfinite(block.max())):
            wrong = ~np.isfinite(block).reshape(len(block), -1).all(axis=1)
            return start + int(wrong.argmax())
    return None


def both_arms(members: Bools, what: str) -> None:
    """Check that there are members and non-members."""
    inside = int(members.sum())
    if inside in (0, len(members)):
        raise BadArray(
            what,
            found=f"{inside} members among {len(members)} records",
            expected="members and non-members",
            fix="The attack is measured on both: add records of the other kind.",
        )


def _one_axis(values: AnyArray, what: str) -> None:
    if values.ndim != 1 or values.size == 0:
        raise BadArray(what, found=f"shape {values.shape}", expected="shape [n], not empty")
