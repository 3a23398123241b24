"""Attribute inference: a column of a person, guessed from the person's others.

Success: people in the training data against control people, all in one challenge a column.
"""

from collections.abc import Sequence

import numpy as np
from attrs import fields, frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.errors import BadValue
from leakpro_core.games.answers import SHOWN, check_claims, surest, wrong
from leakpro_core.games.outcome import Exhibit, Refereed
from leakpro_core.games.samples import (
    WITHHELD,
    People,
    TableStage,
    anonymous,
    attacked,
    draw,
)
from leakpro_core.records import Evidence
from leakpro_core.tabular.table import Column, Table


@frozen(kw_only=True)
class AttributeChallenge:
    """What the adversary gets.

    known: ``[n]`` people, shuffled, without the secret column; secret: that column; tolerance:
    how far a guessed number may be off (0 for codes); synthetic: released rows with all columns;
    auxiliary: rows of the same source with all columns, or None.
    """

    known: Table
    secret: Column
    tolerance: float
    synthetic: Table
    auxiliary: Table | None = None


@frozen(kw_only=True)
class AttributeAnswer:
    """A guess for each person, float64 ``[n]``: a number or a code; NaN abstains.

    claims: float64 ``[n]``, how sure.
    """

    guesses: Floats = array(np.float64)
    claims: Floats = array(np.float64)


@frozen(kw_only=True)
class Secret:
    """What core keeps to itself.

    column: the secret one; truth: float64 ``[n]`` of ``people``, NaN where missing;
    order: int64 ``[n]``, row i of the challenge is row ``order[i]`` of ``people``.
    """

    people: People
    column: Column
    tolerance: float
    truth: Floats = array(np.float64)
    order: Ints = array(np.int64)


def challenge(
    stage: TableStage, secret_column: str, tolerance: float, seed: int
) -> tuple[AttributeChallenge, Secret]:
    """Draw people of both arms, with all their rows, and hide a column of theirs.

    tolerance: share of the range of the column's middle nine tenths over both arms; where that is
    0, of the values that differ from the most frequent one; a guess must be equal where that is 0,
    too. ``UnknownName`` for a column that is not there, ``BadValue`` for an identifier or free
    text.
    """
    rng = np.random.default_rng(seed)
    number = stage.original.index(secret_column)
    column = stage.original.columns[number]
    if column.kind in WITHHELD:
        raise BadValue(
            "secret column",
            found=f"{column.name!r}, which is {column.kind.value}",
            expected="a column that attacks are given",
        )
    people = draw(stage, stage.rounds, rng)
    order = rng.permutation(len(people.rows))
    known = [name for name in attacked(stage.original).names if name != secret_column]
    within = 0.0
    if column.measured:
        values = np.concatenate([arm.values[number] for arm in (stage.original, stage.control)])
        within = _within(values, tolerance)
    given = AttributeChallenge(
        known=anonymous(people.table.only(known).rows(order), rng),
        secret=column,
        tolerance=within,
        synthetic=attacked(stage.released),
        auxiliary=None if stage.auxiliary is None else attacked(stage.auxiliary),
    )
    secret = Secret(
        people=people,
        column=column,
        tolerance=within,
        truth=people.table.only([secret_column]).matrix()[:, 0],
        order=order,
    )
    return given, secret


def _within(values: Floats, share: float) -> float:
    """Return how far a guess may be off, finite: a rule of the game, the same for both arms."""
    values = values[np.isfinite(values)] / 4.0  # the range of huge numbers is finite, too
    if not values.size:
        return 0.0
    low, high = np.quantile(values, [0.05, 0.95])
    if low == high:
        kinds, counts = np.unique(values, return_counts=True)
        rest = values[values != kinds[counts.argmax()]]
        if not rest.size:
            return 0.0
        # Values that stand there, and of few ones never the ends: one outlier must not own it.
        low, high = (
            np.quantile(rest, 0.05, method="higher"),
            np.quantile(rest, 0.95, method="lower"),
        )
    # Python's floats overflow to infinity without a word.
    within = 4.0 * (share * float(max(0.0, high - low)))
    return within if np.isfinite(within) else 0.0


