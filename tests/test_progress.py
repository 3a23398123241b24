"""What a user sees while an audit runs."""

import io
import json

from rich.console import Console

from leakpro_core.progress import progress


def shown(events: list[dict[str, object]], *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    with progress(console) as tell:
        for event in events:
            tell(event)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_elsewhere_than_on_a_terminal_each_event_is_a_line_of_json() -> None:
    events = [{"event": "training", "units": 3, "known": 1}, {"event": "attacking [lira]"}]
    assert events == [json.loads(line) for line in shown(events, terminal=False).splitlines()]


def test_a_run_that_goes_on_counts_what_was_finished_before() -> None:
    events: list[dict[str, object]] = [{"event": "training", "units": 3, "known": 1}]
    events += [{"event": "trained", "unit": n, "finished": n} for n in (2, 3, 4)]
    last = shown(events, terminal=True)
    assert "4/4" in last
    assert "4/3" not in last
