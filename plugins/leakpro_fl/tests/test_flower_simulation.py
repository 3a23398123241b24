"""The example: Flower's own simulation engine, and audits of what was recorded, by the command."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from leakpro_core.report import RiskReport, Word, from_json

pytest.importorskip("ray", reason="it is the extra leakpro-fl[flower]")

EXAMPLE = Path(__file__).parents[3] / "examples" / "flower"
LEAKPRO = Path(sys.executable).with_name("leakpro")

pytestmark = pytest.mark.slow


def marked(mark: str) -> list[str]:
    """Return the commands of processes that inherited the mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            continue
        if mark.encode() in text and alive:
            found.append(command)
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Return the folder of a simulation, none of whose processes is left."""
    folder, mark = tmp_path_factory.mktemp("flower"), uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", EXAMPLE / "simulate.py", folder / "run"],
        env={**os.environ, "FLWR_HOME": str(folder / "home"), "LEAKPRO_MARK": mark},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "LeakPro recorded nothing" not in done.stderr
    deadline = time.monotonic() + 30
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert marked(mark) == []
    return folder / "run"


def test_the_server_records_two_rounds_of_the_whole_state(recorded):
    folder = recorded / "received"
    rounds = sorted(folder.glob("round-*"))
    assert [path.name for path in rounds] == ["round-0001", "round-0002"]
    for each in rounds:
        before = safetensors.numpy.load_file(each / "before.safetensors")
        [path] = each.glob("client-*.safetensors")
        after = safetensors.numpy.load_file(path)
        assert before.keys() == after.keys()
        assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} < after.keys()
        # Two batches of 32 of 64 records.
        assert after["1.num_batches_tracked"] - before["1.num_batches_tracked"] == 2
        assert all(
            np.abs(after[name] - before[name]).max() > 0 for name in ("0.weight", "7.weight")
        )


def test_the_sidecar_says_what_the_server_knows(recorded):
    said = json.loads((recorded / "received" / "sidecar.json").read_text())
    assert (said["kind"], said["examples"], said["lr"], said["dtype"]) == (
        "weights",
        64,
        0.1,
        "float32",
    )
    assert (said["momentum"], said["batch_size"], said["mode"]) == (0.9, 32, "train")


def test_what_left_the_client_is_what_the_server_received(recorded):
    for path in (recorded / "received").glob("round-*/*.safetensors"):
        [sent] = (
            each
            for each in (recorded / "sent").glob(f"*/{path.parent.name}/{path.name}")
            if path.name != "before.safetensors" or each.parent.parent.name.endswith(node_of(path))
        )
        assert sent.read_bytes() == path.read_bytes()


def node_of(path: Path) -> str:
    [client] = path.parent.glob("client-*.safetensors")
    return client.stem.removeprefix("client-")


def audit(plan: Path, out: Path, *attacks: str) -> RiskReport:
    """Return the report of a recorded plan, limited to some attacks."""
    own = plan.with_name("limited.toml")
    named = "".join(f'\n[[attacks]]\nname = "{name}"\n' for name in attacks)
    own.write_text(f'{plan.read_text()}{named}\n[report]\nformats = ["json"]\n')
    done = subprocess.run(
        [LEAKPRO, "audit", own, "--out", out], capture_output=True, text=True, timeout=300
    )
    report = from_json((out / "report.json").read_text())
    assert done.returncode == report.exit_code, done.stderr
    return report


def test_what_the_server_has_is_audited_and_not_judged(recorded, tmp_path):
    report = audit(recorded / "received" / "audit.toml", tmp_path / "run", "labels")
    assert report.exit_code == 3  # incomplete
    assert [(attack.label, attack.status) for attack in report.attacks] == [("labels", "finished")]
    [finding] = report.findings
    assert finding.word is Word.NOT_TESTED
    assert "the client's batch was not given" in finding.statement


def test_what_left_a_client_is_judged_against_its_records(recorded, tmp_path):
    plan = next((recorded / "sent").glob("*/audit.toml"))
    report = audit(plan, tmp_path / "run", "labels", "alignment")
    assert report.exit_code == 1  # a leak
    labels, alignment = report.attacks
    assert {labels.status, alignment.status} == {"finished"}
    assert labels.made == 2 * 64  # of each record of either round
    assert {point.members for point in alignment.points} == {64}
    # Two rounds of 64 records by default settings: who was in them can be told.
    assert alignment.detected
    assert alignment.auc.low > 0.5
