"""A run continues, re-renders, and repeats itself to the byte."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import recorded

from leakpro_core.cli import main
from leakpro_core.store import damaged

Plan = Callable[..., Path]


def hashes(folder: Path) -> str:
    report = json.loads((folder / "report.json").read_text())
    return str(report["provenance"]["evidence_sha256"])


def test_the_same_plan_gives_the_same_evidence(plan: Plan, tmp_path: Path) -> None:
    path = plan(recorded(300, leak=1.0), attacks=("loss", "student"))
    for name in ("a", "b"):
        main(["audit", str(path), "--out", str(tmp_path / name)])
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_a_finished_run_is_read_back_and_not_computed(plan: Plan, tmp_path: Path) -> None:
    path, out = plan(recorded(300)), tmp_path / "run"
    first = main(["audit", str(path), "--out", str(out)])
    before = (out / "report.json").read_bytes()  # has the time of the run in it
    assert first == main(["audit", str(path), "--out", str(out)])
    assert before == (out / "report.json").read_bytes()


@pytest.mark.parametrize("part", ["report.json", "evidence/ratio.parquet", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["gone", "cut short", "changed"])
def test_what_was_damaged_after_a_run_is_made_anew(
    plan: Plan, tmp_path: Path, part: str, damage: str
) -> None:
    path, out = plan(recorded(100)), tmp_path / "run"
    main(["audit", str(path), "--out", str(out)])
    before, file = hashes(out), out / part
    content = file.read_bytes()
    half = len(content) // 2
    file.write_bytes(content[:half] if damage == "cut short" else content[:half] + b"x")
    if damage == "changed":
        file.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    if damage == "gone":
        file.unlink()
    main(["audit", str(path), "--out", str(out)])
    assert before == hashes(out)
    assert damaged(out) is None


def test_a_damaged_report_is_not_rendered(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = plan(recorded(100)), tmp_path / "run"
    main(["audit", str(path), "--out", str(out)])
    text = (out / "report.json").read_text()
    (out / "report.json").write_text(text.replace('"n": 200', '"n": 900'))
    assert main(["report", str(out)]) == 64
    assert "expected the SHA-256 that SHA256SUMS notes" in capsys.readouterr().err


def test_a_changed_plan_does_not_overwrite_the_run(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = plan(recorded(300)), tmp_path / "run"
    main(["audit", str(path), "--out", str(out)])
    path.write_text(path.read_text().replace("seed = 3", "seed = 4"))
    assert main(["audit", str(path), "--out", str(out)]) == 64
    assert "Choose another --out" in capsys.readouterr().err


def test_changed_arrays_do_not_overwrite_the_run(plan: Plan, tmp_path: Path) -> None:
    path, out = plan(recorded(300)), tmp_path / "run"
    main(["audit", str(path), "--out", str(out)])
    plan(recorded(300, seed=9))
    assert main(["audit", str(path), "--out", str(out)]) == 64


def test_report_renders_again(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    main(["audit", str(plan(recorded(300))), "--out", str(out)])
    first = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert main(["report", str(out), "--format", "html"]) == 0
    assert first == (out / "report.html").read_bytes()


def test_a_run_does_not_go_on_where_vetting_says_something_else(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # or what a plugin computed before it was approved would be reported as an approved one's
    path, out = plan(recorded(300)), tmp_path / "run"
    registry = tmp_path / "registry.toml"
    registry.write_text('schema = 1\nmode = "warn"\n')
    main(["audit", str(path), "--out", str(out)])
    assert main(["audit", str(path), "--out", str(out), "--registry", str(registry)]) == 64
    assert "its plugins before they were changed or approved" in capsys.readouterr().err


def test_report_vets_by_the_registry_of_the_run(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, registry = tmp_path / "run", tmp_path / "registry.toml"
    registry.write_text('schema = 1\nmode = "warn"\n')
    path = plan(recorded(300), more='registry = "registry.toml"\n')
    main(["audit", str(path), "--out", str(out)])
    assert main(["report", str(out), "--format", "html"]) == 0
    registry.write_text('schema = 1\nmode = "enforce"\n')
    assert main(["report", str(out), "--format", "html"]) == 4
    assert "leakpro-html 1.0.0 is refused" in capsys.readouterr().err


def test_names_cannot_steer_the_terminal(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = plan(recorded(300), more='name = "a\\u001b[2J\\nno leak"\n')
    main(["audit", str(path), "--out", str(tmp_path / "run")])
    assert "\na\\x1b[2J\\nno leak: inconclusive\n" in capsys.readouterr().out


def test_report_of_no_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 64
    assert "Run leakpro audit first" in capsys.readouterr().err


def test_check_says_what_n_can_resolve_and_trains_nothing(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(plan(recorded(200)))]) == 0
    said = capsys.readouterr().out
    assert "FPR 0.001: not resolvable with 200 non-members, 1000 are needed" in said
    assert "ratio: will be played" in said


def test_an_attack_that_the_plan_names_and_that_lacks_its_input_is_a_mistake(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(plan(recorded(100), attacks=("quantile",)))]) == 64
    error = capsys.readouterr().err
    assert "quantile" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("seen", [False, True])
def test_a_record_in_no_or_every_shadow_is_a_mistake_where_both_sides_are_needed(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: bool
) -> None:
    arrays = recorded(100)
    trained_on = arrays["trained_on"].copy()
    trained_on[:, 7] = seen
    path = plan(arrays | {"trained_on": trained_on}, attacks=("lira",))
    assert main(["audit", str(path), "--out", str(tmp_path / "run")]) == 64
    error = capsys.readouterr().err.splitlines()[-1]
    assert "record" in error
    assert ("every" if seen else "no") in error


def test_an_attack_that_was_not_named_is_left_out_where_it_cannot_be_played(
    plan: Plan, tmp_path: Path
) -> None:
    main(["audit", str(plan(recorded(100), attacks=())), "--out", str(tmp_path / "run")])
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    status = {a["label"]: a["status"] for a in report["attacks"]}
    assert (status["quantile"], status["ratio"]) == ("not applicable", "finished")
