"""How a value of the plan is shown in an error: as it would stand in TOML, short, on one line."""

import json
import re
import types
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from leakpro_core.references import ImportPath

_LONGEST = 60
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (datetime, "date and time"),
    (date, "date"),
    (time, "time"),
)


def show(value: object) -> str:
    """Return the value; a table or list that is long or nested is only called one."""
    if isinstance(value, Mapping):
        if not _flat(value.values()):
            return "a table"
        return f"{{ {', '.join(f'{show_key(str(k))} = {show(v)}' for k, v in value.items())} }}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(map(show, value))}]" if _flat(value) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        # Python refuses to print very long integers, which TOML may write in hexadecimal.
        return str(value) if abs(value) < 2**64 else "an integer of more than 64 bits"
    if isinstance(value, str | Path):
        text = str(value)
        if isinstance(value, str) and len(text) > _LONGEST:
            text = text[: _LONGEST - 3] + "..."
        return json.dumps(text, ensure_ascii=not text.isprintable())
    return str(value)


def printable(line: str) -> str:
    """Return a line with control characters escaped: names could steer a terminal with them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def show_kind(value: object) -> str:
    """Return the value with its type: ``the string "3"``."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return f"the {name} {show(value)}"
    return "a table" if isinstance(value, Mapping) else "a list"


def show_key(key: str) -> str:
    """Return a key bare where it can be read so, else quoted."""
    return key if re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", key) else show(key)


def show_type(wanted: Any) -> str:
    """Return what a value of the type is called in an error's ``expected``."""
    simple = {
        bool: "true or false",
        int: "an integer",
        float: "a number",
        str: "a string",
        date: "a date",
        Path: "a path, as a string",
        ImportPath: 'an import path, as a string of the form "package.module:callable"',
    }
    if wanted in simple:
        return simple[wanted]
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(show_type(member) for member in inner if member is not type(None))
    if origin in (tuple, frozenset):
        return "a list"
    if origin is Mapping or attrs.has(wanted):
        return "a table"
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        inner = tuple(member.value for member in wanted)
    elif origin is not Literal:
        return str(wanted)
    return ("one of " if len(inner) > 1 else "") + ", ".join(map(show, inner))


def _flat(items: Collection[object]) -> bool:
    nested = (Mapping, list, tuple, set, frozenset)
    return len(items) <= 6 and not any(isinstance(item, nested) for item in items)
