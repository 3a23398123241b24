"""Whole audits: the evidence is the same whatever the executor, and whoever is killed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("leakpro_torch", reason="it trains with leakpro-torch")
pytest.importorskip("leakpro_mia", reason="it attacks with leakpro-mia")

PLAN = """\
schema = 1
[target]
loader = "trained"
[data]
path = "data.npz"
[shadows]
trainer = "torch"
count = 15
factory = "models:mlp"
recipe = {{ epochs = 5 }}
method = "stack"
width = 4
[execution]
executor = "{executor}"
workers = {workers}
[controls]
curve = false
blind = false
placebo = 0
[[attacks]]
name = "ratio"
[report]
formats = ["json"]
"""

MODELS = """\
import os
import signal
from pathlib import Path

from torch import nn


def mlp():
    try:
        Path(__file__).with_name("die").unlink()
    except FileNotFoundError:
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("audits")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, 300))
    (folder / "models.py").write_text(MODELS)
    return folder


def audit(
    folder: Path, executor: str, workers: int, *, kill: bool = False
) -> tuple[str, list[str]]:
    """Audit, perhaps killing a worker once models come; return the evidence hash and the events."""
    name = f"{executor}-{workers}"
    plan = folder / f"{name}.toml"
    plan.write_text(PLAN.format(executor=executor, workers=workers))
    leakpro = Path(sys.executable).with_name("leakpro")
    events, other = [], []
    with subprocess.Popen(
        [leakpro, "audit", plan, "--out", folder / name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if not line.startswith("{"):
                other.append(line)
                continue
            events.append(json.loads(line)["event"])
            if kill and events[-1] == "trained":
                kill = False
                (folder / "die").touch()
    assert process.returncode in (0, 1, 2), other
    report = json.loads((folder / name / "report.json").read_bytes())
    return report["provenance"]["evidence_sha256"], events


@pytest.mark.slow
def test_the_evidence_is_the_same_whatever_the_executor_and_whoever_is_killed(folder):
    locally, _ = audit(folder, "local", 1)
    assert audit(folder, "local", 2)[0] == locally
    on_ray, events = audit(folder, "ray", 2, kill=True)
    assert on_ray == locally
    assert not (folder / "die").exists()
    assert events.count("a worker died: its unit is tried again") == 1
