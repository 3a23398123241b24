"""The stage of the games on tables, and the membership game on a released table.

Every table game draws its people from one stage. The blind adversary of all of them is the same
attack, handed auxiliary rows where the adversary is handed the synthetic ones: it plays with all
that the adversary has but the release.
"""

from collections.abc import Callable

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.answers import check_claims
from leakpro_core.games.membership import MembershipAnswer, rounds
from leakpro_core.games.outcome import Refereed
from leakpro_core.tabular.table import Kind, Table, stacked

WITHHELD = (Kind.IDENTIFIER, Kind.TEXT)
"""Kinds of columns that no attack is given."""

PEOPLE = 5
"""Membership is asked of that many times more people: low false-positive rates need them."""


@frozen(kw_only=True)
class TableStage:
    """Everything that core draws challenges of table games from.

    released: the rows that the adversary is given, in the place of the synthetic table;
    original: people in the training data; control: people who are not; auxiliary: rows of the
    same source that the adversary knows, None where it has none. Subjects of original and control
    are numbered together, so that no number stands for two people.
    tenth_original, tenth_control: bool ``[n]``, rows of the most vulnerable tenth.
    rounds: people of each arm that are attacked, or guesses that are asked for.
    shadows: tables that shadow generators released; trained_on: bool ``[models, n]``, over the
    rows of original, then control; pair: int64 ``[models]``, twins share a number.
    """

    released: Table
    original: Table
    control: Table
    auxiliary: Table | None = None
    tenth_original: Bools = array(np.bool_)
    tenth_control: Bools = array(np.bool_)
    rounds: int = 2000
    shadows: tuple[Table, ...] = ()
    trained_on: Bools | None = array(np.bool_, optional=True)
    pair: Ints | None = array(np.int64, optional=True)


@frozen(kw_only=True)
class SamplesChallenge:
    """Membership from a released table: whose rows was the generator trained on?

    ids: opaque int64 ``[n]``; records: the candidates ``[n]``, shuffled, subjects hidden;
    synthetic: the released rows; auxiliary: rows that are certainly no members, or None;
    shadows: tables that shadow generators released, in the size of the release;
    trained_on: bool ``[models, n]``, which shadow was fitted on which candidate;
    pair: int64 ``[models]``, twins fitted on complementary halves share a number.
    """

    ids: Ints = array(np.int64)
    records: Table
    synthetic: Table
    auxiliary: Table | None = None
    shadows: tuple[Table, ...] = ()
    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)


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


@frozen(kw_only=True)
class Secret:
    """What core keeps to itself.

    order: int64 ``[n]``, candidate i is row ``order[i]`` of ``people``.
    """

    people: People
    order: Ints = array(np.int64)


def attacked(table: Table) -> Table:
    """Return the columns that attacks are given: all but identifiers and free text."""
    return table.only([c.name for c in table.columns if c.kind not in WITHHELD])


def headcount(table: Table) -> int:
    """Return how many people own the rows."""
    return len(np.unique(table.subjects))


def draw(
    stage: TableStage,
    most: int,
    rng: np.random.Generator,
    pick: Callable[[Table, int, np.random.Generator], Ints] | None = None,
) -> People:
    """Draw ``most`` people of each arm at random, all of an arm with fewer; by ``sample``."""
    arms = [(pick or sample)(arm, most, rng) for arm in (stage.original, stage.control)]
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


def challenge(stage: TableStage, seed: int) -> tuple[SamplesChallenge, Secret]:
    """Draw the candidates: people of both arms with all their rows, shuffled."""
    rng = np.random.default_rng(seed)
    drawn = draw(stage, PEOPLE * stage.rounds, rng)
    order = rng.permutation(len(drawn.rows))
    none = np.zeros((0, len(stage.original) + len(stage.control)), np.bool_)
    trained_on = none if stage.trained_on is None else stage.trained_on
    candidates = attacked(drawn.table.rows(order))
    given = SamplesChallenge(
        ids=rng.permutation(len(order)),
        records=anonymous(candidates, rng),
        synthetic=attacked(stage.released),
        auxiliary=None if stage.auxiliary is None else attacked(stage.auxiliary),
        shadows=tuple(attacked(shadow) for shadow in stage.shadows),
        trained_on=trained_on[:, drawn.rows[order]],
        pair=np.zeros(0, np.int64) if stage.pair is None else stage.pair,
    )
    return given, Secret(people=drawn, order=order)


def referee(
    answer: MembershipAnswer, secret: Secret, *, blind: Floats | None, attack: str
) -> Refereed:
    """Compare an answer with the secret; rounds come in the order of original, then control.

    blind: claims of the blind adversary about all rows of original, then control, NaN where it has
    none; None where there is no such adversary. ``WrongAnswer`` if the claims are not one number
    (or NaN) for each candidate.
    """
    people = secret.people
    check_claims(answer.claims, len(people.rows), attack)
    claims = answer.claims[np.argsort(secret.order)]
    return Refereed(
        evidence=rounds(
            people.table.subjects,
            people.exposed,
            claims,
            blind=None if blind is None else blind[people.rows],
            cluster=0,
        ),
        facets=("",),
        asked=len(claims),
        made=int(np.count_nonzero(~np.isnan(claims))),
        tenth=people.tenth,
    )
