"""Tables of one schema from the tables of an audit, as files hold them."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pyarrow as pa

from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.errors import BadArray, BadRecord, BadValue, DuplicateName, UnknownName, nearest
from leakpro_core.tabular import harmonise
from leakpro_core.tabular.table import Kind, Table
from leakpro_core.wording import show, show_key

_LISTED = 12
_UNNAMED = ("", "Unnamed: 0", "__index_level_0__")

PEOPLE = ("original", "control", "auxiliary")
"""Roles of tables of real people, who are numbered together; other roles are released rows."""


def tables(
    raw: Mapping[str, pa.Table],
    *,
    schema: Mapping[str, Kind] | None = None,
    subject: str | None = None,
    ignore: Collection[str] = (),
) -> dict[str, Table]:
    """Return the tables by role, all of the same columns in the order of the original's.

    raw: by role; "original" and "control" must be there, "auxiliary" and released ones may.
    schema: kinds that are stated, by column; the others are inferred over all tables together.
    subject: column that says whose row it is, which is not attacked; released tables need not have
    it. People of original, control and auxiliary are numbered together, those of a released table
    on their own. Where it is None each row is of a person of its own.
    ignore: columns that are dropped, wherever they are.

    Raises DuplicateName, UnknownName (a column that is not there), BadArray or BadRecord; each
    names the column, the role and, where it is one, the row (from 0).
    """
    stated = {} if schema is None else schema
    for role, table in raw.items():
        _check_table(role, table)
    if subject is not None:
        _check_subject(raw, subject)
    names = _names(raw, subject, ignore)
    _check_named(raw, names, stated, subject, ignore)
    who = _rows_as_people(raw) if subject is None else _people(raw, subject)
    made = [
        harmonise.column(name, {role: t.column(name) for role, t in raw.items()}, stated.get(name))
        for name in names
    ]
    return {
        role: Table(
            columns=tuple(column for column, _ in made),
            values=tuple(values[role] for _, values in made),
            subjects=who[role],
        )
        for role in raw
    }


# Columns.


def _check_table(role: str, table: pa.Table) -> None:
    seen = set()
    for name in table.column_names:
        if name in seen:
            raise DuplicateName(
                f"columns of {role}",
                found=f"two called {show(name)}",
                expected="each column with a name of its own",
            )
        seen.add(name)
    if not table.num_rows:
        raise BadArray(
            f"table {show(role)}", found="no row", expected="at least one, and hundreds to learn"
        )


def _names(
    raw: Mapping[str, pa.Table], subject: str | None, ignore: Collection[str]
) -> Sequence[str]:
    """Return the columns that all tables have, in the original's order."""
    dropped = {*ignore, subject}
    wanted = [name for name in raw["original"].column_names if name not in dropped]
    for role, table in raw.items():
        here = [name for name in table.column_names if name not in dropped]
        missing = [name for name in wanted if name not in here]
        further = [name for name in here if name not in wanted]
        if missing:
            raise _odd(missing, "original", role, further)
        if further:
            raise _odd(further, role, "original", missing)
    if not wanted:
        raise BadArray(
            "columns of original", found="none that is attacked", expected="at least one"
        )
    return wanted


def _odd(names: Sequence[str], there: str, absent: str, others: Sequence[str]) -> BadArray:
    """Return the error about columns of one table, ``others`` being odd ones of the other."""
    name, listed = names[0], ", ".join(show(each) for each in names[:_LISTED])
    close = _alike(name, others)
    fix = f"Call it the same in all tables: {absent} has {show(close)}."
    if close is None:
        fix = f"Add {'it' if len(names) == 1 else 'them'}, or set ignore = [{listed}]."
        if name in _UNNAMED:
            fix = f"Write tables without their index, or set ignore = [{listed}]."
    return BadArray(
        f"column {show(name)}",
        found=f"it in {there}, and not in {absent}"
        + (f", nor {len(names) - 1} more columns" if len(names) > 1 else ""),
        expected="the same columns in all tables",
        fix=fix,
    )


