"""An audit that was killed, or whose disk was full, goes on and ends as if nothing had happened."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from evidence_kills import LEAKPRO, found, interrupted, undisturbed

pytest.importorskip("leakpro_torch", reason="it trains with leakpro-torch")

PLAN = """\
schema = 1
[target]
loader = "trained"
[data]
path = "data.npz"
[shadows]
trainer = "torch"
count = 7
factory = "models:mlp"
recipe = { epochs = 8 }
[execution]
workers = 2
[controls]
curve = false
[[attacks]]
name = "ratio"
[[attacks]]
name = "student"
"""

MODELS = """\
from torch import nn


def mlp():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, 300))
    (folder / "models.py").write_text(MODELS)
    path = folder / "audit.toml"
    path.write_text(PLAN)
    return path


@pytest.fixture(scope="module")
def whole(plan: Path) -> tuple[Path, dict[str, object], float]:
    """The run that nothing disturbed: its folder, what it found, its seconds."""
    out = plan.parent / "whole"
    return out, *undisturbed(plan, out)


@pytest.mark.slow
@pytest.mark.parametrize("share", [pytest.param(0.45, marks=pytest.mark.apart), 0.75])
def test_a_killed_audit_ends_with_the_same_evidence_and_report(plan, whole, tmp_path, share):
    folder, expected, seconds = whole
    run = tmp_path / "run"
    assert expected == interrupted(plan, folder, run, share * seconds)[0]
    # not even copies of records are left
    assert {path.name for path in folder.iterdir()} == {path.name for path in run.iterdir()}


@pytest.mark.slow
def test_signals_that_were_damaged_are_trained_again(plan, whole, tmp_path):
    folder, expected, _ = whole
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    (run / "SHA256SUMS").unlink()
    file = max(run.glob("signals/*.npy"))
    file.write_bytes(file.read_bytes()[:-1])
    audit(plan, run)
    assert expected == found(run)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_error_and_the_run_can_go_on(plan, whole, small_disk):
    folder, expected, _ = whole
    run = small_disk / "run"
    run.mkdir()
    shutil.copy(folder / "plan.json", run)
    done = audit(plan, run)
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, len(said)) == (3, 1)
    assert "No space left on device. Free space and give the same command again" in said[0]
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert audit(plan, run).returncode <= 2
    assert expected == found(run)


def audit(plan: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [LEAKPRO, "audit", plan, "--out", out]
    return subprocess.run(command, capture_output=True, text=True, check=False)
