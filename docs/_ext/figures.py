"""Figures of bench/results/*.json as Markdown; no figure is written by hand."""

import json
from collections.abc import Mapping
from pathlib import Path

from records import table

RESULTS = Path(__file__).parents[2] / "bench" / "results"


def page(*, speed: bool) -> str:
    """Return the figures of every script: those about speed and memory, or all others."""
    parts = []
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem.startswith(("speed", "bench", "cost")) == speed:
            content = json.loads(path.read_text(encoding="utf-8"))
            parts += [f"## {_words(path.stem)}", *_figures(content["figures"], 3)]
            parts.append(f"Measured: {', '.join(f'`{name}`' for name in content['code'])}.")
    return "\n\n".join(parts or ["None has been measured yet."]) + "\n"


MOST_ROWS = 100
"""Of a table; longer ones are for machines."""


def _figures(figures: object, level: int) -> list[str]:
    if isinstance(figures, list) and figures and isinstance(figures[0], Mapping):
        return [_rows(figures)] if len(figures) <= MOST_ROWS else [f"{len(figures)} rows."]
    if not isinstance(figures, Mapping):
        return [_value(figures)]
    plain = {k: v for k, v in figures.items() if not _nested(v)}
    nested = {k: v for k, v in figures.items() if _nested(v)}
    parts = [table(("figure", "value"), [(_words(k), _value(v)) for k, v in plain.items()])]
    if not plain:
        parts = []
    if nested and all(_flat_row(v) for v in nested.values()):
        return [*parts, _rows([{"": _words(k), **v} for k, v in nested.items()])]
    for key, value in nested.items():
        parts += [f"{'#' * level} {_words(key)}", *_figures(value, level + 1)]
    return parts


def _rows(rows: list[Mapping[str, object]]) -> str:
    header = tuple(dict.fromkeys(key for row in rows for key in row))
    cells = [tuple(_value(row.get(key, "")) for key in header) for row in rows]
    return table(tuple(map(_words, header)), cells)


def _nested(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, Mapping) for item in value)
    return isinstance(value, Mapping)


def _flat_row(value: object) -> bool:
    return isinstance(value, Mapping) and not any(map(_nested, value.values()))


def _words(key: str) -> str:
    return str(key).replace("_", " ")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:.4g}"
        # A correlation of .99998 is not 1.
        return short if float(short) != round(value) or value == round(value) else f"{value:.8g}"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(value)
