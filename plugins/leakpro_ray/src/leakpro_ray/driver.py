"""The Ray executor, the driver's side: it alone talks to Ray. Runs in a process of its own.

Messages to the caller are pairs: ("connected", None), ("more", None) to be given a unit,
("log", (event, values)), ("done", (position, result)), ("failed", exception), ("end", None).
"""

import math
import os
import shutil
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ray

from leakpro_core.errors import BadValue
from leakpro_core.memory import available
from leakpro_core.processes import threads
from leakpro_ray.options import RayOptions
from leakpro_ray.sharing import nodes, share_out, task_of

_MEBIBYTE = 2**20


def drive(connection: Connection) -> None:
    """Connect to Ray, do the units that the caller gives out, leave nothing behind."""
    options, folder, scratch, count, data = connection.recv()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
    _silence(folder)
    try:
        _connect(options, folder, scratch, data)
        connection.send(("connected", None))
        _await_room(connection, options)
        share_out(connection, options, count)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)  # the caller may have been killed


def _silence(folder: Path) -> None:
    """Let what Ray prints go to a file: the terminal is the audit's."""
    with (folder / "driver.log").open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)


def _connect(options: RayOptions, folder: Path, scratch: Path, data: int) -> None:
    common: dict[str, Any] = {
        "log_to_driver": False,
        "runtime_env": {"env_vars": threads(options.threads)},
    }
    if options.address is None:
        ray.init(
            address="local",  # else it would be any that runs here
            num_cpus=max(1, math.ceil(options.workers * options.needs["CPU"])),
            include_dashboard=False,
            object_store_memory=_store_size(data),
            _temp_dir=str(folder / "r"),  # everybody may write to it
            object_spilling_directory=str(scratch),  # records and signals that have no room
            **common,
        )
        return
    try:
        ray.init(address=options.address, **common)
    except Exception as error:
        raise BadValue(
            f"[execution] address {options.address!r}",
            found=str(error),
            expected="a running Ray of the same versions of Ray and Python",
            fix="See that `ray status` answers here, or leave address out.",
        ) from error


def _store_size(data: int) -> int:
    """Return bytes for the object store: the data once, and results; the rest goes to disk."""
    free = available()
    wanted = data + 256 * _MEBIBYTE
    return wanted if free is None else min(wanted, max(128 * _MEBIBYTE, free // 2))


def _has_room(needs: dict[str, float]) -> bool:
    return any(all(node.get(k, 0) >= v for k, v in needs.items()) for node in nodes())


def _await_room(connection: Connection, options: RayOptions) -> None:
    """See that some node can ever run a unit; a cluster that grows is given time for it."""
    if _has_room(options.needs):
        return
    if options.address is not None:
        values = {"needed": options.needs, "seconds": options.timeout}
        connection.send(("log", ("no node of the cluster has room for a unit yet", values)))
        wish = task_of(options, lambda: None).remote()  # what a cluster grows by
        deadline = time.monotonic() + options.timeout
        while time.monotonic() < deadline and not connection.poll(0.5):
            if _has_room(options.needs):
                return
        ray.cancel(wish, force=True)
    found = " or ".join(
        sorted({" and ".join(f"{n.get(k, 0):g} {k}s" for k in options.needs) for n in nodes()})
    )
    raise BadValue(
        "[execution] cpus and gpus of a unit",
        found=f"nodes with {found}",
        expected=" and ".join(f"{v:g} {k}s" for k, v in options.needs.items()) + " on one node",
        fix="Lower cpus or gpus, or name the address of a cluster that has them.",
    )
