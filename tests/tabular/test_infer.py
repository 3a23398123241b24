"""Tables of one schema: one kind and one coding, whatever type each file holds a column in."""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakpro_core.errors import LeakProError
from leakpro_core.tables import read_table
from leakpro_core.tabular.infer import tables
from leakpro_core.tabular.table import Column, Kind, Table
from leakpro_core.wording import show

ROLES = ("original", "control", "synthetic")
ADULT = Path(__file__).resolve().parents[3] / "shared" / "data" / "adult_audit"

Values = Sequence[Any]


def one_column(original: Any, control: Any, synthetic: Any, **options: Any) -> dict[str, Table]:
    """Return the tables of one column ``x``, beside one that keeps rows apart from none."""
    raw = zip(ROLES, (original, control, synthetic), strict=True)
    return tables({role: pa.table({"x": values}) for role, values in raw}, **options)


def kind(*values: Any, **options: Any) -> Kind:
    return one_column(*values, **options)["original"].columns[0].kind


def shown(made: Mapping[str, Table]) -> list[list[str]]:
    """Return the first column of each table as a person reads it."""
    return [[t.columns[0].shown(float(v)) for v in t.values[0]] for t in made.values()]


def refusal(*values: Any, **options: Any) -> str:
    with pytest.raises(LeakProError) as raised:
        one_column(*values, **options)
    return str(raised.value)


# Kinds.


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], Kind.NUMERIC),
        ([1.5, None, 2.0], Kind.NUMERIC),
        ([Decimal("1.50"), Decimal("-2.25")], Kind.NUMERIC),
        ([timedelta(seconds=90), None], Kind.NUMERIC),
        ([True, None, False], Kind.BOOLEAN),
        (["true", "False", None], Kind.BOOLEAN),
        ([date(1970, 1, 2), None], Kind.DATETIME),
        ([datetime(2020, 1, 1, 12), None], Kind.DATETIME),
        ([time(12, 30), None], Kind.DATETIME),
        (["2020-01-01", "2020-02-29 10:00", None], Kind.DATETIME),
        (["2020-01-01T10:00:00Z", "2020-01-01T10:00:00+02:00"], Kind.DATETIME),
        (["12:30", "12:30:01.5"], Kind.DATETIME),
        (["2020-02-30", "2020-01-01"], Kind.CATEGORICAL),
        (["0000-01-01"], Kind.CATEGORICAL),
        (["2020-01", "20200101"], Kind.CATEGORICAL),
        (["1", "2"], Kind.CATEGORICAL),
        (["a", "b", None], Kind.CATEGORICAL),
        ([None, None], Kind.CATEGORICAL),
        (pa.array(["a", "b"]).dictionary_encode(), Kind.CATEGORICAL),
        (pa.array([1, 2], pa.float16()), Kind.NUMERIC),
        (pa.array(["a"], pa.string_view()), Kind.CATEGORICAL),
        ([str(i) for i in range(1001)], Kind.NUMERIC),
        ([f"r{i}" for i in range(1001)], Kind.TEXT),
        ([f"r{i % 1001}" for i in range(3000)], Kind.CATEGORICAL),
        ([f"note {i}: the patient came back after {i} weeks" for i in range(21)], Kind.TEXT),
        ([f"note {i}: the patient came back after {i} weeks" for i in range(20)], Kind.CATEGORICAL),
    ],
)
def test_kinds_are_inferred(values: Values, expected: Kind) -> None:
    assert expected == kind(values, values, values)


@pytest.mark.parametrize("name", ["id", "customer_id", "patientID", "ID", "uuid", "Unnamed: 0", ""])
def test_unique_values_under_the_name_of_an_id_name_rows(name: str) -> None:
    raw = {r: pa.table({name: [3, 1, 2]}) for r in ROLES}
    assert tables(raw)["original"].columns[0].kind == Kind.IDENTIFIER


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("fnlwgt", [77516, 83311, 215646]),  # unique, but not called so
        ("paid", [1, 2, 3]),
        ("grid", [1, 2, 3]),
        ("id", [1, 1, 2]),  # called so, but not unique
        ("id", [1, None, 2]),
        ("id", [1.5, 2.0, 3.0]),
    ],
)
def test_other_numbers_name_no_rows(name: str, values: Values) -> None:
    raw = {r: pa.table({name: values}) for r in ROLES}
    assert tables(raw)["original"].columns[0].kind == Kind.NUMERIC


