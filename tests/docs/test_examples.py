"""Every example and every command of the tutorial runs as it stands there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leakpro_core.report import from_json

ROOT = Path(__file__).parents[2]
LEAKPRO = Path(sys.executable).with_name("leakpro")


@pytest.fixture
def examples(tmp_path):
    shutil.copytree(
        ROOT / "examples",
        tmp_path / "examples",
        ignore=shutil.ignore_patterns("*.npz", "*.npy", "*.safetensors", "__pycache__"),
    )
    return tmp_path / "examples"


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=300
    )


def audit(plan: Path, out: Path) -> None:
    done = run(LEAKPRO, "audit", plan, "--out", out, folder=plan.parent)
    assert done.returncode in (0, 1, 2), done.stdout + done.stderr
    report = from_json((out / "report.json").read_text())
    assert done.returncode == report.exit_code
    assert {"finished", "not applicable"} >= {attack.status for attack in report.attacks}


@pytest.mark.slow
def test_a_model_of_ones_own_is_audited_as_the_tutorial_says(examples, tmp_path):
    folder = examples / "own_model"
    assert run(sys.executable, "train.py", folder=folder).returncode == 0
    check = run(LEAKPRO, "check", folder / "audit.toml", folder=tmp_path)
    assert check.returncode == 0, check.stdout + check.stderr
    audit(folder / "audit.toml", tmp_path / "run")


@pytest.mark.slow
def test_outputs_are_audited_as_the_tutorial_says(examples, tmp_path):
    folder = examples / "outputs"
    assert run(sys.executable, "record.py", folder=folder).returncode == 0
    audit(folder / "audit.toml", tmp_path / "run")


@pytest.mark.parametrize(
    "plan", ["digits/audit.toml", "own_model/realistic.toml", "own_model/one_attack.toml"]
)
def test_every_other_plan_of_the_examples_is_valid(examples, plan):
    folder = examples / Path(plan).parent
    if folder.name == "own_model":
        assert run(sys.executable, "train.py", folder=folder).returncode == 0
    check = run(LEAKPRO, "check", examples / plan, folder=folder)
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_plan_of_the_readme_is_valid_beside_the_files_of_the_example(examples):
    folder = examples / "own_model"
    assert run(sys.executable, "train.py", folder=folder).returncode == 0
    plans = re.findall(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(plans) == 1
    (folder / "readme.toml").write_text(plans[0])
    check = run(LEAKPRO, "check", folder / "readme.toml", folder=folder)
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_command_of_the_tutorial_names_a_plan_that_exists():
    text = (ROOT / "docs" / "tutorial.md").read_text()
    plans = re.findall(r"leakpro (?:audit|check) (\S+)", text)
    assert plans
    assert all((ROOT / plan).is_file() for plan in plans)
