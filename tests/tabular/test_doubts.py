"""What is measured does not silently become categories, in which nothing is near anything else."""

import pyarrow as pa
import pytest

from leakpro_core.errors import LeakProError
from leakpro_core.tabular.infer import tables
from leakpro_core.tabular.table import Kind

N = 60


def said(original: pa.Array, synthetic: pa.Array | None = None, name: str = "x") -> str:
    raw = {"original": original, "synthetic": original if synthetic is None else synthetic}
    with pytest.raises(LeakProError) as raised:
        tables({role: pa.table({name: values}) for role, values in raw.items()})
    return str(raised.value)


def kind(values: list[str | None], stated: Kind | None = None) -> Kind:
    raw = {"original": pa.table({"x": values}), "synthetic": pa.table({"x": values})}
    schema = None if stated is None else {"x": stated}
    return tables(raw, schema=schema)["original"].columns[0].kind


AGES = [str(20 + i) for i in range(N)]
ISO = [f"2020-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(N)]


@pytest.mark.parametrize("mark", ["?", "-", ".", "unknown", "None", "<NA>"])
def test_a_mark_among_numbers_is_named_with_its_row(mark: str) -> None:
    values = [*AGES[:10], mark, *AGES[10:]]
    assert said(pa.array(values)) == (
        f'column "x" of original, row 10: found "{mark}", expected a number as 1234.5, as 60 of '
        "61 values there. Leave the field empty where it is missing, or state "
        'columns = { x = "categorical" }.'
    )


def test_a_mark_beside_numbers_of_another_table_is_named_too() -> None:
    assert said(pa.array([*AGES, "?"]), pa.array(range(20, 80))).startswith(
        'column "x" of original, row 60: found "?", expected a number'
    )


def test_a_mark_among_dates_is_named_with_its_row() -> None:
    assert said(pa.array([*ISO, "NaT"])) == (
        'column "x" of original, row 60: found "NaT", expected a date as 2020-01-31 or '
        "2020-01-31 12:30:00, as 60 of 61 values there. Leave the field empty where it is "
        'missing, or state columns = { x = "categorical" }.'
    )


@pytest.mark.parametrize(
    "form",
    ["{2}.{1}.{0}", "{1}/{2}/{0}", "{2}/{1}/{0} 12:30", "{0}/{1}/{2}", "{2}-{1}-{0}"],
)
def test_dates_of_other_forms_are_refused(form: str) -> None:
    values = [form.format(*day.split("-")) for day in ISO]
    assert said(pa.array(values)) == (
        f'column "x" of original, row 0: found "{values[0]}", expected a date as 2020-01-31 or '
        '2020-01-31 12:30:00. Write it so, or state columns = { x = "categorical" }.'
    )


@pytest.mark.parametrize("form", ["{0},5", "1.{0}0,25", "{0} 000", "1,{0}0.5", "{0}'000"])
def test_numbers_of_other_forms_are_refused(form: str) -> None:
    values = [form.format(age) for age in AGES]
    assert said(pa.array(values)) == (
        f'column "x" of original, row 0: found "{values[0]}", expected a number as 1234.5. '
        'Write it so, or state columns = { x = "categorical" }.'
    )


def test_a_kind_that_is_stated_is_not_doubted() -> None:
    assert kind([*AGES, "?"], Kind.CATEGORICAL) is Kind.CATEGORICAL


@pytest.mark.parametrize(
    "values",
    [
        [*[str(i % 15) for i in range(N)], "?"],  # few: codes
        [*AGES, "V45", "E11", "E12", "F10"],  # as diagnoses are coded
        [f"{i % 7}.{1 + i % 3}.{i % 2}" for i in range(N)],
        [f"10.0.{i}.1" for i in range(N)],
        [f"ward {i % 30}, north" for i in range(N)],
    ],
)
def test_codes_and_names_are_categories(values: list[str | None]) -> None:
    assert kind(values) is Kind.CATEGORICAL


def test_yes_and_no_beside_true_and_false_are_refused() -> None:
    words, truths = pa.array(["Yes", "No"] * 30), pa.array([True, False] * 30)
    for first, second in ((words, truths), (truths, words)):
        assert 'column "x": found' in said(first, second)
        assert "expected values of one sort in all tables" in said(first, second)


def test_values_that_differ_in_case_or_spaces_alone_are_refused() -> None:
    assert said(pa.array(["F", "M"] * 30), pa.array(["f ", "m "] * 30)) == (
        'column "x" of synthetic, row 0: found "f ", expected "F", as in original: otherwise no '
        'value is equal in both. Spell it alike, or leave it out with ignore = ["x"].'
    )


def test_categories_that_the_original_has_not_are_none_to_doubt() -> None:
    raw = {"original": pa.table({"x": ["a", "b"]}), "synthetic": pa.table({"x": ["c", "c"]})}
    assert tables(raw)["original"].columns[0].kind is Kind.CATEGORICAL
