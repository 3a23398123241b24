"""Attacks called as core calls them, without an audit."""

import tempfile
from pathlib import Path
from typing import TypeVar

import attrs

from leakpro_core.offers import AttackOffer
from leakpro_core.references import resolve

T = TypeVar("T")


class SilentLog:
    """A log that forgets what it is told."""

    def debug(self, event: str, **values: object) -> None: ...
    def info(self, event: str, **values: object) -> None: ...
    def warning(self, event: str, **values: object) -> None: ...


@attrs.frozen(kw_only=True)
class PlainRun:
    """A run for tests (see ``leakpro_core.protocols.Run``)."""

    seed: int
    scratch: Path
    log: SilentLog = attrs.field(factory=SilentLog)


def ask(
    offer: AttackOffer, challenge: object, wanted: type[T], *, seed: int = 0, options: object = None
) -> T:
    """Return the attack's answer, with its default options unless others are given.

    ``AssertionError`` where it is not of the type that is wanted.
    """
    if options is None and offer.options is not None:
        options = resolve(offer.options)()
    with tempfile.TemporaryDirectory() as scratch:
        result = resolve(offer.ref)(challenge, options, PlainRun(seed=seed, scratch=Path(scratch)))
    assert isinstance(result, wanted), (
        f"{offer.ref} returned {type(result).__name__}, not a {wanted.__name__}"
    )
    return result
