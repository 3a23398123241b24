"""A plan as far as it can be read without plugins: ``audit.toml`` -> Draft."""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import field, frozen, validators

from leakpro_core.errors import (
    BadValue,
    DuplicateName,
    MissingFile,
    MissingKey,
    PlanSyntaxError,
    WrongType,
)
from leakpro_core.options import build
from leakpro_core.plan import Adversary, Controls, DataPlan, Games, Policy
from leakpro_core.wording import show, show_kind

Table = Mapping[str, object]

TABLES = (
    "target",
    "data",
    "adversary",
    "shadows",
    "execution",
    "attacks",
    "policy",
    "controls",
    "games",
    "report",
)


@frozen(kw_only=True)
class Draft:
    """A plan of which all is read that needs no plugin; its other tables are kept as they stand.

    registry: the plan's own registry file; sha256: of the plan's bytes; adversaries: None where
    the plan describes none; mandatory: whether the plan's policy says which families are.
    """

    path: Path
    sha256: str
    name: str
    seed: int
    registry: Path | None
    data: DataPlan
    adversaries: tuple[Adversary, ...] | None
    policy: Policy
    mandatory: bool
    controls: Controls
    games: Games
    target: Table = field(repr=False)
    shadows: Table | None = field(repr=False)
    execution: Table = field(repr=False)
    attacks: tuple[Table, ...] | None = field(repr=False)
    report: Table = field(repr=False)


@frozen(kw_only=True)
class _Top:
    """Keys before the first table.

    schema: version of the plan's format.
    name: what the report calls the audit; the file's name unless given.
    seed: the root of all randomness.
    registry: which plugins may run, see vetting; ``--registry`` comes first.
    """

    schema: Literal[1]
    name: str | None = field(default=None, validator=validators.optional(validators.min_len(1)))
    seed: int = field(default=0, validator=validators.ge(0))
    registry: Path | None = None


def read(path: Path) -> Draft:
    """Return the plan's draft.

    Raises MissingFile, PlanSyntaxError (with line and column) and whatever ``options.build`` does.
    """
    path = path.absolute()
    content = _content(path)
    tables, folder = _toml(content, path), path.parent
    top = {key: value for key, value in tables.items() if key not in TABLES}
    head = build(_Top, top, at="", folder=folder, also=TABLES)
    if "target" not in tables:
        raise MissingKey("[target]", found="nothing", expected='a table with loader = "..."')
    cards = _array_of_tables(tables, "adversary")
    return Draft(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        name=head.name or path.stem,
        seed=head.seed,
        registry=head.registry,
        data=_data(_table(tables, "data"), folder),
        adversaries=None if cards is None else _adversaries(cards, folder),
        policy=build(Policy, _table(tables, "policy"), at="[policy]", folder=folder),
        mandatory="mandatory" in _table(tables, "policy"),
        controls=build(Controls, _table(tables, "controls"), at="[controls]", folder=folder),
        games=build(Games, _table(tables, "games"), at="[games]", folder=folder),
        target=_table(tables, "target"),
        shadows=_table(tables, "shadows") if "shadows" in tables else None,
        execution=_table(tables, "execution"),
        attacks=_array_of_tables(tables, "attacks"),
        report=_table(tables, "report"),
    )


# The file.


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        found = "no such file"
    except IsADirectoryError:
        found = "a folder"
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
    raise MissingFile(f"plan {show(path)}", found=found, expected="a readable TOML file")


def _toml(content: bytes, path: Path) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(content[: error.start].decode(errors="replace"))
        found = f"a byte that is not UTF-8 at line {line}, column {column}"
        raise PlanSyntaxError(
            f"plan {show(path.name)}", found=found, fix="Save the file as UTF-8."
        ) from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()).removesuffix(" (at end of document)")
        if isinstance(error, RecursionError):
            reason = "Nested too deeply"
        if "(at line " not in reason:
            line, column = _position(text)
            reason = f"{reason} (at line {line}, column {column})"
        raise PlanSyntaxError(f"plan {show(path.name)} is not TOML: {reason}") from None


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _table(tables: Table, name: str) -> Table:
    value = tables.get(name, {})
    if not isinstance(value, Mapping):
        expected = f"a table, [{name}]"
        raise WrongType(name, found=show_kind(value), expected=expected)
    return value


def _array_of_tables(tables: Table, name: str) -> tuple[Table, ...] | None:
    if name not in tables:
        return None
    value = tables[name]
    if not isinstance(value, list):
        expected = f"[[{name}]], a table in double brackets each"
        raise WrongType(name, found=show_kind(value), expected=expected)
    for number, item in enumerate(value, start=1):
        if not isinstance(item, Mapping):
            raise WrongType(f"[[{name}]] {number}", found=show_kind(item), expected="a table")
    if not value:
        raise BadValue(
            name, found="an empty list", expected="at least one", fix="Or leave the key out."
        )
    return tuple(value)


# Tables that need no plugin.


def _data(table: Table, folder: Path) -> DataPlan:
    data = build(DataPlan, table, at="[data]", folder=folder)

    def absolute(name: str) -> str:
        return str(folder / name) if name.endswith(".npy") else name

    return attrs.evolve(
        data,
        records=absolute(data.records),
        labels=absolute(data.labels),
        members=None if data.members is None else absolute(data.members),
        subjects=None if data.subjects is None else absolute(data.subjects),
    )


def _adversaries(tables: tuple[Table, ...], folder: Path) -> tuple[Adversary, ...]:
    cards: list[Adversary] = []
    for number, table in enumerate(tables, start=1):
        at = f"[[adversary]] {number}"
        if isinstance(name := table.get("name"), str):
            at += f" ({name})" if name.isprintable() and len(name) <= 64 else ""
        cards.append(build(Adversary, table, at=at, folder=folder))
    unique("adversary", "name", [card.name for card in cards])
    return tuple(cards)


def unique(table: str, key: str, names: list[str]) -> None:
    """Raise DuplicateName where two tables of an array of tables have one name."""
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        # They name files, and some file systems do not tell a from A.
        first = seen.setdefault(name.casefold(), number)
        if first != number:
            raise DuplicateName(
                f"[[{table}]] {number} {key}",
                found=f"{show(name)}, which is that of [[{table}]] {first} too",
                expected=f"a {key} of its own",
                fix=f'Give one of them another {key} = "...".',
            )