def test_only_the_original_decides_what_names_rows() -> None:
    raw = {r: pa.table({"id": v}) for r, v in zip(ROLES, ([1, 2], [3, 3], [4, 4]), strict=True)}
    assert tables(raw)["original"].columns[0].kind == Kind.IDENTIFIER


# One coding for all tables.


@pytest.mark.parametrize(
    ("original", "control", "synthetic", "expected"),
    [
        ([1, 2], [1.0, None], ["1", "2"], [["1", "2"], ["1", "missing"], ["1", "2"]]),
        ([1], ["1.0"], ["other"], [["1"], ["1"], ["other"]]),
        ([1.0], ["+01", "?"], [Decimal("1.00")], [["1"], ["1", "?"], ["1"]]),
        ([0.5, None], [".50", "x"], [1], [["0.5", "missing"], ["0.5", "x"], ["1"]]),
        ([2**63 - 1], [str(2**63 - 1), "x"], [1], [[str(2**63 - 1)], [str(2**63 - 1), "x"], ["1"]]),
        ([True], ["true", "FALSE"], [0, 1], [["True"], ["True", "False"], ["False", "True"]]),
        ([True], ["true", "maybe"], [None], [["True"], ["True", "maybe"], ["missing"]]),
        ([True], [2], [0.0], [["1"], ["2"], ["0"]]),
        (["a"], ["b"], [None], [["a"], ["b"], ["missing"]]),
        ([None], [None], [2.5], [["missing"], ["missing"], ["2.5"]]),
        (
            [date(2020, 1, 1)],
            ["2020-01-01T02:00:00+02:00"],
            [datetime(2020, 1, 1, tzinfo=UTC)],
            [["2020-01-01T00:00:00"]] * 3,
        ),
        ([time(12, 30)], ["12:30"], [time(0)],
         [["1970-01-01T12:30:00"]] * 2 + [["1970-01-01T00:00:00"]]),
    ],
)  # fmt: skip
def test_equal_values_are_equal_in_all_tables(
    original: Values, control: Values, synthetic: Values, expected: list[list[str]]
) -> None:
    assert expected == shown(one_column(original, control, synthetic))


def test_levels_are_those_of_all_tables_sorted_and_as_they_are() -> None:
    texts = ["O'Hara", " a", "a ", "a,b", '"q"', "", "é", "漢字", "NA", "1e3", "-1"]
    made = one_column(texts[:4], texts[4:8], [*texts[8:], None])
    assert tuple(sorted(texts)) == made["original"].columns[0].levels
    assert [texts[:4], texts[4:8], [*texts[8:], "missing"]] == shown(made)
    assert made["original"].columns == made["control"].columns == made["synthetic"].columns


