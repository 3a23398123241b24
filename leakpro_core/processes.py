"""Fresh interpreters beside this one, for executors.

Such a process knows its number of threads before it imports numpy, does not import the caller's
``__main__`` (a user's script without a guard would start the audit again), and leaves Ctrl-C to
the caller.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import ModuleType

from leakpro_core.references import resolve
from leakpro_core.work import Vetting, portable

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def threads(number: int) -> dict[str, str]:
    """Return the environment by which numerical libraries learn how many threads they may use."""
    return dict.fromkeys(_THREADS, str(number))


def start(
    serve: Callable[..., None], *arguments: object, environment: Mapping[str, str], name: str
) -> tuple[Connection, SpawnProcess]:
    """Start a process that calls ``serve(connection, *arguments)``; return this end, and it.

    serve: a function of core's: nothing else may be imported before plugins are verified there.
    environment: variables set before anything heavy is imported. The process ends when ``serve``
    does, or when it finds that this end of the connection is closed.
    """
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_begin, args=(there, serve, dict(environment), arguments), name=name
    )
    with _no_main(), _interrupts_wait():
        process.start()
    there.close()
    return here, process


def verified(connection: Connection, vetting: Vetting | None, ref: str) -> None:
    """Verify plugins again, then call what ``ref`` names with the connection; for ``start``.

    An exception is sent to the other end as ``("failed", exception)``.
    """
    try:
        if vetting is not None:
            from leakpro_core.vetting import enter_worker

            enter_worker(vetting)
        resolve(ref)(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise  # nobody is there to be told
    except Exception as error:
        connection.send(("failed", portable(error)))


def cause(exitcode: int | None) -> str:
    """Return in words how a process ended."""
    if exitcode is not None and exitcode < 0:
        return signal.Signals(-exitcode).name
    return f"exit code {exitcode}"


def _begin(
    connection: Connection,
    serve: Callable[..., None],
    environment: Mapping[str, str],
    arguments: tuple[object, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    with contextlib.suppress(EOFError, OSError):
        serve(connection, *arguments)


def _end_with_parent() -> None:
    """End this process when its parent has ended, killed even: nobody waits for its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # who has processes of its own ends them
        time.sleep(10)
        os._exit(1)


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C wait while a process is started, which inherits that until it ignores it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Show spawn an empty ``__main__``, so that the new process does not run the user's."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
