"""What attacks answered is kept: a run that goes on ends alike without playing them again."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import recorded

from leakpro_core.cli import main

Plan = Callable[..., Path]


def report(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "report.json").read_text())
    for key in ("started", "seconds"):
        found["provenance"].pop(key)
    return dict(found)


def played(folder: Path) -> list[str]:
    """Return the attacks that were played, as the log says."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["attack"] for line in lines if line["event"] == "attacking"]


@pytest.fixture
def run(plan: Plan, tmp_path: Path) -> tuple[Path, Path]:
    more = '[[adversary]]\nname = "a"\n[[adversary]]\nname = "b"\nqueries = 150\n'
    path = plan(recorded(100, leak=1.0, shadows=8), attacks=("loss", "student"), more=more)
    main(["audit", str(path), "--out", str(tmp_path / "run")])
    return path, tmp_path / "run"


def test_a_run_that_goes_on_after_its_attacks_gives_the_same_report(run) -> None:
    path, out = run
    before = report(out)
    for file in ("SHA256SUMS", "report.json", "log.jsonl"):
        (out / file).unlink()
    main(["audit", str(path), "--out", str(out)])
    assert before == report(out)
    assert played(out) == []


def test_an_answer_that_was_damaged_is_played_again(run) -> None:
    path, out = run
    before = report(out)
    for file in ("SHA256SUMS", "log.jsonl"):
        (out / file).unlink()
    damaged = json.loads(max(out.glob("answers/*.json")).read_text())["names"]["claims"]
    (out / "answers" / f"{damaged}.npy").write_bytes(b"")
    main(["audit", str(path), "--out", str(out)])
    assert before == report(out)
    assert len(played(out)) == 1


def test_data_that_a_factory_returns_anew_are_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # or answers about the records of before would be judged with the members of now
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\n\ndef data():\n    return dict(np.load('x.npz'))\n"
    )
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        x = rng.normal(size=(80, 4))
        np.savez(tmp_path / f"{seed}.npz", x=x, y=rng.integers(0, 2, 80))
    plan = tmp_path / "audit.toml"
    plan.write_text(
        'schema = 1\n[target]\nloader = "trained"\n[data]\nfactory = "mine:data"\n'
        '[shadows]\ntrainer = "torch"\ncount = 2\nfactory = "mine:nothing"\n'
    )
    here = Path.cwd()
    try:
        os.chdir(tmp_path)
        for seed in (0, 1):
            shutil.copy(f"{seed}.npz", "x.npz")
            # It fails in training, for there is no such factory; what was loaded is noted before.
            assert main(["audit", str(plan), "--out", "run"]) == 64
    finally:
        os.chdir(here)
    assert "before its factory returned other data" in capsys.readouterr().err