@pytest.mark.parametrize(
    "type_",
    [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")],
)
def test_instants_are_equal_in_every_unit(type_: pa.DataType) -> None:
    moment = datetime(2033, 5, 18, 3, 33, 21)
    texts = [moment.isoformat(), moment.isoformat(" ") + ".000000999"]
    made = one_column([moment], texts, pa.array([moment], type_))
    [[one]], both, [third] = ([*t.values[0:1]] for t in made.values())
    assert [one, one] == list(both[0])
    assert [one] == list(third)
    assert moment == datetime(1970, 1, 1) + timedelta(seconds=float(one))


def test_fractions_of_seconds_are_kept_to_the_microsecond() -> None:
    moment = datetime(1969, 12, 31, 23, 59, 58, 123456)
    nano = pa.array([(-2 * 10**6 + 123456) * 1000 + 999], pa.timestamp("ns"))
    made = one_column([moment], ["1969-12-31T23:59:58.123456789"], nano)
    assert {-1.876544} == {float(t.values[0][0]) for t in made.values()}


def test_numbers_of_a_narrower_type_round_all_tables() -> None:
    made = one_column([0.1, 1e300], ["0.1", "7"], pa.array([0.1], pa.float32()))
    narrow = float(np.float32(0.1))
    assert [narrow, 1e300] == list(made["original"].values[0])
    assert [narrow, 7.0] == list(made["control"].values[0])
    assert [narrow] == list(made["synthetic"].values[0])


def test_decimals_are_the_nearest_float() -> None:
    texts = ["0.1", "2.675", "1234567.891", "-0.001"]
    made = one_column([Decimal(t) for t in texts], [float(t) for t in texts], texts)
    np.testing.assert_array_equal(made["original"].values[0], made["control"].values[0])
    np.testing.assert_array_equal(made["original"].values[0], made["synthetic"].values[0])


def test_minus_nought_is_nought_and_nan_is_missing() -> None:
    made = one_column([-0.0], [0], pa.array([float("nan"), -0.0]))
    assert shown(made) == [["0"], ["0"], ["missing", "0"]]


@pytest.mark.parametrize(
    ("values", "whole"), [([1.0, None], True), ([1.5], False), ([None, None], False)]
)
def test_a_column_is_whole_where_all_its_numbers_are(values: Values, whole: bool) -> None:
    made = one_column([1.0] if whole else values, pa.array(values, pa.float64()), values)
    assert whole is made["original"].columns[0].integer


# Stated kinds.


@pytest.mark.parametrize(
    ("stated", "values", "expected"),
    [
        (Kind.NUMERIC, ["1", " 2.5 ", None], ["1", "2.5", "missing"]),
        (Kind.NUMERIC, [True, False], ["1", "0"]),
        (Kind.CATEGORICAL, [1.0, 2.5, None], ["1", "2.5", "missing"]),
        (Kind.CATEGORICAL, [float("nan"), 1e22, 1e-7], ["missing", "1e+22", "1e-07"]),
        (Kind.CATEGORICAL, [date(2020, 1, 1)], ["2020-01-01"]),
        (Kind.CATEGORICAL, [datetime(2020, 1, 1, 12)], ["2020-01-01 12:00:00"]),
        (Kind.CATEGORICAL, [time(12, 30), None], ["12:30:00", "missing"]),
        (Kind.CATEGORICAL, [timedelta(seconds=90)], ["90"]),
        (Kind.IDENTIFIER, [7, 7], ["7", "7"]),
        (Kind.TEXT, ["a", None], ["a", "missing"]),
        (Kind.BOOLEAN, [1, 0, None], ["True", "False", "missing"]),
        (Kind.BOOLEAN, ["1", "FALSE"], ["True", "False"]),
        (Kind.DATETIME, ["2020-01-01", None], ["2020-01-01T00:00:00", "missing"]),
        (Kind.DATETIME, [None], ["missing"]),
    ],
)
def test_stated_kinds_override(stated: Kind, values: Values, expected: list[str]) -> None:
    made = one_column(values, values, values, schema={"x": stated})
    assert stated is made["original"].columns[0].kind
    assert [expected] * 3 == shown(made)


@pytest.mark.parametrize(
    ("stated", "values", "message"),
    [
        (Kind.NUMERIC, ["1", None, "1,5", "?"],
         'column "x" of control, row 2: found "1,5", expected a number'),
        (Kind.NUMERIC, [date(2020, 1, 1)],
         'column "x" of control: found dates, expected numbers, as stated'),
        (Kind.BOOLEAN, [0, None, 2], 'column "x" of control, row 2: found 2, expected true or'),
        (Kind.BOOLEAN, ["true", "no"],
         'column "x" of control, row 1: found "no", expected true or false, or 1 or 0. '
         'Write it so, or state columns = { x = "categorical" }.'),
        (Kind.BOOLEAN, [time(1)], 'column "x" of control: found times of day, expected true or'),
        (Kind.DATETIME, ["2020-01-01", "01/02/2020"],
         'column "x" of control, row 1: found "01/02/2020", expected a date as 2020-01-31'),
        (Kind.DATETIME, ["2020-01-01", "12:30"],
         'column "x" of control, row 1: found "12:30", expected a date as 2020-01-31'),
        (Kind.DATETIME, [5], 'column "x" of control: found numbers, expected dates or times'),
    ],
)  # fmt: skip
def test_stated_kinds_are_checked(stated: Kind, values: Values, message: str) -> None:
    said = refusal([None], values, [None], schema={"x": stated})
    assert said.startswith(message), said


# What does not go together.


@pytest.mark.parametrize(
    ("original", "control", "message"),
    [
        ([1.0, float("inf")], [1], 'column "x" of original, row 1: found inf, expected a finite'),
        ([1], ["1", "2", "1e999"], 'column "x" of control, row 2: found "1e999", expected a fini'),
        ([date(2020, 1, 1)], [5], 'column "x": found dates in original, numbers in control, expe'),
        ([1, 2], ["a", "b"], 'column "x": found numbers in original, text in control, expected v'),
        ([time(1)], [date(2020, 1, 1)], 'column "x": found times of day in original, dates in co'),
        ([date(2020, 1, 1)], ["2020-01-01", "never"],
         'column "x" of control, row 1: found "never", expected a date as 2020-01-31 or 2020'),
        ([time(1)], ["25:00"], 'column "x" of control, row 0: found "25:00", expected a time of'),
        (list(range(1001)), [*map(str, range(1001)), "?"],
         'column "x" of control, row 1001: found "?", expected a number, as in original: 1002 di'),
        ([b"\xff"], [b"a"], 'column "x" of original: found values of type binary, expected numb'),
        ([[1]], [[1]], 'column "x" of original: found values of type list<item: int64>, expecte'),
        (pa.array([2**60], pa.timestamp("s")), [None],
         'column "x" of original, row 0: found a date before the year 1 or after the year 9999'),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_error(
    original: Values, control: Values, message: str
) -> None:
    said = refusal(original, control, [None])
    assert said.startswith(message), said


@pytest.mark.parametrize("stated", [None, *Kind])
def test_text_that_is_not_utf_8_is_an_error(stated: Kind | None) -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    )
    said = refusal(bad, [None], [None], schema={} if stated is None else {"x": stated})
    assert said.startswith('column "x": found ')
    assert said.partition("expected ")[2].startswith("numbers, booleans, dates, times or text (UTF")


# Columns.


def test_columns_may_stand_in_any_order_and_are_the_originals() -> None:
    raw = {
        "original": pa.table({"a": [1], "b": ["x"]}),
        "control": pa.table({"b": ["y"], "a": [2]}),
        "synthetic": pa.table({"b": ["z"], "a": [3]}),
    }
    made = tables(raw)
    assert made["synthetic"].names == ("a", "b")
    assert made["synthetic"].shown(0) == (("a", "3"), ("b", "z"))


@pytest.mark.parametrize(
    ("original", "synthetic", "message"),
    [
        (["a", "b"], ["a"], 'column "b": found it in original, and not in synthetic'),
        (["a"], ["a", "b"], 'column "b": found it in synthetic, and not in original'),
        (["a", "income"], ["a", "incme"], 'column "income": found it in original, and not in synt'),
        (["a", "a"], ["a"], 'columns of original: found two called "a"'),
        ([], [], 'table "original": found no row'),
    ],
)
def test_an_odd_column_is_named_with_its_table(
    original: list[str], synthetic: list[str], message: str
) -> None:
    def table(names: list[str]) -> pa.Table:
        return pa.Table.from_arrays([pa.array([1])] * len(names), names=names)

    with pytest.raises(LeakProError) as raised:
        tables({"original": table(original), "synthetic": table(synthetic)})
    assert str(raised.value).startswith(message), str(raised.value)


def test_two_columns_of_one_name_are_an_error_in_every_format(tmp_path: Path) -> None:
    two = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["age", "age"])
    pq.write_table(two, tmp_path / "two.parquet")
    (tmp_path / "two.csv").write_text("age,age\n1,2\n")
    for name in ("two.parquet", "two.csv"):
        with pytest.raises(LeakProError, match='two columns "age", expected each column with a'):
            read_table(tmp_path / name)


def test_a_column_in_one_table_only_can_be_ignored() -> None:
    raw = {"original": pa.table({"a": [1], "note": ["x"]}), "control": pa.table({"a": [2]})}
    assert tables(raw, ignore=["note"])["original"].names == ("a",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore": ["agee"]}, '[target] ignore: found "agee", expected a column of the tables. D'),
        ({"schema": {"agee": Kind.TEXT}}, '[target] columns: found "agee", expected a column of t'),
        ({"schema": {"age": Kind.TEXT}, "ignore": ["age"]}, "[target] columns.age: found a kind o"),
        ({"schema": {"who": Kind.TEXT}, "subject": "who"}, "[target] columns.who: found a kind of"),
        ({"subject": "who", "ignore": ["who"]}, '[target] ignore: found "who", which says whose'),
        ({"subject": "whom"}, '[target] subject: found no column "whom" in original, expected'),
        ({"ignore": ["age", "who"]}, "columns of original: found none that is attacked"),
    ],
)
def test_names_that_are_no_columns_are_errors(options: dict[str, Any], message: str) -> None:
    raw = {role: pa.table({"age": [1], "who": [role]}) for role in ROLES}
    with pytest.raises(LeakProError) as raised:
        tables(raw, **options)
    assert str(raised.value).startswith(message), str(raised.value)


