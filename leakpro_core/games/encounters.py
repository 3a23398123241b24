"""Whom released rows meet in either arm: people whom they repeat, or to whom they are near."""

from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats, Ints, array
from leakpro_core.games.equal_size import reaching, repeating, weight_of
from leakpro_core.games.outcome import Matched
from leakpro_core.games.samples import TableStage, attacked, headcount, sample
from leakpro_core.statistics.paired import difference, score_interval
from leakpro_core.tabular.distance import Space, nearest
from leakpro_core.tabular.exact import owners, repeats
from leakpro_core.tabular.table import Table

EXACT, NEAR, TEXT, WORDS = "exact", "near", "exact, with text", "text"
"""What claims are about."""

CLOSEST = 0.01
"""Share of released rows that lie nearer to a control person than the distance that is near."""

NEIGHBOURS = 8
"""People of an arm whom a claim is near to, at most."""

TWINS = 200
"""People of an arm whom a claim repeats, at most; fewer where there are very many claims."""

MEETINGS = 10_000_000
"""Repeated people of an arm, over all claims, at most: 80 MB."""


SURE = 0.99
"""How sure it must be that twins come together, before they are drawn together."""


@frozen(kw_only=True)
class Met:
    """What k released rows meet in each arm, original first.

    released, claim: ``[k]``, number of the row and how sure; row: int64 ``[2, k]``, a row of the
    arm whose person is met, -1 where nobody; hit: float64 ``[2, k]``, see ``repeating``, 0 for an
    abstention. who: for each arm, int64 ``[2, meetings]``: claims, and the rows of the drawn people
    whom they meet.
    """

    facet: str
    released: Ints = array(np.int64)
    claim: Floats = array(np.float64)
    row: Ints = array(np.int64)
    hit: Floats = array(np.float64)
    who: tuple[Ints, Ints]


@frozen(kw_only=True)
class Arms:
    """Both arms, original first; drawn: rows of n' people of each, n' being the smaller arm's.

    People are drawn one by one, unless more of the smaller arm have a twin in it than people who
    are drawn so would (``households``): then people of one row are drawn together.
    """

    tables: tuple[Table, Table]
    drawn: tuple[Ints, Ints]
    people: tuple[int, int]
    together: bool = False

    @classmethod
    def of(cls, stage: TableStage, seed: int) -> "Arms":
        rng = np.random.default_rng(seed)
        one, other = attacked(stage.original), attacked(stage.control)
        people = headcount(one), headcount(other)
        together = households(one, other)
        pick = sample_together if together else sample
        drawn = pick(one, min(people), rng), pick(other, min(people), rng)
        return cls(
            tables=(stage.original, stage.control), drawn=drawn, people=people, together=together
        )

    def repeating(self, original: Ints, control: Ints) -> tuple[Floats, Floats]:
        """Return hits of claims that repeat so many people of each arm, float64 ``[2, k]``.

        And what a hit at n' people counts, ``[k]``; see ``equal_size.repeating``. Twins that are
        drawn together are reached, or not, as one person is.
        """
        if self.together:
            reached = [
                (n > 0) * (min(self.people) / of)
                for n, of in zip((original, control), self.people, strict=True)
            ]
            return np.stack(reached), np.ones(len(original))
        return (
            repeating(original, control, *self.people),
            weight_of(original + control, *self.people),
        )


def households(one: Table, other: Table) -> bool:
    """Return whether people of one row come together: in the smaller arm more than by chance.

    Drawn one by one from the large arm, two of a household would seldom both be there, and claims
    would meet more households than in the small arm: a leak where there is none. Arms of one size
    are never told apart by that.
    """
    if headcount(one) == headcount(other):
        return False
    large, small = (one, other) if headcount(one) > headcount(other) else (other, one)
    n, m = headcount(large), headcount(small)
    others = [repeats(table, table).people - 1 for table in (large, small)]
    alone = float(reaching(others[0], n - 1, m - 1).mean()) if m > 1 else 0.0
    found = float((others[1] > 0).mean())
    limits = (score_interval(share, k, SURE) for share, k in ((found, m), (alone, n)))
    return difference(found, next(limits), alone, next(limits)).low > 0.0


def sample_together(table: Table, most: int, rng: np.random.Generator) -> Ints:
    """Return the rows of ``most`` people, ascending, people with the same first row together."""
    group = household(table)
    order = np.argsort(rng.permutation(len(group))[group], kind="stable")
    return np.flatnonzero(np.isin(table.subjects, np.unique(table.subjects)[order[:most]]))


