"""Units of work: a reference and its arguments by value or path, so that they run anywhere."""

import pickle
import traceback
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from leakpro_core.errors import LeakProError
from leakpro_core.references import resolve

if TYPE_CHECKING:
    from leakpro_core.arrays import AnyArray


@frozen(kw_only=True)
class Work:
    """One unit: ``ref`` is called with ``arguments``. Both sides of a process border see the same.

    data: npy files, given to the function behind its arguments as read-only arrays. Units share
    them: an executor takes each to a machine once.
    results: a folder of the caller's where the arrays that the function returns by name are saved,
    by ``keep``; their files' names take their place. Only the caller's machine has that folder.
    memory: bytes that the unit takes at its peak beside its data, 0 where that is not known.
    vetting: what a worker needs to verify plugins again before it imports them.
    """

    ref: str
    arguments: tuple[Any, ...] = field(repr=False)
    data: tuple[Path, ...] = field(default=(), repr=False)
    results: Path | None = field(default=None, repr=False)
    memory: int = 0
    vetting: "Vetting | None" = None


@frozen(kw_only=True)
class Vetting:
    """How a worker verifies plugins again; made by ``leakpro_core.vetting.for_workers``.

    mode: off, warn or enforce; registries: files, each with the SHA-256 (hex) of its bytes;
    path: where distributions are looked for, None: on the worker's own ``sys.path``;
    today: the day that approvals must hold on; needed: distributions that must be verified;
    bytecode: a private folder for byte-code, None where byte-code is not kept apart.
    """

    mode: str
    registries: tuple[tuple[Path, str], ...]
    path: tuple[str, ...] | None
    today: date
    needed: tuple[str, ...] = ()
    bytecode: Path | None = None


def perform(work: Work, data: "Sequence[AnyArray] | None" = None) -> object:
    """Resolve the reference and call it. Another process enters ``work.vetting`` beforehand.

    data: the arrays of ``work.data`` where the executor brought them; else they are read here.
    """
    if data is None and work.data:
        import numpy as np

        data = [np.load(path, mmap_mode="r", allow_pickle=False) for path in work.data]
    return resolve(work.ref)(*work.arguments, *(data or ()))


def keep(work: Work, result: object) -> object:
    """Save the arrays of a result where ``work.results`` says; run where that folder is."""
    if work.results is None:
        return result
    from leakpro_core.files import save_array

    assert isinstance(result, Mapping)
    return {name: save_array(work.results, values) for name, values in result.items()}


def pack(work: Work) -> bytes:
    """Return a unit as bytes: its classes may be a plugin's, and are imported after vetting."""
    return pickle.dumps(work)


def answer(
    vetting: Vetting | None,
    payload: bytes,
    data: "Sequence[AnyArray] | None" = None,
    *,
    kept: bool = True,
) -> tuple[bool, object]:
    """Do a packed unit in a worker process: verify, unpack, perform.

    Returns (True, result), or (False, an exception that can travel). kept: whether the arrays of
    the result are saved here; else the caller does it.
    """
    try:
        if vetting is not None:
            from leakpro_core.vetting import enter_worker

            enter_worker(vetting)
        work: Work = pickle.loads(payload)  # noqa: S301 - from the parent
        result = perform(work, data)
        return True, keep(work, result) if kept else result
    except Exception as error:
        return False, portable(error)


def portable(error: Exception) -> Exception:
    """Return an exception that survives the way to the parent, its traceback as a note."""
    if not isinstance(error, LeakProError):
        error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    return error
