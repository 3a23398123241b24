"""Records that stand in both arms, or nearly do, and people who do."""

import hashlib

import numpy as np

from leakpro_core.arrays import AnyArray, Bools, Ints
from leakpro_core.controls.neighbours import nearest, table
from leakpro_core.records import Estimate
from leakpro_core.report import Control
from leakpro_core.statistics import clopper_pearson

LARGE = 0.1
"""Share of members with a twin among the non-members (or whose person is there) that fails.

No attack can tell a member from its twin, so with a share d of them an attack on the others reads
up to 1 / (1 - d) weaker than it is. A tenth keeps that within the two digits that are reported.
"""

NEAR = 0.1
"""Near duplicates are closer than this share of the usual distance between neighbours."""

SAMPLE = 10_000
NAME = "duplicates"


def duplicate_control(
    records: AnyArray | None,
    members: Bools,
    subjects: Ints,
    *,
    modality: str,
    seed: int,
    confidence: float = 0.95,
) -> Control:
    """Return how many members have an exact or near twin among the non-members.

    And how many are of a person with records there: who has many records is then mostly a member,
    and claims differ with their number alone. records: ``[n, ...]``, None where they are not given
    and only people can be compared; members, subjects: ``[n]``. Labels do not count: a twin with
    another label is a twin. Near: by Euclidean distance of standardised columns (wide records:
    principal components), on at most 10,000 records of each arm; reported only, since it has no
    fixed scale.
    """
    overlap = _across(np.unique(subjects, return_inverse=True)[1], members)
    count, people = int(members.sum()), len(np.unique(subjects[overlap]))
    if records is None:
        return _of_people(people, int((overlap & members).sum()), count)
    group = groups(records)
    twins = _across(group, members)
    found = int((twins & members).sum())
    span = len(np.unique(group[twins]))
    near, looked = _near(records, members, twins, modality, seed)
    result = _verdict(int(((twins | overlap) & members).sum()), count)
    exact = (
        f"{found:,} of {count:,} members have an exact copy among the non-members "
        f"({span:,} different records)"
        if found
        else "No member has an exact copy among the non-members"
    )
    same = f", {people:,} people have records in both groups" if people else ""
    close = f" and {near:,} of {looked:,} members looked at have a near copy there"
    effect = {
        "fail": ", so the two groups cannot be compared",
        "warn": ", which no attack can tell apart",
        "pass": "",
    }[result]
    bounds = clopper_pearson(found, count, confidence)
    return Control(
        name=NAME,
        result=result,
        statement=f"{exact}{same}{close}{effect}.",
        estimate=Estimate(
            value=found / count,
            low=bounds.low,
            high=bounds.high,
            confidence=confidence,
            n=count,
            method="share of members with an exact copy, Clopper-Pearson",
        ),
        sensitivity=f"Every exact copy is seen; near means closer than {NEAR:.0%} of the usual "
        f"distance between neighbours; more than {LARGE:.0%} of members affected fails.",
    )


def _of_people(people: int, affected: int, count: int) -> Control:
    missing = "no records were given, so copies cannot be seen"
    if not people:
        return Control(
            name=NAME,
            result="not run",
            statement=f"Not run: {missing}; no person has records in both groups.",
        )
    return Control(
        name=NAME,
        result=_verdict(affected, count),
        statement=f"{people:,} people have records in both groups, {affected:,} of {count:,} "
        f"members are theirs; {missing}.",
    )


def _verdict(affected: int, count: int) -> str:
    return "fail" if affected > LARGE * count else "warn" if affected else "pass"


def groups(records: AnyArray) -> Ints:
    """Return a number for each record; equal records share it."""
    flat = records.reshape(len(records), -1)
    if flat.dtype.kind == "f":
        flat = flat + 0.0  # -0.0 equals 0.0 and has other bytes
    if flat.dtype.kind in "biufcSU":
        keys = [hashlib.blake2b(np.ascontiguousarray(r).tobytes()).digest() for r in flat]
    else:
        keys = [repr(tuple(row)).encode() for row in flat]
    numbered: dict[bytes, int] = {}
    return np.array([numbered.setdefault(key, len(numbered)) for key in keys], np.int64)


def _across(group: Ints, members: Bools) -> Bools:
    """Return the records whose group has both members and non-members."""
    inside = np.bincount(group, weights=members)
    both = (inside > 0) & (inside < np.bincount(group))
    result: Bools = both[group]
    return result


def _near(
    records: AnyArray, members: Bools, twins: Bools, modality: str, seed: int
) -> tuple[int, int]:
    """Return how many members have a near but no exact twin, and how many were looked at."""
    rng = np.random.default_rng(seed)
    inside, outside = (
        np.sort(rng.permutation(np.flatnonzero(arm))[:SAMPLE]) for arm in (members, ~members)
    )
    columns = table(records, modality, seed)
    if not columns.shape[1]:
        return 0, len(inside)
    usual = nearest(columns, outside[:1000], outside, apart=1e-2)
    limit = NEAR * float(np.median(usual[np.isfinite(usual)])) if np.isfinite(usual).any() else 0.0
    alone = inside[~twins[inside]]
    return int((nearest(columns, alone, outside) < limit).sum()), len(inside)
