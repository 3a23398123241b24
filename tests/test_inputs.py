"""Files that claim more than they hold, or unpack to more than there is, are one clear error."""

import io
import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from leakpro_core.errors import BadArray
from leakpro_core.inputs import read_npy, read_npz
from leakpro_core.tables import read_table


def claims(*shape: int) -> bytes:
    """Return an npy file of this shape that holds nothing."""
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(10**13,), (2**62, 4), (10**30,), (-1,), (100,)], ids=str)
def test_a_header_that_claims_too_much_is_damage(shape, tmp_path):
    (tmp_path / "x.npy").write_bytes(claims(*shape))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
    with pytest.raises(BadArray, match="damaged content"):
        read_npy(tmp_path / "x.npy")
    with pytest.raises(BadArray, match="damaged content"):
        read_npz(tmp_path / "x.npz", ["x"])


def test_an_npz_file_that_unpacks_to_more_than_the_memory_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", claims(2**50))
        archive.filelist[0].file_size = 2**52  # the table of contents is written last
    with pytest.raises(BadArray, match=r"found 4.19e\+06 GiB of values"):
        read_npz(tmp_path / "x.npz", ["x"])


def test_a_parquet_file_that_unpacks_to_more_than_the_memory_is_not_read(tmp_path, monkeypatch):
    same = pa.table({"x": pa.repeat(1, 2**20).dictionary_encode()})
    pa.parquet.write_table(same, tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 2**14
    monkeypatch.setattr(os, "sysconf", lambda name: 2**10)  # a machine with 1 MiB
    with pytest.raises(BadArray, match=r"found 0.00391 GiB of values"):
        read_table(tmp_path / "x.parquet")
