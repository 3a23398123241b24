"""What the challenger hides of tables: halves of columns, secret columns."""

from collections.abc import Sequence

import numpy as np
from attrs import evolve

from leakpro_core.arrays import AnyArray
from leakpro_core.errors import BadValue, NotApplicable, UnknownName
from leakpro_core.plan import Games
from leakpro_core.seeds import generator
from leakpro_core.tabular.table import Column, Kind, Table
from leakpro_core.wording import show

MOST = 20
"""Columns that are inferred, at most, where the plan names none."""

FEW = 5
"""Of these, columns that controls and other sizes of the release are tried with, at most."""

UNKNOWN = (Kind.IDENTIFIER, Kind.TEXT)
"""Kinds of column that no attack is given."""


def known(table: Table) -> list[Column]:
    """Return the columns that attacks are given."""
    return [column for column in table.columns if column.kind not in UNKNOWN]


def halves(table: Table, left: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the left half: those of the plan, or such that both halves tell much.

    Two halves can be linked only if each says who somebody is. By falling entropy of their values
    in the original, columns go to the half that has less so far.

    ``BadValue`` where a half is empty, ``UnknownName`` for a column that is not there;
    ``NotApplicable`` where there are fewer than two columns.
    """
    names = [column.name for column in known(table)]
    if len(names) < 2:
        raise NotApplicable(
            "linkability", found=f"{len(names)} columns", expected="at least two, one a half"
        )
    if not left:
        return _balanced(table, names)
    chosen = [_column(table, name, "[games] left") for name in left]
    odd = [column.name for column in chosen if column.kind in UNKNOWN]
    if odd or len(set(left)) >= len(names):
        raise BadValue(
            "[games] left",
            found=f"{show(odd[0])}, which is no attribute" if odd else "every column",
            expected="some of the columns, and not all",
        )
    return tuple(dict.fromkeys(left))


def _balanced(table: Table, names: Sequence[str]) -> tuple[str, ...]:
    told = {name: _entropy(table.values[table.index(name)]) for name in names}
    sides: tuple[list[str], list[str]] = ([], [])
    weight = [0.0, 0.0]
    for name in sorted(names, key=lambda name: (-told[name], names.index(name))):
        side = int(weight[1] < weight[0])
        sides[side].append(name)
        weight[side] += told[name]
    if not sides[1]:  # nothing tells anything: any two halves are as good
        return tuple(names[::2])
    return tuple(name for name in names if name in sides[0])


def _entropy(values: AnyArray) -> float:
    count = np.unique(values, return_counts=True)[1]
    share = count / max(1, len(values))
    return float(-(share * np.log2(share)).sum())


def settled(games: Games, original: Table, control: Table, seed: int) -> Games:
    """Return the games with the columns that are inferred: those of the plan, else all that vary.

    Where these are more than ``MOST``, so many of them are drawn: each costs an attack of its own.
    ``UnknownName`` for a column that is not there, ``BadValue`` for an identifier or free text,
    for a column that is to be inferred and has one value, or for a left half that leaves no right
    one.
    """
    if games.left and len(known(original)) > 1:
        halves(original, games.left)
    names = secrets(original, control, games.secrets)
    same = [name for name in games.secrets if name not in names]
    if same and len(known(original)) > 1:
        raise BadValue(
            "[games] secrets",
            found=f"{show(same[0])}, which has one value in original and control",
            expected="columns that can be guessed wrong",
        )
    if not games.secrets and len(names) > MOST:
        drawn = generator(seed, "secrets").permutation(len(names))[:MOST]
        names = tuple(names[i] for i in sorted(drawn))
    return evolve(games, secrets=names)


def few(games: Games, original: Table) -> Games:
    """Return the games with at most ``FEW`` of the secret columns, those that tell most apart.

    For what repeats an attack: a leak of whole rows shows in any of them.
    """
    told = [_entropy(original.values[original.index(name)]) for name in games.secrets]
    first = sorted(np.argsort(-np.array(told), kind="stable")[:FEW])
    return evolve(games, secrets=tuple(games.secrets[i] for i in first))


def secrets(original: Table, control: Table, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that can be inferred: of those wanted, or of all, the ones that vary.

    ``UnknownName`` for a column that is not there, ``BadValue`` for an identifier or free text.
    """
    for name in wanted:
        if _column(original, name, "[games] secrets").kind in UNKNOWN:
            raise BadValue(
                "[games] secrets",
                found=f"{show(name)}, an identifier or free text",
                expected="columns that can be guessed",
            )
    names = dict.fromkeys(wanted or [column.name for column in known(original)])
    if len(known(original)) < 2:
        return ()
    return tuple(name for name in names if _varies(original, control, original.index(name)))


def _column(table: Table, name: str, where: str) -> Column:
    try:
        return table.columns[table.index(name)]
    except UnknownName as error:
        raise UnknownName(where, found=show(name), expected=error.expected, fix=error.fix) from None


def _varies(original: Table, control: Table, column: int) -> bool:
    values = np.concatenate([original.values[column], control.values[column]])
    there = values[~np.isnan(values)] if values.dtype == np.float64 else values[values >= 0]
    return len(there) > 0 and bool((there != there[0]).any())
