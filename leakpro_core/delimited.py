"""Tables from csv files: what programs write that is not csv as everybody reads it is told."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from leakpro_core.errors import BadArray, BadRecord
from leakpro_core.wording import show

_HEAD = 1 << 16
"""So many bytes are looked at for the header line."""

_SEPARATORS = {";": '";"', "\t": "tabs", "|": '"|"'}
_OTHERS = {
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"PAR1": "a parquet file",
    b"\x1f\x8b": "a gzip archive",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
_SAVE = 'Save it as "CSV UTF-8", or write parquet.'
_NOT_UTF8 = "letters that are not UTF-8 (Latin-1 or Windows-1252, perhaps)"
_FIELDS = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


def read_csv(path: Path) -> pa.Table:
    """Return the table of a file in UTF-8 with a header line and commas between columns.

    Missing is an empty field, NA, N/A, #N/A, NaN, nan, NULL, null and n/a.

    Raises BadArray (not such a file) or BadRecord (a value that is not UTF-8); neither repeats a
    row, which may be a person's. Other errors of arrow's are passed on.
    """
    _check_head(path)
    try:
        table = pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(use_threads=False),  # its errors name the row
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),  # in quotes
            convert_options=pa.csv.ConvertOptions(strings_can_be_null=True),
        )
    except pa.ArrowInvalid as error:
        uneven = _FIELDS.search(str(error))
        if uneven is None:
            raise
        row, columns, fields = uneven.groups()
        raise BadArray(
            f"file {show(path)}, row {row} (the header is row 1)",
            found=f"{fields} fields",
            expected=f"{columns}, as in the header",
            fix="Quote values that hold commas, and write decimals with a point."
            if int(fields) > int(columns)
            else "Leave the fields of missing values empty, with their commas.",
        ) from None
    for name, column in zip(table.column_names, table.columns, strict=True):
        _check_text(path, name, column)
    return table


def _check_head(path: Path) -> None:
    """Refuse what is no csv file, or has other separators or another encoding."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip():
        raise BadArray(f"file {show(path)}", found="nothing in it", expected="a header and rows")
    for mark, what in _OTHERS.items():
        if head.startswith(mark):
            fix = "Name it .parquet." if "parquet" in what else _SAVE
            raise BadArray(f"file {show(path)}", found=what, expected="csv in UTF-8", fix=fix)
    line = re.split(rb"[\r\n]", head, maxsplit=1)[0]
    try:
        header = line.decode("utf-8-sig", errors="ignore" if line == head else "strict")
    except UnicodeDecodeError:
        raise BadArray(
            f"the header of file {show(path)}",
            found=_NOT_UTF8,
            expected="csv in UTF-8",
            fix=_SAVE,
        ) from None
    bare = re.sub(r'"[^"]*"?', "", header)
    separator = max(_SEPARATORS, key=bare.count)
    if bare.count(separator) > bare.count(","):
        raise BadArray(
            f"file {show(path)}",
            found=f"columns that are separated by {_SEPARATORS[separator]}",
            expected="columns that are separated by commas, and decimals with a point",
            fix="Write it so, or as parquet.",
        )


def _check_text(path: Path, name: str, column: pa.ChunkedArray) -> None:
    """Refuse a column of bytes, as which arrow reads text that is not UTF-8."""
    if not pa.types.is_binary(column.type):
        return
    values = column.to_pylist()
    row = next(i for i, value in enumerate(values) if value is not None and not _is_utf8(value))
    raise BadRecord(
        f"column {show(name)} of file {show(path)}, row {row}",
        found=_NOT_UTF8,
        expected="csv in UTF-8",
        fix=_SAVE,
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