@pytest.mark.parametrize("role", ROLES)
def test_an_empty_table_is_an_error_that_names_it(role: str) -> None:
    raw = {r: pa.table({"x": pa.array([1, 2], pa.int64())}) for r in ROLES}
    with pytest.raises(LeakProError, match=f'table "{role}": found no row'):
        tables(raw | {role: raw[role].slice(0, 0)})


def test_three_hundred_columns_work() -> None:
    rng = np.random.default_rng(0)
    raw = {
        role: pa.table({f"c{i}": rng.integers(0, 9, n) for i in range(300)})
        for role, n in zip(ROLES, (40, 10, 30), strict=True)
    }
    made = tables(raw)
    assert [len(table) for table in made.values()] == [40, 10, 30]
    np.testing.assert_array_equal(raw["control"]["c299"].to_numpy(), made["control"].values[299])


# People.


def people(**who: Values) -> dict[str, pa.Table]:
    return {role: pa.table({"x": [0] * len(w), "who": w}) for role, w in who.items()}


def test_each_row_is_a_person_of_its_own_unless_said() -> None:
    raw = people(original=[1, 1], control=[1], synthetic=[1, 2], auxiliary=[5])
    made = tables(raw, ignore=["who"])
    numbers = {role: list(table.subjects) for role, table in made.items()}
    assert numbers == {"original": [0, 1], "control": [2], "synthetic": [0, 1], "auxiliary": [3]}


