"""From measurements to a word and a sentence, by the rules in ``docs/verdicts.md``."""

import math
from collections.abc import Sequence

from leakpro_core.judge.measure import Judged
from leakpro_core.judge.numbers import (
    at_least,
    at_most,
    headcount,
    listed,
    people,
    percent,
    percent_at_most,
    plain,
)
from leakpro_core.judge.rounds import TENTH
from leakpro_core.plan import Policy
from leakpro_core.report import LEAKS, Exclusion, Finding, Word

STRONG, CLEAR = 10.0, 3.0
"""The usual steps of evidence ratios; a convention."""

_STRENGTH = (
    "A leak was found. On average over those flagged, a flag makes membership at least "
    "{} times likelier in odds; single records may be far more exposed."
)
_SAID = {
    Word.STRONG: _STRENGTH.format("10"),
    Word.CLEAR: _STRENGTH.format("3"),
    Word.WEAK: "A leak is detectable; the evidence against the average flagged person is weak.",
}


def finding(
    judged: Sequence[Judged],
    policy: Policy,
    *,
    adversary: str,
    family: str,
    sampling: str,
    models: int,
    invalid: str | None,
    unfinished: Sequence[str],
) -> Finding:
    """Return the verdict on one family for one adversary; ``judged`` may hold others too.

    sampling: "all" (every member of the model was tested), "random" or "other"; models: how many
    were audited; invalid: why the test supports no conclusion; unfinished: attacks asked for that
    did not finish.
    """
    mine = [j for j in judged if (j.adversary, j.family) == (adversary, family)]
    if not mine:
        return _untested(family, adversary)
    best = min(mine, key=lambda j: (-j.strength, j.p_value, -j.auc.value))
    bounds = _widest(mine)
    word = Word.INVALID if invalid is not None else _word(mine, bounds, unfinished)
    count = None if sampling == "other" else best.everybody
    reach = None
    if word in LEAKS and count is not None and best.reach is not None:
        reach = (math.floor(best.reach.low * count), math.ceil(best.reach.high * count))
    if word is Word.INVALID:
        said = f"This test cannot support a conclusion because {_clause(invalid or '')}."
    elif word is Word.NOT_FOUND:
        said = _not_found(family, bounds, count, sampling)
    elif word is Word.INCONCLUSIVE:
        said = _inconclusive(mine, bounds, unfinished)
    else:
        said = _SAID[word] + _flagged(best, reach, count, models, sampling)
    return Finding(
        family=family,
        adversary=adversary,
        word=word,
        statement=said,
        technical=_technical(mine, best, bounds, policy),
        attacks=tuple(j.label for j in mine),
        best=best.label,
        strength=best.strength,
        exclusion=bounds,
        reach=reach,
        reach_of=None if reach is None else count,
        reach_fpr=None if reach is None else best.reach_fpr,
    )


def within(bounds: Sequence[Exclusion]) -> bool:
    """Return whether every declared FPR has its upper bound within what is tolerated."""
    return bool(bounds) and all(e.high <= e.tolerated for e in bounds)


def _untested(family: str, adversary: str) -> Finding:
    return Finding(
        family=family,
        adversary=adversary,
        word=Word.NOT_TESTED,
        statement="Not tested: there are no rounds to judge.",
        technical="",
        attacks=(),
    )


def _word(mine: Sequence[Judged], bounds: Sequence[Exclusion], unfinished: Sequence[str]) -> Word:
    if not any(j.detected for j in mine):
        return Word.NOT_FOUND if within(bounds) and not unfinished else Word.INCONCLUSIVE
    strength = max(j.strength for j in mine)
    return Word.STRONG if strength >= STRONG else Word.CLEAR if strength >= CLEAR else Word.WEAK


def _widest(mine: Sequence[Judged]) -> tuple[Exclusion, ...]:
    """Return the largest bound over the attacks, by FPR."""
    same = zip(*(j.exclusion for j in mine), strict=True)
    return tuple(max(each, key=lambda e: e.high) for each in same)


