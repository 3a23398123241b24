"""What the challenger hides of tables: halves of columns, secret columns."""

from collections.abc import Sequence

import numpy as np

from leakpro_core.errors import BadValue, NotApplicable
from leakpro_core.games.samples import TableStage
from leakpro_core.tabular.table import Column, Kind, Table

UNKNOWN = (Kind.IDENTIFIER, Kind.TEXT)
"""Kinds of column that no attack is given."""


def known(table: Table) -> list[Column]:
    """Return the columns that attacks are given."""
    return [column for column in table.columns if column.kind not in UNKNOWN]


def halves(table: Table, left: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the left half: those of the plan, or every second one.

    ``BadValue`` where a half is empty, ``UnknownName`` for a column that is not there;
    ``NotApplicable`` where there are fewer than two columns.
    """
    names = [column.name for column in known(table)]
    if len(names) < 2:
        raise NotApplicable(
            "linkability", found=f"{len(names)} columns", expected="at least two, one a half"
        )
    if not left:
        return tuple(names[::2])
    chosen = [table.columns[table.index(name)] for name in left]
    odd = [column.name for column in chosen if column.kind in UNKNOWN]
    if odd or len(set(left)) >= len(names):
        raise BadValue(
            "[games] left",
            found=f"{odd[0]!r}, which is no attribute" if odd else "every column",
            expected="some of the columns, and not all",
        )
    return tuple(dict.fromkeys(left))


def secrets(stage: TableStage, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are inferred: those of the plan, or all that vary.

    ``UnknownName`` for a column that is not there, ``BadValue`` for an identifier or free text.
    """
    table = stage.original
    for name in wanted:
        if table.columns[table.index(name)].kind in UNKNOWN:
            raise BadValue(
                "[games] secrets",
                found=f"{name!r}, an identifier or free text",
                expected="columns that can be guessed",
            )
    names = wanted or [column.name for column in known(table)]
    if len(known(table)) < 2:
        return ()
    return tuple(name for name in names if _varies(stage, table.index(name)))


def _varies(stage: TableStage, column: int) -> bool:
    values = np.concatenate([stage.original.values[column], stage.control.values[column]])
    there = values[~np.isnan(values)] if values.dtype == np.float64 else values[values >= 0]
    return len(there) > 0 and bool((there != there[0]).any())
