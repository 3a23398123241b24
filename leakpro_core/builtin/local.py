"""The local executor: units of work one after another, in this process or in spawned ones.

A worker is a process of its own (``leakpro_core.processes``) that verifies plugins before it
unpickles anything of theirs. No more are started than the memory that is free has room for.
"""

import atexit
import contextlib
import pickle
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from leakpro_core.errors import TrainingFailed
from leakpro_core.memory import available
from leakpro_core.processes import cause, start, threads
from leakpro_core.work import Vetting, Work, answer, keep, pack, perform

if TYPE_CHECKING:
    from leakpro_core.protocols import Run


@frozen(kw_only=True)
class LocalOptions:
    """Options of the local executor.

    workers: processes at once; 0 runs every unit in this process.
    threads: threads that numerical libraries may use in each worker.
    """

    workers: int = field(default=1, validator=validators.ge(0))
    threads: int = field(default=1, validator=validators.ge(1))


def slots(options: LocalOptions) -> int:
    """Return how many units run at once."""
    return max(1, options.workers)


def execute(
    works: Sequence[Work], options: LocalOptions, run: "Run | None"
) -> Iterator[tuple[int, object]]:
    """Yield each work's position and result as it is done.

    An exception of a unit is raised here. A worker that dies is ``TrainingFailed``, naming the
    unit. Closing the iterator, an error or Ctrl-C stops all workers.
    """
    if options.workers == 0:
        for position, work in enumerate(works):
            yield position, keep(work, perform(work))
        return
    workers: dict[Connection, SpawnProcess] = {}
    stop = partial(_stop, workers)
    # Before multiprocessing's own exit handler, which would wait for idle workers for ever.
    atexit.register(stop)
    try:
        for _ in range(_fitting(works, options.workers, run)):
            connection, process = start(
                _serve, environment=threads(options.threads), name="leakpro-worker"
            )
            workers[connection] = process
        yield from _share_out(works, workers)
    finally:
        atexit.unregister(stop)
        stop()


def _fitting(works: Sequence[Work], workers: int, run: "Run | None") -> int:
    """Return how many workers to start: no more than have work, and room in memory."""
    wanted = min(workers, len(works))
    unit = max((work.memory for work in works), default=0)
    free = available() if unit else None
    if free is None or wanted * unit <= free:
        return wanted
    fitting = max(1, free // unit)
    if run is not None:
        run.log.warning(
            "fewer workers than asked for, as memory is short",
            workers=fitting,
            asked=workers,
            unit_bytes=unit,
            free_bytes=free,
        )
    return fitting


def _share_out(
    works: Sequence[Work], workers: dict[Connection, SpawnProcess]
) -> Iterator[tuple[int, object]]:
    waiting = iter(range(len(works)))
    busy: dict[Connection, int] = {}

    def give(connection: Connection) -> None:
        position = next(waiting, None)
        if position is not None:
            busy[connection] = position
            # The worker closes its end when it dies; ``_receive`` then says so.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                _send(connection, works[position])

    for connection in workers:
        give(connection)
    while busy:
        for ready in wait(list(busy)):
            assert isinstance(ready, Connection)
            position = busy.pop(ready)
            unit = f"unit {position + 1} of {len(works)} ({works[position].ref})"
            result = _receive(ready, workers[ready], unit)
            give(ready)
            yield position, result


def _send(connection: Connection, work: Work) -> None:
    # The arguments stay bytes until the worker has verified the plugins whose classes they are.
    connection.send((work.vetting, pack(work)))


def _receive(connection: Connection, process: SpawnProcess, unit: str) -> object:
    try:
        done, result = connection.recv()
    except (EOFError, OSError):
        process.join(timeout=5)
        raise TrainingFailed(
            unit,
            found=f"its worker process died ({cause(process.exitcode)})",
            fix="Out of memory is the usual cause: set fewer workers in [execution], "
            "or train smaller models."
            if process.exitcode == -signal.SIGKILL
            else "See what its code prints, with workers = 0 in [execution].",
        ) from None
    if done:
        return result
    raise result


def _stop(workers: dict[Connection, SpawnProcess]) -> None:
    for process in workers.values():
        process.terminate()
    for connection, process in workers.items():
        process.join()
        connection.close()
    workers.clear()


def _serve(connection: Connection) -> None:
    """Do what comes through ``connection`` until the other side closes it."""
    while True:
        connection.send_bytes(_answer(*connection.recv()))


def _answer(vetting: Vetting | None, payload: bytes) -> bytes:
    try:
        return pickle.dumps(answer(vetting, payload))
    except Exception as error:  # what was returned cannot travel
        return pickle.dumps((False, error))
