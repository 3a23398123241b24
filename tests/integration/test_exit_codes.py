"""One audit for each exit code, through the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import recorded

from leakpro_core.cli import main

Plan = Callable[..., Path]


def outcome(plan: Path, *more: str) -> tuple[int, dict[str, object]]:
    out = plan.parent / "run"
    code = main(["audit", str(plan), "--out", str(out), *more])
    report = out / "report.json"
    return code, json.loads(report.read_text()) if report.exists() else {}


def test_0_a_model_that_tells_nothing_passes(plan: Plan) -> None:
    code, report = outcome(plan(recorded(6000)))
    assert (code, report["word"]) == (0, "not found")


def test_1_a_leak_is_not_tolerated(plan: Plan) -> None:
    code, report = outcome(plan(recorded(1500, leak=3.0)))
    assert (code, report["word"]) == (1, "strong leak")


def test_2_too_few_records_are_inconclusive_and_the_number_needed_is_said(plan: Plan) -> None:
    code, report = outcome(plan(recorded(200)))
    assert (code, report["word"]) == (2, "inconclusive")
    needed = report["findings"][0]["exclusion"][0]["needed"]  # type: ignore[index]
    assert needed > 200
    assert "records" in report["findings"][0]["statement"] or str(needed) in str(report)  # type: ignore[index]


def test_3_members_that_differ_by_themselves_make_the_audit_invalid(plan: Plan) -> None:
    arrays = recorded(1500)
    easy = arrays["members"] * 2.0 + np.random.default_rng(1).normal(size=3000)
    code, report = outcome(plan(arrays | {"records": easy[:, None].astype(np.float32)}))
    assert (code, report["status"]) == (3, "invalid")


def test_4_a_refused_plugin_ends_the_audit_before_it_starts(plan: Plan, tmp_path: Path) -> None:
    registry = tmp_path / "registry.toml"
    registry.write_text('schema = 1\nmode = "enforce"\n')
    code, report = outcome(plan(recorded(50)), "--registry", str(registry))
    assert (code, report) == (4, {})


def test_4_no_attack_is_left_where_all_plugins_are_refused(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "registry.toml").write_text('schema = 1\nmode = "enforce"\n')
    path = plan(recorded(100), more='registry = "registry.toml"\n', attacks=())
    assert main(["audit", str(path), "--out", str(tmp_path / "run")]) == 4
    assert "leakpro-mia 1.0.0" in capsys.readouterr().err


def test_64_a_missing_plan_is_a_mistake_of_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(tmp_path / "nowhere.toml")]) == 64
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "nowhere.toml" in error


def test_an_audit_without_the_mandatory_tenth_is_incomplete(plan: Plan) -> None:
    arrays = recorded(300, shadows=0)
    del arrays["shadow_outputs"], arrays["trained_on"]
    code, report = outcome(plan(arrays, attacks=("loss",)))
    assert (code, report["status"]) == (3, "incomplete")