def test_equal_subjects_are_one_person_whatever_their_type() -> None:
    raw = people(
        original=["7", "8", "7"], control=[9.0, 10.0], auxiliary=[11], synthetic=["7", "z", "z"]
    )
    made = tables(raw, subject="who")
    assert made["original"].names == ("x",)
    a, b, c = made["original"].subjects
    assert a == c != b
    numbers = np.concatenate([made[r].subjects for r in ("original", "control", "auxiliary")])
    assert len(set(numbers)) == 5
    assert list(made["synthetic"].subjects) == [0, 1, 1]


def test_released_rows_need_no_subjects() -> None:
    raw = people(original=["a", "a"], control=["b"], synthetic=["a"])
    raw["synthetic"] = raw["synthetic"].drop_columns("who")
    assert list(tables(raw, subject="who")["synthetic"].subjects) == [0]


@pytest.mark.parametrize(
    ("who", "message"),
    [
        ({"original": [1, 2], "control": [3, 2, 1]},
         'column "who" of control, row 1: found the same person in original and control, "2" '
         "and 1 more, expected each person in one of them. Move all rows"),
        ({"original": [1], "control": [2], "auxiliary": [2]},
         'column "who" of auxiliary, row 0: found the same person in control and auxiliary, "2", '),
        ({"original": [1], "control": [2, None]}, 'column "who" of control, row 1: found no value'),
    ],
)  # fmt: skip
def test_a_person_in_two_tables_is_an_error(who: dict[str, Values], message: str) -> None:
    with pytest.raises(LeakProError) as raised:
        tables(people(**who), subject="who")
    assert str(raised.value).startswith(message), str(raised.value)


# Real data, and whatever else there may be.


def test_adult_is_read_as_what_it_is() -> None:
    if not ADULT.exists():
        pytest.skip("shared/data/adult_audit is not there")
    files = zip(ROLES, ("original", "control", "leaky20"), strict=True)
    made = tables({role: read_table(ADULT / f"{name}.parquet") for role, name in files})
    numeric = {c.name for c in made["original"].columns if c.kind is Kind.NUMERIC}
    assert {"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hr_per_week"} == (
        numeric
    )
    others = {c.kind for c in made["original"].columns if c.name not in numeric}
    assert {Kind.CATEGORICAL} == others
    both = np.unique(
        np.concatenate([made["original"].matrix(), made["synthetic"].matrix()]), axis=0
    )
    assert len(both) < 9600 - 900  # the 960 verbatim rows are equal as numbers


