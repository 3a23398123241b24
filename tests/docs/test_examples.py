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


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial") / "examples"
    made = shutil.ignore_patterns("*.npz", "*.npy", "*.safetensors", "__pycache__")
    shutil.copytree(ROOT / "examples", folder, ignore=made)
    assert run(sys.executable, "train.py", folder=folder / "own_model").returncode == 0
    assert run(sys.executable, "record.py", folder=folder / "outputs").returncode == 0
    return folder


def audit(plan: Path, out: Path) -> None:
    done = run(LEAKPRO, "audit", plan, "--out", out, folder=plan.parent)
    assert done.returncode in (0, 1, 2), done.stdout + done.stderr
    report = from_json((out / "report.json").read_text())
    assert done.returncode == report.exit_code
    assert {"finished", "not applicable"} >= {attack.status for attack in report.attacks}


def check(plan: Path) -> None:
    done = run(LEAKPRO, "check", plan, folder=plan.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own_model", "outputs"])
def test_what_the_tutorial_audits_is_audited(examples, tmp_path, name):
    audit(examples / name / "audit.toml", tmp_path / "run")


@pytest.mark.parametrize(
    "plan", ["digits/audit.toml", "own_model/realistic.toml", "synthetic/audit.toml"]
)
def test_every_other_plan_of_the_tutorial_is_valid(examples, plan):
    check(examples / plan)


@pytest.mark.apart
def test_the_plan_for_ray_is_valid(examples):
    check(examples / "own_model" / "on_ray.toml")


def test_the_plan_of_the_plugin_guide_is_valid(examples):
    check(examples / "own_model" / "one_attack.toml")


@pytest.mark.parametrize(("number", "folder"), [(0, "own_model"), (1, "synthetic")])
def test_the_plans_of_the_readme_are_valid_beside_the_files_of_the_examples(
    examples, number, folder
):
    plans = re.findall(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(plans) == 3
    readme = examples / folder / "readme.toml"
    readme.write_text(plans[number])
    check(readme)


RECEIVED = """
from safetensors.torch import save_file
from my_models import build
before = build().state_dict()
save_file(before, "global.safetensors")
save_file({name: value + 0.01 for name, value in before.items()}, "client.safetensors")
"""

MODELS = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 4), nn.ReLU(), nn.Linear(4, 10))
"""


def test_the_plan_of_the_readme_for_an_update_is_valid(tmp_path):
    plan = re.findall(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)[2]
    (tmp_path / "my_models.py").write_text(MODELS)
    (tmp_path / "plan.toml").write_text(plan)
    made = run(sys.executable, "-c", RECEIVED, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    check(tmp_path / "plan.toml")


def test_the_tables_of_the_example_are_what_its_script_writes(examples, tmp_path):
    script = examples / "synthetic" / "tables.py"
    assert run(sys.executable, script, tmp_path, folder=tmp_path).returncode == 0
    for name in ("original", "control", "synthetic"):
        committed = ROOT / "examples" / "synthetic" / f"{name}.csv"
        assert committed.read_bytes() == (tmp_path / f"{name}.csv").read_bytes()


def test_every_command_of_the_tutorial_names_a_plan_that_exists():
    text = (ROOT / "docs" / "tutorial.md").read_text()
    plans = re.findall(r"leakpro (?:audit|check) (\S+)", text)
    assert plans
    assert all((ROOT / plan).is_file() for plan in plans)
