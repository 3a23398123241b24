"""What challengers and referees of table games share: who is drawn, what is given, who is hit."""

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.errors import WrongAnswer
from leakpro_core.games.samples import TableStage
from leakpro_core.tabular.table import Kind, Table, stacked

SHOWN = 20
"""Exhibits of an attack, at most."""

WITHHELD = (Kind.IDENTIFIER, Kind.TEXT)
"""Kinds of columns that no attack is given."""


@frozen(kw_only=True)
class People:
    """The people that a challenge is about, with all their rows, in the order of the stage.

    table: ``[n]`` rows with all columns; rows: int64 ``[n]``, their numbers among the rows of
    original, then control, ascending; exposed, tenth: bool ``[n]``.
    """

    table: Table
    rows: Ints = array(np.int64)
    exposed: Bools = array(np.bool_)
    tenth: Bools = array(np.bool_)


def attacked(table: Table) -> Table:
    """Return the columns that attacks are given: all but identifiers and free text."""
    return table.only([c.name for c in table.columns if c.kind not in WITHHELD])


def people(table: Table) -> int:
    """Return how many people own the rows."""
    return len(np.unique(table.subjects))


def draw(stage: TableStage, most: int, rng: np.random.Generator) -> People:
    """Draw ``most`` people of each arm at random, all of an arm with fewer."""
    arms = [sample(arm, most, rng) for arm in (stage.original, stage.control)]
    rows = np.concatenate([arms[0], len(stage.original) + arms[1]])
    tenth = np.concatenate([stage.tenth_original, stage.tenth_control])
    return People(
        table=stacked([stage.original.rows(arms[0]), stage.control.rows(arms[1])]),
        rows=rows,
        exposed=rows < len(stage.original),
        tenth=tenth[rows],
    )


def sample(table: Table, most: int, rng: np.random.Generator) -> Ints:
    """Return the rows of ``most`` people drawn at random, ascending; of all if they are fewer."""
    owners = np.unique(table.subjects)
    chosen = rng.choice(owners, most, replace=False) if len(owners) > most else owners
    return np.flatnonzero(np.isin(table.subjects, chosen))


def anonymous(table: Table, rng: np.random.Generator) -> Table:
    """Return the rows with fresh numbers of people, which tell only whose rows are the same's."""
    owners, who = np.unique(table.subjects, return_inverse=True)
    return evolve(table, subjects=rng.permutation(len(owners))[who])


def wrong(attack: str, found: str, expected: str) -> WrongAnswer:
    """Return the error of an answer that the game has no use for."""
    return WrongAnswer(f"answer of attack {attack!r}", found=found, expected=expected)


def check_claims(claims: Floats, n: int, attack: str) -> None:
    """Raise ``WrongAnswer`` unless there are ``n`` claims, each a finite number or NaN."""
    if claims.shape != (n,):
        raise wrong(attack, f"claims of shape {claims.shape}", f"({n},)")
    infinite = np.flatnonzero(np.isinf(claims))
    if infinite.size:
        raise wrong(
            attack,
            f"an infinite claim at {infinite[0]}",
            "finite claims, or NaN to abstain",
        )


def aligned(values: Floats, n: int) -> Floats:
    """Return the first ``n`` values, NaN where there are fewer."""
    line = np.full(n, np.nan)
    line[: min(n, len(values))] = values[:n]
    return line


def surest(claim: Floats, shown: Bools, subject: Ints) -> Ints:
    """Return the rounds to exhibit: the surest of each person, the surest persons first."""
    able = np.flatnonzero(shown & ~np.isnan(claim))
    able = able[np.argsort(-claim[able], kind="stable")]
    first = np.unique(subject[able], return_index=True)[1]
    return able[np.sort(first)][:SHOWN]


def listed(pairs: Sequence[tuple[str, str]], most: int = 3) -> str:
    """Return names and values in words, the first few of them."""
    said = ", ".join(f"{name} {value}" for name, value in pairs[:most])
    return said + (", ..." if len(pairs) > most else "")
