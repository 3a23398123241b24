import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.data import load
from leakpro_core.errors import (
    BadArray,
    BadRecord,
    BadValue,
    DuplicateName,
    LeakProError,
    MissingFile,
    MissingKey,
    NotAFactory,
    UnsafeFile,
)
from leakpro_core.plan import DataPlan
from leakpro_core.records import Population
from leakpro_core.references import ImportPath

ADULT = Path(__file__).parents[1].parent / "shared" / "data" / "adult.parquet"

CSV = """\
who,age,job,rich,member
ann,30,nurse,yes,true
ann,,clerk,no,true
ben,40,nurse,no,false
eve,50,,yes,false
"""


def arrays(n: int = 12) -> dict[str, np.ndarray]:
    return {
        "x": np.arange(2 * n, dtype=np.float32).reshape(n, 2),
        "y": np.arange(n) % 3,
        "members": np.arange(n) < n // 3,
        "who": np.arange(n) // 2,
    }


def npz(folder: Path, **changes: np.ndarray) -> DataPlan:
    np.savez(folder / "data.npz", **{**arrays(), **changes})
    return DataPlan(path=folder / "data.npz", members="members")


def csv(folder: Path, text: str = CSV, name: str = "people.csv") -> DataPlan:
    (folder / name).write_text(text)
    return DataPlan(path=folder / name, labels="rich", members="member", subjects="who")


def factory(folder: Path, body: str, **keys: str) -> DataPlan:
    (folder / "mine.py").write_text(f"import numpy as np\n\ndef data():\n    {body}\n")
    return DataPlan(factory=ImportPath("mine:data", folder), **keys)


def loaded(data: DataPlan, *, draw: bool = False, seed: int = 0) -> Population:
    return load(data, draw_members=draw, seed=seed)


def refusal(data: DataPlan, *, draw: bool = False) -> tuple[type[LeakProError], str]:
    with pytest.raises(LeakProError) as caught:
        loaded(data, draw=draw)
    return type(caught.value), str(caught.value)


def same(people: Population, given: dict[str, np.ndarray]) -> None:
    for name, array in (("records", "x"), ("labels", "y"), ("members", "members")):
        np.testing.assert_array_equal(given[array], getattr(people, name))


def test_arrays_of_an_npz_file(tmp_path: Path) -> None:
    people = loaded(evolve(npz(tmp_path), sampling="all", modality="image", subjects="who"))

    same(people, arrays())
    np.testing.assert_array_equal(arrays()["who"], people.subjects)
    assert (people.classes, people.sampling, people.modality) == (3, "all", "image")
    assert people.auxiliary is None


def test_each_record_is_a_subject_where_none_is_named(tmp_path: Path) -> None:
    assert list(range(12)) == loaded(npz(tmp_path)).subjects.tolist()


def test_npy_files(tmp_path: Path) -> None:
    for name, array in arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    data = DataPlan(
        path=tmp_path / "x.npy",
        labels=str(tmp_path / "y.npy"),
        members=str(tmp_path / "members.npy"),
    )

    same(loaded(data), arrays())


def test_members_of_an_npz_file_may_stand_in_an_npy_file(tmp_path: Path) -> None:
    np.save(tmp_path / "inside.npy", ~arrays()["members"])

    people = loaded(evolve(npz(tmp_path), members=str(tmp_path / "inside.npy")))

    same(people, {**arrays(), "members": ~arrays()["members"]})


def test_a_function_of_the_user(tmp_path: Path) -> None:
    data = factory(tmp_path, "return {'x': np.eye(4), 'y': np.array([0, 1, 0, 1])}")

    people = loaded(data, draw=True)

    np.testing.assert_array_equal(np.eye(4), people.records)
    assert people.members is None


