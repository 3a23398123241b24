"""Files that claim more than they hold, or unpack to more than there is, are one clear error."""

import io
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.errors import BadArray, LeakProError, UnsafeFile
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
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", claims(2**50))
        archive.filelist[0].file_size = 2**52  # the table of contents is written last
    with pytest.raises(BadArray, match=r"found 4.19e\+06 GiB of values"):
        read_npz(tmp_path / "x.npz", ["x"])


def stored(folder, **arrays):
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">i2", "?", "<U3"])
def test_stored_arrays_are_mapped_and_equal_what_is_read(order, dtype, tmp_path):
    values = np.asarray(np.arange(24).reshape(2, 3, 4) % 7, order=order).astype(dtype)
    path = stored(tmp_path, before=np.arange(3), x=values)
    read, mapped = (read_npz(path, ["x"], least=n)["x"] for n in (2**20, 1))
    np.save(tmp_path / "x.npy", values)
    for found in (mapped, read_npy(tmp_path / "x.npy", least=1)):
        np.testing.assert_array_equal(found, read)
        assert (found.dtype, found.flags.writeable) == (read.dtype, False)
        assert not hasattr(found, "filename")


def test_compressed_arrays_and_small_ones_are_read(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.arange(9))
    assert read_npz(tmp_path / "x.npz", ["x"], least=1)["x"].tolist() == list(range(9))
    assert read_npz(stored(tmp_path, x=np.zeros((0, 4))), ["x"], least=1)["x"].shape == (0, 4)


def test_stored_objects_are_not_unpickled(tmp_path):
    path = stored(tmp_path, x=np.array([{}, []], dtype=object))
    with pytest.raises(UnsafeFile, match="Python objects in array"):
        read_npz(path, ["x"], least=1)


def test_mapped_bytes_that_changed_are_noticed(tmp_path):
    path = stored(tmp_path, x=np.arange(100.0))
    data = bytearray(path.read_bytes())
    data[400] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadArray, match="Bad CRC-32"):
        read_npz(path, ["x"], least=1)


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_damage_of_a_mapped_file_gives_a_traceback(place, byte, cut):
    with tempfile.TemporaryDirectory() as name:
        path = stored(Path(name), x=np.arange(20.0), y=np.arange(5))
        data = bytearray(path.read_bytes())
        place %= len(data)
        data[place] = byte
        path.write_bytes(data[:place] if cut else data)
        try:
            arrays = read_npz(path, ["x", "y"], least=1)
        except LeakProError:
            return
        # Only what no checksum covers, dates and the like, may go unnoticed.
        assert (arrays["x"].tolist(), arrays["y"].tolist()) == (
            np.arange(20.0).tolist(),
            list(range(5)),
        )


@pytest.mark.parametrize("shape", [(10**13,), (2**62, 4), (10**30,), (-1,), (100,)], ids=str)
def test_a_stored_header_that_claims_too_much_is_damage(shape, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", claims(*shape))
    (tmp_path / "x.npy").write_bytes(claims(*shape))
    with pytest.raises(BadArray, match="damaged content"):
        read_npz(tmp_path / "x.npz", ["x"], least=1)
    with pytest.raises(BadArray, match="damaged content"):
        read_npy(tmp_path / "x.npy", least=1)


def test_a_parquet_file_that_unpacks_to_more_than_the_memory_is_not_read(tmp_path, monkeypatch):
    same = pa.table({"x": pa.repeat(1, 2**20).dictionary_encode()})
    pa.parquet.write_table(same, tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 2**14
    monkeypatch.setattr(os, "sysconf", lambda name: 2**10)  # a machine with 1 MiB
    with pytest.raises(BadArray, match=r"found 0.00391 GiB of values"):
        read_table(tmp_path / "x.parquet")
