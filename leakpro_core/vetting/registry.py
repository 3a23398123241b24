"""``registry.toml``: which builds of which plugins were approved, by whom, until when.

The format is read strictly: an unknown key, a wrong type or a misspelt hook is
``RegistryMalformed``, and nothing is loaded.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from attrs import evolve, field, frozen

from leakpro_core.errors import RegistryMalformed, nearest
from leakpro_core.hookspecs import HOOKS

SYSTEM = Path("/etc/leakpro/registry.toml")

T = TypeVar("T")
_TYPES = {str: "a string", int: "a whole number", date: "a date", dict: "a table", list: "a list"}


class Mode(StrEnum):
    """What happens to a plugin that is not approved."""

    OFF = "off"
    WARN = "warn"
    ENFORCE = "enforce"


@frozen(kw_only=True)
class Approval:
    """One ``[plugin.NAME]`` table.

    entry_points: pairs of name and module, sorted; sha256: one digest per approved build;
    capabilities: declared and shown, not enforced.
    """

    name: str
    version: str
    entry_points: tuple[tuple[str, str], ...]
    hooks: tuple[str, ...]
    sha256: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    approved_by: str = ""
    approved_on: date | None = None
    expires_on: date | None = None


@frozen(kw_only=True)
class Registry:
    """A registry that was read. Without one, the mode is off.

    sha256: of the file's bytes, in hex; floor: the machine's own registry, where that enforces:
    a plugin must then be approved by both.
    """

    mode: Mode = Mode.OFF
    approvals: Mapping[str, Approval] = field(factory=dict)
    path: Path | None = None
    sha256: str = ""
    floor: "Registry | None" = None

    @property
    def layers(self) -> "tuple[Registry, ...]":
        """All registries that must approve a plugin."""
        return (self,) if self.floor is None else (self, self.floor)


def choose(*named: Path | None, system: Path = SYSTEM) -> Registry:
    """Return the first registry that is named, else the machine's, else none (mode off).

    Where the machine's file says enforce, nothing may loosen it: another registry is then
    enforced too, and can only take approvals away.
    """
    path = next((p for p in named if p is not None), None)
    machine = read(system) if _exists(system) else None
    if path is None:
        return machine or Registry()
    registry = read(path)
    if machine is not None and machine.mode is Mode.ENFORCE and machine.sha256 != registry.sha256:
        return evolve(registry, mode=Mode.ENFORCE, floor=machine)
    return registry


def _exists(path: Path) -> bool:
    try:
        path.lstat()  # a link to nowhere, an unmounted share say, must not mean: no registry
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # there, and not for us to see: reading it will fail, and closed
    return True


def read(path: Path) -> Registry:
    """Read a registry; ``RegistryMalformed`` says where it is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RegistryMalformed(
            f"registry {path}",
            found=error.strerror or type(error).__name__,
            expected="a readable file",
            fix="Name another registry with --registry, or ask who keeps this one.",
        ) from None
    return parse(data, path)


def parse(data: bytes, path: Path) -> Registry:
    """Read a registry's bytes; ``path`` is for messages and for workers that read it again."""
    try:
        raw = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise RegistryMalformed(
            f"registry {path}", found=str(error), expected="TOML in UTF-8"
        ) from None
    top = _Table(raw, str(path), ("schema", "mode", "plugin"))
    if top.take("schema", int) != 1:
        raise top.wrong("schema", "1")
    mode = top.take("mode", str)
    if mode not in tuple(Mode):
        raise top.wrong("mode", "off, warn or enforce")
    plugins = top.take("plugin", dict, {})
    return Registry(
        mode=Mode(mode),
        approvals={name: _approval(name, table, path) for name, table in plugins.items()},
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def normalised(name: str) -> str:
    """Return a distribution's name as registries and messages write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _approval(name: str, raw: object, path: Path) -> Approval:
    where = f"{path}: plugin.{name}"
    if name != normalised(name):
        raise RegistryMalformed(where, expected=f"the normalised name {normalised(name)!r}")
    if not isinstance(raw, dict):
        raise RegistryMalformed(where, found=type(raw).__name__, expected="a table")
    table = _Table(raw, where, tuple(a.name for a in Approval.__attrs_attrs__ if a.name != "name"))
    entry_points = table.take("entry_points", dict)
    if not entry_points or not all(isinstance(v, str) for v in entry_points.values()):
        raise table.wrong("entry_points", "at least one name = module")
    for hook in table.strings("hooks"):
        if hook not in HOOKS:
            raise table.wrong("hooks", "hooks of LeakPro", nearest(hook, HOOKS))
    if not all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in table.strings("sha256", ())):
        raise table.wrong("sha256", "SHA-256 digests, 64 lower-case hex digits each")
    return Approval(
        name=name,
        version=table.take("version", str),
        entry_points=tuple(sorted(entry_points.items())),
        hooks=table.strings("hooks"),
        sha256=table.strings("sha256", ()),
        capabilities=table.strings("capabilities", ()),
        approved_by=table.take("approved_by", str, ""),
        approved_on=table.take("approved_on", date, None),
        expires_on=table.take("expires_on", date, None),
    )


_NEEDED: object = object()


class _Table:
    """A TOML table that is read key by key; unknown keys are refused at once."""

    def __init__(self, raw: Mapping[str, object], where: str, known: tuple[str, ...]) -> None:
        self._raw, self._where = raw, where
        for key in raw:
            if key not in known:
                raise RegistryMalformed(f"{where}: unknown key {key!r}", fix=nearest(key, known))

    def take(self, key: str, kind: type[T], default: object = _NEEDED) -> T:
        if key not in self._raw:
            if default is _NEEDED:
                raise RegistryMalformed(f"{self._where}: key {key!r} is missing")
            return default  # type: ignore[return-value]
        value = self._raw[key]
        # bool is an int and datetime a date to isinstance; neither was meant
        if not isinstance(value, kind) or isinstance(value, (bool, datetime)):
            raise self.wrong(key, _TYPES[kind])
        return value

    def strings(self, key: str, default: object = _NEEDED) -> tuple[str, ...]:
        values = tuple(self.take(key, list, default))
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "a list of strings")
        return values

    def wrong(self, key: str, expected: str, fix: str = "") -> RegistryMalformed:
        found = repr(self._raw[key])
        return RegistryMalformed(
            f"{self._where}: {key}",
            found=found if len(found) <= 80 else found[:77] + "...",
            expected=expected,
            fix=fix,
        )


def to_toml(approval: Approval) -> str:
    """Return the ``[plugin.NAME]`` table of an approval."""
    points = ", ".join(f"{_key(name)} = {_text(module)}" for name, module in approval.entry_points)
    lines = [
        f"[plugin.{_key(approval.name)}]",
        f"version = {_text(approval.version)}",
        f"entry_points = {{ {points} }}",
        f"sha256 = {_list(approval.sha256)}",
        f"hooks = {_list(approval.hooks)}",
        f"capabilities = {_list(approval.capabilities)}",
        f"approved_by = {_text(approval.approved_by)}",
    ]
    for key in ("approved_on", "expires_on"):
        day = getattr(approval, key)
        if day is not None:
            lines.append(f"{key} = {day.isoformat()}")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _list(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"


def _text(value: str) -> str:
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
    return f'"{"".join(plain)}"'
