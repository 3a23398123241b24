"""Singling out: predicates that isolate exactly one person of the training data.

Success, paired: each predicate is tried on the original and on the control rows, at equal n.
"""

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats, Ints, array
from leakpro_core.games.answers import check_claims, surest, wrong
from leakpro_core.games.encounters import household, households
from leakpro_core.games.equal_size import isolating, isolating_together
from leakpro_core.games.meetings import joined, meetings
from leakpro_core.games.outcome import Exhibit, Matched, Refereed
from leakpro_core.games.samples import TableStage, attacked, headcount
from leakpro_core.records import Evidence
from leakpro_core.tabular.predicates import (
    Index,
    Matches,
    Predicate,
    Term,
    canonical,
    owners,
    search,
    shown,
)
from leakpro_core.tabular.table import Column, Table

__all__ = ["Predicate", "SinglingOutAnswer", "SinglingOutChallenge", "Term", "challenge", "referee"]

LUCK = 10
"""A predicate may match at most one in that many times n people: it then isolates one of n by
luck with a chance of about 9%, at one in n with 37%."""

LEAST = 100
"""Predicates of a facet, at least, where there are so many; fewer exclude next to nothing."""

FACETS = 8
"""Numbers of columns that are told apart, at most; neighbouring ones are joined beyond."""


@frozen(kw_only=True)
class SinglingOutChallenge:
    """What the adversary gets.

    synthetic: released rows; auxiliary: rows of the same source, or None; people: how many rows
    the training data had; guesses: how many predicates it may give.
    """

    synthetic: Table
    auxiliary: Table | None = None
    people: int
    guesses: int


@frozen(kw_only=True)
class SinglingOutAnswer:
    """Predicates, and how sure of each: float64 ``[predicates]``, NaN to abstain."""

    predicates: tuple[Predicate, ...]
    claims: Floats = array(np.float64)


@frozen(kw_only=True)
class _Judged:
    """Predicates that are judged: canonical, each once, none too heavy.

    claims: float64 ``[k]``; original, control: what they match there; hit_original, hit_control:
    float64 ``[k]``, the chance that each isolates a person among n' of the arm.
    """

    predicates: tuple[Predicate, ...]
    claims: Floats = array(np.float64)
    original: Matches
    control: Matches
    hit_original: Floats = array(np.float64)
    hit_control: Floats = array(np.float64)

    @property
    def terms(self) -> Ints:
        """How many terms each has, int64 ``[k]``."""
        return np.array([len(p.terms) for p in self.predicates], np.int64)


@frozen(kw_only=True)
class _Arms:
    """Both arms, sorted for search. least: people of the smaller one.

    groups: of each arm int64 ``[people]``, who are drawn together: people of one row, where the
    smaller arm shows that they come so (``encounters.households``); else None.
    """

    original: Index
    control: Index
    groups: tuple[Ints, Ints] | None = None

    @classmethod
    def of(cls, stage: TableStage) -> "_Arms":
        one, other = (Index.of(attacked(table)) for table in (stage.original, stage.control))
        groups = None
        if households(one.table, other.table):
            groups = household(one.table), household(other.table)
        return cls(original=one, control=other, groups=groups)

    def hits(self, predicates: Sequence[Predicate], found: tuple[Matches, Matches]) -> list[Floats]:
        """Return the chance that each predicate isolates one of n' people of either arm."""
        indices = self.original, self.control
        if self.groups is None:
            return [
                isolating(matches.people, index.people, self.least)
                for matches, index in zip(found, indices, strict=True)
            ]
        return [
            isolating_together(owners(predicates, index), group, self.least)
            for index, group in zip(indices, self.groups, strict=True)
        ]

    @property
    def least(self) -> int:
        return min(self.original.people, self.control.people)


def challenge(stage: TableStage) -> SinglingOutChallenge:
    """Return what the adversary gets: nothing is drawn, every person may be singled out."""
    return SinglingOutChallenge(
        synthetic=attacked(stage.released),
        auxiliary=None if stage.auxiliary is None else attacked(stage.auxiliary),
        people=headcount(stage.original),
        guesses=stage.rounds,
    )


