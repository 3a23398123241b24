"""A column as one table holds it: what sort of values, and those values as numbers or text.

Rows in errors count from 0, as everywhere.
"""

import re
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import field, frozen

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.errors import BadArray, BadRecord
from leakpro_core.tabular import instants
from leakpro_core.wording import show, show_key

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?")
_LARGEST = 1e307
"""Differences of larger numbers may overflow."""

_WHOLE_FLOATS = 1e22
"""Up to here a float64 that is whole has the digits of the number that it stands for."""


class Holds(StrEnum):
    """What sort of values a column holds in one table."""

    NOTHING = "nothing"
    BOOLEANS = "booleans"
    NUMBERS = "numbers"
    DATES = "dates"
    TIMES = "times of day"
    TEXT = "text"


@frozen(kw_only=True)
class Part:
    """A column of one table.

    column: its name; role: the table's; values ``[n]``, neither encoded nor in chunks.
    codes, distinct: of text, int64 ``[n]`` (-1: missing) and the values that they number.
    """

    column: str
    role: str
    holds: Holds
    values: pa.Array = field(repr=False)
    codes: Ints = field(repr=False)
    distinct: pa.Array = field(repr=False)


_NO_CODES = np.zeros(0, np.int64)
_NO_TEXT = pa.array([], pa.large_string())


def part(column: str, role: str, chunks: pa.ChunkedArray) -> Part:
    """Return a column as it stands in one table.

    Raises BadArray (values that are none of ``Holds``) or BadRecord (an infinite number).
    """
    values = chunks.combine_chunks()
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    holds = _holds(values.type)
    if holds is None:
        raise BadArray(
            f"column {show(column)} of {role}",
            found=f"values of type {values.type}",
            expected="numbers, booleans, dates, times or text (UTF-8)",
            fix=f"Convert it, or leave it out with ignore = [{show(column)}].",
        )
    codes, distinct = _NO_CODES, _NO_TEXT
    if values.null_count == len(values):
        holds = Holds.NOTHING
    elif holds is Holds.TEXT:
        codes, distinct = encoded(values.cast(pa.large_string()))
    found = Part(
        column=column, role=role, holds=holds, values=values, codes=codes, distinct=distinct
    )
    if pa.types.is_floating(values.type):
        _check_finite(found, _floats(values))
    return found


def _holds(type_: pa.DataType) -> Holds | None:
    of = pa.types
    if of.is_null(type_):
        return Holds.NOTHING
    if of.is_boolean(type_):
        return Holds.BOOLEANS
    if of.is_integer(type_) or of.is_floating(type_) or of.is_decimal(type_):
        return Holds.NUMBERS
    if of.is_duration(type_):
        return Holds.NUMBERS
    if of.is_date(type_) or of.is_timestamp(type_):
        return Holds.DATES
    if of.is_time(type_):
        return Holds.TIMES
    if of.is_string(type_) or of.is_large_string(type_) or of.is_string_view(type_):
        return Holds.TEXT
    return None


def encoded(values: pa.Array) -> tuple[Ints, pa.Array]:
    """Return the number of each value, int64 ``[n]``, -1 where missing, and the values."""
    both = values.dictionary_encode()
    codes = both.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, both.dictionary


def refusal(part: Part, row: int, expected: str, fix: str = "") -> BadRecord:
    """Return the error about the value of a row."""
    return BadRecord(
        f"column {show(part.column)} of {part.role}, row {row}",
        found=show(part.values[row].as_py()),
        expected=expected,
        fix=fix,
    )


def refuse_first(part: Part, wrong: Bools, expected: str, fix: str = "") -> None:
    """Raise the error about the first row whose text is ``wrong``, bool a distinct text."""
    if wrong.any():
        where = (part.codes >= 0) & wrong[part.codes]
        raise refusal(part, int(where.argmax()), expected, fix)


def _check_finite(part: Part, numbers: Floats) -> None:
    beyond = np.abs(numbers) > _LARGEST
    if beyond.any():
        raise refusal(
            part,
            int(beyond.argmax()),
            f"a finite number, at most {_LARGEST:g}",
            "Mend it, or leave the field empty.",
        )


# Numbers.


def are_numbers(part: Part) -> Bools:
    """Return which distinct texts are numbers; spaces around them do not matter."""
    trimmed = pc.ascii_trim_whitespace(part.distinct)
    return np.asarray(pc.match_substring_regex(trimmed, _NUMBER), np.bool_)


def numbers(part: Part) -> Floats:
    """Return float64 ``[n]``, NaN where missing; booleans are 0 and 1, durations seconds.

    ``BadRecord`` for text that is no number; the caller has excluded dates and times.
    """
    if part.holds is Holds.NOTHING:
        return np.full(len(part.values), np.nan)
    if part.holds is Holds.BOOLEANS:
        return _floats(part.values.cast(pa.uint8()))
    if part.holds is Holds.TEXT:
        refuse_first(
            part, ~are_numbers(part), "a number", "Leave the field empty where it is missing."
        )
        read = _floats(pc.ascii_trim_whitespace(part.distinct))
        values = _spread(read, part.codes)
        _check_finite(part, values)
        return values
    if pa.types.is_duration(part.values.type):
        return instants.of_values(part.values)
    if pa.types.is_decimal(part.values.type):
        # By way of text: what arrow computes may lie one bit beside the nearest number.
        return _floats(part.values.cast(pa.large_string()))
    return _floats(part.values)


