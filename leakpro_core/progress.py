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
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("loading", total=None, pace="")

        def tell(event: Mapping[str, object]) -> None:
            match event:
                case {"event": "training", "models": int(models), "known": int(known)}:
                    bars.update(task, description="training", total=models, completed=known)
                case {"event": "trained", "models": int(models)}:
                    bars.update(task, completed=models, pace=_pace(event))
                case {"attack": attack, "number": int(n), "of": int(of)}:
                    bars.update(
                        task, description=f"attack {attack}", total=of, completed=n, pace=""
                    )
                case _:
                    bars.update(task, description=str(event.get("event")))

        yield tell


def _pace(event: Mapping[str, object]) -> str:
    """Return how fast models come and how long the rest may take."""
    match event:
        case {"models_per_minute": float(rate), "seconds_left": float(left)}:
            return f"{rate:.3g} models/min, {duration(left)} left"
    return ""


def duration(seconds: float) -> str:
    """Return a time in words that a person would use: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
