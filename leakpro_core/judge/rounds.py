"""The rounds of an audit, lined up: one row per subject and target, one sample per attack."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Floats, Ints, Singles, array
from leakpro_core.errors import BadArray
from leakpro_core.records import Evidence
from leakpro_core.statistics.multiplicity import Exchange
from leakpro_core.statistics.roc import Tally, levels, tally_of

MAIN = "membership"
TENTH = "membership, most vulnerable tenth"


@frozen(kw_only=True)
class Rounds:
    """One attack as one adversary, to be judged.

    tenth: bool per round, the record is among the most vulnerable tenth; None: not known.
    """

    label: str
    adversary: str
    evidence: Evidence
    tenth: Bools | None = array(np.bool_, optional=True)

    def __attrs_post_init__(self) -> None:
        if self.tenth is not None and len(self.tenth) != len(self.evidence.claim):
            raise BadArray(
                f"the most vulnerable tenth of {self.label}, {self.adversary}",
                found=f"{len(self.tenth)} entries",
                expected=f"one for each of {len(self.evidence.claim)} rounds",
            )


@frozen(kw_only=True)
class Part:
    """One attack on one target; row i of every array ``[n]`` is one round.

    rows: its row in the table; code: the level of its claim in the tally; exposed: its arm.
    """

    tally: Tally
    rows: Ints = array(np.int64)
    code: Ints = array(np.int64)
    exposed: Bools = array(np.bool_)

    @property
    def claim(self) -> Floats:
        """Claims, float64 ``[n]``."""
        return self.tally.value[self.code]


@frozen(kw_only=True)
class Sample:
    """One attack of one adversary in one family: a part per target."""

    label: str
    adversary: str
    family: str
    parts: tuple[Part, ...]

    @property
    def members(self) -> int:
        """Fewest exposed rounds of a target."""
        return min(part.tally.members for part in self.parts)

    @property
    def everybody(self) -> int:
        """Exposed rounds of a target, the mean over targets, rounded."""
        return round(sum(part.tally.members for part in self.parts) / len(self.parts))

    @property
    def nonmembers(self) -> int:
        """Fewest control rounds of a target."""
        return min(part.tally.nonmembers for part in self.parts)


@frozen(kw_only=True)
class Table:
    """All rounds of an audit. A row is one subject against one target, for every attack.

    samples: main families first, in the order of the rounds, then the most vulnerable tenths.
    """

    rows: int
    samples: tuple[Sample, ...]
    exchanges: tuple[Exchange, ...]


def tabulate(rounds: Sequence[Rounds]) -> Table:
    """Line up the rounds of all attacks by target and subject.

    Several records of a subject are one round: the mean of its claims, an abstention only if all
    abstain, exposed if any of its records is. ``BadArray`` where an attack has no target with
    rounds in both arms.
    """
    cluster, subject, index = _rows(rounds)
    rows = len(cluster)
    exposed = np.zeros(rows, np.bool_)
    for each, at in zip(rounds, index, strict=True):
        exposed[at[each.evidence.exposed]] = True
    spans = np.flatnonzero(np.diff(cluster, prepend=-1, append=-1))
    targets = [slice(a, b) for a, b in pairwise(spans.tolist())]
    samples = []
    for family in (MAIN, TENTH):
        for each, at in zip(rounds, index, strict=True):
            if family == MAIN or each.tenth is not None:
                keep = np.ones(len(at), np.bool_) if family == MAIN else each.tenth
                parts = _parts(_merged(each.evidence.claim, at, rows), at[keep], exposed, targets)
                if parts:
                    samples.append(
                        Sample(
                            label=each.label, adversary=each.adversary, family=family, parts=parts
                        )
                    )
                elif family == MAIN:
                    raise BadArray(
                        f"rounds of {each.label}, {each.adversary}",
                        found="one arm only",
                        expected="members and non-members",
                    )
    return Table(
        rows=rows,
        samples=tuple(samples),
        exchanges=_exchanges(subject, exposed.astype(np.float32), targets),
    )


def _rows(rounds: Sequence[Rounds]) -> tuple[Ints, Ints, list[Ints]]:
    """Return target and subject of each row, both as numbers from 0, and the row of each round."""
    first = rounds[0].evidence
    same = [
        np.array_equal(r.evidence.cluster, first.cluster)
        and np.array_equal(r.evidence.subject, first.subject)
        for r in rounds
    ]
    distinct = [first] + [r.evidence for r, known in zip(rounds, same, strict=True) if not known]
    clusters = np.unique(np.concatenate([e.cluster for e in distinct]), return_inverse=True)[1]
    people, who = np.unique(np.concatenate([e.subject for e in distinct]), return_inverse=True)
    keys, index = np.unique(clusters * len(people) + who, return_inverse=True)
    parts = iter(np.split(index, np.cumsum([len(e.claim) for e in distinct])[:-1]))
    shared = next(parts)
    return (
        keys // len(people),
        keys % len(people),
        [shared if known else next(parts) for known in same],
    )


def _merged(claim: Floats, at: Ints, rows: int) -> Floats:
    """Return the mean claim of each row; NaN where all its rounds abstain or there is none."""
    made = ~np.isnan(claim)
    count = np.bincount(at[made], minlength=rows)
    total = np.bincount(at[made], weights=claim[made], minlength=rows)
    mean: Floats = np.full(rows, np.nan)
    return np.divide(total, count, out=mean, where=count > 0)


def _parts(claim: Floats, at: Ints, exposed: Bools, targets: Sequence[slice]) -> tuple[Part, ...]:
    """Return the targets in which the rows ``at`` have both arms."""
    present = np.zeros(len(exposed), np.bool_)
    present[at] = True
    parts = []
    for target in targets:
        rows = target.start + np.flatnonzero(present[target])
        if 0 < exposed[rows].sum() < len(rows):
            value, code = levels(claim[rows])
            arms = exposed[rows]
            counted = tally_of(value, code, arms)
            parts.append(Part(tally=counted, rows=rows, code=code, exposed=arms))
    return tuple(parts)


def _exchanges(subject: Ints, arms: Singles, targets: Sequence[slice]) -> tuple[Exchange, ...]:
    """Return whose arms may be exchanged under the hypothesis of no leak.

    Where every subject meets every target, a subject's arms move together: exact even if the same
    people are members of all targets. Otherwise arms move within each target on their own.
    """
    rows = [np.arange(target.start, target.stop) for target in targets]
    met = [subject[r] for r in rows]
    if all(np.array_equal(met[0], other) for other in met[1:]):
        together = np.stack(rows, axis=1)
        return (Exchange(rows=together, arms=arms[together]),)
    return tuple(Exchange(rows=r[:, None], arms=arms[r][:, None]) for r in rows)
