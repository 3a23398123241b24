"""Dates, times of day and durations as seconds, so that equal ones are equal floats."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leakpro_core.arrays import Bools, Floats

_DATE = r"^\d{4}-\d\d-\d\d([ T]\d\d.*)?$"
_ZONE = r"[ T]\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
_TIME = r"^\d\d:\d\d(:\d\d(\.\d+)?)?$"
_EARLIEST, _LATEST = -62135596800.0, 253402300800.0
"""Seconds since 1970 of the years 1 and 10000."""

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def of_values(values: pa.Array) -> Floats:
    """Return seconds since 1970, float64 ``[n]``, NaN where missing; of durations their seconds.

    To the microsecond: what is finer is cut off. Times of day are those of 1 January 1970.
    """
    of, type_ = pa.types, values.type
    if of.is_date32(type_):
        return _in_units(values.cast(pa.int32()), 1) * 86400.0
    if of.is_date64(type_):
        return _in_units(values.cast(pa.int64()), _UNITS["ms"])
    wide = pa.int32() if of.is_time32(type_) else pa.int64()
    return _in_units(values.cast(wide), _UNITS[type_.unit])


def of_text(distinct: pa.Array, *, times: bool) -> Floats | None:
    """Return seconds since 1970 where all texts are ISO dates (or times of day), else None.

    A date may have a time, to the microsecond, and a zone; without one it counts as UTC.
    """
    pattern = _TIME if times else _DATE
    if not len(distinct) or not pc.all(pc.match_substring_regex(distinct, pattern)).as_py():
        return None
    if times:
        first, nothing = (pa.scalar(text, pa.large_string()) for text in ("1970-01-01 ", ""))
        distinct = pc.binary_join_element_wise(first, distinct, nothing)
    zoned = pc.match_substring_regex(distinct, _ZONE)
    short = pc.replace_substring_regex(distinct, r"(\.\d{6})\d+", r"\1")
    missing = pa.scalar(None, pa.large_string())
    try:
        plain = pc.if_else(zoned, missing, short).cast(pa.timestamp("us"))
        aware = pc.if_else(zoned, short, missing).cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:  # the thirtieth of February
        return None
    whole = pc.coalesce(plain.cast(pa.int64()), aware.cast(pa.int64()))
    seconds = _in_units(whole, _UNITS["us"])
    return None if beyond(seconds).any() else seconds


def looks_dated(distinct: pa.Array) -> Bools:
    """Return which texts have the form of an ISO date, with a time or without, bool ``[n]``."""
    return np.asarray(pc.match_substring_regex(distinct, _DATE), np.bool_)


def beyond(seconds: Floats) -> Bools:
    """Return which lie before the year 1 or after the year 9999, bool ``[n]``."""
    return (seconds < _EARLIEST) | (seconds >= _LATEST)


def _in_units(values: pa.Array, units: int) -> Floats:
    """Return whole numbers of ``1 / units`` as float64, so that equal instants are equal."""
    missing = np.asarray(values.is_null(), np.bool_)
    exact = values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    if units > _UNITS["us"]:
        exact, units = exact // (units // _UNITS["us"]), _UNITS["us"]
    whole, rest = np.divmod(exact, units)
    return np.where(missing, np.nan, whole + rest / units)