ENCODED = [  # age, age is missing, clerk, nurse, job is missing
    [30.0, 0.0, 0.0, 1.0, 0.0],
    [40.0, 1.0, 1.0, 0.0, 0.0],
    [40.0, 0.0, 0.0, 1.0, 0.0],
    [50.0, 0.0, 0.0, 0.0, 1.0],
]


def checked(people: Population) -> None:
    assert people.records is not None
    assert people.members is not None
    assert people.records.dtype == np.float32
    assert people.records.tolist() == ENCODED
    assert people.labels.tolist() == [1, 0, 0, 1]
    assert people.subjects.tolist() == [0, 0, 1, 2]
    assert people.members.tolist() == [True, True, False, False]


def table() -> pa.Table:
    return pa.table(
        {
            "who": ["ann", "ann", "ben", "eve"],
            "age": pa.array([30, None, 40, 50]),
            "job": pa.array(["nurse", "clerk", "nurse", None]).dictionary_encode(),
            "rich": ["yes", "no", "no", "yes"],
            "member": [True, True, False, False],
        }
    )


def test_columns_of_a_parquet_file_are_encoded(tmp_path: Path) -> None:
    pa.parquet.write_table(table(), tmp_path / "people.parquet")

    checked(loaded(evolve(csv(tmp_path), path=tmp_path / "people.parquet")))


@pytest.mark.parametrize("missing", ["", "NA", "null"])
def test_columns_of_a_csv_file_are_encoded(missing: str, tmp_path: Path) -> None:
    checked(loaded(csv(tmp_path, CSV.replace(",,", f",{missing},"))))


def test_booleans_are_two_columns(tmp_path: Path) -> None:
    text = "who,flag,rich,member\na,true,0,true\nb,false,1,false\n"

    people = loaded(csv(tmp_path, text))

    assert people.records is not None
    assert people.records.tolist() == [[0, 1], [1, 0]]


@pytest.mark.skipif(not ADULT.exists(), reason="needs shared/data")
def test_adult_is_encoded() -> None:
    people = loaded(DataPlan(path=ADULT, labels="income"), draw=True)

    assert people.records is not None
    assert len(people.records) == 48_842
    assert people.classes == 2
    assert np.isfinite(people.records).all()


# Auxiliary records.


def test_labels_beside_an_npy_file_are_a_file_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", arrays()["x"])
    expected = (
        '[data] labels: found "y", expected an npy file, as [data] path is one. '
        'Write labels = "y.npy", or put the arrays into one npz file.'
    )
    assert (MissingKey, expected) == refusal(DataPlan(path=tmp_path / "x.npy"), draw=True)


def test_the_candidates_are_no_auxiliary_records(tmp_path: Path) -> None:
    kind, said = refusal(evolve(npz(tmp_path), auxiliary=tmp_path / "data.npz"))
    assert kind is BadValue
    assert "found the file of [data] path itself" in said


def test_an_auxiliary_file(tmp_path: Path) -> None:
    data = npz(tmp_path)
    np.savez(tmp_path / "more.npz", x=np.ones((3, 2), np.float32), y=np.array([0, 4, 1]))

    people = loaded(evolve(data, auxiliary=tmp_path / "more.npz"))

    same(people, arrays())
    assert people.auxiliary is not None
    assert people.auxiliary.labels.tolist() == [0, 4, 1]
    assert people.auxiliary.records is not None
    assert people.auxiliary.records.tolist() == [[1, 1]] * 3
    assert people.classes == 5


def test_an_auxiliary_table_is_encoded_alike(tmp_path: Path) -> None:
    data = csv(tmp_path)
    csv(tmp_path, "member,rich,job,age,who\nfalse,maybe,baker,60,zoe\n", "more.csv")

    people = loaded(evolve(data, auxiliary=tmp_path / "more.csv"))

    assert people.records is not None
    assert people.auxiliary is not None
    assert people.auxiliary.records is not None
    # age, age is missing, baker, clerk, nurse, job is missing; the labels are maybe, no, yes
    assert people.auxiliary.records.tolist() == [[60, 0, 1, 0, 0, 0]]
    assert people.records[0].tolist() == [30, 0, 0, 0, 1, 0]
    assert people.records[1, 0] == 45  # the mean of both files
    assert people.auxiliary.labels.tolist() == [0]
    assert people.labels.tolist() == [2, 1, 1, 2]


