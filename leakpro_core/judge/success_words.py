"""From measurements of success games to a word and a sentence, by ``docs/verdicts.md``."""

import math
from collections.abc import Sequence

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
from leakpro_core.judge.success import JudgedSuccess
from leakpro_core.judge.success_tongues import COPIES, Tongue, tongue
from leakpro_core.judge.success_units import ALL, EVERYBODY, FEWEST, SUREST, VULNERABLE
from leakpro_core.judge.words import CLEAR, STRONG
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import Finding, RiskBound, SuccessPoint, Word

EXACT = "exact"
"""The facet of the game of copies in which a whole row is repeated: what recovers a record."""


def success_finding(
    judged: Sequence[JudgedSuccess],
    policy: Policy,
    *,
    adversary: str,
    game: str,
    people: int,
    invalid: str | None,
    unfinished: Sequence[str],
) -> Finding:
    """Return the verdict on one success game for one adversary; ``judged`` may hold others too.

    people: how many the training data has; invalid: why the test supports no conclusion;
    unfinished: attacks asked for that did not finish.
    """
    mine = [j for j in judged if (j.adversary, j.game) == (adversary, game)]
    if not mine:
        return Finding(
            family=game,
            adversary=adversary,
            word=Word.NOT_TESTED,
            statement="Not tested: there are no rounds to judge.",
            technical="",
            attacks=(),
        )
    best = min(mine, key=lambda j: (not j.detected, -j.strength, j.p_value, -_excess(j)))
    bounds = _widest(mine)
    word = Word.INVALID if invalid is not None else _word(mine, bounds, unfinished)
    if word is Word.INVALID:
        said = f"This test cannot support a conclusion because {_clause(invalid or '')}."
    elif word is Word.NOT_FOUND:
        said = _not_found(game, bounds)
    elif word is Word.INCONCLUSIVE:
        said = _inconclusive(mine, game, bounds, unfinished)
    else:
        said = _leak(word, mine, best, people)
    return Finding(
        family=game,
        adversary=adversary,
        word=word,
        statement=said,
        technical=_technical(mine, best, bounds, policy),
        attacks=tuple(j.label for j in mine),
        best=best.label,
        strength=best.strength,
        bounds=bounds,
    )


def _excess(judged: JudgedSuccess) -> float:
    return max((p.excess.value for p in judged.points), default=-1.0)


def _word(
    mine: Sequence[JudgedSuccess], bounds: Sequence[RiskBound], unfinished: Sequence[str]
) -> Word:
    if not any(j.detected for j in mine):
        held = bool(bounds) and all(b.high <= b.tolerated for b in bounds)
        return Word.NOT_FOUND if held and not unfinished else Word.INCONCLUSIVE
    if any(_recovered(j) is not None for j in mine):
        return Word.EXTRACTION
    strength = max(j.strength for j in mine)
    return Word.STRONG if strength >= STRONG else Word.CLEAR if strength >= CLEAR else Word.WEAK


def _recovered(judged: JudgedSuccess) -> SuccessPoint | None:
    """Return the point at which training rows were recovered: beyond luck, and the blind."""
    if judged.game != COPIES or not judged.detected:
        return None
    name = "" if judged.facets == (EXACT,) else EXACT
    for p in judged.points:
        if (p.facet, p.coverage) == (name, ALL) and p.likelihood_low > 1.0:
            return p if p.over_blind is None or p.over_blind.low > 0.0 else None
    return None


def _widest(mine: Sequence[JudgedSuccess]) -> tuple[RiskBound, ...]:
    """Return the largest bound over the attacks, by facet and coverage."""
    widest: dict[tuple[str, str], RiskBound] = {}
    for b in (b for j in mine for b in j.bounds):
        known = widest.setdefault((b.facet, b.coverage), b)
        if b.high > known.high:
            widest[b.facet, b.coverage] = b
    return tuple(widest.values())


def _leak(word: Word, mine: Sequence[JudgedSuccess], best: JudgedSuccess, everybody: int) -> str:
    t = tongue(best.game)
    copied = next((j for j in (best, *mine) if _recovered(j) is not None), best)
    exact = _recovered(copied)
    if word is Word.EXTRACTION and exact is not None:
        said = (
            f"Training records were recovered: {_rows(exact.exposed)} of {exact.exposed.n:,} "
            f"released rows repeat a training row, against {_range(_rows(exact.control))} for "
            "control rows; rows that repeat the same person count once."
        )
        return said + _concerned(copied, exact, everybody)
    point = max(best.points, key=lambda p: (p.likelihood_low, p.excess.value))
    said = f"A leak is detectable; the evidence that the average {t.one} gives is weak."
    if word is not Word.WEAK:
        joint = "be among the surest tenth and " if point.coverage == SUREST else ""
        over = "" if joint else f"On average over {_scope(t, point).removesuffix(',')}, a"
        said = (
            f"A leak was found. {over or 'A'} {t.one} is at least "
            f"{10 if word is Word.STRONG else 3} times likelier in odds to {joint}{t.to} "
            f"{t.exposed} than {t.control}; single people may be far more exposed."
        )
    said += (
        f" With {best.label}, {_percents(point.exposed)} of {_scope(t, point)} {t.they} "
        f"{t.exposed}, against {_range(_percents(point.control))} {t.control}."
    )
    return said + _concerned(best, point, everybody) + _beside_blind(point)


def _concerned(judged: JudgedSuccess, point: SuccessPoint, everybody: int) -> str:
    lucky = ", some of them by luck" if point.control.value > 0.0 else ""
    return (
        f" In all, its claims came true about {_number(judged.people)} of the {everybody:,} "
        f"people in the training data{lucky}."
    )


