"""attrs classes as Markdown: keys, types, defaults, limits and what the docstring says."""

import inspect
import re
from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs

_MODULE = re.compile(r"\b(?:\w+\.)+(\w+)")
_LITERAL = re.compile(r"Literal\[[^\]]*\]")
_ARRAY = re.compile(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]")


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)


def explained(docstring: str | None, names: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
    """Return a docstring's prose as Markdown, and what it says of each name.

    ``a, b: text`` explains both, at the start of a line or after a full stop or semicolon; it
    ends at the next one or with the paragraph.
    """
    name = "|".join(map(re.escape, names)) or r"(?!)"
    item = re.compile(rf"(?:^|(?<=[;.]\s)|(?<=\n))((?:{name})(?:, (?:{name}))*): ")
    prose: list[str] = []
    items: dict[str, str] = {}
    for paragraph in inspect.cleandoc(docstring or "").replace("``", "`").split("\n\n"):
        before, *rest = item.split(paragraph)
        if before:
            prose.append(before.strip())
        for found, text in zip(rest[::2], rest[1::2], strict=True):
            items |= dict.fromkeys(found.split(", "), " ".join(text.split()).rstrip(";."))
    return "\n\n".join(prose), items


def described(kind: type) -> str:
    """Return an attrs class: its prose around a table of its fields with all that is known."""
    fields = tuple(a.name for a in attrs.fields(kind))
    text = explained(kind.__doc__, fields)[0]
    items: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        items |= explained(base.__doc__, fields)[1] if attrs.has(base) else {}
    rows: list[tuple[str, ...]] = [
        (
            f"`{a.name}`",
            f"`{type_text(a.type)}`",
            default_text(a.default),
            choices(a.type) or limits(a.validator),
            items.get(a.name, ""),
        )
        for a in attrs.fields(kind)
    ]
    header = ("key", "type", "default", "allowed", "meaning")
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    lines = [tuple(row[i] for i in kept) for row in (header, *rows)]
    lead, _, rest = text.partition("\n\n")
    parts = [lead, table(lines[0], lines[1:]) if rows else "", rest]
    return "\n\n".join(part for part in parts if part)


def type_text(kind: Any) -> str:
    """Return a type as a reader writes it: no module names."""
    values = _values(kind)
    if values:
        return "str" if isinstance(values[0], str) else type(values[0]).__name__
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    text = _ARRAY.sub(r"array of \1", _MODULE.sub(r"\1", text))
    return _LITERAL.sub("str", text.replace("array of Any", "array"))


def choices(kind: Any) -> str:
    """Return the values of a Literal or an enumeration; nothing for other types."""
    if get_origin(kind) in (tuple, frozenset):
        inner = choices(get_args(kind)[0])
        return f"each of {inner}" if inner else ""
    return ", ".join(f"`{_toml(value)}`" for value in _values(kind))


def _values(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else ()


def default_text(default: Any) -> str:
    """Return a default as TOML would have it; ``needed`` where there is none."""
    if default is attrs.NOTHING:
        return "*needed*"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        if default.takes_self:
            return "as another key says"
        default = default.factory()
    return "none" if default is None else f"`{_toml(default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, tuple | list | frozenset):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if attrs.has(type(value)):
        values = attrs.asdict(value, recurse=False)
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in values.items()) + " }"
    return repr(value)


def limits(validator: Any) -> str:
    """Return what attrs validators allow, in words."""
    if validator is None:
        return ""
    kind = type(validator).__name__
    if kind == "_InValidator":
        return ", ".join(f"`{_toml(option)}`" for option in validator.options)
    if kind == "_NumberValidator":
        return f"{validator.compare_op} {validator.bound}"
    if kind == "_AndValidator":
        return " and ".join(filter(None, map(limits, validator._validators)))
    if kind == "_OptionalValidator":
        return limits(validator.validator)
    if kind == "_DeepIterable":
        inner = limits(validator.member_validator)
        return f"each of {inner}" if inner else ""
    return ""
