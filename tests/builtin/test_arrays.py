import hashlib
import io
import pickle
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leakpro_core.builtin.arrays import OPTIONAL, REQUIRED, ArraysOptions, load
from leakpro_core.errors import (
    BadArray,
    BadRecord,
    LeakProError,
    MissingFile,
    MissingKey,
    UnknownKey,
    UnsafeFile,
)
from leakpro_core.protocols import Recorded
from leakpro_core.records import Release

RUN = SimpleNamespace(seed=0, scratch=Path("unused"), log=None)
REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "membership_adult.npz"


def arrays(n: int = 8, shadows: int = 4, classes: int = 3, m: int = 5) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    half = np.stack([random.permutation(n) < n // 2 for _ in range(shadows)])
    return {
        "target_outputs": random.normal(size=(n, classes)).astype(np.float32),
        "labels": np.arange(n) % classes,
        "members": np.arange(n) < n // 4,
        "shadow_outputs": random.normal(size=(shadows, n, classes)).astype(np.float32),
        "trained_on": half,
        "records": random.normal(size=(n, 2)),
        "subjects": np.arange(n) // 2,
        "auxiliary_outputs": random.normal(size=(m, classes)).astype(np.float32),
        "auxiliary_shadow_outputs": random.normal(size=(shadows, m, classes)).astype(np.float32),
        "auxiliary_labels": np.arange(m) % classes,
        "auxiliary_records": random.normal(size=(m, 2)),
    }


def saved(folder: Path, given: dict[str, np.ndarray]) -> Path:
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # odd names of fields
        np.savez(folder / "outputs.npz", **given)
    return folder / "outputs.npz"


def loaded(folder: Path, given: dict[str, np.ndarray], outputs: str = "logits") -> Release:
    return load(ArraysOptions(path=saved(folder, given), outputs=outputs), RUN)


def refusal(path: Path, outputs: str = "logits") -> tuple[type[LeakProError], str]:
    with pytest.raises(LeakProError) as caught:
        load(ArraysOptions(path=path, outputs=outputs), RUN)
    return type(caught.value), str(caught.value)


def test_all_arrays_are_taken(tmp_path: Path) -> None:
    given = arrays()

    release = loaded(tmp_path, given)

    people, shadows, target = release.population, release.shadows, release.target
    assert people is not None
    assert people.auxiliary is not None
    assert shadows is not None
    assert target is not None
    assert isinstance(target.handle, Recorded)
    np.testing.assert_array_equal(
        given["target_outputs"][:, None], target.handle.recorded("candidates")
    )
    np.testing.assert_array_equal(
        given["auxiliary_outputs"][:, None], target.handle.recorded("auxiliary")
    )
    np.testing.assert_array_equal(given["shadow_outputs"][:, :, None], shadows.outputs)
    np.testing.assert_array_equal(given["auxiliary_shadow_outputs"][:, :, None], shadows.auxiliary)
    np.testing.assert_array_equal(given["trained_on"], shadows.trained_on)
    for name in ("labels", "members", "records", "subjects"):
        np.testing.assert_array_equal(given[name], getattr(people, name))
    np.testing.assert_array_equal(given["auxiliary_labels"], people.auxiliary.labels)
    np.testing.assert_array_equal(given["auxiliary_records"], people.auxiliary.records)
    assert people.classes == 3
    assert release.notes == ()


def test_the_identity_is_the_hash_of_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path, arrays())

    release = load(ArraysOptions(path=path), RUN)

    assert release.target is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == release.target.identity


def test_the_fewest_arrays_are_three(tmp_path: Path) -> None:
    few = {name: value for name, value in arrays().items() if name in REQUIRED}

    release = loaded(tmp_path, few)

    assert release.shadows is None
    assert release.population is not None
    assert (release.population.records, release.population.auxiliary) == (None, None)
    assert list(range(8)) == release.population.subjects.tolist()


def test_several_queries_of_a_record_are_kept(tmp_path: Path) -> None:
    few = {name: value for name, value in arrays().items() if name in (*REQUIRED, "trained_on")}
    few["target_outputs"] = np.random.default_rng(1).normal(size=(8, 5, 3))
    few["shadow_outputs"] = np.random.default_rng(1).normal(size=(4, 8, 5, 3))

    release = loaded(tmp_path, few)

    assert release.target is not None
    assert release.shadows is not None
    assert release.target.handle.recorded("candidates").shape == (8, 5, 3)
    assert release.shadows.outputs.shape == (4, 8, 5, 3)


def test_one_column_is_a_binary_models_logit(tmp_path: Path) -> None:
    few = {
        "target_outputs": np.linspace(0, 1, 6)[:, None],
        "labels": np.array([0, 1, 1, 0, 1, 0]),
        "members": np.arange(6) < 3,
    }

    release = loaded(tmp_path, few)

    assert release.population is not None
    assert release.population.classes == 2


def test_strings_may_name_the_subjects(tmp_path: Path) -> None:
    few = {name: value for name, value in arrays().items() if name in REQUIRED}
    few["subjects"] = np.array(["ben", "ann"] * 4)

    release = loaded(tmp_path, few)

    assert release.population is not None
    assert release.population.subjects.tolist() == [1, 0] * 4


def test_probabilities_are_taken_where_the_plan_says_so(tmp_path: Path) -> None:
    few = {name: value for name, value in arrays().items() if name in REQUIRED}
    few["target_outputs"] = np.random.default_rng(1).dirichlet([1, 1, 1], size=8).astype(np.float16)

    release = loaded(tmp_path, few, "probabilities")

    assert release.target is not None
    assert release.target.outputs == "probabilities"


def test_the_target_and_its_twin_are_never_among_the_shadows(tmp_path: Path) -> None:
    given = arrays()
    given["trained_on"][1] = given["members"]
    given["trained_on"][3] = ~given["members"]

    release = loaded(tmp_path, given)

    assert release.shadows is not None
    np.testing.assert_array_equal(given["shadow_outputs"][[0, 2], :, None], release.shadows.outputs)
    np.testing.assert_array_equal(given["trained_on"][[0, 2]], release.shadows.trained_on)
    np.testing.assert_array_equal(
        given["auxiliary_shadow_outputs"][[0, 2], :, None], release.shadows.auxiliary
    )
    assert release.notes == (
        "Shadow 1 was left out: it was trained on exactly the target's members, as the target "
        "itself.",
        "Shadow 3 was left out: it was trained on exactly the target's non-members, as its twin.",
    )


def test_no_shadow_may_be_left(tmp_path: Path) -> None:
    given = arrays()
    given["trained_on"][:] = given["members"]

    assert loaded(tmp_path, given).shadows is None


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs shared/reference")
def test_a_real_audit_of_a_peer_is_taken(tmp_path: Path) -> None:
    peer = np.load(REFERENCE)

    release = loaded(
        tmp_path,
        {
            "target_outputs": peer["target_logits"],
            "shadow_outputs": peer["shadow_logits"],
            "trained_on": peer["shadow_in_mask"],
            "labels": peer["labels"],
            "members": peer["membership"],
        },
    )

    assert release.shadows is not None
    assert release.shadows.outputs.shape == (8, 20_000, 1, 2)
    assert release.notes == ()


# Bad input: what is changed of the arrays, and the line that the user sees.


def changed(given: dict[str, np.ndarray], name: str, value: object) -> dict[str, np.ndarray]:
    if value is None:
        return {key: array for key, array in given.items() if key != name}
    if callable(value):
        return {**given, name: value(given[name].copy())}
    return {**given, name: value}


def at(*index: object, value: object) -> object:
    def change(array: np.ndarray) -> np.ndarray:
        array[index] = value
        return array

    return change


FINITE = "found NaN or an infinite value, expected finite numbers. "
MEND = FINITE + "Mend the model or leave the record out."
SUMS = (
    "found numbers from 0 to 1 that sum to 1 for each record, expected logits. If they are "
    'probabilities, set outputs = "probabilities" in [target].'
)

BAD = [
    (
        "labels",
        at(3, value=3),
        BadRecord,
        "labels of record 3: found 3, expected a class from 0 to 2. Number the classes from 0.",
    ),
    (
        "labels",
        at(3, value=-1),
        BadRecord,
        "labels of record 3: found -1, expected a class, numbered from 0. Number the"
        " classes from 0.",
    ),
    (
        "labels",
        lambda a: a.astype(float),
        BadArray,
        "labels: found dtype float64, expected integers, the classes numbered from "
        '0. Convert with labels.astype("int64").',
    ),
    (
        "labels",
        lambda a: a.astype(str),
        BadArray,
        "labels: found dtype <U21, expected integers, the classes numbered from 0",
    ),
    (
        "labels",
        lambda a: a[:, None],
        BadArray,
        "labels: found shape (8, 1), expected shape [n], not empty",
    ),
    (
        "labels",
        lambda a: a[1:],
        BadArray,
        "labels and target_outputs: found 7 and 8 rows, expected one row per record in both",
    ),
    (
        "auxiliary_labels",
        at(2, value=9),
        BadRecord,
        "auxiliary_labels of record 2: found 9, expected a class from 0 to 2. Number"
        " the classes from 0.",
    ),
    (
        "auxiliary_labels",
        lambda a: a[1:],
        BadArray,
        "auxiliary_labels and auxiliary_outputs: found 4 and 5 rows, expected one "
        "row per record in both",
    ),
    (
        "members",
        lambda a: a.astype(int),
        BadArray,
        "members: found dtype int64, expected bool. Make it true and false, true for"
        " trained on (in numpy: .astype(bool)).",
    ),
    ("members", lambda a: a[1:], BadArray, "members: found shape (7,), expected shape (8,)"),
    (
        "members",
        at(slice(None), value=True),
        BadArray,
        "members: found 8 members among 8 records, expected members and non-members."
        " The attack is measured on both: add records of the other kind.",
    ),
    ("target_outputs", at(3, 1, value=np.nan), BadRecord, "target_outputs, record 3: " + MEND),
    (
        "target_outputs",
        lambda a: np.where(a == a[5, 0], 1e300, a.astype(float)),
        BadRecord,
        "target_outputs, record 5: " + MEND,
    ),
    (
        "shadow_outputs",
        at(2, 3, 1, value=np.inf),
        BadRecord,
        "shadow_outputs of shadow 2, record 3: " + MEND,
    ),
    (
        "auxiliary_outputs",
        at(4, 1, value=-np.inf),
        BadRecord,
        "auxiliary_outputs, record 4: " + MEND,
    ),
    (
        "auxiliary_shadow_outputs",
        at(0, 4, 1, value=np.nan),
        BadRecord,
        "auxiliary_shadow_outputs of shadow 0, record 4: " + MEND,
    ),
    (
        "target_outputs",
        lambda a: a[:, 0],
        BadArray,
        "target_outputs: found shape (8,), expected shape [n, classes] or [n, "
        "queries, classes], not empty",
    ),
    (
        "target_outputs",
        lambda a: a[:0],
        BadArray,
        "target_outputs: found shape (0, 3), expected shape [n, classes] or [n, "
        "queries, classes], not empty",
    ),
    (
        "target_outputs",
        lambda a: a.astype(str),
        BadArray,
        "target_outputs: found dtype <U32, expected floating-point numbers",
    ),
    (
        "target_outputs",
        lambda a: a[:, :2],
        BadRecord,
        "labels of record 2: found 2, expected a class from 0 to 1. Number the classes from 0.",
    ),
    ("target_outputs", lambda a: np.eye(3)[[0] * 8], BadArray, "target_outputs: " + SUMS),
    (
        "shadow_outputs",
        lambda a: np.exp(a) / np.exp(a).sum(2, keepdims=True),
        BadArray,
        "shadow_outputs of shadow 0: " + SUMS,
    ),
    (
        "shadow_outputs",
        lambda a: a[:, :, :2],
        BadArray,
        "shadow_outputs and target_outputs: found 1 x 2 and 1 x 3 queries x classes,"
        " expected the same numbers in both",
    ),
    (
        "shadow_outputs",
        lambda a: a[:, 1:],
        BadArray,
        "shadow_outputs of each shadow and target_outputs: found 7 and 8 rows, "
        "expected one row per record in both",
    ),
    (
        "shadow_outputs",
        lambda a: a[0],
        BadArray,
        "shadow_outputs: found shape (8, 3), expected shape [K, n, classes] or [K, "
        "n, queries, classes], not empty",
    ),
    (
        "shadow_outputs",
        lambda a: a[:0],
        BadArray,
        "shadow_outputs: found shape (0, 8, 3), expected shape [K, n, classes] or "
        "[K, n, queries, classes], not empty",
    ),
    (
        "trained_on",
        lambda a: a[1:],
        BadArray,
        "trained_on: found shape (3, 8), expected shape (4, 8)",
    ),
    (
        "trained_on",
        lambda a: a.T,
        BadArray,
        "trained_on: found shape (8, 4), expected shape (4, 8)",
    ),
    (
        "trained_on",
        lambda a: a.astype(np.uint8),
        BadArray,
        "trained_on: found dtype uint8, expected bool. Make it true and false, true "
        "for trained on (in numpy: .astype(bool)).",
    ),
    (
        "auxiliary_outputs",
        lambda a: a[:, :2],
        BadArray,
        "auxiliary_outputs and target_outputs: found 1 x 2 and 1 x 3 queries x "
        "classes, expected the same numbers in both",
    ),
    (
        "auxiliary_shadow_outputs",
        lambda a: a[:, 1:],
        BadArray,
        "auxiliary_shadow_outputs and auxiliary_outputs: found (4, 4) models and "
        "records, expected (4, 5), as in shadow_outputs and auxiliary_outputs",
    ),
    (
        "records",
        at(6, 0, value=np.nan),
        BadRecord,
        "records of record 6: " + FINITE + "Mend the record or leave it out.",
    ),
    (
        "records",
        lambda a: a.astype(str),
        BadArray,
        "records: found dtype <U32, expected numbers or booleans",
    ),
    (
        "records",
        lambda a: a[:, 0],
        BadArray,
        "records: found shape (8,), expected shape [n, ...], nothing of it empty",
    ),
    (
        "records",
        lambda a: a[1:],
        BadArray,
        "records and labels: found 7 and 8 rows, expected one row per record in both",
    ),
    (
        "auxiliary_records",
        lambda a: a[:, :1],
        BadArray,
        "auxiliary_records and records: found records of shape (1,), float64, and "
        "(2,), float64, expected the same shape and dtype in both",
    ),
    (
        "subjects",
        lambda a: a.astype(float),
        BadArray,
        "subjects: found dtype float64, expected int64 or strings",
    ),
    (
        "subjects",
        lambda a: a[1:],
        BadArray,
        "subjects and labels: found 7 and 8 rows, expected one row per record in both",
    ),
    (
        "target_outputs",
        None,
        MissingKey,
        'array "target_outputs" of "outputs.npz": found nothing, expected the array in every file',
    ),
    (
        "members",
        None,
        MissingKey,
        'array "members" of "outputs.npz": found nothing, expected the array in every file',
    ),
    (
        "trained_on",
        None,
        MissingKey,
        'array "trained_on" of "outputs.npz": found nothing, expected the array '
        "where there is shadow_outputs",
    ),
    (
        "shadow_outputs",
        None,
        MissingKey,
        'array "shadow_outputs" of "outputs.npz": found nothing, expected the array '
        "where there is trained_on",
    ),
    (
        "auxiliary_labels",
        None,
        MissingKey,
        'array "auxiliary_labels" of "outputs.npz": found nothing, expected the '
        "array where there is auxiliary_outputs",
    ),
    (
        "records",
        None,
        MissingKey,
        'array "records" of "outputs.npz": found nothing, expected the array where '
        "there is auxiliary_records",
    ),
    (
        "label",
        np.zeros(8),
        UnknownKey,
        'array "label" of "outputs.npz": found an unknown name. Did you mean \'labels\'?',
    ),
]


@pytest.mark.parametrize(("name", "value", "kind", "message"), BAD)
def test_bad_input_is_one_line(
    name: str, value: object, kind: type[LeakProError], message: str, tmp_path: Path
) -> None:
    assert (kind, message) == refusal(saved(tmp_path, changed(arrays(), name, value)))


def test_probabilities_that_are_none_name_the_record(tmp_path: Path) -> None:
    given = {name: value for name, value in arrays().items() if name in REQUIRED}
    given["target_outputs"] = np.full((8, 3), 1 / 3)
    given["target_outputs"][4] = [0.5, 1.5, -1.0]

    assert (
        BadRecord,
        "target_outputs, record 4: found outputs from -1 to 1.5 with the sum 1, "
        "expected probabilities, from 0 "
        'to 1 and with the sum 1. If they are logits, set outputs = "logits" in [target].',
    ) == refusal(saved(tmp_path, given), "probabilities")


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "outputs.npz"

    expected = f'file "{path}": found no such file, expected a file that can be read'
    assert (MissingFile, expected) == refusal(path)


def test_a_folder(tmp_path: Path) -> None:
    expected = f'file "{tmp_path}": found a folder, expected a file that can be read'
    assert (MissingFile, expected) == refusal(tmp_path)


class Bomb:
    def __reduce__(self) -> object:
        return Path.touch, (Path("exploded"),)


def torch_like() -> bytes:
    """Return a zip with a pickle, as torch.save writes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    return buffer.getvalue()


def objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays(), "labels": np.array([Bomb()], dtype=object)})
    return buffer.getvalue()


PLAIN = (
    "expected plain arrays: loading a pickle can run code. Save the arrays with numpy.savez, as "
    "numbers, booleans or strings."
)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("outputs.pkl", pickle.dumps(Bomb(), protocol=0), "a pickle"),
        ("outputs.npz", pickle.dumps(Bomb()), "a pickle"),
        ("outputs.pt", torch_like(), "a pickle"),
        ("outputs.npz", torch_like(), 'the pickle "archive/data.pkl" in it'),
        ("outputs.npz", objects(), 'Python objects in array "labels"'),
    ],
)
def test_nothing_is_unpickled(
    name: str, content: bytes, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(content)

    assert (UnsafeFile, f'file "{path}": found {found}, {PLAIN}') == refusal(path)
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("content", "found"), [(b"", "an empty file"), (b"a,b\n1,2\n", "another format")]
)
def test_another_format(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "outputs.npz"
    path.write_bytes(content)

    assert (
        BadArray,
        f'file "{path}": found {found}, expected an npz file. Write it with numpy.savez.',
    ) == refusal(path)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = saved(tmp_path, arrays())
    path.write_bytes(path.read_bytes()[:-100])

    assert (
        BadArray,
        f'file "{path}": found damaged content (BadZipFile: File is not a zip file), expected an '
        "array as numpy writes it. Write the file again.",
    ) == refusal(path)


def test_bytes_changed_in_an_array(tmp_path: Path) -> None:
    path = saved(tmp_path, {name: value for name, value in arrays().items() if name in REQUIRED})
    content = bytearray(path.read_bytes())
    content[content.index(b"target_outputs") + 220] ^= 0xFF
    path.write_bytes(content)

    assert (
        BadArray,
        f'file "{path}", array "target_outputs": found damaged content (BadZipFile: Bad CRC-32 for '
        "file 'target_outputs.npy'), expected an array as numpy writes it. Write the file again.",
    ) == refusal(path)


# Whatever stands in the file: a release, or an error that the user can read.

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
DTYPES = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes()
    | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes()
    | hnp.complex_number_dtypes()
    | hnp.unicode_string_dtypes(max_len=3)
    | hnp.byte_string_dtypes(max_len=3)
    | hnp.datetime64_dtypes()
    | hnp.array_dtypes(max_size=2)
)
ANY = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))
FUZZ = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def either(path: Path, outputs: str) -> None:
    try:
        load(ArraysOptions(path=path, outputs=outputs), RUN)
        line = "a release"
    except LeakProError as error:
        line = str(error)
    assert len(line.splitlines()) == 1


@FUZZ
@given(
    data=st.data(),
    odd=st.sets(st.sampled_from(REQUIRED + OPTIONAL), max_size=3),
    gone=st.sets(st.sampled_from(OPTIONAL)),
    outputs=st.sampled_from(["logits", "probabilities"]),
)
def test_no_arrays_give_a_traceback(
    data: st.DataObject, odd: set[str], gone: set[str], outputs: str, tmp_path: Path
) -> None:
    given = {name: value for name, value in arrays().items() if name not in gone}
    for name in sorted(odd):
        given[name] = data.draw(ANY)
    either(saved(tmp_path, given), outputs)


@FUZZ
@given(sizes=st.lists(st.integers(0, 3), min_size=4, max_size=4), data=st.data())
def test_no_shapes_that_agree_give_a_traceback(
    sizes: list[int], data: st.DataObject, tmp_path: Path
) -> None:
    n, k, c, m = sizes
    floats = data.draw(hnp.floating_dtypes())
    given = {
        "target_outputs": data.draw(hnp.arrays(floats, (n, c))),
        "labels": data.draw(hnp.arrays(np.int64, n, elements=st.integers(-1, 3))),
        "members": data.draw(hnp.arrays(bool, n)),
        "shadow_outputs": data.draw(hnp.arrays(np.float32, (k, n, c))),
        "trained_on": data.draw(hnp.arrays(bool, (k, n))),
        "auxiliary_outputs": data.draw(hnp.arrays(np.float32, (m, c))),
        "auxiliary_labels": data.draw(hnp.arrays(np.uint64, m)),
    }
    either(saved(tmp_path, given), data.draw(st.sampled_from(["logits", "probabilities"])))


@FUZZ
@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_no_damage_gives_a_traceback(place: float, byte: int, cut: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, {name: value for name, value in arrays().items() if name in REQUIRED})
    content = bytearray(path.read_bytes())
    number = int(place * (len(content) - 1))
    content[number] = byte
    path.write_bytes(content[:number] if cut else content)
    either(path, "logits")