def referee(
    answer: SinglingOutAnswer,
    stage: TableStage,
    blind: SinglingOutAnswer | None,
    *,
    attack: str,
) -> Refereed:
    """Try every predicate on the original and on the control rows.

    A predicate isolates where the rows that it matches are one person's; twins are not singled
    out. Equal n: its hit in an arm is the chance to isolate among n' people of it, n' being the
    people of the smaller arm; people of one row are among them together where they come so. The
    scale takes the difference of the arms to the whole original:
    whoever a predicate truly singles out is among n' of N people with a chance of n' / N.
    ``matched``: whom predicates meet among n' people of each arm, those of the larger one drawn,
    the same for every attack on a stage; where a predicate meets more than 400 of both arms
    it is taken to isolate nobody.
    Left out are repeated predicates, and those that match more than one in 10 n' of the auxiliary
    people (without auxiliary rows: of the released ones, the one that it was built around apart).
    blind: the answer of the same attack to auxiliary rows; its predicates stand beside those of as
    many columns, in their order. ``WrongAnswer`` for too many predicates, claims that do not fit
    them, or whatever ``tabular.predicates.canonical`` refuses.
    """
    arms = _Arms.of(stage)
    if stage.auxiliary is None:
        judged, notes = _judge(answer, stage, arms, stage.released, 1, attack)
    else:
        judged, notes = _judge(answer, stage, arms, stage.auxiliary, 0, attack)
    facets = _facets(judged.terms)
    guess = None
    if blind is not None and stage.auxiliary is not None:
        guess, _ = _judge(blind, stage, arms, stage.auxiliary, 1, f"{attack}, blind")
    matched, shares = _matched(judged, arms, stage)
    return Refereed(
        evidence=_evidence(judged, guess, facets, stage),
        facets=tuple(_named(facet) for facet in facets),
        paired=True,
        scale=arms.original.people / arms.least,
        asked=stage.rounds,
        made=int(np.count_nonzero(~np.isnan(judged.claims))),
        notes=notes,
        exhibits=_exhibits(judged, facets, stage),
        tenth=shares,
        matched=matched,
    )


def _matched(judged: _Judged, arms: _Arms, stage: TableStage) -> tuple[Matched, Floats]:
    """Return whom predicates meet, and the share of the tenth among them, float64 ``[2 k]``."""
    met = [
        meetings(owners(judged.predicates, index), index.person, flags, arms.least, group)
        for index, flags, group in zip(
            (arms.original, arms.control),
            (stage.tenth_original, stage.tenth_control),
            (None, None) if arms.groups is None else arms.groups,
            strict=True,
        )
    ]
    return joined(met[0], met[1], "one"), np.concatenate([m.share for m in met])


def _judge(
    answer: SinglingOutAnswer,
    stage: TableStage,
    arms: _Arms,
    outside: Table,
    around: int,
    attack: str,
) -> tuple[_Judged, tuple[str, ...]]:
    """Check an answer and search the arms.

    outside: rows on which weights are estimated; around: matches there that are no weight.
    """
    k = len(answer.predicates)
    if k > stage.rounds:
        raise wrong(attack, f"{k} predicates", f"at most {stage.rounds}")
    check_claims(answer.claims, k, attack)
    columns = arms.original.table.columns
    found = canonical(answer.predicates, columns, f"answer of attack {attack!r}")
    first = {predicate: i for i, predicate in reversed(list(enumerate(found)))}
    chosen = sorted(first.values())
    index = Index.of(attacked(outside))
    weight = search([found[i] for i in chosen], index).people
    light = weight <= around + index.people // (LUCK * arms.least)
    kept = np.array(chosen, np.int64)[light]
    heavy = len(chosen) - len(kept)
    notes = []
    if k > len(chosen):
        notes.append(f"{k - len(chosen)} of {k} predicates repeat another and were left out")
    if heavy:
        whose = "released" if outside is stage.released else "auxiliary"
        notes.append(
            f"{heavy} of {len(chosen)} predicates match more than 1/{LUCK * arms.least} of the "
            f"{whose} rows and were left out"
        )
    predicates = tuple(found[i] for i in kept)
    original, control = search(predicates, arms.original), search(predicates, arms.control)
    hits = arms.hits(predicates, (original, control))
    return _Judged(
        predicates=predicates,
        claims=answer.claims[kept],
        original=original,
        control=control,
        hit_original=hits[0],
        hit_control=hits[1],
    ), tuple(notes)


