"""A released table is loaded with the people behind it, or refused with its column."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from leakpro_sdv.tables import TableOptions, load

from leakpro_core.errors import LeakProError
from leakpro_core.options import build
from leakpro_core.records import Release
from leakpro_core.tabular.table import Kind

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

FILES = {
    "original.csv": "age,job,who\n41,baker,ann\n,nurse,bob\n33,O'Hara,bob\n",
    "control.csv": "age,job,who\n50,baker,cleo\n",
    "synthetic.csv": "age,job\n40.5,baker\n41.5,smith\n",
    "again.csv": "job,age\nnurse,1\nnurse,2\n",
    "other.csv": "age,job,who\n1,smith,dan\n",
}
PEOPLE = {"original": "original.csv", "control": "control.csv"}
TARGET = PEOPLE | {"synthetic": "synthetic.csv", "subject": "who"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def options(folder: Path, table: Mapping[str, Any]) -> TableOptions:
    return build(TableOptions, table, at="[target]", folder=folder)


def loaded(folder: Path, **table: Any) -> Release:
    run: Any = SimpleNamespace(seed=0, scratch=folder, log=None)
    return load(options(folder, table), run)


def refusal(folder: Path, **table: Any) -> str:
    with pytest.raises(LeakProError) as raised:
        loaded(folder, **table)
    return str(raised.value)


def test_a_released_table_is_loaded_with_the_people_behind_it(folder: Path) -> None:
    release = loaded(folder, **TARGET, auxiliary="other.csv", again=["again.csv"])
    assert release.target is not None
    assert release.tables is not None
    tables = release.tables
    assert tables.synthetic is not None
    assert tables.auxiliary is not None
    assert (
        release.target.kind,
        release.target.description,
    ) == ("table", "2 synthetic rows, 2 columns (synthetic.csv)")
    digest = hashlib.sha256(FILES["synthetic.csv"].encode()).hexdigest()
    assert digest == release.target.identity
    assert tables.original.shown(2) == (("age", "33"), ("job", "O'Hara"))
    assert tables.original.shown(1) == (("age", "missing"), ("job", "nurse"))
    assert tables.again[0].shown(1) == (("age", "2"), ("job", "nurse"))
    assert tables.original.subjects[1] == tables.original.subjects[2]
    everybody = (tables.original, tables.control, tables.auxiliary)
    assert len(set(np.concatenate([table.subjects for table in everybody]))) == 4
    assert (release.targets, release.notes) == (0, ())


def test_generators_are_fitted_where_no_table_was_released(folder: Path) -> None:
    release = loaded(folder, **PEOPLE, ignore=["who"], targets=3, rows=50)
    assert release.tables is not None
    assert (release.target, release.targets) == (None, 3)
    assert (release.tables.synthetic, release.tables.rows) == (None, 50)


def test_kinds_are_as_stated_and_what_is_not_attacked_is_told(folder: Path) -> None:
    columns = {"job": "text", "age": "identifier"}
    release = loaded(folder, **TARGET, columns=columns)
    assert release.tables is not None
    kinds = [column.kind for column in release.tables.original.columns]
    assert kinds == [Kind.IDENTIFIER, Kind.TEXT]
    assert release.notes == (
        'Column "age" names rows or people and is not attacked.',
        'Column "job" is free text: it is compared as a whole, and not guessed.',
    )


def test_a_column_that_no_attack_can_use_is_told(folder: Path) -> None:
    (folder / "synthetic.csv").write_text("age,job\n40.5,farmer\n41.5,smith\n")
    assert loaded(folder, **TARGET).notes == (
        'Column "job" has no value in common in original and synthetic: as it stands it tells an '
        "adversary nothing.",
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (PEOPLE, "[target]: expected either synthetic, the released rows, or targets, how many"),
        (TARGET | {"targets": 2}, "[target]: expected either synthetic, the released rows, or"),
        (TARGET | {"rows": 2}, "[target]: expected rows beside targets only"),
        (PEOPLE | {"targets": 2, "again": ["again.csv"]}, "[target]: expected again beside synt"),
        (TARGET | {"control": "original.csv"}, "[target]: expected original, control and auxil"),
        (TARGET | {"auxiliary": "control.csv"}, "[target]: expected original, control and auxil"),
        (TARGET | {"columns": {"age": "number"}},
         '[target] columns.age: found "number", expected one of "numeric", "categorical"'),
        (TARGET | {"columns": {"agee": "numeric"}},
         '[target] columns: found "agee", expected a column of the tables. Did you mean'),
        (TARGET | {"synthetic": "x.xlsx"}, "[target] synthetic: found "),
        (TARGET | {"again": ["a.csv", "b.txt"]}, "[target] again: found "),
        (TARGET | {"synthetic": "none.csv"}, 'file "'),
        (TARGET | {"subject": "whom"}, '[target] subject: found no column "whom" in original'),
        (PEOPLE | {"synthetic": "synthetic.csv"},
         'column "who": found it in original, and not in synthetic'),
        (TARGET | {"again": ["other.csv"]}, "[target] again, file 1: found 1 rows, expected as ma"),
        (TARGET | {"columns": {"job": "numeric"}},
         'column "job" of original, row 0: found "baker", expected a number'),
    ],
)  # fmt: skip
def test_a_mistake_is_one_error(table: dict[str, Any], message: str, folder: Path) -> None:
    said = refusal(folder, **table)
    assert said.startswith(message), said


def test_a_person_in_both_arms_is_named(folder: Path) -> None:
    (folder / "control.csv").write_text("age,job,who\n50,baker,cleo\n51,baker,bob\n")
    message = 'column "who" of control, row 1: found the same person in original and control, "bob"'
    assert refusal(folder, **TARGET).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,job\n", 'table "synthetic": found no row'),
        ("age,age\n1,2\n", 'file "'),
        ("age;job\n1;2\n", 'file "'),
        ("", 'file "'),
    ],
)
def test_files_without_a_table_are_refused(text: str, message: str, folder: Path) -> None:
    (folder / "synthetic.csv").write_text(text)
    said = refusal(folder, **TARGET)
    assert said.startswith(message), said


# Linked tables.

CHILDREN = {
    "original": "visits.csv",
    "control": "visits-control.csv",
    "synthetic": "visits-synthetic.csv",
    "key": "who",
}


@pytest.fixture
def linked(folder: Path) -> Path:
    (folder / "original.csv").write_text("who,age\nann,41\nbob,33\n")
    (folder / "control.csv").write_text("who,age\ncleo,50\n")
    (folder / "synthetic.csv").write_text("who,age\n0,40\n1,30\n")
    (folder / "visits.csv").write_text("who,cost\nbob,5\nbob,6\n")
    (folder / "visits-control.csv").write_text("who,cost\ncleo,7\n")
    (folder / "visits-synthetic.csv").write_text("who,cost\n1,5\n0,6\n0,7\n")
    return folder


def test_children_are_attacked_with_their_parents_beside_them(linked: Path) -> None:
    release = loaded(linked, **PEOPLE, synthetic="synthetic.csv", children=CHILDREN)
    assert release.target is not None
    assert release.tables is not None
    original, synthetic = release.tables.original, release.tables.synthetic
    assert synthetic is not None
    assert original.names == ("age", "cost")
    assert [
        original.shown(0),
        original.shown(1),
    ] == [(("age", "41"), ("cost", "missing")), (("age", "33"), ("cost", "5"))]
    assert original.subjects[0] != original.subjects[1] == original.subjects[2]
    assert list(synthetic.subjects) == [0, 0, 1]
    description = "3 synthetic rows, 2 columns (synthetic.csv with visits-synthetic.csv)"
    assert description == release.target.description


def test_the_identity_of_linked_tables_is_that_of_both(linked: Path) -> None:
    def identity() -> str:
        release = loaded(linked, **PEOPLE, synthetic="synthetic.csv", children=CHILDREN)
        assert release.target is not None
        return release.target.identity

    before = identity()
    (linked / "visits-synthetic.csv").write_text("who,cost\n1,5\n0,6\n0,8\n")
    assert before != identity()


@pytest.mark.parametrize(
    ("change", "children", "message"),
    [
        ({"subject": "who"}, CHILDREN, "[target]: expected no subject beside children"),
        (
            {"auxiliary": "other.csv"},
            CHILDREN,
            "[target]: expected auxiliary in [target] and in it",
        ),
        ({"again": ["again.csv"]}, CHILDREN, "[target]: expected as many files in again"),
        ({}, CHILDREN | {"key": "whom"}, 'table "original": found no column "whom"'),
        ({}, CHILDREN | {"original": "v.txt"}, "[target] children.original: found "),
        ({}, {"key": "who"}, "[target] children.original: found nothing"),
    ],
)
def test_mistakes_in_linked_tables_are_errors(
    change: dict[str, Any], children: dict[str, Any], message: str, linked: Path
) -> None:
    said = refusal(linked, **PEOPLE, synthetic="synthetic.csv", children=children, **change)
    assert said.startswith(message), said


def test_an_auxiliary_table_is_optional_and_adult_loads() -> None:
    if not (DATA / "adult_audit").exists():
        pytest.skip("shared/data/adult_audit is not there")
    files = {"original": "original", "control": "control", "synthetic": "copula"}
    release = loaded(
        DATA / "adult_audit", **{role: f"{name}.parquet" for role, name in files.items()}
    )
    assert release.tables is not None
    assert release.target is not None
    assert release.tables.auxiliary is None
    assert release.target.description == "4800 synthetic rows, 15 columns (copula.parquet)"
    apart = np.intersect1d(release.tables.original.subjects, release.tables.control.subjects)
    assert apart.size == 0