TEXTS = st.text("ab'\",;é漢 \n", min_size=1, max_size=4).filter(lambda text: text.strip())
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=-5, minutes=-30))])
SORTS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(-1e9, 1e9, allow_subnormal=False),
    "bool": st.booleans(),
    "str": st.integers(-(2**53), 2**53).map(str),
    "constant": st.just(7),
    "missing": st.none(),
    "text": TEXTS,
    "date": st.dates(),
    "moment": MOMENTS,
    "zoned": st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
}


@st.composite
def frames(draw: st.DrawFn) -> dict[str, dict[str, Values]]:
    """Return columns of Python values by role: of one sort, or of another in some table."""
    counts = {role: draw(st.integers(1, 5)) for role in ROLES}
    made: dict[str, dict[str, Values]] = {role: {} for role in ROLES}
    for number in range(draw(st.integers(1, 3))):
        sort = draw(st.sampled_from(list(SORTS)))
        for role in ROLES:
            here = draw(st.sampled_from([sort] * len(SORTS) + list(SORTS)))
            values = SORTS[here]
            values = values | st.none() if draw(st.booleans()) else values
            column = draw(st.lists(values, min_size=counts[role], max_size=counts[role]))
            made[role][f"c{number}"] = column
    return made


def said(value: Any, column: Column) -> str:
    """Return how a person reads a value, by brute force."""
    if value is None:
        return "missing"
    if column.kind is Kind.NUMERIC:
        number = float(value) + 0.0
        return f"{number:.0f}" if column.integer else f"{number:.6g}"
    if column.kind is Kind.DATETIME:
        moment = datetime.fromisoformat(str(value))
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    if column.kind is Kind.BOOLEAN:
        return str(bool(int(value)))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def as_csv(path: Path, columns: Mapping[str, Values]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(["" if value is None else value for value in row])


def read_or_refused(raw: Mapping[str, pa.Table], **options: Any) -> dict[str, Table] | str:
    try:
        return tables(raw, **options)
    except LeakProError as error:
        return str(error)


def check_read(folder: Path, frame: Mapping[str, Mapping[str, Values]], ending: str) -> None:
    """Read what was written: the same values, or one error that names the column."""
    for role, columns in frame.items():
        path = folder / f"{role}.{ending}"
        if ending == "csv":
            as_csv(path, columns)
        else:
            pq.write_table(pa.table(dict(columns)), path)
    raw = {role: read_table(folder / f"{role}.{ending}") for role in frame}
    made = read_or_refused(raw)
    if isinstance(made, str):
        assert any(f"column {show(name)}" in made for name in frame["original"]), made
        return
    for role, table in made.items():
        assert made["original"].columns == table.columns
        for column, values in zip(table.columns, table.values, strict=True):
            expected = [said(value, column) for value in frame[role][column.name]]
            assert expected == [column.shown(float(v)) for v in values]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frame=frames())
def test_frames_are_read_as_they_were_written_or_refused(
    frame: dict[str, dict[str, Values]], ending: str, tmp_path: Path
) -> None:
    check_read(tmp_path, frame, ending)


ODD = st.sampled_from(
    [
        pa.array([1, None], pa.uint64()),
        pa.array([float("inf"), 1.0]),
        pa.array([1, 2], pa.float16()),
        pa.array([Decimal("1.5"), None]),
        pa.array([timedelta(1), None]),
        pa.array([time(1), None]),
        pa.array([2**62, None], pa.timestamp("us")),
        pa.array([date(1, 1, 1), date(9999, 12, 31)]),
        pa.array([b"a", None]),
        pa.array([{"a": 1}, None]),
        pa.array(["", " "]),
        pa.array(["a", None]).dictionary_encode(),
        pa.array(["1", "true"]),
        pa.array(["2020-01-01", "12:30"]),
        pa.array([True, False]),
        pa.array([None, None]),
        pa.array(["9" * 5000, "1e999"]),
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    ]
)


@settings(max_examples=250, deadline=None)
@given(values=st.tuples(ODD, ODD, ODD), stated=st.none() | st.sampled_from(list(Kind)))
def test_no_type_gives_a_traceback(values: tuple[Any, Any, Any], stated: Kind | None) -> None:
    raw = {role: pa.table({"x": v}) for role, v in zip(ROLES, values, strict=True)}
    made = read_or_refused(raw, schema={} if stated is None else {"x": stated})
    if isinstance(made, str):
        assert 'column "x"' in made
        return
    assert stated in (None, made["original"].columns[0].kind)
    for table in made.values():
        assert len(table.shown(0) + table.shown(1)) == 2
