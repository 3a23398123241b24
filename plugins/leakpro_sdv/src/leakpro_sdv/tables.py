"""Loader "table": a released table, or a generator that core fits, and the people behind it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import Attribute, field, frozen, validators

from leakpro_core.errors import BadArray
from leakpro_core.files import sha256
from leakpro_core.protocols import Run
from leakpro_core.records import Release, TableRelease, Target
from leakpro_core.tables import read_table
from leakpro_core.tabular.entities import joined
from leakpro_core.tabular.infer import tables
from leakpro_core.tabular.table import Kind, Table
from leakpro_core.wording import show


def _is_table(instance: object, attribute: "Attribute[Any]", value: Any) -> None:
    paths = value if isinstance(value, tuple) else (value,)
    for path in paths:
        if isinstance(path, Path) and path.suffix.lower() not in (".csv", ".parquet"):
            raise ValueError("a csv or parquet file")


@frozen(kw_only=True)
class Children:
    """Linked tables: rows of which several may belong to one row of the ``[target]`` table.

    synthetic, original, control, auxiliary, again: the children of the table of the same name
    there, one row a child, with its parent's key.

    What is attacked are the children's rows with the columns of their parents beside them (see
    ``leakpro_core.tabular.entities.joined``), counted by parent. One table of children: audit
    several one after the other.

    key: the column of both that links them.
    """

    synthetic: Path | None = field(default=None, validator=_is_table)
    original: Path = field(validator=_is_table)
    control: Path = field(validator=_is_table)
    auxiliary: Path | None = field(default=None, validator=_is_table)
    again: tuple[Path, ...] = field(default=(), validator=_is_table)
    key: str


@frozen(kw_only=True)
class TableOptions:
    """The ``[target]`` table with ``loader = "table"``. Files are csv (with a header) or parquet.

    synthetic: the released rows. Left out where core fits the generators by ``[shadows]``.
    original: the rows of the people that it was made from.
    control: rows of people of the same source that it was not made from.
    auxiliary: rows of yet other people that the adversary may know; left out, core sets a share of
    the control people aside.
    subject: column that says whose row it is; a person each row where left out.
    columns: kinds of columns, where they are not to be inferred.
    ignore: columns that are left out.
    again: further releases by the same generator, as many rows each.
    targets: how many generators core fits on the original rows; the first is audited, the others
    show how much that depends on the seed.
    rows: how many rows each of them releases; as many as the original has where left out.
    children: linked tables; their key says whose row it is.
    """

    synthetic: Path | None = field(default=None, validator=_is_table)
    original: Path = field(validator=_is_table)
    control: Path = field(validator=_is_table)
    auxiliary: Path | None = field(default=None, validator=_is_table)
    subject: str | None = None
    columns: Mapping[str, Kind] = field(factory=dict)
    ignore: tuple[str, ...] = ()
    again: tuple[Path, ...] = field(default=(), validator=_is_table)
    targets: int = field(default=0, validator=validators.ge(0))
    rows: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    children: Children | None = None

    def __attrs_post_init__(self) -> None:
        if (self.synthetic is None) is (self.targets == 0):
            raise ValueError(
                "either synthetic, the released rows, or targets, how many generators core fits"
            )
        if self.synthetic is not None and self.rows is not None:
            raise ValueError("rows beside targets only: synthetic has its own")
        if self.synthetic is None and self.again:
            raise ValueError("again beside synthetic only: core fits targets anew")
        people = [self.original, self.control, self.auxiliary]
        if len({path for path in people if path is not None}) < 3 - people.count(None):
            raise ValueError("original, control and auxiliary in files of their own")
        releases = [path for path in (self.synthetic, *self.again) if path is not None]
        if len(set(releases)) < len(releases):
            raise ValueError("synthetic and again in files of their own")
        if self.control in releases or self.auxiliary in releases:
            raise ValueError("control and auxiliary in other files than what is released")
        if self.children is not None:
            _check_children(self, self.children)


def _check_children(parents: TableOptions, children: Children) -> None:
    if parents.subject is not None:
        raise ValueError("no subject beside children: their key says whose row it is")
    for key in ("synthetic", "auxiliary"):
        if (getattr(parents, key) is None) is not (getattr(children, key) is None):
            raise ValueError(f"{key} in [target] and in its children, or in neither")
    if len(parents.again) != len(children.again):
        raise ValueError("as many files in again as in the again of children")


def load(options: TableOptions, run: Run) -> Release:
    """Return the release; the target's identity is the SHA-256 of the released file.

    Of linked tables it is that of both files' hashes. Raises MissingFile, UnsafeFile,
    DuplicateName, UnknownName, BadValue, BadArray or BadRecord, which name table and column.
    """
    raw = {role: read_table(path) for role, path in _files(options).items()}
    subject = options.subject
    if options.children is not None:
        subject = options.children.key
        for role, path in _files(options.children).items():
            child = read_table(path)
            raw[role] = joined(raw[role], child, subject, role=role)
    made = tables(raw, schema=options.columns, subject=subject, ignore=options.ignore)
    synthetic = made.get("synthetic")
    again = tuple(table for role, table in made.items() if role.startswith("again"))
    for number, table in enumerate(again, start=1):
        # Linked tables of as many parents have more children by chance.
        if synthetic is not None and len(table) != len(synthetic) and options.children is None:
            raise BadArray(
                f"[target] again, file {number}",
                found=f"{len(table)} rows",
                expected=f"as many as synthetic has, {len(synthetic)}",
            )
    release = TableRelease(
        synthetic=synthetic,
        original=made["original"],
        control=made["control"],
        auxiliary=made.get("auxiliary"),
        again=again,
        rows=options.rows,
    )
    columns = release.original.columns
    return Release(
        target=None if synthetic is None else _target(options, len(synthetic), len(columns)),
        targets=options.targets,
        tables=release,
        notes=_notes(release.original, release.synthetic),
    )


def _files(options: TableOptions | Children) -> dict[str, Path]:
    """Return the files by role, the original's first: its columns are what others must have."""
    files = {"original": options.original, "control": options.control}
    if options.auxiliary is not None:
        files["auxiliary"] = options.auxiliary
    if options.synthetic is not None:
        files["synthetic"] = options.synthetic
    return files | {f"again {i}": path for i, path in enumerate(options.again, start=1)}


def _target(options: TableOptions, rows: int, columns: int) -> Target:
    released = [options.synthetic, None if options.children is None else options.children.synthetic]
    files = [path for path in released if path is not None]
    digests = [sha256(path) for path in files]
    both = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    named = " with ".join(path.name for path in files)
    return Target(
        kind="table",
        identity=digests[0] if len(digests) == 1 else both,
        handle=None,
        description=f"{rows} synthetic rows, {columns} columns ({named})",
    )


def _notes(original: Table, synthetic: Table | None) -> tuple[str, ...]:
    said = {
        Kind.IDENTIFIER: "names rows or people and is not attacked",
        Kind.TEXT: "is free text: it is compared as a whole, and not guessed",
    }
    notes = [f"Column {show(c.name)} {said[c.kind]}." for c in original.columns if c.kind in said]
    for c, real, made in zip(
        original.columns,
        original.values,
        () if synthetic is None else synthetic.values,
        strict=synthetic is not None,
    ):
        if c.kind is Kind.CATEGORICAL and not np.isin(made[made >= 0], real).any():
            notes.append(
                f"Column {show(c.name)} has no value in common in original and synthetic: "
                "as it stands it tells an adversary nothing."
            )
    return tuple(notes)
