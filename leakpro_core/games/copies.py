"""Copies: released rows that repeat a row of the training data.

Success, paired: each released row is compared with the original and with the control rows.
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.answers import aligned, check_claims, listed, surest, wrong
from leakpro_core.games.equal_size import reaching
from leakpro_core.games.outcome import Exhibit, Refereed
from leakpro_core.games.samples import TableStage, attacked, headcount, sample
from leakpro_core.records import Evidence
from leakpro_core.tabular.distance import Space, nearest
from leakpro_core.tabular.exact import repeats
from leakpro_core.tabular.table import Table

FACETS = ("exact", "near")

NEAR = 0.01
"""Share of released rows that lie nearer to a control person than the distance that is near."""


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


@frozen(kw_only=True)
class _Met:
    """What k released rows meet in each arm, original first.

    released, claim: ``[k]``, number of the row and how sure; row: int64 ``[2, k]``, a row of the
    arm whose person is met, -1 where nobody; hit: float64 ``[2, k]``, the chance to meet one of
    n' people, 0 for an abstention.
    """

    released: Ints = array(np.int64)
    claim: Floats = array(np.float64)
    row: Ints = array(np.int64)
    hit: Floats = array(np.float64)


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

    Facet "exact": the row equals a person's in all columns but identifiers; its hit in an arm is
    the chance that one of n' people of it has that row, n' being the people of the smaller arm.
    Facet "near", of at most ``stage.rounds`` claimed rows: nearer to one of n' people than all but
    1% of the released rows are to n' control people (or to n' original ones, should these be
    farther: so that neither arm is favoured). The same is asked of ``blind`` with the auxiliary
    rows in the place of the released ones. ``scale`` brings rates at equal n to those of the whole
    table. ``WrongAnswer`` for rows that there are not or that are claimed twice, claims that do
    not fit them.
    """
    found = _both(answer, stage, stage.released, attack, seed)
    guess = None
    if blind is not None and stage.auxiliary is not None:
        guess = _both(blind, stage, stage.auxiliary, f"{attack}, blind", seed)
    evidence, tenth = _evidence(found, guess, stage)
    people = headcount(stage.original)
    return Refereed(
        evidence=evidence,
        facets=FACETS,
        paired=True,
        nested=True,
        scale=people / min(people, headcount(stage.control)),
        asked=len(stage.released),
        made=int(np.count_nonzero(~np.isnan(answer.claims))),
        exhibits=_exhibits(found, stage),
        tenth=tenth,
    )


def _both(
    answer: CopiesAnswer, stage: TableStage, released: Table, attack: str, seed: int
) -> tuple[_Met, _Met]:
    """Check an answer; return whom its rows repeat, and to whom they are near."""
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
    return _exact(answer, stage, released), _near(answer, stage, released, seed)


def _exact(answer: CopiesAnswer, stage: TableStage, released: Table) -> _Met:
    arms = (stage.original, stage.control)
    sizes = [headcount(arm) for arm in arms]
    found = [repeats(released.rows(answer.rows), arm) for arm in arms]
    hits = [reaching(f.people, size, min(sizes)) for f, size in zip(found, sizes, strict=True)]
    return _Met(
        released=answer.rows,
        claim=answer.claims,
        row=np.stack([f.row for f in found]),
        hit=np.stack(hits) * ~np.isnan(answer.claims),
    )


def _near(answer: CopiesAnswer, stage: TableStage, released: Table, seed: int) -> _Met:
    rng = np.random.default_rng(seed)
    arms = (stage.original, stage.control)
    least = min(headcount(arm) for arm in arms)
    drawn = [sample(arm, least, rng) for arm in arms]
    order = rng.permutation(len(released))
    anyhow = order[: stage.rounds]
    # The claimed rows that come first in the same order: the same rows if all are claimed.
    judged = np.sort(np.argsort(np.argsort(order)[answer.rows])[: stage.rounds])
    rows, claim = answer.rows[judged], answer.claims[judged]
    tried = np.union1d(rows, anyhow)
    space = Space.of(released, *arms)
    queries = space.encode(released.rows(tried))
    found = [
        nearest(queries, space.encode(arm.rows(chosen)), 1, seed=seed)
        for arm, chosen in zip(arms, drawn, strict=True)
    ]
    far = np.stack([f.distance[:, 0] for f in found])
    # The larger quantile of the two arms: where the original is nearer, the control's. A quantile
    # of the control alone would make the control's rate the lower one by luck, too.
    near = far < np.quantile(far[:, np.isin(tried, anyhow)], NEAR, axis=1).max()
    whom = np.stack([chosen[f.index[:, 0]] for f, chosen in zip(found, drawn, strict=True)])
    at = np.searchsorted(tried, rows)
    return _Met(
        released=rows,
        claim=claim,
        row=np.where(near, whom, -1)[:, at],
        hit=near[:, at] * ~np.isnan(claim),
    )


def _evidence(
    found: tuple[_Met, _Met], guess: tuple[_Met, _Met] | None, stage: TableStage
) -> tuple[Evidence, Bools]:
    """Return for each facet a round for each claimed row on the original, then the control."""
    parts = []
    first = 0
    for f, met in enumerate(found):
        k = len(met.claim)
        who, tenth = _whom(met, stage)
        beside = None if guess is None else guess[f]
        nothing = np.full((2, k), np.nan)
        parts.append(
            {
                "subject": np.where(who < 0, -1 - 2 * first - np.arange(2 * k).reshape(2, k), who),
                "tenth": tenth,
                "exposed": np.repeat([[True], [False]], k, axis=1),
                "claim": np.tile(met.claim, (2, 1)),
                "hit": met.hit,
                "blind_claim": nothing
                if beside is None
                else np.tile(aligned(beside.claim, k), (2, 1)),
                "blind_hit": nothing
                if beside is None
                else np.stack([aligned(hit, k) for hit in beside.hit]),
                "round": np.tile(first + np.arange(k), (2, 1)),
                "facet": np.full((2, k), f),
            }
        )
        first += k
    whole = {name: np.concatenate([p[name].ravel() for p in parts]) for name in parts[0]}
    tenth = whole.pop("tenth")
    n = 2 * first
    return Evidence(**whole, cluster=np.zeros(n, np.int64), null_p=np.full(n, np.nan)), tenth


def _whom(met: _Met, stage: TableStage) -> tuple[Ints, Bools]:
    """Return the person met, -1 for nobody, and whether it is of the most vulnerable tenth."""
    arms = ((stage.original, stage.tenth_original), (stage.control, stage.tenth_control))
    there = met.row >= 0
    who = np.stack([table.subjects[row] for (table, _), row in zip(arms, met.row, strict=True)])
    tenth = np.stack([flags[row] for (_, flags), row in zip(arms, met.row, strict=True)])
    return np.where(there, who, -1), there & tenth


def _exhibits(found: tuple[_Met, _Met], stage: TableStage) -> tuple[Exhibit, ...]:
    released = np.concatenate([met.released for met in found])
    claim = np.concatenate([met.claim for met in found])
    row = np.concatenate([met.row[0] for met in found])
    facet = np.repeat([0, 1], [len(met.claim) for met in found])
    who = stage.original.subjects[row]
    words = ("repeats a person's row", "is next to a person's row")
    given = attacked(stage.released)
    return tuple(
        Exhibit(
            claim=f"released row {released[i]} {words[facet[i]]}: "
            + listed(given.shown(int(released[i]))),
            truth=stage.original.shown(int(row[i])),
            subject=int(who[i]),
            sure=float(claim[i]),
            facet=FACETS[facet[i]],
        )
        for i in surest(claim, row >= 0, who)
    )
