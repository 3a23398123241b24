"""Copies: released rows that repeat a row of the training data.

Success, paired: each released row is compared with the original and with the control rows.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.answers import beside, check_claims, listed, surest, wrong
from leakpro_core.games.encounters import (
    CLOSEST,
    EXACT,
    NEAR,
    TEXT,
    WORDS,
    Arms,
    Met,
    exact_met,
    matched,
    near_met,
)
from leakpro_core.games.outcome import Exhibit, Refereed
from leakpro_core.games.samples import TableStage, attacked
from leakpro_core.records import Evidence
from leakpro_core.tabular.table import Kind, Table


@frozen(kw_only=True)
class CopiesChallenge:
    """What the adversary gets: released rows, and rows of the same source, or None."""

    synthetic: Table
    auxiliary: Table | None = None


@frozen(kw_only=True)
class CopiesAnswer:
    """Released rows that are said to repeat a person's, and how sure of each.

    rows: int64 ``[k]``, numbers of released rows, each once; claims: float64 ``[k]``.
    """

    rows: Ints = array(np.int64)
    claims: Floats = array(np.float64)


def challenge(stage: TableStage) -> CopiesChallenge:
    """Return what the adversary gets: nothing is drawn, every released row may be claimed."""
    return CopiesChallenge(
        synthetic=attacked(stage.released),
        auxiliary=None if stage.auxiliary is None else attacked(stage.auxiliary),
    )


def referee(
    answer: CopiesAnswer,
    stage: TableStage,
    blind: CopiesAnswer | None,
    *,
    attack: str,
    seed: int,
) -> Refereed:
    """Compare claimed rows with the original and with the control rows.

    Facet "exact": the row equals a person's in all columns that are attacked, not in text, which
    generators write anew; rows that equal a person's in text, too, and rows that equal it in all
    text and perhaps in nothing else, are facets of their own where there are some.
    Hits are told of the whole original (``repeating``), ``scale`` times.
    Facet "near", of at most ``stage.rounds`` claimed rows: nearer to one of n' people, those of the
    smaller arm, than all but 1% of the released rows are to n' control people (or to n' original
    ones, should these be farther: so that neither arm is favoured); left out where that distance is
    0. The same is asked of ``blind`` with the auxiliary rows in the place of the released ones,
    whose claims are paired at random (``beside``). ``WrongAnswer`` for rows that there are not or
    that are claimed twice, claims that do not fit them.
    """
    arms = Arms.of(stage, seed)
    found, notes = _compared(answer, stage, arms, stage.released, attack, seed)
    found = [met for met in found if met.facet in (EXACT, NEAR) or (met.row >= 0).any()]
    guess: dict[str, Met] = {}
    if blind is not None and stage.auxiliary is not None:
        theirs, _ = _compared(blind, stage, arms, stage.auxiliary, f"{attack}, blind", seed)
        guess = {met.facet: met for met in theirs}
    evidence, tenth = _evidence(found, guess, stage, seed)
    return Refereed(
        evidence=evidence,
        facets=tuple(met.facet for met in found),
        paired=True,
        nested=True,
        scale=arms.people[0] / min(arms.people),
        asked=len(stage.released),
        made=int(np.count_nonzero(~np.isnan(answer.claims))),
        notes=notes,
        exhibits=_exhibits(found, stage),
        tenth=tenth.astype(np.float64),
        matched=matched(found, arms, stage),
    )


def _compared(
    answer: CopiesAnswer, stage: TableStage, arms: Arms, released: Table, attack: str, seed: int
) -> tuple[list[Met], tuple[str, ...]]:
    """Check an answer; return whom its rows repeat, to whom they are near, and notes."""
    rows, n = answer.rows, len(released)
    if rows.ndim != 1:
        raise wrong(attack, f"rows of shape {rows.shape}", "(k,)")
    check_claims(answer.claims, len(rows), attack)
    outside = np.flatnonzero((rows < 0) | (rows >= n))
    if outside.size:
        raise wrong(attack, f"released row {rows[outside[0]]}", f"one from 0 to {n - 1}")
    known, times = np.unique(rows, return_counts=True)
    if (times > 1).any():
        raise wrong(attack, f"released row {known[times > 1][0]} twice", "each row once")
    exact, weight, cut = exact_met(EXACT, rows, answer.claims, arms, released, attacked)
    notes = [cut] if cut else []
    found = [exact]
    near = near_met(rows, answer.claims, arms, released, weight, most=stage.rounds, seed=seed)
    if near is None:
        notes.append(
            f"near repeats were not judged: the closest {CLOSEST:.0%} of the released rows are at "
            "no distance from people of either arm"
        )
    else:
        found.append(near)
    texts = [column.name for column in released.columns if column.kind is Kind.TEXT]
    compared: tuple[tuple[str, Callable[[Table], Table]], ...] = (
        (TEXT, lambda table: table),
        (WORDS, lambda table: table.only(texts)),
    )
    for facet, part in compared if texts else ():
        found.append(exact_met(facet, rows, answer.claims, arms, released, part)[0])
    return found, tuple(notes)


def _evidence(
    found: Sequence[Met], guess: Mapping[str, Met], stage: TableStage, seed: int
) -> tuple[Evidence, Bools]:
    """Return for each facet a round for each claimed row on the original, then the control."""
    parts = []
    first = 0
    for f, met in enumerate(found):
        k = len(met.claim)
        who, tenth = _whom(met, stage)
        blind = np.full((3, k), np.nan)
        if met.facet in guess:
            theirs = guess[met.facet]
            at = beside(met.claim, theirs.claim, seed)
            blind[:, at >= 0] = np.vstack([theirs.claim, theirs.hit])[:, at[at >= 0]]
        parts.append(
            {
                "subject": np.where(who < 0, -1 - 2 * first - np.arange(2 * k).reshape(2, k), who),
                "tenth": tenth,
                "exposed": np.repeat([[True], [False]], k, axis=1),
                "claim": np.tile(met.claim, (2, 1)),
                "hit": met.hit,
                "blind_claim": np.tile(blind[0], (2, 1)),
                "blind_hit": blind[1:],
                "round": np.tile(first + np.arange(k), (2, 1)),
                "facet": np.full((2, k), f),
            }
        )
        first += k
    whole = {name: np.concatenate([p[name].ravel() for p in parts]) for name in parts[0]}
    tenth = whole.pop("tenth")
    n = 2 * first
    return Evidence(**whole, cluster=np.zeros(n, np.int64), null_p=np.full(n, np.nan)), tenth


def _whom(met: Met, stage: TableStage) -> tuple[Ints, Bools]:
    """Return the person met, -1 for nobody, and whether it is of the most vulnerable tenth."""
    arms = ((stage.original, stage.tenth_original), (stage.control, stage.tenth_control))
    there = met.row >= 0
    who = np.stack([table.subjects[row] for (table, _), row in zip(arms, met.row, strict=True)])
    tenth = np.stack([flags[row] for (_, flags), row in zip(arms, met.row, strict=True)])
    return np.where(there, who, -1), there & tenth


def _exhibits(found: Sequence[Met], stage: TableStage) -> tuple[Exhibit, ...]:
    released = np.concatenate([met.released for met in found])
    claim = np.concatenate([met.claim for met in found])
    row = np.concatenate([met.row[0] for met in found])
    facet = [met.facet for met in found for _ in met.claim]
    who = stage.original.subjects[row]
    given = attacked(stage.released)

    def said(i: int) -> str:
        whats = {NEAR: "is next to a person's row", WORDS: "repeats a person's text"}
        what = whats.get(facet[i], "repeats a person's row")
        return f"released row {released[i]} {what}: {listed(given.shown(int(released[i])))}"

    return tuple(
        Exhibit(
            claim=said(i),
            truth=stage.original.shown(int(row[i])),
            subject=int(who[i]),
            sure=float(claim[i]),
            facet=facet[i],
        )
        for i in surest(claim, row >= 0, who)
    )
