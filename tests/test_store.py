"""The run folder notices damage and belongs to one plan."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from leakpro_core.errors import CannotWrite, DamagedFile, MissingFile, RunFolderTaken
from leakpro_core.files import load_array, save_array, write_atomic
from leakpro_core.records import Evidence
from leakpro_core.store import Store, evidence_hash, read_report


def evidence(claim: list[float]) -> Evidence:
    n = len(claim)
    nothing = np.full(n, np.nan)
    return Evidence(
        subject=np.arange(n),
        cluster=np.zeros(n),
        exposed=np.arange(n) % 2 == 0,
        claim=claim,
        hit=nothing,
        blind_claim=nothing,
        blind_hit=nothing,
        null_p=nothing,
    )


def test_an_array_is_found_under_the_hash_of_its_file(tmp_path) -> None:
    name = save_array(tmp_path, np.arange(3.0))
    np.testing.assert_array_equal(np.arange(3.0), load_array(tmp_path, name))


def test_a_damaged_array_is_noticed(tmp_path) -> None:
    name = save_array(tmp_path, np.arange(3.0))
    path = tmp_path / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedFile):
        load_array(tmp_path, name)


def test_a_unit_with_a_damaged_file_is_not_recalled(tmp_path) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    name = save_array(store.signals, np.arange(3.0))
    store.note("unit", {"0/margin": name})
    assert {"0/margin": name} == store.recall("unit")
    (store.signals / f"{name}.npy").write_bytes(b"")
    assert store.recall("unit") is None


def test_a_folder_belongs_to_one_plan(tmp_path) -> None:
    Store.open(tmp_path / "run", {"sha256": "a"}).note("unit", {})
    Store.open(tmp_path / "run", {"sha256": "a"})
    with pytest.raises(RunFolderTaken, match="another plan"):
        Store.open(tmp_path / "run", {"sha256": "b"})


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({"plan_sha256": "q"}, "the run of another plan, or of this plan before it was changed"),
        ({"inputs": {"/b/x.npz": "3"}}, "the run of this plan before x.npz changed"),
        ({}, "the run of this plan by its plugins before they were changed or approved"),
    ],
)
def test_it_is_said_why_a_run_is_another(tmp_path, now, found) -> None:
    before = {"sha256": "a", "plan_sha256": "p", "inputs": {"/b/x.npz": "1"}}
    Store.open(tmp_path / "run", before).note("unit", {})
    with pytest.raises(RunFolderTaken, match=f"found {found}, expected"):
        Store.open(tmp_path / "run", before | now | {"sha256": "b"})


def test_a_file_is_no_run_folder(tmp_path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunFolderTaken, match="found a file"):
        Store.open(tmp_path / "run", {"sha256": "a"})
    assert (tmp_path / "run").read_text() == "mine"


def test_a_damaged_array_is_mended_when_it_is_written_again(tmp_path) -> None:
    name = save_array(tmp_path, np.arange(3.0))
    (tmp_path / f"{name}.npy").write_bytes(b"")
    assert name == save_array(tmp_path, np.arange(3.0))
    np.testing.assert_array_equal(np.arange(3.0), load_array(tmp_path, name))


@pytest.mark.parametrize("note", ["", "[1]", "\xff", '{"0/margin": "../../secret"}'])
def test_a_damaged_note_is_not_recalled(tmp_path, note) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    (store.signals / "unit.json").write_bytes(note.encode("latin-1"))
    assert store.recall("unit") is None


def test_a_disk_that_takes_no_more_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(CannotWrite, match=r"found No such file.*what is finished is kept"):
        write_atomic(tmp_path / "absent" / "file", b"1")


def test_a_run_that_finished_nothing_gives_its_folder_to_the_mended_plan(tmp_path) -> None:
    Store.open(tmp_path / "run", {"sha256": "a"})
    Store.open(tmp_path / "run", {"sha256": "b"})
    Store.open(tmp_path / "run", {"sha256": "b"}).note("unit", {})
    with pytest.raises(RunFolderTaken):
        Store.open(tmp_path / "run", {"sha256": "a"})


def test_a_folder_with_other_files_is_left_alone(tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RunFolderTaken, match="files that are no run"):
        Store.open(tmp_path, {"sha256": "a"})


def test_evidence_has_the_columns_of_the_contract(tmp_path) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    digest = store.write_evidence("loss", evidence([1.0, 2.0, np.nan]))
    table = pq.read_table(tmp_path / "run" / "evidence" / "loss.parquet")
    assert table.column_names == [
        "round",
        "subject",
        "cluster",
        "arm",
        "claim",
        "hit",
        "blind_claim",
        "blind_hit",
        "null_p",
    ]
    assert table["arm"].to_pylist() == ["exposed", "control", "exposed"]
    assert digest.encode() == table.schema.metadata[b"leakpro_evidence_sha256"]


def test_the_evidence_hash_sees_every_claim() -> None:
    assert evidence_hash(evidence([1.0, 2.0])) != evidence_hash(evidence([1.0, 2.5]))
    assert evidence_hash(evidence([1.0, 2.0])) == evidence_hash(evidence([1.0, 2.0]))


def test_a_folder_without_report_says_so(tmp_path) -> None:
    with pytest.raises(MissingFile, match="Run leakpro audit first"):
        read_report(tmp_path)
