"""The run folder notices damage and belongs to one plan."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from leakpro_core.errors import CannotWrite, DamagedFile, MissingFile, RunFolderTaken
from leakpro_core.files import load_array, save_array, write_atomic
from leakpro_core.records import Choice, Evidence, Trial
from leakpro_core.store import Store, at_work, damaged, evidence_hash, read_report


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
    name = save_array(store.signals.folder, np.arange(3.0))
    store.signals.note("unit", {"0/margin": name})
    assert {"0/margin": name} == store.signals.recall("unit")
    (store.signals.folder / f"{name}.npy").write_bytes(b"")
    assert store.signals.recall("unit") is None


def test_how_cohorts_are_trained_is_settled_once(tmp_path) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    assert store.settled() is None
    trial = Trial(choice=Choice(method="stack", width=8, threads=2), seconds=1.5, notes=("so",))
    store.settle(trial)
    assert trial == Store.open(tmp_path / "run", {"sha256": "a"}).settled()


def test_a_trainer_that_did_not_time_itself_leaves_no_seconds(tmp_path) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    store.settle(Trial(choice=Choice(), seconds=float("nan")))
    assert store.settled() == Trial(choice=Choice(), seconds=None)


@pytest.mark.parametrize("training", ["3", '{"choice": {"width": 0}}', '{"choise": {}}'])
def test_a_choice_that_nobody_wrote_is_damage(tmp_path, training) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    text = (tmp_path / "run" / "plan.json").read_text().replace("}", f', "training": {training}}}')
    (tmp_path / "run" / "plan.json").write_text(text)
    with pytest.raises(DamagedFile, match="a training table that LeakPro did not write"):
        store.settled()


def test_what_a_killed_run_left_is_swept(tmp_path) -> None:
    run = Store.open(tmp_path / "run", {"sha256": "a"})
    (run.signals.folder / ".array.x.tmp").write_bytes(b"half")
    (run.folder / "leakpro-abc").mkdir()
    (run.folder / "leakpro-abc" / "records.npy").write_bytes(b"people")
    with at_work(run.folder, {"sha256": "a"}):
        pass
    assert {p.name for p in run.folder.rglob("*")} == {
        ".lock",
        "answers",
        "evidence",
        "plan.json",
        "signals",
    }


def test_one_audit_at_a_time_is_at_work_in_a_folder(tmp_path) -> None:
    run = tmp_path / "run"
    taken = pytest.raises(RunFolderTaken, match="another audit at work")
    with at_work(run, {"sha256": "a"}), taken, at_work(run, {"sha256": "b"}):
        pass
    assert json.loads((run / "plan.json").read_text()) == {"sha256": "a"}
    with at_work(run, {"sha256": "a"}):
        pass


def test_a_run_that_has_answers_is_not_another_plans(tmp_path) -> None:
    Store.open(tmp_path / "run", {"sha256": "a"}).answers.note("ratio", {})
    with pytest.raises(RunFolderTaken, match="another plan"):
        Store.open(tmp_path / "run", {"sha256": "b"})


def test_what_a_run_has_loaded_may_not_become_something_else(tmp_path) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    store.expect("x")
    store.expect("x")
    with pytest.raises(RunFolderTaken, match="before its factory returned other data"):
        store.expect("y")


def test_a_folder_that_was_only_begun_is_a_runs(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    (tmp_path / "run" / ".plan.json.7.tmp").write_text("{")
    with at_work(tmp_path / "run", {"sha256": "a"}) as store:
        assert {p.name for p in store.folder.iterdir()} == {
            ".lock",
            "answers",
            "evidence",
            "plan.json",
            "signals",
        }


@pytest.mark.parametrize("change", ["names", "margin"])
def test_a_note_that_was_changed_is_not_recalled(tmp_path, change) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    store.signals.note("unit", {"0/margin": save_array(store.signals.folder, np.arange(3.0))})
    path = store.signals.folder / "unit.json"
    path.write_text(path.read_text().replace(change, change[::-1]))
    assert store.signals.recall("unit") is None


@pytest.mark.parametrize("line", ["", "0" * 64 + "  /dev/zero\n", "0" * 64 + "  ../x\n"])
def test_sums_name_the_files_of_a_run_and_no_others(tmp_path, line) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    (store.folder / "report.json").write_text("{}")
    store.seal()
    assert damaged(store.folder) is None
    sums = store.folder / "SHA256SUMS"
    kept = sums.read_text().splitlines(keepends=True)
    sums.write_text(line + "".join(kept if line else kept[:1]))
    assert damaged(store.folder) is not None


def test_exhibits_may_be_deleted_and_not_changed(tmp_path) -> None:
    store = Store.open(tmp_path / "run", {"sha256": "a"})
    (store.folder / "report.json").write_text("{}")
    page = store.folder / "exhibits" / "copies.html"
    page.parent.mkdir()
    page.write_text("<p>")
    store.seal()
    page.write_text("<b>")
    assert damaged(store.folder) == "exhibits/copies.html"
    page.unlink()
    assert damaged(store.folder) is None


def test_what_a_killed_run_left_of_an_exhibit_is_deleted(tmp_path) -> None:
    half = tmp_path / "run" / "exhibits" / ".copies.html.9.tmp"
    half.parent.mkdir(parents=True)
    (tmp_path / "run" / "plan.json").write_text('{"sha256": "a"}')
    half.write_text("Jane Doe")
    with at_work(tmp_path / "run", {"sha256": "a"}):
        assert not half.exists()


@given(arrays(st.sampled_from(["f4", "f8", "i8", "?"]), array_shapes(min_dims=0, min_side=0)))
def test_a_saved_array_is_what_numpy_would_save(tmp_path_factory, values) -> None:
    folder, expected = tmp_path_factory.mktemp("saved"), io.BytesIO()
    np.save(expected, values)
    name = save_array(folder, values)
    assert expected.getvalue() == (folder / f"{name}.npy").read_bytes()
    np.testing.assert_array_equal(values, load_array(folder, name))


def test_a_folder_belongs_to_one_plan(tmp_path) -> None:
    Store.open(tmp_path / "run", {"sha256": "a"}).signals.note("unit", {})
    Store.open(tmp_path / "run", {"sha256": "a"})
    with pytest.raises(RunFolderTaken, match="another plan"):
        Store.open(tmp_path / "run", {"sha256": "b"})


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({"plan_sha256": "q"}, "the run of another plan, or of this plan before it was changed"),
        ({"inputs": {"/b/x.npz": "3"}}, "the run of this plan before x.npz changed"),
        (
            {"versions": {"numpy": "9"}},
            "the run of this plan with other versions of the libraries",
        ),
        ({}, "the run of this plan by its plugins before they were changed or approved"),
    ],
)
def test_it_is_said_why_a_run_is_another(tmp_path, now, found) -> None:
    before = {"sha256": "a", "plan_sha256": "p", "inputs": {"/b/x.npz": "1"}}
    Store.open(tmp_path / "run", before).signals.note("unit", {})
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
    (store.signals.folder / "unit.json").write_bytes(note.encode("latin-1"))
    assert store.signals.recall("unit") is None


def test_a_disk_that_takes_no_more_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(CannotWrite, match=r"found No such file.*what is finished is kept"):
        write_atomic(tmp_path / "absent" / "file", b"1")


def test_a_run_that_finished_nothing_gives_its_folder_to_the_mended_plan(tmp_path) -> None:
    Store.open(tmp_path / "run", {"sha256": "a"})
    Store.open(tmp_path / "run", {"sha256": "b"})
    Store.open(tmp_path / "run", {"sha256": "b"}).signals.note("unit", {})
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
