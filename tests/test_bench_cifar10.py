"""The script for GPUs runs a slice, so that it is never dead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


@pytest.mark.apart
@pytest.mark.skipif(not (DATA / "cifar10-train.parquet").exists(), reason=f"no CIFAR-10 in {DATA}")
def test_a_slice_runs_on_a_cpu() -> None:
    pytest.importorskip("leakpro_torch")
    pytest.importorskip("PIL")
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "cifar10.py", "--slice"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for attack in ("combined", "lira", "ratio", "stacked"):
        assert f"'attack': '{attack}'" in done.stdout
    assert "not measured by a slice" in done.stdout