def _floats(values: pa.Array) -> Floats:
    result: Floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return result + 0.0  # minus nought is nought


def _spread(values: Floats, codes: Ints) -> Floats:
    return np.append(values, np.nan)[codes]


# Dates and times.


def moments(part: Part, what: Holds) -> Floats:
    """Return float64 ``[n]``, seconds since 1970 to the microsecond, NaN where missing.

    what: DATES or TIMES, as which text is read. What has no time zone counts as UTC; a time of day
    is that of 1 January 1970. ``BadRecord`` for text that is none and for dates beyond the years 1
    to 9999.
    """
    if part.holds is Holds.NOTHING:
        return np.full(len(part.values), np.nan)
    if part.holds is Holds.TEXT:
        read = instants.of_text(part.distinct, times=what is Holds.TIMES)
        if read is None:
            raise _no_instant(part, what)
        return _spread(read, part.codes)
    seconds = instants.of_values(part.values)
    beyond = instants.beyond(seconds)
    if beyond.any():
        raise BadRecord(
            f"column {show(part.column)} of {part.role}, row {int(beyond.argmax())}",
            found="a date before the year 1 or after the year 9999",
            expected="a date between them",
            fix="Mend it, or leave the field empty.",
        )
    return seconds


def _no_instant(part: Part, what: Holds) -> BadRecord:
    times = what is Holds.TIMES
    each = (part.distinct[i : i + 1] for i in range(len(part.distinct)))
    wrong = next(i for i, one in enumerate(each) if instants.of_text(one, times=times) is None)
    row = int((part.codes == wrong).argmax())
    form = "12:30:00" if times else "2020-01-31 or 2020-01-31 12:30:00"
    sort = "a time of day" if times else "a date"
    fix = f'Write it so, or state columns = {{ {show_key(part.column)} = "categorical" }}.'
    return refusal(part, row, f"{sort} as {form}", fix)


# Text.


def written(part: Part, beside: frozenset[Holds]) -> tuple[Ints, pa.Array]:
    """Return codes, int64 ``[n]``, and the texts that they number (null: missing).

    beside: what the tables hold together. A number is written one way, whether 1, 1.0 or "1.0"
    stands in the file; text is kept as it is unless another table holds numbers or booleans.
    """
    if part.holds is Holds.TEXT:
        if not beside & {Holds.NUMBERS, Holds.BOOLEANS}:
            return part.codes, part.distinct
        return part.codes, _text([_as_beside(t, beside) for t in part.distinct.to_pylist()])
    if part.holds in (Holds.DATES, Holds.TIMES):
        moments(part, part.holds)  # for the years that it refuses
    codes, distinct = encoded(part.values)
    if pa.types.is_integer(distinct.type):
        return codes, distinct.cast(pa.large_string())
    return codes, _text(_texts(part.holds, distinct))


def _texts(holds: Holds, distinct: pa.Array) -> list[str | None]:
    if holds is Holds.NOTHING:
        return [None] * len(distinct)
    if holds is Holds.BOOLEANS:
        return [None if value is None else str(value) for value in distinct.to_pylist()]
    if pa.types.is_duration(distinct.type):
        distinct = pa.array(instants.of_values(distinct), from_pandas=True)
    if holds is Holds.NUMBERS:
        known = distinct.cast(pa.large_string()).to_pylist()
        return [None if text in (None, "nan") else number_text(text) for text in known]
    texts: list[str | None] = []
    for second in instants.of_values(distinct):
        if np.isnan(second):
            texts.append(None)
            continue
        text = (datetime(1970, 1, 1) + timedelta(seconds=second)).isoformat(" ")
        texts.append(text[11:] if holds is Holds.TIMES else text.removesuffix(" 00:00:00"))
    return texts


def _text(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def _as_beside(text: str, beside: frozenset[Holds]) -> str:
    if Holds.BOOLEANS in beside and text.lower() in ("true", "false"):
        return text.capitalize()
    if Holds.NUMBERS in beside and re.fullmatch(_NUMBER, text.strip(" \t\r\n"), re.ASCII):
        return number_text(text.strip(" \t\r\n"))
    return text


def number_text(text: str) -> str:
    """Return a number as all tables write it: 1 for 1.0, 01 and +1; 0.5 for .50."""
    whole = _WHOLE.fullmatch(text)
    if whole:
        return ("-" if whole[1] == "-" and whole[2] != "0" else "") + whole[2]
    value = float(text)
    if value.is_integer() and abs(value) < _WHOLE_FLOATS:
        return str(int(value))
    return repr(value)
