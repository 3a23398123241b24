"""One column of several tables: one kind and one coding, in whatever type each table holds it."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leakpro_core.arrays import AnyArray, Floats, Ints
from leakpro_core.errors import BadArray, LeakProError
from leakpro_core.tabular import doubts, instants, parts
from leakpro_core.tabular.parts import Holds, Part
from leakpro_core.tabular.table import Column, Kind
from leakpro_core.wording import show, show_key

MANY = 1000
"""More different texts than this, mostly unlike each other, are free text, or numbers."""

SEVERAL = 20
"""The same where they are sentences."""

SENTENCE = 40
"""Mean length of a text, in characters, from which it is a sentence if it has spaces."""

_TRUTH = {"true": 1, "false": 0}
_INDEX = ("", "index", "Unnamed: 0", "__index_level_0__", "rowid", "row_number")
_ID = {"id", "uuid", "guid", "identifier", "mrn", "ssn"}


def column(
    name: str, raw: Mapping[str, pa.ChunkedArray], stated: Kind | None = None
) -> tuple[Column, dict[str, AnyArray]]:
    """Return the column and its values in each table, as ``Table.values`` holds them.

    raw: what each table holds, by role; "original" decides whether the values name rows.
    stated: its kind, checked; where None it is inferred over all tables together.

    Numbers are float64, so integers beyond 2^53 are rounded. Where a table holds a narrower
    floating type, all tables are rounded to it, so that equal values stay equal.

    Raises BadArray (types that do not go together) or BadRecord (a value), naming column, table
    and row.
    """
    try:
        read = [parts.part(name, role, values) for role, values in raw.items()]
        kind = _inferred(name, read) if stated is None else stated
        convert: Callable[[str, Sequence[Part]], tuple[Column, list[AnyArray]]] = {
            Kind.NUMERIC: _numeric,
            Kind.DATETIME: _datetime,
            Kind.BOOLEAN: _boolean,
        }.get(kind) or (lambda name, read: _coded(name, read, kind))
        made, values = convert(name, read)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise BadArray(
            f"column {show(name)}",
            found=" ".join(str(error).split())[:120],
            expected="numbers, booleans, dates, times or text (UTF-8)",
            fix=f"Convert it, or leave it out with ignore = [{show(name)}].",
        ) from None
    return made, dict(zip(raw, values, strict=True))


# Which kind.


def _inferred(name: str, read: Sequence[Part]) -> Kind:
    kind = _kind(name, read)
    if kind in (Kind.CATEGORICAL, Kind.TEXT):
        doubts.refuse(name, read)
    return kind


def _kind(name: str, read: Sequence[Part]) -> Kind:
    holds = _held(read)
    apart = holds - {Holds.TEXT}
    if not holds:
        return Kind.CATEGORICAL
    if apart & {Holds.DATES, Holds.TIMES}:
        if len(apart) > 1:
            raise _clash(name, read)
        return Kind.DATETIME
    if Holds.BOOLEANS in holds and all(_is_truth(p) for p in read):
        return Kind.BOOLEAN
    if Holds.TEXT not in holds:
        return _identifier(name, read) or Kind.NUMERIC
    if Holds.NUMBERS in holds:
        return _kind_of_mixed(name, read)
    if Holds.BOOLEANS in holds and not any(_any_truth(p) for p in _texts(read)):
        # Neither can yes equal True.
        raise _clash(name, read)
    if all(_truth_of_text(p, digits=False) is not None for p in _texts(read)):
        return Kind.BOOLEAN
    if _all_instants(read, times=False) or _all_instants(read, times=True):
        return Kind.DATETIME
    return _identifier(name, read) or _kind_of_text(name, read)


def _kind_of_mixed(name: str, read: Sequence[Part]) -> Kind:
    """Return the kind where some tables hold numbers and others text."""
    numbers = [parts.are_numbers(p) for p in _texts(read)]
    if all(each.all() for each in numbers):
        return _identifier(name, read) or Kind.NUMERIC
    if not any(each.any() for each in numbers):
        # No text can equal a number: an audit of this would find nothing, whatever leaks.
        raise _clash(name, read)
    named = _identifier(name, read)
    if named is not None:
        return named
    different = len(_different(_written(read)))
    if different > MANY:
        for part, each in zip(_texts(read), numbers, strict=True):
            parts.refuse_first(
                part,
                ~each,
                f"a number, as in {_roles(read, Holds.NUMBERS)}: {different} different values are "
                "too many for categories",
                f'Mend it, or state columns = {{ {show_key(name)} = "text" }}.',
            )
    return Kind.CATEGORICAL


def _kind_of_text(name: str, read: Sequence[Part]) -> Kind:
    written = _written(read)
    levels = _different(written)
    count = sum(int((codes >= 0).sum()) for codes, _ in written)
    many, text_only = len(levels) > MANY, _held(read) == {Holds.TEXT}
    if many and text_only and all(parts.are_numbers(p).all() for p in _texts(read)):
        return Kind.NUMERIC
    # Within a table: the released one may repeat the original's.
    mostly_unlike = 2 * sum(len(texts) for _, texts in written) > count
    if not mostly_unlike or len(levels) <= SEVERAL:
        return Kind.CATEGORICAL
    spaced = pc.mean(pc.match_substring(levels, " ").cast(pa.uint8())).as_py() > 0.5
    long = pc.mean(pc.utf8_length(levels)).as_py() >= SENTENCE
    return Kind.TEXT if many or (spaced and long) else Kind.CATEGORICAL


def names_rows(name: str) -> bool:
    """Return whether a column is called as one that numbers rows or people is."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    return name in _INDEX or (bool(words) and (words[-1] in _ID or words[0] in _ID))


