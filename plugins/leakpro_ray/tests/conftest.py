"""A Ray of the machine that runs already, and marks by which processes left behind are found."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import Run, new_mark


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Yield the address of a running Ray, which is still alive after all that was done with it."""
    port = free_port()
    ray = Path(sys.executable).with_name("ray")
    # On loopback; a driver must then know too that there is no other address.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    with tempfile.TemporaryDirectory(prefix="lp-", dir="/tmp") as folder:
        options = ["--num-cpus=2", "--num-gpus=0", "--include-dashboard=false", "--block"]
        head = subprocess.Popen(
            [ray, "start", "--head", f"--port={port}", f"--temp-dir={folder}/r", *options],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not answers(port):
            assert head.poll() is None
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
        alive = head.poll() is None and answers(port)
        head.terminate()
        head.wait(timeout=60)
        del os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"]
        assert alive


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="leakpro-") as folder:
        yield Run(scratch=Path(folder))


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    mark = new_mark()
    monkeypatch.setenv(*mark.split("="))
    return mark
