"""The Ray executor, the caller's side: it starts a driver process and speaks with it.

Ray is driven from a process of its own (``leakpro_ray.driver``). Connecting to what is no Ray
can hang or abort a process, and Ray changes signal handlers and the environment of whoever
connects: there it does so to nobody, and what does not answer in time is stopped.
"""

import atexit
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from leakpro_core.errors import BadValue, TrainingFailed
from leakpro_core.processes import cause, start, threads, verified
from leakpro_core.protocols import Run
from leakpro_core.work import Work
from leakpro_ray.options import RayOptions, place

_SOCKET = 103
"""Bytes of the longest path that a socket can have everywhere."""

_NAMES = "leakpro-12345678/r/session_2026-11-25_12-00-00_123456_1234567/sockets/plasma_store"
"""What comes behind the folder for temporary files, in the longest path that is a socket's."""


def execute(works: Sequence[Work], options: RayOptions, run: Run) -> Iterator[tuple[int, object]]:
    """Yield each work's position and result as it is done.

    An exception of a unit is raised here. A unit whose worker dies is tried again, and is
    ``TrainingFailed`` after ``options.retries``; an address where no Ray answers, and resources
    that no node has, are ``BadValue``. Closing the iterator, an error or Ctrl-C stops the units,
    and the Ray that was started for them.
    """
    if not works:
        return
    _knock(options)
    # The driver deletes it too, should this process be killed.
    with tempfile.TemporaryDirectory(
        prefix="leakpro-", dir=_place(), ignore_cleanup_errors=True
    ) as folder:
        connection, process = start(
            verified,
            works[0].vetting,
            "leakpro_ray.driver:drive",
            environment=_environment(options),
            name="leakpro-ray",
        )
        stop = partial(_stop, connection, process)
        # Before multiprocessing's own exit handler, which would wait for the driver for ever.
        atexit.register(stop)
        try:
            data = sum(path.stat().st_size for path in {p for work in works for p in work.data})
            connection.send((options, Path(folder), run.scratch, len(works), data))
            _connected(connection, process, options)
            yield from _share_out(works, connection, process, run)
        finally:
            atexit.unregister(stop)
            stop()


def _knock(options: RayOptions) -> None:
    if options.address is None or options.address == "auto":
        return
    try:
        socket.create_connection(place(options.address), timeout=options.timeout).close()
    except OSError as error:
        raise _silent(options, str(error)) from None


def _silent(options: RayOptions, found: str) -> BadValue:
    return BadValue(
        f"[execution] address {options.address!r}",
        found=found,
        expected="a running Ray",
        fix="Start it with `ray start --head`, or leave address out: the audit starts its own.",
    )


def _place() -> Path:
    """Return where Ray's folder can be: sockets need short paths, and not those of a network."""
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual / _NAMES)) <= _SOCKET else Path("/tmp")  # noqa: S108


def _environment(options: RayOptions) -> dict[str, str]:
    """Return what must be in the environment before Ray is imported."""
    environment = {
        **threads(1),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # would send the working folder to the cluster
    }
    if options.address is None:
        environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # "no cluster": loopback only
        environment["RAY_AUTH_MODE"] = "token"  # and not for other users of this machine
        environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        environment["RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE"] = "1"  # a small /dev/shm is no error
    return environment


def _connected(connection: Connection, process: SpawnProcess, options: RayOptions) -> None:
    """Wait until the driver is connected; a Ray of its own takes the time that it takes."""
    deadline = time.monotonic() + options.timeout
    while not connection.poll(0.1):
        if options.address is not None and time.monotonic() > deadline:
            raise _silent(options, f"nothing that speaks Ray within {options.timeout:g} s")
    try:
        kind, value = connection.recv()
    except (EOFError, OSError):
        process.join(timeout=5)
        how = f"a driver that ended ({cause(process.exitcode)})"
        if options.address is None:
            raise _died(how) from None
        raise _silent(options, f"nothing that speaks Ray, and {how}") from None
    if kind == "failed":
        raise value


def _share_out(
    works: Sequence[Work], connection: Connection, process: SpawnProcess, run: Run
) -> Iterator[tuple[int, object]]:
    waiting = iter(enumerate(works))
    while True:
        try:
            kind, value = connection.recv()
            if kind == "more":
                connection.send(next(waiting, None))
        except (EOFError, OSError):
            process.join(timeout=5)
            raise _died(f"it ended ({cause(process.exitcode)})") from None
        match kind:
            case "done":
                yield value
            case "log":
                event, values = value
                run.log.warning(event, **values)
            case "failed":
                raise value
            case "end":
                return


def _died(found: str) -> TrainingFailed:
    return TrainingFailed(
        "the process that drives Ray",
        found=found,
        fix='Give the same command again, or use executor = "local": what is finished is kept.',
    )


def _stop(connection: Connection, process: SpawnProcess) -> None:
    connection.close()  # a driver at work ends by itself when it finds nobody there
    process.join(timeout=5)
    for end in (process.terminate, process.kill):
        if process.exitcode is None:
            end()
            process.join(timeout=10)