@settings(deadline=None)
@given(
    subjects=st.lists(st.integers(0, 9), min_size=6, max_size=40),
    members=st.lists(st.booleans(), min_size=40, max_size=40),
    share=st.floats(0.1, 0.89),
    seed=st.integers(0, 2**62),
    draw=st.booleans(),
)
def test_a_share_of_the_subjects_is_set_aside(
    subjects: list[int],
    members: list[bool],
    share: float,
    seed: int,
    draw: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    n, who = len(subjects), np.array(subjects)
    inside = np.array(members[:n])
    free = set(subjects) if draw else set(subjects) - set(who[inside].tolist())
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "d.npz", x=np.arange(n)[:, None], y=np.arange(n) % 2, m=inside, who=who)
    data = DataPlan(
        path=folder / "d.npz",
        members=None if draw else "m",
        subjects="who",
        auxiliary_share=share,
    )
    if not draw and (inside.all() or not inside.any()):
        with pytest.raises(BadArray):
            load(data, draw_members=draw, seed=seed)
        return
    if int(share * len(free)) == 0:
        with pytest.raises(BadValue, match="auxiliary_share"):
            load(data, draw_members=draw, seed=seed)
        return

    people = load(data, draw_members=draw, seed=seed)

    assert people.records is not None
    assert people.auxiliary is not None
    assert people.auxiliary.records is not None
    stay, aside = people.records[:, 0], people.auxiliary.records[:, 0]
    assert sorted([*stay, *aside]) == list(range(n))
    assert set(who[aside].tolist()) <= free
    assert not set(who[aside].tolist()) & set(who[stay].tolist())
    assert int(share * len(free)) == len(set(who[aside].tolist()))
    if not draw:
        assert people.members is not None
        np.testing.assert_array_equal(inside[stay], people.members)
        assert not inside[aside].any()
        assert 0 < people.members.sum() < len(people.members)


def test_the_seed_decides_who_is_set_aside(tmp_path: Path) -> None:
    data = evolve(npz(tmp_path), members=None, auxiliary_share=0.5)

    chosen = [loaded(data, draw=True, seed=seed).subjects.tolist() for seed in (1, 1, 2)]

    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


# Bad input.


def nan_at(row: int) -> np.ndarray:
    records = arrays()["x"]
    records[row, 1] = np.nan
    return records


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        (
            {"x": nan_at(7)},
            BadRecord,
            "[data] records of record 7: found NaN or an infinite value, expected finite numbers. "
            "Mend the record or leave it out.",
        ),
        (
            {"x": np.zeros((12, 2), complex)},
            BadArray,
            "[data] records: found dtype complex128, expected numbers or booleans",
        ),
        (
            {"x": np.zeros((11, 2))},
            BadArray,
            "[data] records and [data] labels: found 11 and 12 rows, expected one row per record "
            "in both",
        ),
        (
            {"y": np.arange(12) / 2},
            BadArray,
            "[data] labels: found dtype float64, expected integers, the classes numbered from 0. "
            'Convert with labels.astype("int64").',
        ),
        (
            {"y": np.arange(12) - 1},
            BadRecord,
            "[data] labels of record 0: found -1, expected a class, numbered from 0. Number the "
            "classes from 0.",
        ),
        (
            {"y": np.zeros(12, int)},
            BadArray,
            "[data] labels: found class 0 only, expected at least two classes",
        ),
        (
            {"members": np.arange(12) % 2},
            BadArray,
            "[data] members: found dtype int64, expected bool. Make it true and false, "
            "true for trained on (in numpy: .astype(bool)).",
        ),
        (
            {"members": np.ones(12, bool)},
            BadArray,
            "[data] members: found 12 members among 12 records, expected members and non-members. "
            "The attack is measured on both: add records of the other kind.",
        ),
    ],
)
def test_bad_arrays_are_one_line(
    changes: dict[str, np.ndarray], kind: type[LeakProError], message: str, tmp_path: Path
) -> None:
    assert (kind, message) == refusal(npz(tmp_path, **changes))


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    assert (
        MissingKey,
        '[data] subjects: found no array "whose" in "data.npz". Did you mean \'who\'?',
    ) == refusal(evolve(npz(tmp_path), subjects="whose"))


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    assert (
        MissingKey,
        '[data] labels: found no column "rch" in "people.csv". Did you mean \'rich\'?',
    ) == refusal(evolve(csv(tmp_path), labels="rch"))


