"""What a user sees while an audit runs."""

import io
import json

import pytest
from rich.console import Console

from leakpro_core.progress import duration, progress


def shown(events: list[dict[str, object]], *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    with progress(console) as tell:
        for event in events:
            tell(event)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_elsewhere_than_on_a_terminal_each_event_is_a_line_of_json() -> None:
    events = [
        {"event": "training", "models": 12, "known": 4, "units": 3},
        {"event": "attacking [lira]"},
    ]
    assert events == [json.loads(line) for line in shown(events, terminal=False).splitlines()]


def test_a_run_that_goes_on_counts_the_models_that_were_finished_before() -> None:
    events: list[dict[str, object]] = [
        {"event": "training", "models": 12, "known": 4, "units": 3},
        {"event": "trained", "models": 8, "models_per_minute": 90.0, "seconds_left": 2.7},
        {"event": "trained", "models": 12, "models_per_minute": 90.0, "seconds_left": 0.0},
    ]
    last = shown(events, terminal=True)
    assert "12/12" in last
    assert "12/3" not in last


def test_rate_and_time_left_are_shown() -> None:
    event = {"event": "trained", "models": 8, "models_per_minute": 90.0, "seconds_left": 150.0}
    assert "90 models/min, 2 min left" in shown([event], terminal=True)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_times_are_as_a_person_would_say_them(seconds: float, words: str) -> None:
    assert words == duration(seconds)
