"""What Excel, R and pandas write that is not csv in UTF-8 with commas is one clear error."""

from pathlib import Path

import pytest

from leakpro_core.errors import LeakProError
from leakpro_core.tables import read_table

_UTF8 = 'expected csv in UTF-8. Save it as "CSV UTF-8", or write parquet.'
_COMMAS = "expected columns that are separated by commas, and decimals with a point"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"age;sex;ward\n54;F;A, B\n", f'found columns that are separated by ";", {_COMMAS}'),
        (b"sep=;\nage;sex\n54;F\n", f'found columns that are separated by ";", {_COMMAS}'),
        (b"age;weight\n54;95,4\n", f'found columns that are separated by ";", {_COMMAS}'),
        (b"age\tsex\n54\tF\n", f"found columns that are separated by tabs, {_COMMAS}"),
        (b"age|sex\n54|F\n", f'found columns that are separated by "|", {_COMMAS}'),
        ("age,sex\n54,F\n".encode("utf-16"), f"found text in UTF-16, {_UTF8}"),
        (b"PK\x03\x04rest", f"found an Excel workbook or another zip archive, {_UTF8}"),
        (b"\n", "found nothing in it, expected a header and rows"),
        (b"PAR1rest", "found a parquet file, expected csv in UTF-8. Name it .parquet."),
        (
            b"age,weight\n54,95.4\n57,88,4\n",
            "row 3 (the header is row 1): found 3 fields, expected 2, as in the header. "
            "Quote values that hold commas, and write decimals with a point.",
        ),
    ],
)
def test_a_file_of_another_form_is_told_apart(written: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(written)
    with pytest.raises(LeakProError) as raised:
        read_table(tmp_path / "x.csv")
    assert message in str(raised.value), str(raised.value)
    assert str(raised.value).startswith('file "')


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ("age,ward\n54,Lund\n57,Malmö\n", 'column "ward" of file'),
        ("ålder,ward\n54,Lund\n", "the header of file"),
    ],
)
def test_text_in_latin_1_is_named(written: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(written, encoding="latin-1")
    with pytest.raises(LeakProError) as raised:
        read_table(tmp_path / "x.csv")
    assert str(raised.value).startswith(where), str(raised.value)
    assert "letters that are not UTF-8 (Latin-1 or Windows-1252, perhaps)" in str(raised.value)
    assert ("row 1" in str(raised.value)) is where.startswith("column")


def test_an_error_does_not_repeat_a_row_which_may_be_a_persons(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("name,weight\nAda,54\nGrace Hopper,57,5\n")
    with pytest.raises(LeakProError) as raised:
        read_table(tmp_path / "x.csv")
    assert "Hopper" not in str(raised.value)


@pytest.mark.parametrize(
    "written",
    [
        b"\xef\xbb\xbfage,ward\r\n54,a\r\n",
        b'age,ward\n54,"a"\n',
        b'"age",ward\n54,a',
    ],
)
def test_byte_order_marks_line_ends_and_quotes_do_not_matter(
    written: bytes, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_bytes(written)
    assert read_table(tmp_path / "x.csv").to_pydict() == {"age": [54], "ward": ["a"]}


def test_other_marks_and_line_breaks_within_quotes_are_part_of_a_value(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'"age; in years","a;b;c"\n54,"two\nlines; O\'Neill"\n')
    expected = {"age; in years": [54], "a;b;c": ["two\nlines; O'Neill"]}
    assert read_table(tmp_path / "x.csv").to_pydict() == expected


def test_a_single_column_needs_no_comma(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("age\n54\n")
    assert read_table(tmp_path / "x.csv").to_pydict() == {"age": [54]}
