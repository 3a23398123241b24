"""Array types and attrs fields of records: read-only views, checked lengths."""

from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import field
from numpy.typing import NDArray

from leakpro_core.errors import BadArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
AnyArray = NDArray[Any]


def frozen_array(dtype: type | None) -> Callable[[object], AnyArray | None]:
    """Return an attrs converter to a read-only array of ``dtype``; None stays None."""

    def convert(value: object) -> AnyArray | None:
        if value is None:
            return None
        result: AnyArray = np.asarray(value, dtype=dtype)
        if result.flags.writeable:
            result = result.view()
            result.flags.writeable = False
        return result

    return convert


def array(dtype: type | None = None, *, optional: bool = False) -> Any:
    """Return an attrs field that holds a read-only array of ``dtype``; a view where it can be."""
    if optional:
        return field(default=None, converter=frozen_array(dtype), eq=False, repr=False)
    return field(converter=frozen_array(dtype), eq=False, repr=False)


def same_length(record: object, first: str, *others: str) -> None:
    """Check that the named arrays of ``record`` have as many rows as ``first``; None passes."""
    expected = len(getattr(record, first))
    for name in others:
        value = getattr(record, name)
        if value is not None and len(value) != expected:
            raise BadArray(
                f"{name} and {first} must have one row per record",
                found=f"{len(value)} and {expected} rows",
                expected="the same number",
            )
