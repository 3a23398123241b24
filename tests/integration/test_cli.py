"""Whatever happens, the exit code says neither "leak" nor "pass" by accident."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import recorded

from leakpro_core import audit
from leakpro_core.cli import main
from leakpro_core.files import cannot_write

Plan = Callable[..., Path]

LEAKPRO = (
    sys.executable,
    "-c",
    "import sys; from leakpro_core.cli import main; sys.exit(main())",
)


def test_a_reader_who_has_read_enough_changes_no_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*LEAKPRO, "attacks"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_audit_goes_on_where_nobody_reads_its_progress(plan: Plan, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = ["audit", str(plan(recorded(200))), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [*LEAKPRO, *arguments], stdout=subprocess.DEVNULL, stderr=writer, check=False
    )
    os.close(writer)
    assert done.returncode == 2
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "log.jsonl"), "No space left on device"),
        (MemoryError(), "out of memory"),
        (RuntimeError("oops"), "mistake in LeakPro or a plugin"),
    ],
)
def test_what_nobody_foresaw_is_incomplete(
    plan: Plan, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str], error, said
) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(audit, "load", fails)
    assert main(["audit", str(plan(recorded(100))), "--out", str(tmp_path / "run")]) == 3
    assert said in capsys.readouterr().err


def test_what_may_not_be_read_or_written_is_a_mistake_of_usage_and_says_what_to_allow(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["audit", str(plan(recorded(50))), "--out", str(tmp_path / "run")]
    denied = PermissionError(13, "Permission denied", "control.csv")

    def read(*_: object, **__: object) -> None:
        raise denied

    def write(*_: object, **__: object) -> None:
        raise cannot_write(Path("run/plan.json"), denied) from denied

    for fail, name in ((read, "control.csv"), (write, "run/plan.json")):
        monkeypatch.setattr(audit, "run", fail)
        assert main(given) == 64
        expected = (
            f"leakpro: file {name}: found Permission denied. Make it yours to read, or to write "
            "where it is the run's, and give the command again.\n"
        )
        assert expected == capsys.readouterr().err


def test_a_request_to_terminate_ends_an_audit_as_ctrl_c_does(
    plan: Plan, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def terminated(*arguments: object, **more: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr(audit, "load", terminated)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["audit", str(plan(recorded(100))), "--out", str(tmp_path / "run")]) == 130
    assert before == signal.getsignal(signal.SIGTERM)
    assert "interrupted" in capsys.readouterr().err
