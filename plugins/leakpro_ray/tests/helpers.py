"""Functions that tests give out as units, and what they need around them."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import ray
from attrs import field, frozen

from leakpro_core.errors import BadRecord
from leakpro_core.work import Work


@frozen
class Log:
    """A log that remembers."""

    events: list[tuple[str, dict[str, object]]] = field(factory=list)

    def debug(self, event: str, **values: object) -> None: ...

    def info(self, event: str, **values: object) -> None: ...

    def warning(self, event: str, **values: object) -> None:
        self.events.append((event, values))


@frozen
class Run:
    scratch: Path
    seed: int = 0
    log: Log = field(factory=Log)


def work(function: str, *arguments: object, **more: object) -> Work:
    ref = function if ":" in function else f"helpers:{function}"
    return Work(ref=ref, arguments=arguments, **more)


def refuse(record: int) -> None:
    raise BadRecord(f"record {record}", found="NaN", expected="a number", fix="Mend it.")


class TwoArguments(Exception):
    """An exception that pickles and cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raise_two() -> None:
    raise TwoArguments("not", "portable")


def address_and_plugins() -> tuple[str, list[str]]:
    """Return the node's own address, and what of plugins this process has imported."""
    names = [name for name in sys.modules if name.startswith("leakpro_") and name[8:12] != "core"]
    return ray.nodes()[0]["NodeManagerAddress"], names


def admitted() -> dict[str, bool]:
    """Return whether programs may use this Ray, by what they know: its address, its token too."""
    address = ray.get_runtime_context().gcs_address
    code = f"import ray; ray.init({address!r}); print(ray.get(ray.remote(lambda: 5).remote()))"
    others = {**os.environ, "RAY_NUM_REDIS_GET_RETRIES": "2"}
    strangers = {**others, "RAY_AUTH_TOKEN": 64 * "0"}
    outcome = {}
    for who, environment in (("token", others), ("address", strangers)):
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        outcome[who] = done.stdout == "5\n"
    return outcome


def total(remove: str, values: np.ndarray, more: np.ndarray) -> tuple[float, bool]:
    """Remove a file, and return a sum of the data and whether they could be written to."""
    Path(remove).unlink(missing_ok=True)
    return float(values.sum() + more.sum()), values.flags.writeable or more.flags.writeable


def die_once(folder: str, value: float) -> float:
    """Kill this process in the middle of the unit, the first time."""
    try:
        (Path(folder) / "died").touch(exist_ok=False)
    except FileExistsError:
        return 2 * value
    os.kill(os.getpid(), signal.SIGKILL)
    return value


def say_and_sleep(folder: str) -> None:
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(120)


def rewrite(path: str, text: str) -> None:
    """Change a file of a plugin, as somebody might in the middle of an audit."""
    Path(path).write_text(text)


def times() -> tuple[float, float]:
    """Return when this unit began and ended, seconds."""
    start = time.monotonic()
    time.sleep(0.2)
    return start, time.monotonic()


def marked(mark: str) -> list[int]:
    """Return the processes that inherited ``mark`` in their environment, this one apart."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "environ").read_bytes()
            # multiprocessing's own, which stays as long as this process does
            tracker = b"resource_tracker" in (folder / "cmdline").read_bytes()
            alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            continue
        if mark.encode() in text and alive and not tracker and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def gone(mark: str, seconds: float = 20.0) -> bool:
    """Whether all processes with ``mark`` end within some seconds."""
    deadline = time.monotonic() + seconds
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    return marked(mark) == []


def new_mark() -> str:
    return f"LEAKPRO_MARK={uuid.uuid4().hex}"