def _alike(name: str, others: Sequence[str]) -> str | None:
    plain = {other.strip().casefold(): other for other in others}
    close = [plain[name.strip().casefold()]] if name.strip().casefold() in plain else []
    return next(iter(close or get_close_matches(name, others, n=1, cutoff=0.6)), None)


def _check_named(
    raw: Mapping[str, pa.Table],
    names: Sequence[str],
    stated: Mapping[str, Kind],
    subject: str | None,
    ignore: Collection[str],
) -> None:
    anywhere = list(dict.fromkeys(name for table in raw.values() for name in table.column_names))
    for name in ignore:
        if name not in anywhere:
            raise _unknown("[target] ignore", name, anywhere)
    for name in stated:
        if name in names:
            continue
        if name in anywhere:
            raise BadValue(
                f"[target] columns.{show_key(name)}",
                found="a kind of a column that is not attacked",
                expected="a kind, or the column in ignore or as subject, not both",
            )
        raise _unknown("[target] columns", name, names)
    if subject is not None and subject in ignore:
        raise BadValue(
            "[target] ignore",
            found=f"{show(subject)}, which says whose row it is",
            expected="other columns: the subjects are not attacked anyway",
        )


def _unknown(where: str, name: str, known: Sequence[str]) -> UnknownName:
    return UnknownName(
        where,
        found=show(name),
        expected="a column of the tables",
        fix=nearest(name, list(known)),
    )


# People.


def _rows_as_people(raw: Mapping[str, pa.Table]) -> dict[str, Ints]:
    first, who = 0, {}
    for role in PEOPLE:
        if role in raw:
            who[role] = np.arange(first, first + raw[role].num_rows)
            first += raw[role].num_rows
    others = {role: np.arange(t.num_rows) for role, t in raw.items() if role not in PEOPLE}
    return who | others


def _check_subject(raw: Mapping[str, pa.Table], subject: str) -> None:
    for role in PEOPLE:
        if role in raw and subject not in raw[role].column_names:
            raise UnknownName(
                "[target] subject",
                found=f"no column {show(subject)} in {role}",
                expected="a column that says whose row it is",
                fix=nearest(subject, raw[role].column_names),
            )


def _people(raw: Mapping[str, pa.Table], subject: str) -> dict[str, Ints]:
    people = [role for role in PEOPLE if role in raw]
    who, levels = _numbered({role: raw[role] for role in people}, subject)
    for i, first in enumerate(people):
        for second in people[i + 1 :]:
            _check_apart(first, who[first], second, who[second], subject, levels)
    for role, table in raw.items():
        if role not in PEOPLE and subject in table.column_names:
            who |= _numbered({role: table}, subject)[0]
        elif role not in PEOPLE:
            who[role] = np.arange(table.num_rows)
    return who


def _numbered(
    raw: Mapping[str, pa.Table], subject: str
) -> tuple[dict[str, AnyArray], tuple[str, ...]]:
    columns = {role: table.column(subject) for role, table in raw.items()}
    column, who = harmonise.column(subject, columns, Kind.IDENTIFIER)
    for role, numbers in who.items():
        if (numbers < 0).any():
            raise BadRecord(
                f"column {show(subject)} of {role}, row {int((numbers < 0).argmax())}",
                found="no value",
                expected="whose row it is",
                fix="Add it or leave the row out.",
            )
    return who, column.levels


def _check_apart(
    first: str, mine: Ints, second: str, theirs: Ints, subject: str, levels: Sequence[str]
) -> None:
    shared = np.isin(theirs, mine)
    if shared.any():
        row = int(shared.argmax())
        count = len(np.unique(theirs[shared]))
        raise BadRecord(
            f"column {show(subject)} of {second}, row {row}",
            found=f"the same person in {first} and {second}, {show(levels[theirs[row]])}"
            + (f" and {count - 1} more" if count > 1 else ""),
            expected="each person in one of them",
            fix="Move all rows of a person into one of the tables.",
        )
