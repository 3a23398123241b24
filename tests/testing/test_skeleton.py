"""What ``leakpro plugins new`` writes is a plugin, as it stands."""

import json
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fresh import environment, sh

from leakpro_core.skeleton import write
from leakpro_core.testing.simulation import simulated_challenge

ROOT = Path(__file__).parents[2]


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "leakpro-myattack"
    write("leakpro-myattack", folder)
    return folder


def test_the_attack_has_at_most_forty_lines(written):
    lines = (written / "src" / "leakpro_myattack" / "attack.py").read_text().splitlines()
    assert len(lines) <= 40


def test_names_are_filled_in(written):
    project = tomllib.loads((written / "pyproject.toml").read_text())
    assert project["project"]["name"] == "leakpro-myattack"
    assert project["project"]["entry-points"]["leakpro.v1"] == {
        "myattack": "leakpro_myattack.plugin"
    }
    texts = [path.read_text() for path in written.rglob("*.*") if path.is_file()]
    assert [text for text in texts if "$" in text] == []


def test_the_written_code_is_tidy(written):
    ruff = [sys.executable, "-m", "ruff"]
    sh(*ruff, "format", "--isolated", "--line-length=100", "--check", ".", cwd=written)
    rules = "--select=B,D1,E,F,I,N,NPY,PT,RUF,UP"
    sh(*ruff, "check", "--isolated", "--line-length=100", rules, "--ignore=D103", ".", cwd=written)


@pytest.mark.slow
def test_a_third_party_builds_installs_tests_and_lists_its_attack(written, tmp_path):
    """In an environment with leakpro-core alone, from wheels; libraries are those of this one."""
    python, wheels = environment(tmp_path, ROOT, written), tmp_path / "wheels"
    here = partial(sh, cwd=tmp_path)
    sh(python, "-m", "pytest", "-W", "error", cwd=written)

    leakpro = python.with_name("leakpro")
    (attack,) = [row for row in here(leakpro, "attacks").splitlines() if row.startswith("myattack")]
    assert "leakpro-myattack 0.1.0" in attack
    rows = [row.split()[0] for row in here(leakpro, "plugins", "list").splitlines() if row]
    assert rows[-2:] == ["leakpro-core", "leakpro-myattack"]

    registry = tmp_path / "registry.toml"
    table = here(leakpro, "plugins", "pin", *wheels.glob("leakpro_myattack-*.whl"))
    registry.write_text(f'schema = 1\nmode = "enforce"\n{table}')
    assert "Nothing is wrong." in here(leakpro, "plugins", "check", "--registry", registry)

    write_outputs(tmp_path / "outputs.npz")
    (tmp_path / "audit.toml").write_text(PLAN)
    audit = [leakpro, "audit", "audit.toml", "--out", "run", "--registry", "registry.toml"]
    finished = subprocess.run(audit, cwd=tmp_path, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert finished.returncode == report["exit_code"]
    (result,) = report["attacks"]
    assert (result["attack"], result["plugin"]) == ("myattack", "leakpro-myattack")
    assert result["status"] == "finished"
    assert report["provenance"]["vetting"] == "enforce"


PLAN = """
schema = 1
name = "a third party's attack"
[target]
loader = "arrays"
path = "outputs.npz"
[[attacks]]
name = "myattack"
"""


def write_outputs(path: Path) -> None:
    """Write the simulated outputs of a target that leaks, and of eight shadows."""
    challenge, secret = simulated_challenge(0, records=400, raw_outputs=True)
    np.savez(
        path,
        target_outputs=challenge.target.outputs,
        shadow_outputs=challenge.shadows.outputs,
        trained_on=challenge.trained_on,
        labels=challenge.labels,
        members=secret.members,
    )
