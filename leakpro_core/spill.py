"""Large arrays outside of anonymous memory: in a temporary file that has no name.

The system may write such pages out and take the memory back, so that signals larger than memory
can be worked on in record blocks. Nothing about the array gives the file away, for there is no
name; its space is free again once the last view of the array is gone.
"""

import mmap
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from typing import IO, Any

import numpy as np
from attrs import frozen
from numpy.typing import DTypeLike

from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.errors import CannotWrite

LEAST = 32 * 2**20
"""Bytes from which an array lies in a file."""

_NEAR = 2**16
"""Rows that stay near the processor while they are put in order."""


def empty(shape: tuple[int, ...], dtype: DTypeLike, *, least: int = LEAST) -> AnyArray:
    """Return a new array of that shape; what it holds is not said.

    Ordinary memory below ``least`` bytes, else a file in the folder for temporary files, of which
    all space is taken at once: ``CannotWrite`` where there is not enough, here and not later.
    """
    kind: np.dtype[Any] = np.dtype(dtype)
    size = prod(shape) * kind.itemsize
    if size < max(least, 1):
        return np.empty(shape, kind)
    with _file(shape, size) as file:
        space = mmap.mmap(file.fileno(), size)
    return np.frombuffer(space, kind).reshape(shape)


def filled(
    shape: tuple[int, ...], dtype: DTypeLike, parts: Iterable[AnyArray], *, least: int = LEAST
) -> AnyArray:
    """Return an array of ``parts [shape[1:]]`` in order, ``shape[0]`` of them; see ``empty``.

    A large one is read-only. It is written and then mapped, which costs the system a fraction of
    what it costs to fill a mapped file page by page. A part may be used again for the next one.
    """
    kind: np.dtype[Any] = np.dtype(dtype)
    size = prod(shape) * kind.itemsize
    if size < max(least, 1):
        whole = np.empty(shape, kind)
        for place, part in zip(whole, parts, strict=True):
            place[...] = part
        return whole
    with _file(shape, size) as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, kind).data)
        file.flush()
        if file.tell() != size:
            raise ValueError(f"{file.tell()} bytes of parts for an array of {size}")
        space = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    return np.frombuffer(space, kind).reshape(shape)


@contextmanager
def _file(shape: tuple[int, ...], size: int) -> Iterator[IO[bytes]]:
    """Yield a file without a name that has ``size`` bytes of space; ``CannotWrite``."""
    try:
        with tempfile.TemporaryFile(prefix="leakpro-") as file:
            _take_space(file.fileno(), size)
            file.seek(0)
            yield file
    except OSError as error:
        raise CannotWrite(
            f"temporary file in {tempfile.gettempdir()}",
            found=error.strerror or str(error),
            expected=f"{size / 2**20:,.0f} MB for an array of shape {shape}",
            fix="Free space there, or set TMPDIR to a folder that has it, "
            "and give the same command again: what is finished is kept.",
        ) from error


@frozen(kw_only=True, eq=False)
class Order:
    """Rows to be copied in an order of their own, prepared for many arrays.

    first: the rows, part by part of the source; second: where each row of the copy is then.
    A copy in a random order waits for memory at every row. In two steps, each of which stays
    near the processor, it takes time linear in the rows.
    """

    first: Ints
    second: Ints

    @classmethod
    def of(cls, rows: Ints) -> "Order":
        """Return the order of ``rows``, none negative."""
        by_part = np.argsort(rows // _NEAR, kind="stable")
        second = np.empty_like(by_part)
        second[by_part] = np.arange(len(rows))
        return cls(first=rows[by_part], second=second)

    def copy(self, values: AnyArray, copy: AnyArray) -> None:
        """Copy the rows of ``values [n, ...]`` into ``copy [rows, ...]``, of the same dtype."""
        near = np.take(values, self.first, axis=0, mode="clip")
        np.take(near, self.second, axis=0, out=copy, mode="clip")


def chosen(values: AnyArray, rows: Ints, *, least: int = LEAST) -> AnyArray:
    """Return a copy of ``rows`` of ``values [n, ...]``, in that order."""
    copy = empty((len(rows), *values.shape[1:]), values.dtype, least=least)
    step = max(1, LEAST // max(1, values.dtype.itemsize * prod(values.shape[1:])))
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