def household(table: Table) -> Ints:
    """Return the number of each person's household, int64 ``[people]``: the same first row."""
    first = np.unique(table.subjects, return_index=True)[1]
    whose = table.subjects[repeats(table.rows(first), table).row]
    return np.unique(whose, return_inverse=True)[1].reshape(-1).astype(np.int64)


def exact_met(
    facet: str,
    rows: Ints,
    claims: Floats,
    arms: Arms,
    released: Table,
    compared: Callable[[Table], Table],
) -> tuple[Met, Floats, str]:
    """Return whom rows repeat in the columns that are compared; see ``repeating`` for weights.

    Float64 ``[k]``: what a hit at n' people counts; and a note where few of many people are told.
    """
    queries = compared(released.rows(rows))
    bases = [compared(table) for table in arms.tables]
    found = [repeats(queries, base) for base in bases]
    people, others = (f.people for f in found)
    hit, weight = arms.repeating(people, others)
    most = max(1, min(TWINS, MEETINGS // max(1, len(queries))))
    told = []
    for base, drawn in zip(bases, arms.drawn, strict=True):
        claim, row = owners(queries, base.rows(drawn), most)
        told.append(np.stack([claim, drawn[row]]))
    met = Met(
        facet=facet,
        released=rows,
        claim=claims,
        row=np.stack([f.row for f in found]),
        hit=hit * ~np.isnan(claims),
        who=(told[0], told[1]),
    )
    cut = int(np.count_nonzero(np.maximum(people, others) > most))
    note = f"{cut:,} released rows repeat more than {most} people, of whom {most} of each arm count"
    return met, weight, note if cut else ""


def near_met(
    rows: Ints,
    claims: Floats,
    arms: Arms,
    released: Table,
    weight: Floats,
    *,
    most: int,
    seed: int,
) -> Met | None:
    """Return to whom rows are near, at most ``most`` of them drawn; None where none can be.

    Nearer to one of n' people than all but 1% of the released rows. weight: as ``exact_met``.
    """
    order = np.random.default_rng(seed).permutation(len(released))
    anyhow = order[:most]
    # The claimed rows that come first in the same order: the same rows if all are claimed.
    judged = np.sort(np.argsort(np.argsort(order)[rows])[:most])
    rows, claim = rows[judged], claims[judged]
    tried = np.union1d(rows, anyhow)
    space = Space.of(released, *arms.tables)
    queries = space.encode(released.rows(tried))
    found = [
        nearest(queries, space.encode(table.rows(drawn)), NEIGHBOURS, seed=seed)
        for table, drawn in zip(arms.tables, arms.drawn, strict=True)
    ]
    far = np.stack([f.distance[:, 0] for f in found])
    # The larger quantile of the two arms: where the original is nearer, the control's. A quantile
    # of the control alone would make the control's rate the lower one by luck, too.
    border = np.quantile(far[:, np.isin(tried, anyhow)], CLOSEST, axis=1).max()
    if border == 0.0:
        return None
    at = np.searchsorted(tried, rows)
    row, told = [], []
    for f, drawn in zip(found, arms.drawn, strict=True):
        near, whom = f.distance[at] < border, drawn[f.index[at]]
        row.append(np.where(near[:, 0], whom[:, 0], -1))
        told.append(np.stack([np.nonzero(near)[0], whom[near]]))
    met = np.stack(row)
    return Met(
        facet=NEAR,
        released=rows,
        claim=claim,
        row=met,
        hit=(met >= 0) * weight[judged] * ~np.isnan(claim),
        who=(told[0], told[1]),
    )


def matched(found: Sequence[Met], arms: Arms, stage: TableStage) -> Matched:
    """Return whom the claims of all facets meet among the drawn people, by number of the round."""
    people, flags, claims, whom = [], [], [], []
    first = 0
    for arm, tenth in enumerate((stage.tenth_original, stage.tenth_control)):
        drawn, owner = arms.drawn[arm], arms.tables[arm].subjects
        known, at = np.unique(owner[drawn], return_inverse=True)
        people.append(np.full(len(known), arm == 0))
        flags.append(np.bincount(at, weights=tenth[drawn], minlength=len(known)) > 0)
        before = 0
        for met in found:
            claims.append(before + met.who[arm][0])
            whom.append(first + np.searchsorted(known, owner[met.who[arm][1]]))
            before += len(met.claim)
        first += len(known)
    # Of a person with several rows that are near, one meeting.
    pairs = np.unique(np.concatenate(claims) * first + np.concatenate(whom))
    ends = np.searchsorted(pairs, first * np.arange(before + 1))
    return Matched(
        start=ends,
        person=pairs % first,
        exposed=np.concatenate(people),
        tenth=np.concatenate(flags),
        rule="any",
    )