def _identifier(name: str, read: Sequence[Part]) -> Kind | None:
    """Return IDENTIFIER where the name says so and no two rows of the original are equal."""
    original = next((p for p in read if p.role == "original"), read[0])
    if not names_rows(name) or original.values.null_count:
        return None
    if pc.count_distinct(original.values).as_py() != len(original.values):
        return None
    if original.holds is Holds.NUMBERS:
        numbers = parts.numbers(original)
        if not np.array_equal(numbers, np.floor(numbers)):
            return None
    return Kind.IDENTIFIER


def _held(read: Sequence[Part]) -> frozenset[Holds]:
    return frozenset(p.holds for p in read) - {Holds.NOTHING}


def _texts(read: Sequence[Part]) -> list[Part]:
    return [p for p in read if p.holds is Holds.TEXT]


def _roles(read: Sequence[Part], holds: Holds) -> str:
    return " and ".join(p.role for p in read if p.holds is holds)


def _clash(name: str, read: Sequence[Part]) -> LeakProError:
    found = {p.holds: f"{p.holds} in {_roles(read, p.holds)}" for p in read}
    found.pop(Holds.NOTHING, None)
    return BadArray(
        f"column {show(name)}",
        found=", ".join(found.values()),
        expected="values of one sort in all tables",
        fix=f'Convert them, or state columns = {{ {show_key(name)} = "categorical" }}.',
    )


# Values of each kind.


def _numeric(name: str, read: Sequence[Part]) -> tuple[Column, list[AnyArray]]:
    for part in read:
        if part.holds in (Holds.DATES, Holds.TIMES):
            raise _not_as_stated(part, "numbers")
    values = [parts.numbers(part) for part in read]
    width = min((_width(part) for part in read), default=64)
    if width < 64:
        values = [_rounded(v, np.float16 if width == 16 else np.float32) for v in values]
    known = [v[~np.isnan(v)] for v in values]
    whole = any(len(v) for v in known) and all(np.array_equal(v, np.floor(v)) for v in known)
    return Column(name=name, kind=Kind.NUMERIC, integer=whole), list(values)


def _width(part: Part) -> int:
    floating = pa.types.is_floating(part.values.type) and part.holds is Holds.NUMBERS
    return int(part.values.type.bit_width) if floating else 64


def _rounded(values: Floats, to: type[np.floating]) -> Floats:
    with np.errstate(over="ignore"):
        rounded = values.astype(to).astype(np.float64)
    return np.where(np.isinf(rounded), values, rounded)