def _beside_blind(point: SuccessPoint) -> str:
    if point.over_blind is None or point.over_blind.low > 0.0:
        return ""
    return " It was not shown to do better than an adversary who never saw the release."


def _not_found(game: str, bounds: Sequence[RiskBound]) -> str:
    t, worst = tongue(game), max(bounds, key=lambda b: b.high / b.tolerated)
    more = f"at most {at_most(100.0 * worst.high)} more" if worst.high > 0.0 else "no more"
    return (
        f"No leak was found. With these attacks, of every 100 {_bounded(t, worst)} {more} "
        f"{t.they} {t.exposed} than {t.control} ({plain(100.0 * worst.tolerated)} are tolerated); "
        "this does not show that the risk is insignificant for every person."
    )


def _inconclusive(
    mine: Sequence[JudgedSuccess],
    game: str,
    bounds: Sequence[RiskBound],
    unfinished: Sequence[str],
) -> str:
    t, said = tongue(game), []
    if unfinished:
        said.append(f"No leak was found, but not every attack finished: {listed(unfinished)}.")
    start = "The test also" if unfinished else "No leak was found, but the test"
    few = [j.label for j in mine if ("", ALL) in j.left_out]
    if few:
        about = f"{t.many} about fewer than {FEWEST} people in an arm"
        said.append(f"{start} could not judge {listed(few)}: {about}.")
    missed = [b for b in bounds if b.high > b.tolerated]
    if missed and not few:
        worst = max(missed, key=lambda b: b.high / b.tolerated)
        about = _bounded(t, worst).removesuffix(",")
        said.append(
            f"{start} could not exclude that, of every 100 {about}, up to "
            f"{at_most(100.0 * worst.high)} more {t.they} {t.exposed} than {t.control} "
            f"({plain(100.0 * worst.tolerated)} are tolerated)."
        )
        said.append(_needed(mine, missed, t))
    return " ".join(said)


def _needed(mine: Sequence[JudgedSuccess], missed: Sequence[RiskBound], t: Tongue) -> str:
    """Return how many people would do, if there are not enough."""
    needed = max(b.needed or 0 for b in missed)
    where = {(b.facet, b.coverage) for b in missed}
    met = [p for j in mine for p in j.points if (p.facet, p.coverage) in where]
    paired = any(j.paired for j in mine)
    unit = f"{t.many} that meet different people" if paired else "people in each arm"
    fewest = min((min(p.exposed.n, p.control.n or p.exposed.n) for p in met), default=0)
    if needed > fewest:
        return f"About {_number(needed)} {unit} would be needed."
    return (
        f"{fewest:,} {unit} exclude an attack that guesses four times out of five; this time they "
        "did not, and more would tell."
    )


def _technical(
    mine: Sequence[JudgedSuccess],
    best: JudgedSuccess,
    bounds: Sequence[RiskBound],
    policy: Policy,
) -> str:
    smallest = min(j.p_value for j in mine)
    chance = "smallest p < 0.001" if smallest < 0.001 else f"smallest p = {plain(smallest)}"
    parts = [
        f"Largest lower bound of the odds ratio: L = {at_least(best.strength)} ({best.label}), "
        f"{chance}, {percent(policy.confidence)} family-wise over the audit"
    ]
    parts += [
        f"{best.label} at {p.coverage}{_about(p.facet)}: {_numbers(p.exposed)} of "
        f"{p.exposed.n:,} exposed, {_numbers(p.control)} of {p.control.n:,} control, "
        f"excess {_numbers(p.excess)}"
        for p in best.points
    ]
    parts += [
        f"excess{_covering(b)}: at most {at_most(b.high)} by any of {len(mine)} attacks "
        f"({plain(b.tolerated)} is tolerated)"
        for b in bounds
    ]
    parts += [
        f"{j.label} excludes nothing for want of {FEWEST} people in an arm: "
        + listed([coverage + _about(facet) for facet, coverage in j.left_out])
        for j in mine
        if j.left_out
    ]
    return "; ".join(parts) + "."


def _scope(t: Tongue, point: SuccessPoint) -> str:
    """Return which claims a point speaks of."""
    scopes = {
        ALL: f"all {t.many}",
        SUREST: f"the surest tenth of the {t.many}",
        VULNERABLE: f"all {t.many}{t.tenth}",
        EVERYBODY: f"all {t.many} (asked for, made or not)",
    }
    return scopes[point.coverage] + _about(point.facet)


def _bounded(t: Tongue, bound: RiskBound) -> str:
    """Return which claims a bound speaks of."""
    tenth = t.tenth if bound.coverage == VULNERABLE else ""
    return t.many + tenth + _about(bound.facet)


def _covering(bound: RiskBound) -> str:
    return _about(bound.facet or (bound.coverage if bound.coverage != ALL else ""))


def _about(facet: str) -> str:
    return f" ({facet})" if facet else ""


def _percents(rate: Estimate) -> str:
    low, high = at_least(100.0 * rate.low), percent_at_most(rate.high)
    return f"between {low}% and {high}" if f"{low}%" != high else high


def _rows(rate: Estimate) -> str:
    return people(math.floor(rate.low * rate.n + 1e-9), math.ceil(rate.high * rate.n - 1e-9))


def _range(between: str) -> str:
    """Return "a to b" for "between a and b"."""
    return between.removeprefix("between ").replace(" and ", " to ")


def _numbers(found: Estimate) -> str:
    return f"{plain(found.value)} [{at_least(found.low)}, {at_most(found.high)}]"


def _number(count: int) -> str:
    """Return a number of people in two significant digits, where "about" stands before it."""
    return headcount(count).removeprefix("about ")


def _clause(sentence: str) -> str:
    """Return a sentence as a clause: no full stop, and no capital unless it starts a name."""
    text = sentence.strip().rstrip(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
