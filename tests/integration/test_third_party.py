"""leakpro_jax, which third parties copy: out of this tree it lives on the core wheel alone."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fresh import add, environment, sh

from leakpro_core.skeleton import write

ROOT = Path(__file__).parents[2]
SKIPPED = shutil.ignore_patterns("__pycache__", ".*", "dist")


@pytest.mark.apart
def test_the_example_builds_installs_tests_and_audits_beside_the_core_wheel(tmp_path):
    """Beside the core wheel alone, from wheels; libraries are those of this environment."""
    copied = shutil.copytree(ROOT / "leakpro_jax", tmp_path / "copied", ignore=SKIPPED)
    python = environment(tmp_path, ROOT, copied)

    leakpro = python.with_name("leakpro")
    rows = sh(leakpro, "plugins", "list", cwd=tmp_path).splitlines()
    assert [row.split()[0] for row in rows if row][-2:] == ["leakpro-core", "leakpro-jax"]

    shutil.rmtree(copied / "src")  # what is tested is what was installed
    sh(python, "-m", "pytest", "-W", "error", cwd=copied)

    # An audit needs an attack, and core has none: the one that `leakpro plugins new` writes.
    write("leakpro-myattack", tmp_path / "attack")
    add(tmp_path, tmp_path / "attack")
    write_inputs(tmp_path)
    audit = [leakpro, "audit", "audit.toml", "--out", "run"]
    finished = subprocess.run(audit, cwd=tmp_path, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert finished.returncode == report["exit_code"], finished.stderr
    assert {attack["status"] for attack in report["attacks"]} == {"finished"}


PLAN = """
schema = 1
name = "a third party's models"
seed = 7
[target]
loader = "jax"
factory = "my_models:mlp"
weights = "target.npz"
[data]
path = "data.npz"
records = "x"
labels = "y"
members = "members"
[shadows]
trainer = "jax"
count = 4
recipe = { epochs = 3, lr = 1e-3 }
cache = "programs"
[[attacks]]
name = "myattack"
"""

MODELS = """
import equinox


def mlp(key):
    return equinox.nn.MLP(8, 3, 16, 1, key=key)
"""


def write_inputs(folder: Path) -> None:
    """Write a plan, its data, and weights that nobody trained."""
    random = np.random.default_rng(0)
    x, members = random.normal(size=(400, 8)), np.arange(400) % 2 == 0
    np.savez(folder / "data.npz", x=x, y=random.integers(0, 3, 400), members=members)
    shapes = {"layers.0.weight": (16, 8), "layers.0.bias": 16}
    shapes |= {"layers.1.weight": (3, 16), "layers.1.bias": 3}
    weights = {name: random.normal(size=shape) for name, shape in shapes.items()}
    np.savez(folder / "target.npz", **weights)
    (folder / "audit.toml").write_text(PLAN)
    (folder / "my_models.py").write_text(MODELS)
