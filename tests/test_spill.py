"""Large arrays lie in a file without a name, and give its space back."""

import gc
from pathlib import Path

import numpy as np
import pytest

from leakpro_core import spill
from leakpro_core.errors import CannotWrite


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def mapped_files() -> int:
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return sum("deleted" in line for line in maps)


def test_small_arrays_are_ordinary_memory() -> None:
    files = mapped_files()
    values = spill.empty((10, 3), np.float32)
    assert (values.shape, values.dtype, values.base) == ((10, 3), np.float32, None)
    assert mapped_files() == files


def test_large_arrays_are_written_and_read_as_others() -> None:
    files = mapped_files()
    values = spill.empty((4, 50, 2), np.float64, least=1000)
    assert mapped_files() == files + 1
    values[...] = np.arange(400.0).reshape(4, 50, 2)
    np.testing.assert_array_equal(values[2, [1, 49]], [[202, 203], [298, 299]])
    assert type(values) is np.ndarray


def test_the_space_is_free_once_the_last_view_is_gone() -> None:
    before = open_files(), mapped_files()
    view = spill.empty((1000,), np.int64, least=1000)[5:]
    view[:] = 1
    del view
    gc.collect()
    assert (open_files(), mapped_files()) == before


@pytest.mark.parametrize("least", [1, spill.LEAST])
def test_nothing_is_as_good_as_any_other_shape(least: int) -> None:
    assert spill.empty((0, 7), np.float64, least=least).shape == (0, 7)


def test_no_space_is_one_clear_error() -> None:
    with pytest.raises(CannotWrite, match=r"expected 4,398,046,511,104 MB .* Free space there"):
        spill.empty((2**59,), np.float64)


@pytest.mark.parametrize("least", [1, spill.LEAST])
def test_chosen_rows_are_a_copy_in_that_order(least: int) -> None:
    values = np.arange(24).reshape(6, 2, 2)
    rows = np.array([5, 0, 0, 3])
    copy = spill.chosen(values, rows, least=least)
    np.testing.assert_array_equal(copy, values[rows])
    assert not np.shares_memory(copy, values)


@pytest.mark.parametrize("least", [1, spill.LEAST])
@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.int64])
def test_an_array_is_filled_part_by_part(least: int, dtype: type) -> None:
    files, expected = mapped_files(), np.arange(24).reshape(4, 3, 2) % 5
    part = np.empty((3, 2), dtype)

    def parts():
        for each in expected:
            part[...] = each  # the same memory each time
            yield part

    values = spill.filled((4, 3, 2), dtype, parts(), least=least)
    np.testing.assert_array_equal(values, expected.astype(dtype))
    assert mapped_files() == files + (least == 1)


@pytest.mark.parametrize("least", [1, spill.LEAST])
def test_too_few_parts_are_no_array(least: int) -> None:
    with pytest.raises(ValueError, match=r"shorter|bytes of parts"):
        spill.filled((3, 2), np.float64, [np.zeros(2)], least=least)
