"""Progress of an audit: a line that moves on a terminal, JSON lines elsewhere."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Tell = Callable[[Mapping[str, object]], None]


def discard(stream: IO[str]) -> None:
    """Let what is written to ``stream`` vanish, also what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def progress(console: Console) -> Iterator[Tell]:
    """Yield what takes the events of an audit's log and shows them on ``console``."""
    if not console.is_terminal:

        def say(event: Mapping[str, object]) -> None:
            try:
                console.file.write(json.dumps(dict(event), default=str) + "\n")
                console.file.flush()
            except OSError:
                discard(console.file)  # that nobody reads along is no reason to stop

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        task = bars.add_task("loading", total=None)

        def tell(event: Mapping[str, object]) -> None:
            match event:
                case {"event": "training", "units": int(units), "known": int(known)}:
                    total = units + known
                    bars.update(task, description="training", total=total, completed=known)
                case {"event": "trained", "finished": int(finished)}:
                    bars.update(task, completed=finished)
                case {"event": "attacking", "attack": attack, "number": int(n), "of": int(of)}:
                    bars.update(task, description=f"attack {attack}", total=of, completed=n)
                case _:
                    bars.update(task, description=str(event.get("event")))

        yield tell