def _facets(terms: Ints) -> tuple[range, ...]:
    """Return the numbers of columns that make up each facet: ``LEAST`` predicates, if there are."""
    counts, many = np.unique(terms, return_counts=True)
    if len(terms) < 2 * LEAST or many.min() >= LEAST:
        parts = np.array_split(counts, max(1, min(FACETS, len(counts))))
        return tuple(range(int(g[0]), int(g[-1]) + 1) for g in parts if g.size)
    most = max(LEAST, -(-len(terms) // FACETS))
    groups: list[list[int]] = [[]]
    held = 0
    for count, predicates in zip(counts.tolist(), many.tolist(), strict=True):
        groups[-1].append(count)
        held += predicates
        if held >= most:
            groups.append([])
            held = 0
    # What is left over joins its neighbours.
    if held and len(groups) > 1:
        last = groups.pop()
        groups[-1] += last
    return tuple(range(g[0], g[-1] + 1) for g in groups if g)


def _named(facet: range) -> str:
    if len(facet) == 1:
        return f"{facet[0]} column{'s' if facet[0] > 1 else ''}"
    return f"{facet[0]} to {facet[-1]} columns"


def _numbered(terms: Ints, facets: Sequence[range]) -> Ints:
    """Return the facet of each number of terms, -1 where it is of none."""
    number = np.full(len(terms), -1)
    for i, facet in enumerate(facets):
        number[(terms >= facet[0]) & (terms <= facet[-1])] = i
    return number


def _evidence(
    judged: _Judged, guess: _Judged | None, facets: Sequence[range], stage: TableStage
) -> Evidence:
    """Return a round for each predicate on the original, then one on the control."""
    k = len(judged.claims)
    facet = _numbered(judged.terms, facets)
    arms = (judged.original, stage.original), (judged.control, stage.control)
    nobody = -1 - np.arange(2 * k).reshape(2, k)
    subject = [
        np.where(found.row >= 0, table.subjects[found.row], nobody[arm])
        for arm, (found, table) in enumerate(arms)
    ]
    made = np.tile(~np.isnan(judged.claims), 2)
    hit = np.concatenate([judged.hit_original, judged.hit_control])
    nothing = np.full(2 * k, np.nan)
    blind_claim = blind_hit = nothing
    if guess is not None:
        beside = _beside(facet, _numbered(guess.terms, facets))
        made_blind = ~np.isnan(guess.claims)
        blind_claim = np.tile(_taken(guess.claims, beside), 2)
        blind_hit = np.concatenate(
            [_taken(h * made_blind, beside) for h in (guess.hit_original, guess.hit_control)]
        )
    return Evidence(
        subject=np.concatenate(subject),
        cluster=np.zeros(2 * k, np.int64),
        exposed=np.arange(2 * k) < k,
        claim=np.tile(judged.claims, 2),
        hit=hit * made,
        blind_claim=blind_claim,
        blind_hit=blind_hit,
        null_p=nothing,
        round=np.tile(np.arange(k), 2),
        facet=np.tile(facet, 2),
    )


def _beside(facet: Ints, theirs: Ints) -> Ints:
    """Return for each predicate the blind one in its place in the same facet, -1 for none."""
    beside = np.full(len(facet), -1)
    for number in np.unique(facet):
        at, there = np.flatnonzero(facet == number), np.flatnonzero(theirs == number)
        both = min(len(at), len(there))
        beside[at[:both]] = there[:both]
    return beside


def _taken(values: Floats, rows: Ints) -> Floats:
    """Return the values in those places, NaN in place of -1."""
    return np.append(values, np.nan)[rows]


def _exhibits(judged: _Judged, facets: Sequence[range], stage: TableStage) -> tuple[Exhibit, ...]:
    row = judged.original.row
    who = stage.original.subjects[row]
    columns: Sequence[Column] = attacked(stage.original).columns
    facet = _numbered(judged.terms, facets)
    return tuple(
        Exhibit(
            claim=shown(judged.predicates[i], columns),
            truth=stage.original.shown(int(row[i])),
            subject=int(who[i]),
            sure=float(judged.claims[i]),
            facet=_named(facets[facet[i]]),
        )
        for i in surest(judged.claims, row >= 0, who)
    )