def test_who_was_trained_on_must_be_said(tmp_path: Path) -> None:
    assert (
        MissingKey,
        "[data] members: found nothing, expected who was in the training data: the name or npy "
        "file of a bool array [n]. Add it, or let core train the targets with "
        'loader = "trained".',
    ) == refusal(evolve(npz(tmp_path), members=None))


def test_who_is_trained_on_must_not_be_said_where_core_draws_it(tmp_path: Path) -> None:
    assert (
        BadValue,
        '[data] members: found "members", expected no such key: core draws the members and trains '
        "the targets on them. Remove it, or audit a model of your own with another loader.",
    ) == refusal(npz(tmp_path), draw=True)


def test_no_data(tmp_path: Path) -> None:
    assert (
        MissingKey,
        "[data]: found neither path nor factory, expected one of them: this loader brings no "
        'records. Add path = "..." with the records and labels.',
    ) == refusal(DataPlan())


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("x.npz", "x.npy", "x.csv", "x.parquet"):
        path = tmp_path / name
        expected = f'file "{path}": found no such file, expected a file that can be read'
        assert (MissingFile, expected) == refusal(DataPlan(path=path), draw=True)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_text("x")

    message = '[data] path: found "x.xlsx", expected an npz, npy, csv or parquet file'
    assert (BadValue, message) == refusal(DataPlan(path=tmp_path / "x.xlsx"), draw=True)


@pytest.mark.parametrize("name", ["x.pkl", "x.pt", "x.npz", "x.npy", "x.csv", "x.parquet"])
def test_a_pickle_is_refused_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(arrays()))

    message = (
        f'file "{tmp_path / name}": found a pickle, expected plain arrays: loading a pickle can '
        "run code. Save the arrays with numpy.savez, as numbers, booleans or strings."
    )
    assert (UnsafeFile, message) == refusal(DataPlan(path=tmp_path / name), draw=True)


def test_an_npy_file_of_objects_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "who.npy", np.array([{}], dtype=object))

    kind, message = refusal(evolve(npz(tmp_path), subjects=str(tmp_path / "who.npy")))

    assert kind is UnsafeFile
    assert message.startswith(f'file "{tmp_path / "who.npy"}": found Python objects, expected')


@pytest.mark.parametrize(
    ("right", "wrong", "kind", "message"),
    [
        ("40", "inf", BadRecord, 'column "age" of record 2: found inf, expected a number that '
         "float32 can hold. Mend the record or leave it out."),
        ("yes,false", ",false", BadRecord, "[data] labels of record 3: found no value, expected a "
         "value for each record. Add it or leave the record out."),
        ("ben,", ",", BadRecord, "[data] subjects of record 2: found no value, expected a value "
         "for each record. Add it or leave the record out."),
        ("no,false", "no,", BadRecord, "[data] members of record 2: found no value, expected a "
         "value for each record. Add it or leave the record out."),
        ("no,false", "no,maybe", BadArray, "[data] members: found dtype <U5, expected bool. Make "
         "it true and false, true for trained on."),
        ("who,age", "who,job", DuplicateName, 'file "{path}": found two columns "job", expected '
         "each column with a name of its own"),
        ("ben,40", "ben", BadArray, 'file "{path}", row 4 (the header is row 1): found 4 fields, '
         "expected 5, as in the header. Leave the fields of missing values empty, with their "
         "commas."),
    ],
)  # fmt: skip
def test_bad_tables_are_one_line(
    right: str, wrong: str, kind: type[LeakProError], message: str, tmp_path: Path
) -> None:
    data = csv(tmp_path, CSV.replace(right, wrong))

    assert (kind, message.format(path=data.path)) == refusal(data)


