"""The log of a run: JSON lines in the run folder, and events for whoever shows progress."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from leakpro_core.errors import CannotWrite
from leakpro_core.protocols import Log


@contextmanager
def journal(
    path: Path, progress: Callable[[Mapping[str, object]], None] | None = None
) -> Iterator[Log]:
    """Yield a log that appends to ``path`` and hands each event to ``progress``."""

    def tell(
        logger: object, name: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if progress is not None:
            progress(event)
        return event

    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"file {path}", found=error.strerror or str(error)) from error
    with file:
        yield structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.processors.add_log_level,
                tell,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
