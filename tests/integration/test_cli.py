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
