"""Units of work: a reference and its arguments by value or path, so that they run anywhere."""

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
    """How a worker rebuilds the same plugin set.

    registry: path of the registry file or None; sha256: what its bytes must hash to;
    mode: off, warn or enforce; needed: distributions that this work imports.
    """

    registry: Path | None
    sha256: str
    mode: str
    needed: tuple[str, ...] = ()


def perform(work: Work) -> object:
    """Resolve the reference and call it. Another process enters ``work.vetting`` beforehand."""
    return resolve(work.ref)(*work.arguments)