def referee(
    answer: AttributeAnswer, secret: Secret, blind: AttributeAnswer | None, *, attack: str
) -> Refereed:
    """Compare an answer with the secret; rounds come in the order of original, then control.

    A guess is right if the codes are equal, or the numbers no farther apart than the tolerance,
    which is absolute: the sign of a guess does not matter. Whose value is missing is left out; an
    abstention hits nothing. ``WrongAnswer`` for shapes that do not fit, infinite numbers, codes
    that there are not.
    """
    people = secret.people
    there = ~np.isnan(secret.truth)
    hit, claim, guess = (v[there] for v in _hits(answer, secret, attack))
    n = len(hit)
    blind_hit = blind_claim = np.full(n, np.nan)
    if blind is not None:
        found = _hits(blind, secret, f"{attack}, blind")
        blind_hit, blind_claim, _ = (v[there] for v in found)
    evidence = Evidence(
        subject=people.table.subjects[there],
        cluster=np.zeros(n, np.int64),
        exposed=people.exposed[there],
        claim=claim,
        hit=hit,
        blind_claim=blind_claim,
        blind_hit=blind_hit,
        null_p=np.full(n, np.nan),
        facet=np.zeros(n, np.int64),
    )
    return Refereed(
        evidence=evidence,
        facets=(secret.column.name,),
        asked=n,
        made=int(np.count_nonzero(~np.isnan(claim))),
        exhibits=_exhibits(evidence, guess, secret, np.flatnonzero(there)),
        tenth=people.tenth[there],
    )


def _hits(answer: AttributeAnswer, secret: Secret, attack: str) -> tuple[Floats, Floats, Floats]:
    """Return hits, claims (NaN: abstains) and guesses in the order of the people."""
    _check(answer, secret, attack)
    back = np.argsort(secret.order)
    guess, claim = answer.guesses[back], answer.claims[back]
    abstains = np.isnan(guess) | np.isnan(claim)
    # NaN is near nothing, and what is infinitely far off is not within a finite tolerance.
    with np.errstate(over="ignore"):
        right = np.abs(guess - secret.truth) <= secret.tolerance
    return (right & ~abstains).astype(np.float64), np.where(abstains, np.nan, claim), guess


def _check(answer: AttributeAnswer, secret: Secret, attack: str) -> None:
    n, column, guesses = len(secret.order), secret.column, answer.guesses
    check_claims(answer.claims, n, attack)
    if guesses.shape != (n,):
        raise wrong(attack, f"guesses of shape {guesses.shape}", f"({n},)")
    if column.measured:
        bad, wanted = np.isinf(guesses), "finite numbers, or NaN to abstain"
    else:
        codes = np.arange(len(column.levels))
        bad = ~np.isnan(guesses) & ~np.isin(guesses, codes)
        wanted = f"codes from 0 to {len(codes) - 1}, or NaN to abstain"
    if bad.any():
        at = np.flatnonzero(bad)[0]
        raise wrong(attack, f"guess {guesses[at]:g} of {column.name!r} at {at}", wanted)


def _exhibits(evidence: Evidence, guess: Floats, secret: Secret, rows: Ints) -> tuple[Exhibit, ...]:
    came_true: Bools = evidence.exposed & (evidence.hit > 0)
    return tuple(
        Exhibit(
            claim=f"{secret.column.name}: {secret.column.shown(float(guess[i]))}",
            truth=secret.people.table.shown(int(rows[i])),
            subject=int(evidence.subject[i]),
            sure=float(evidence.claim[i]),
            facet=secret.column.name,
        )
        for i in surest(evidence.claim, came_true, evidence.subject)
    )


def together(parts: Sequence[Refereed]) -> Refereed:
    """Return the answers about several columns as one, a facet each; at least one part."""
    facets = [np.full(len(p.evidence.claim), i) for i, p in enumerate(parts)]
    exhibits = sorted((e for p in parts for e in p.exhibits), key=lambda e: -e.sure)
    tenths = [p.tenth for p in parts if p.tenth is not None]
    joined = {
        f.name: np.concatenate([getattr(p.evidence, f.name) for p in parts])
        for f in fields(Evidence)
        if f.name not in ("round", "facet")
    }
    return Refereed(
        evidence=Evidence(**joined, facet=np.concatenate(facets)),
        facets=tuple(name for p in parts for name in p.facets),
        asked=sum(p.asked for p in parts),
        made=sum(p.made for p in parts),
        notes=tuple(note for p in parts for note in p.notes),
        exhibits=tuple(exhibits[:SHOWN]),
        tenth=np.concatenate(tenths) if len(tenths) == len(parts) else None,
    )
