"""Options from a table of the plan: any frozen attrs class, by strict cattrs hooks.

Nothing is coerced but int to float. Every mistake is one error with its path in the plan:
``[shadows] recipe.lr: found the string "fast", expected a number``.

A field of an options class may be a bool, int, float, str, date, Path (relative to the plan's
folder), ImportPath ("module:callable"), Literal, StrEnum or another frozen attrs class, and an
optional or union, ``tuple[X, ...]``, ``frozenset[X]``, ``Mapping[str, X]`` or
``Mapping[float, X]`` of these. Validators say what they expect by raising ValueError.
"""

import math
import re
import types
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import Converter

from leakpro_core.errors import (
    BadValue,
    DuplicateName,
    MissingKey,
    PluginBroken,
    UnknownKey,
    WrongType,
    nearest,
)
from leakpro_core.references import ImportPath
from leakpro_core.validation import Mistake, below, constructed, hint, located
from leakpro_core.wording import show, show_key, show_kind, show_type

T = TypeVar("T")

_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")
_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def build(
    options: type[T],
    table: Mapping[str, object],
    *,
    at: str,
    folder: Path,
    also: Collection[str] = (),
) -> T:
    """Return ``options`` built from a table of the plan.

    at: where the table stands (``[policy]``, ``[[attacks]] 2 (lira)``); folder: the plan's;
    also: keys of the same table that are read elsewhere, known when a key is misspelt.
    Raises UnknownKey, MissingKey, WrongType, BadValue or DuplicateName.
    """
    with located(at):
        built: T = _record(_converter(folder), table, options, also)
    return built


def keys(options: type) -> tuple[str, ...]:
    """Return the keys that a table for ``options`` may have."""
    return tuple(f.alias for f in attrs.fields(options) if f.init)


# Hooks: (value, wanted type) -> value, or a Mistake.


def _converter(folder: Path) -> Converter:
    converter = Converter()

    # The last predicate that holds wins, so the refusal of every other type comes first.
    converter.register_structure_hook_func(lambda _: True, _unsupported)
    converter.register_structure_hook_func(attrs.has, partial(_record, converter))
    for origins, hook in (
        ((Literal,), _literal),
        ((Union, types.UnionType), partial(_union, converter)),
        ((tuple,), partial(_tuple, converter)),
        ((frozenset,), partial(_frozenset, converter)),
        ((Mapping,), partial(_mapping, converter)),
    ):
        converter.register_structure_hook_func(partial(_is_a, origins), hook)
    converter.register_structure_hook(bytes, _unsupported)  # cattrs would call bytes(value)
    for exact in (bool, str, date):
        converter.register_structure_hook(exact, _exact)
    converter.register_structure_hook(int, _int)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(StrEnum, _enum)
    converter.register_structure_hook(Path, partial(_path, folder))
    converter.register_structure_hook(ImportPath, partial(_import_path, folder))
    return converter


def _is_a(origins: tuple[Any, ...], wanted: Any) -> bool:
    return get_origin(wanted) in origins


def _wrong(value: object, wanted: Any) -> Mistake:
    return Mistake(
        WrongType,
        found=show_kind(value),
        expected=show_type(wanted),
        fix="Write it without quotes." if _is_quoted(value, wanted) else "",
    )


def _is_quoted(value: object, wanted: Any) -> bool:
    if not isinstance(value, str):
        return False
    if wanted is bool:
        return value in ("true", "false")
    return wanted in (int, float) and _NUMBER.fullmatch(value) is not None


def _exact(value: object, wanted: type) -> object:
    if type(value) is not wanted:
        raise _wrong(value, wanted)
    return value


def _int(value: object, _: Any) -> int:
    if type(value) is not int:
        raise _wrong(value, int)
    if not -(2**63) <= value < 2**63:
        raise Mistake(BadValue, found=show(value), expected="an integer of at most 64 bits")
    return value


def _float(value: object, _: Any) -> float:
    if type(value) is not float:
        if type(value) is not int:
            raise _wrong(value, float)
        return float(_int(value, int))
    if not math.isfinite(value):
        raise Mistake(BadValue, found=show(value), expected="a finite number")
    return value


def _enum(value: object, wanted: type[StrEnum]) -> StrEnum:
    return wanted(str(_one_of(value, tuple(member.value for member in wanted), wanted)))


