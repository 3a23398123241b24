"""Large arrays outside of anonymous memory: in a temporary file that has no name.

The system may write such pages out and take the memory back, so that signals larger than memory
can be worked on in record blocks. Nothing about the array gives the file away, for there is no
name; its space is free again once the last view of the array is gone.
"""

import mmap
import os
import sys
import tempfile
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.errors import CannotWrite

LEAST = 32 * 2**20
"""Bytes from which an array lies in a file."""


def empty(shape: tuple[int, ...], dtype: DTypeLike, *, least: int = LEAST) -> AnyArray:
    """Return a new array of that shape; what it holds is not said.

    Ordinary memory below ``least`` bytes, else a file in the folder for temporary files, of which
    all space is taken at once: ``CannotWrite`` where there is not enough, here and not later.
    """
    kind: np.dtype[Any] = np.dtype(dtype)
    size = prod(shape) * kind.itemsize
    if size < max(least, 1):
        return np.empty(shape, kind)
    try:
        with tempfile.TemporaryFile(prefix="leakpro-") as file:
            _take_space(file.fileno(), size)
            space = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise CannotWrite(
            f"temporary file in {tempfile.gettempdir()}",
            found=error.strerror or str(error),
            expected=f"{size / 2**20:,.0f} MB for an array of shape {shape}",
            fix="Free space there, or set TMPDIR to a folder that has it, "
            "and give the same command again: what is finished is kept.",
        ) from error
    return np.frombuffer(space, kind).reshape(shape)


def chosen(values: AnyArray, rows: Ints, *, least: int = LEAST) -> AnyArray:
    """Return a copy of ``rows`` of ``values [n, ...]``, in that order."""
    copy = empty((len(rows), *values.shape[1:]), values.dtype, least=least)
    step = max(1, LEAST // max(1, values[:1].nbytes))
    for start in range(0, len(rows), step):
        copy[start : start + step] = values[rows[start : start + step]]
    return copy


def _take_space(file: int, size: int) -> None:
    # A hole in the file would be a full disk found out by a signal that ends the process.
    if sys.platform == "linux":
        os.posix_fallocate(file, 0, size)
    else:
        for start in range(0, size, LEAST):
            os.write(file, bytes(min(LEAST, size - start)))