def _flagged(
    best: Judged, reach: tuple[int, int] | None, count: int | None, models: int, sampling: str
) -> str:
    if reach is None or count is None or best.reach_fpr is None:
        return ""
    tested = "tested " if sampling == "random" else ""
    whose = f"{tested}of a model, on average over these {models}"
    if models == 1:
        whose = "tested" if tested else "of this model"
    return (
        f" At a false-positive rate of {percent(best.reach_fpr)}, the strongest attack "
        f"({best.label}) flags {people(*reach)} of the {count:,} {_kin(best.family)} {whose}."
    )


def _not_found(family: str, bounds: Sequence[Exclusion], count: int | None, sampling: str) -> str:
    tested = " tested" if sampling == "random" else ""

    def could(e: Exclusion) -> str:
        who = f"{percent(e.tolerated)} of the {_kin(family)}"
        if count is not None:
            number = headcount(e.tolerated * count)
            who = f"{percent(e.tolerated)} x {count:,} = {number} {_kin(family)}{tested}"
        return f"up to {who} could still be flagged at a false-positive rate of {percent(e.fpr)}"

    return (
        f"No leak was found. With these attacks, {listed([could(e) for e in bounds])}; "
        "this does not show that the risk is insignificant for every person."
    )


def _inconclusive(
    mine: Sequence[Judged], bounds: Sequence[Exclusion], unfinished: Sequence[str]
) -> str:
    said = []
    if unfinished:
        said.append(f"No leak was found, but not every attack finished: {listed(unfinished)}.")
    missed = [e for e in bounds if e.high > e.tolerated]
    if missed:
        open_ = [
            f"up to {percent_at_most(e.high)} of the {_kin(mine[0].family)} are flagged at a "
            f"false-positive rate of {percent(e.fpr)} ({percent(e.tolerated)} is tolerated)"
            for e in missed
        ]
        start = "The test also" if unfinished else "No leak was found, but the test"
        said.append(f"{start} could not exclude that {listed(open_)}.")
        said.append(_needed(mine, max(e.needed or 0 for e in missed)))
    return " ".join(said)


def _needed(mine: Sequence[Judged], needed: int) -> str:
    """Return how many records would do, if there are not enough."""
    kin = _kin(mine[0].family)
    members, others = min(j.members for j in mine), min(j.nonmembers for j in mine)
    if needed > min(members, others):
        return f"n = {headcount(needed)} {kin} and as many non-members would be needed."
    return (
        f"Its {members:,} {kin} and {others:,} non-members exclude an attack that guesses four "
        "times out of five; this time they did not, and more records would tell."
    )


def _technical(
    mine: Sequence[Judged], best: Judged, bounds: Sequence[Exclusion], policy: Policy
) -> str:
    level = percent(policy.confidence)
    parts = [
        "Largest lower bound of the likelihood ratio: "
        f"L = {at_least(best.strength)} ({best.label}), "
        f"{_chance(min(j.p_value for j in mine))}, {level} family-wise over the audit"
    ]
    parts += [
        f"{best.label} at FPR {percent(p.level)}: {p.tp} of {p.members} members, "
        f"{p.fp} of {p.nonmembers} non-members flagged"
        for p in best.points
        if p.kind == "fpr"
    ]
    parts += [
        f"TPR at FPR {percent(e.fpr)}: at most {at_most(e.high)} by any of {len(mine)} attacks "
        f"({plain(e.tolerated)} is tolerated)"
        for e in bounds
    ]
    return "; ".join(parts) + "."


def _chance(p: float) -> str:
    return "smallest p < 0.001" if p < 0.001 else f"smallest p = {plain(p)}"


def _kin(family: str) -> str:
    return "most exposed members" if family == TENTH else "members"


def _clause(sentence: str) -> str:
    """Return a sentence as a clause: no full stop, and no capital unless it starts a name."""
    text = sentence.strip().rstrip(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
