"""Arrays in npy files, and stored in npz files, mapped into memory instead of read.

A damaged or lying header must not lead outside the file: every length is checked against the
file's own. Nothing is unpickled.
"""

import mmap
import zipfile
import zlib
from math import prod
from pathlib import Path
from struct import unpack
from typing import BinaryIO

import numpy as np

from leakpro_core.arrays import AnyArray

_HEADER = 30
"""Bytes of a zip file's local header before the name."""

_CHUNK = 2**20


def member_of_file(path: Path, least: int) -> AnyArray | None:
    """Return the array of an npy file; None where it is better read: small, or of objects.

    Raises ``ValueError`` and its like for a damaged file.
    """
    with path.open("rb") as file:
        return _mapped(file, 0, path.stat().st_size, least)


def member_of_zip(path: Path, info: zipfile.ZipInfo, least: int) -> AnyArray | None:
    """Return an array stored in a zip file; None where it must be read: compressed, say.

    Its checksum is compared, as reading would. Raises ``ValueError`` or ``zipfile.BadZipFile``
    for a damaged file.
    """
    stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x1
    if not stored or info.file_size < least or not info.filename.endswith(".npy"):
        return None
    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(_HEADER)
        if len(head) < _HEADER or head[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile("Bad magic number for file header")
        name, extra = unpack("<HH", head[26:30])
        start = info.header_offset + _HEADER + name + extra
        end = start + info.file_size
        if info.compress_size != info.file_size or end > path.stat().st_size:
            raise zipfile.BadZipFile("an array ends beyond the file")
        if _checksum(file, start, end) != info.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
        return _mapped(file, start, end, least)


def _checksum(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    value, left = 0, end - start
    while left > 0 and (chunk := file.read(min(_CHUNK, left))):
        value, left = zlib.crc32(chunk, value), left - len(chunk)
    return value


def _mapped(file: BinaryIO, start: int, end: int, least: int) -> AnyArray | None:
    """Return the npy array that lies in a file from ``start`` to ``end``."""
    file.seek(start)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        return None
    first, size = file.tell(), prod(shape) * dtype.itemsize
    if dtype.hasobject or any(length < 0 for length in shape) or size < max(least, 1):
        return None
    if size > end - first:
        raise ValueError(f"{size} bytes of values announced, {end - first} found")
    skip = first % mmap.ALLOCATIONGRANULARITY
    space = mmap.mmap(file.fileno(), skip + size, access=mmap.ACCESS_READ, offset=first - skip)
    # An array of no name, as opposed to numpy's own: see the spill module.
    flat: AnyArray = np.frombuffer(space, dtype, prod(shape), skip)
    return flat.reshape(shape, order="F" if fortran else "C")