def _literal(value: object, wanted: Any) -> object:
    return _one_of(value, get_args(wanted), wanted)


def _one_of(value: object, choices: tuple[Any, ...], wanted: Any) -> object:
    # true == 1 == 1.0 in Python, so the types are compared too.
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    if type(value) not in {type(choice) for choice in choices}:
        raise _wrong(value, wanted)
    raise Mistake(BadValue, found=show(value), expected=show_type(wanted), fix=hint(value, choices))


def _path(folder: Path, value: object, _: Any) -> Path:
    text = _exact(value, str)
    try:
        if not text:
            raise ValueError
        return (folder / str(text)).resolve()
    except (ValueError, OSError, RuntimeError):  # NUL, unreadable folder, loop of links
        raise Mistake(BadValue, found=show(text), expected=show_type(Path)) from None


def _import_path(folder: Path, value: object, _: Any) -> ImportPath:
    text = str(_exact(value, str))
    if not _IMPORT_PATH.fullmatch(text):
        raise Mistake(BadValue, found=show(text), expected=show_type(ImportPath))
    return ImportPath(text, folder)


def _union(converter: Converter, value: object, wanted: Any) -> object:
    mistakes = []
    for member in get_args(wanted):
        if member is type(None):
            continue
        try:
            return converter.structure(value, member)
        except Mistake as refused:
            mistakes.append(refused)
    # A value of the right type that is refused says more than a list of types.
    for mistake in mistakes:
        if mistake.kind is not WrongType or mistake.path or len(mistakes) == 1:
            raise mistake
    raise _wrong(value, wanted)


def _items(converter: Converter, value: object, wanted: Any) -> list[Any]:
    if type(value) is not list:
        raise _wrong(value, wanted)
    inner, items = get_args(wanted)[0], []
    for number, item in enumerate(value, start=1):
        with below(str(number)):
            items.append(converter.structure(item, inner))
    return items


def _tuple(converter: Converter, value: object, wanted: Any) -> tuple[Any, ...]:
    if get_args(wanted)[1:] != (Ellipsis,):
        _unsupported(value, wanted)
    return tuple(_items(converter, value, wanted))


def _frozenset(converter: Converter, value: object, wanted: Any) -> frozenset[Any]:
    items = _items(converter, value, wanted)
    for number, item in enumerate(items):
        if item in items[:number]:
            raise Mistake(DuplicateName, found=f"{show(item)} twice", expected="each value once")
    return frozenset(items)


def _mapping(converter: Converter, value: object, wanted: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(value, wanted)
    key_type, inner = get_args(wanted)
    if key_type not in (str, float):
        _unsupported(value, wanted)
    result: dict[Any, Any] = {}
    for text, item in _dotted(value) if key_type is float else value.items():
        with below(show_key(text)):
            key = _number_key(text) if key_type is float else text
            if key in result:
                raise Mistake(DuplicateName, found=f"{show(key)} twice", expected="each key once")
            result[key] = converter.structure(item, inner)
    return result


def _dotted(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield pairs, with the bare key 0.01, which TOML reads as {"0": {"01": ...}}, joined again."""
    for key, item in table.items():
        if isinstance(item, Mapping) and key.isdecimal():
            yield from ((f"{key}.{rest}", inner) for rest, inner in item.items())
        else:
            yield key, item


def _number_key(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise Mistake(WrongType, found=f"the key {show(text)}", expected="a number such as 0.01")
    return float(text)


def _record(converter: Converter, value: object, wanted: Any, also: Collection[str] = ()) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(value, wanted)
    known = keys(wanted)
    for key in value:
        if key not in known:
            with below(show_key(key)):
                raise Mistake(UnknownKey, found="an unknown key", fix=nearest(key, [*known, *also]))
    hints, values = get_type_hints(wanted), {}
    for field in attrs.fields(wanted):
        if field.alias in value:
            with below(field.alias):
                values[field.alias] = converter.structure(value[field.alias], hints[field.name])
        elif field.init and field.default is attrs.NOTHING:
            with below(field.alias):
                raise Mistake(MissingKey, found="nothing", expected=show_type(hints[field.name]))
    return constructed(wanted, values)


def _unsupported(value: object, wanted: Any) -> Any:
    raise Mistake(
        PluginBroken,
        found=f"an option of type {show_type(wanted)}",
        expected="one of the types that leakpro_core.options names",
        fix="Tell the plugin's author.",
    )
