"""Units of work: a reference and its arguments by value or path, so that they run anywhere."""

from datetime import date
from pathlib import Path
from typing import Any

from attrs import field, frozen

from leakpro_core.references import resolve


@frozen(kw_only=True)
class Work:
    """One unit: ``ref`` is called with ``arguments``. Both sides of a process border see the same.

    vetting: what a worker needs to verify plugins again before it imports them.
    """

    ref: str
    arguments: tuple[Any, ...] = field(repr=False)
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


def perform(work: Work) -> object:
    """Resolve the reference and call it. Another process enters ``work.vetting`` beforehand."""
    return resolve(work.ref)(*work.arguments)
