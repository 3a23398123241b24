"""Records from csv and parquet: columns of one table to one float32 matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from leakpro_core.arrays import AnyArray, Singles
from leakpro_core.delimited import read_csv
from leakpro_core.errors import BadArray, BadRecord, DuplicateName
from leakpro_core.inputs import check_fits, check_readable
from leakpro_core.wording import show

MOST_CATEGORIES = 1000
"""More categories than this in a column: it names people rather than describing them."""


def read_table(path: Path) -> pa.Table:
    """Return the table of a csv (with a header line) or parquet file.

    Missing in a csv file is as ``delimited.read_csv`` says.

    Raises MissingFile, UnsafeFile, BadArray (not of this format), BadRecord (a value that is not
    UTF-8) or DuplicateName (columns).
    """
    check_readable(path)
    try:
        if path.suffix.lower() == ".csv":
            table = read_csv(path)
            _check_unlike(path, table.column_names)
        else:
            claimed = pa.parquet.read_metadata(path)
            check_fits(path, claimed.num_rows * claimed.num_columns * 4)  # as float32
            _check_unlike(path, claimed.schema.to_arrow_schema().names)
            table = pa.parquet.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadArray(
            f"file {show(path)}",
            found=" ".join(str(error).split())[:120],
            expected=f"a {path.suffix[1:].lower()} file that can be read",
        ) from None
    return table


def _check_unlike(path: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DuplicateName(
                f"file {show(path)}",
                found=f"two columns {show(name)}",
                expected="each column with a name of its own",
            )


def column(table: pa.Table, name: str, what: str) -> AnyArray:
    """Return a column as numpy: bool, int64 or strings; ``BadRecord`` where a value is missing."""
    values = _decoded(table.column(name))
    if values.null_count:
        row = int(np.asarray(values.is_null()).argmax())
        raise BadRecord(
            f"{what} of record {row}",
            found="no value",
            expected="a value for each record",
            fix="Add it or leave the record out.",
        )
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return np.array(values.to_pylist(), dtype=np.str_)
    return np.asarray(values)


def encode(tables: Sequence[pa.Table]) -> list[Singles]:
    """Return float32 ``[n, features]`` for each table; all have the same columns.

    A number is a column, a missing one the column's mean with one more column that says so.
    Strings, categories and booleans are one column per value, in sorted order, and one for
    missing values if there are any. Means and values are those of all tables together.
    """
    first = tables[0].column_names
    for table in tables[1:]:
        if sorted(table.column_names) != sorted(first):
            odd = sorted(set(table.column_names) ^ set(first))[0]
            raise BadArray(
                "[data] auxiliary",
                found=f"column {show(odd)} in one of the files only",
                expected="the columns of [data] path",
            )
    parts: list[Singles] = []
    for name in first:
        columns = [_decoded(table.column(name)) for table in tables]
        parts.append(_encoded(name, columns))
    if not parts:
        raise BadArray("[data] path", found="no column beside those named", expected="records")
    matrix = np.concatenate(parts, axis=1)
    return list(np.split(matrix, np.cumsum([len(table) for table in tables])[:-1]))


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(values.type):
        return values.cast(values.type.value_type)
    return values


def _encoded(name: str, columns: Sequence[pa.ChunkedArray]) -> Singles:
    kinds = [_kind(column.type) for column in columns]
    known = {kind for kind in kinds if kind != "missing"}
    if len(known) > 1 or "" in known:
        raise BadArray(
            f"column {show(name)} of the records",
            found=" and ".join(str(column.type) for column in columns),
            expected="numbers, strings or booleans",
            fix="Convert the column, name it in [data] if it is no feature, or leave it out.",
        )
    if known == {"number"}:
        return _numbers(name, columns)
    return _categories(name, columns)


def _kind(type_: pa.DataType) -> str:
    of = pa.types
    if of.is_integer(type_) or of.is_floating(type_) or of.is_decimal(type_):
        return "number"
    if of.is_string(type_) or of.is_large_string(type_) or of.is_boolean(type_):
        return "category"
    return "missing" if of.is_null(type_) else ""


def _numbers(name: str, columns: Sequence[pa.ChunkedArray]) -> Singles:
    values = np.concatenate(
        [column.cast(pa.float64(), safe=False).to_numpy() for column in columns]
    )
    missing = np.isnan(values)
    with np.errstate(over="ignore"):
        result = values.astype(np.float32)
    infinite = np.isinf(result)
    if infinite.any():
        row = int(infinite.argmax())
        raise BadRecord(
            f"column {show(name)} of record {row}",
            found=str(values[row]),
            expected="a number that float32 can hold",
            fix="Mend the record or leave it out.",
        )
    if not missing.any():
        return result[:, np.newaxis]
    result[missing] = values[~missing].mean()
    return np.stack([result, missing.astype(np.float32)], axis=1)


def _categories(name: str, columns: Sequence[pa.ChunkedArray]) -> Singles:
    values = [value for column in columns for value in column.to_pylist()]
    known = sorted({str(value) for value in values if value is not None})
    if len(known) > MOST_CATEGORIES:
        raise BadArray(
            f"column {show(name)} of the records",
            found=f"{len(known)} different values",
            expected=f"numbers, or at most {MOST_CATEGORIES} categories",
            fix="Name it as subjects if it says whose record it is, or leave it out.",
        )
    codes = {value: code for code, value in enumerate(known)}
    rows = np.array([len(known) if v is None else codes[str(v)] for v in values], np.int64)
    width = len(known) + int((rows == len(known)).any())
    result = np.zeros((len(rows), width), np.float32)
    result[np.arange(len(rows)), rows] = 1.0
    return result