def test_dates_are_no_numbers(tmp_path: Path) -> None:
    text = "who,day,rich,member\na,2026-09-01,0,true\nb,2026-09-02,1,false\n"

    assert (
        BadArray,
        'column "day" of the records: found date32[day], expected numbers, strings or booleans. '
        "Convert the column, name it in [data] if it is no feature, or leave it out.",
    ) == refusal(csv(tmp_path, text))


def test_zeros_and_ones_of_a_table_are_no_truth_values(tmp_path: Path) -> None:
    text = "who,age,rich,member\na,30,0,1\nb,40,1,0\n"

    assert (
        BadArray,
        "[data] members: found dtype int64, expected bool. Make it true and false, true for "
        "trained on (in numpy: .astype(bool)).",
    ) == refusal(csv(tmp_path, text))


def test_a_column_that_names_people_is_no_feature(tmp_path: Path) -> None:
    rows = "".join(f"p{i},{i % 2},{'true' if i % 3 else 'false'}\n" for i in range(1001))
    data = evolve(csv(tmp_path, "name,rich,member\n" + rows), subjects=None)

    assert (
        BadArray,
        'column "name" of the records: found 1001 different values, expected numbers, or at most '
        "1000 categories. Name it as subjects if it says whose record it is, or leave it out.",
    ) == refusal(data)


def test_subjects_of_both_sides(tmp_path: Path) -> None:
    data = csv(tmp_path)
    csv(tmp_path, "who,age,job,rich,member\nzoe,1,,no,false\nann,2,,no,false\n", "more.csv")

    assert (
        BadRecord,
        "[data] auxiliary, subject of record 1: found a subject who has a candidate record too, "
        "expected other people than the candidates. Move all records of a subject into one of the "
        "files.",
    ) == refusal(evolve(data, auxiliary=tmp_path / "more.csv"))


def test_tables_of_other_columns(tmp_path: Path) -> None:
    data = csv(tmp_path)
    csv(tmp_path, "who,age,rich\nzoe,1,no\n", "more.csv")

    assert (
        BadArray,
        '[data] auxiliary: found column "job" in one of the files only, expected the columns of '
        "[data] path",
    ) == refusal(evolve(data, auxiliary=tmp_path / "more.csv"))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return 3", "found int, expected a mapping of arrays"),
        ("return {'x': [1]}", 'found list under "x", expected a mapping of names to numpy arrays'),
        ("raise KeyError('x')", "found KeyError: 'x', expected a mapping of arrays"),
    ],
)
def test_a_function_that_returns_something_else(body: str, found: str, tmp_path: Path) -> None:
    expected = f'[data] factory "mine:data": {found}'
    assert (NotAFactory, expected) == refusal(factory(tmp_path, body), draw=True)


@settings(deadline=None)
@given(content=st.binary(max_size=100) | st.text(alphabet='a1,.\n"-', max_size=60).map(str.encode))
def test_no_csv_gives_a_traceback(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "d.csv"
    path.write_bytes(content)
    try:
        load(DataPlan(path=path, labels="a"), draw_members=True, seed=0)
        line = "a population"
    except LeakProError as error:
        line = str(error)
    assert len(line.splitlines()) == 1