def _datetime(name: str, read: Sequence[Part]) -> tuple[Column, list[AnyArray]]:
    holds = _held(read)
    for part in read:
        if part.holds in (Holds.NUMBERS, Holds.BOOLEANS):
            raise _not_as_stated(part, "dates or times")
    if {Holds.DATES, Holds.TIMES} <= holds:
        raise _clash(name, read)
    times = Holds.TIMES in holds or (holds == {Holds.TEXT} and _all_instants(read, times=True))
    what = Holds.TIMES if times else Holds.DATES
    return Column(name=name, kind=Kind.DATETIME), [parts.moments(part, what) for part in read]


def _all_instants(read: Sequence[Part], *, times: bool) -> bool:
    return all(instants.of_text(p.distinct, times=times) is not None for p in _texts(read))


def _boolean(name: str, read: Sequence[Part]) -> tuple[Column, list[AnyArray]]:
    values: list[AnyArray] = []
    for part in read:
        if part.holds in (Holds.DATES, Holds.TIMES):
            raise _not_as_stated(part, "true or false")
        if part.holds is Holds.TEXT:
            values.append(_truth_of_part(part))
            continue
        numbers = parts.numbers(part)
        wrong = ~np.isnan(numbers) & (numbers != 0) & (numbers != 1)
        if wrong.any():
            raise parts.refusal(part, int(wrong.argmax()), "true or false, or 1 or 0")
        values.append(np.where(np.isnan(numbers), -1, numbers).astype(np.int64))
    return Column(name=name, kind=Kind.BOOLEAN, levels=("False", "True")), values


def _truth_of_text(part: Part, digits: bool = True) -> Ints | None:
    """Return int64 1 or 0 for each distinct text; None where one is neither true nor false."""
    known = _TRUTH | ({"1": 1, "0": 0} if digits else {})
    lower = pc.utf8_lower(part.distinct)
    if len(pc.unique(lower)) > len(known):
        return None
    found = [known.get(text) for text in lower.to_pylist()]
    return None if None in found else np.array(found, np.int64)


def _truth_of_part(part: Part) -> Ints:
    found = _truth_of_text(part)
    if found is None:
        known = pa.array([*_TRUTH, "1", "0"], pa.large_string())
        right = pc.is_in(pc.utf8_lower(part.distinct), value_set=known)
        expected = "true or false, or 1 or 0"
        fix = f'Write it so, or state columns = {{ {show_key(part.column)} = "categorical" }}.'
        parts.refuse_first(part, ~np.asarray(right, np.bool_), expected, fix)
        raise AssertionError(part)
    return np.append(found, -1)[part.codes]


def _any_truth(part: Part) -> bool:
    known = pa.array(list(_TRUTH), pa.large_string())
    return bool(pc.any(pc.is_in(pc.utf8_lower(part.distinct), value_set=known)).as_py())


def _is_truth(part: Part) -> bool:
    if part.holds is Holds.TEXT:
        return _truth_of_text(part) is not None
    if part.holds is not Holds.NUMBERS:
        return True  # booleans, or nothing
    numbers = parts.numbers(part)
    return bool(np.isin(numbers[~np.isnan(numbers)], (0.0, 1.0)).all())


def _not_as_stated(part: Part, expected: str) -> LeakProError:
    return BadArray(
        f"column {show(part.column)} of {part.role}",
        found=str(part.holds),
        expected=f"{expected}, as stated",
        fix="Convert it, or state another kind.",
    )


def _coded(name: str, read: Sequence[Part], kind: Kind) -> tuple[Column, list[AnyArray]]:
    written = _written(read)
    numbers, levels = parts.encoded(pa.concat_arrays([texts for _, texts in written]))
    order = pc.sort_indices(levels)  # by code point
    ranks = np.full(len(levels) + 1, -1)
    ranks[np.asarray(order)] = np.arange(len(levels))
    each = np.split(ranks[numbers], np.cumsum([len(texts) for _, texts in written])[:-1])
    values = [np.append(known, -1)[codes] for known, (codes, _) in zip(each, written, strict=True)]
    return Column(name=name, kind=kind, levels=tuple(levels.take(order).to_pylist())), list(values)


def _written(read: Sequence[Part]) -> list[tuple[Ints, pa.Array]]:
    holds = _held(read)
    return [parts.written(part, holds) for part in read]


def _different(written: Sequence[tuple[Ints, pa.Array]]) -> pa.Array:
    """Return all texts once."""
    return pc.drop_null(pc.unique(pa.concat_arrays([texts for _, texts in written])))
