"""The sentences of gradient inversion: what is independent are batches of clients, not people."""

from collections.abc import Sequence

from leakpro_core.games.gradient_inversion import IDENTIFIED, LABELS, RECOVERED
from leakpro_core.judge.inversion_beside import Beside, Demonstrated
from leakpro_core.judge.numbers import (
    at_least,
    at_most,
    headcount,
    listed,
    percent,
    percent_at_most,
    plain,
)
from leakpro_core.judge.success import JudgedSuccess
from leakpro_core.judge.success_tongues import Tongue
from leakpro_core.judge.success_units import ALL, EVERYBODY, FEWEST, SUREST
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import RiskBound, SuccessPoint, Word

_TONGUES = {
    IDENTIFIED: Tongue(
        "reconstruction",
        "reconstructions",
        "be nearest to",
        "are nearest to",
        "a record of the client's batch",
        "to one of as many other records",
    ),
    RECOVERED: Tongue(
        "record",
        "records",
        "be recovered",
        "are recovered",
        "from the client's batch",
        "from a batch of as many other records",
    ),
    LABELS: Tongue(
        "label",
        "labels",
        "be right",
        "are right",
        "about the client's batch",
        "about a batch of as many other records",
    ),
}


def recovered(judged: JudgedSuccess) -> SuccessPoint | None:
    """Return the point at which records were recovered: beyond luck, and the blind."""
    if not judged.detected:
        return None
    name = "" if judged.facets == (RECOVERED,) else RECOVERED
    for p in judged.points:
        if (p.facet, p.coverage) == (name, ALL) and p.likelihood_low > 1.0:
            return p if p.over_blind is None or p.over_blind.low > 0.0 else None
    return None


def largest_excess(judged: JudgedSuccess) -> float:
    """Return the largest excess over control at any point of an attack."""
    return max((p.excess.value for p in judged.points), default=-1.0)


def extraction(mine: Sequence[JudgedSuccess], best: JudgedSuccess, beside: Beside) -> str:
    """Return what was recovered, by count and by certificate."""
    copied = next((j for j in (best, *mine) if recovered(j) is not None), None)
    parts = []
    count = None if copied is None else beside.counted.get(copied.label)
    if copied is not None and count is not None:
        parts.append(
            f"Records of clients were recovered: with {copied.label}, {count.hits:,} of "
            f"{count.rounds:,} records of {count.batches:,} batches ({count.distinct:,} different "
            f"records), against {count.control:,} of as many other records."
        )
        found = recovered(copied)
        if found is not None and found.blind is not None:
            parts.append(
                f"Of these an adversary who never saw an update would have recovered "
                f"{_percents(found.blind)}."
            )
    if beside.demonstrated:
        said = shown(beside.demonstrated)
        parts.append(said.replace("Records of clients", "They", 1) if parts else said)
    return " ".join(parts)


def shown(demonstrated: Sequence[Demonstrated]) -> str:
    """Return what attacks show by the update alone; core has checked that it gives this update."""
    each = "; ".join(
        f"{d.label} certified {_counted(d.records, 'record', 'records')} of "
        f"{_counted(d.batches, 'batch', 'batches')}, and the update that core computed from these "
        f"differs from the one that was sent by {_close(d.residual)} of its length"
        for d in demonstrated
    )
    return (
        f"Records of clients were recovered, as demonstrated by certificate: {each}. An attack "
        "certifies what, by its own account, no other records explain."
    )


def unjudged(beside: Beside) -> str:
    """Return why there is no verdict, how near attacks came, and what it would take."""
    if not beside.why:
        return "Not tested: there are no rounds to judge."
    parts = [f"Not judged: {beside.why}."]
    parts += [
        f"The update that {label}'s reconstructions give differs from the one that was sent by "
        f"{percent(e.value)} of its length."
        for label, e in beside.residuals.items()
    ]
    parts += beside.uncertain
    parts.append(
        "A verdict needs the client's batch, and other records to compare it with, or an attack "
        "whose certificate stands."
    )
    return " ".join(parts)


def left_over(beside: Beside) -> str:
    """Return how many batches could not be judged, and why; nothing where all could."""
    if not beside.unjudged:
        return ""
    return (
        f" {beside.unjudged:,} of {_counted(beside.batches, 'batch', 'batches')} could not be "
        f"judged: {beside.why}."
    )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _close(residual: float) -> str:
    return "less than 0.000001" if residual < 1e-6 else f"at most {at_most(residual)}"


def leak(word: Word, best: JudgedSuccess, beside: Beside) -> str:
    """Return how strong a leak is, and how far it reaches."""
    point = max(best.points, key=lambda p: (p.likelihood_low, p.excess.value))
    t = _tongue(facet_of(best, point.facet))
    said = f"A leak is detectable; the evidence that the average {t.one} gives is weak."
    if word is not Word.WEAK:
        joint = "be among the surest tenth and " if point.coverage == SUREST else ""
        over = "" if joint else f"On average over {_scope(best, point)}, a"
        said = (
            f"A leak was found. {over or 'A'} {t.one} is at least "
            f"{10 if word is Word.STRONG else 3} times likelier in odds to {joint}{t.to} "
            f"{t.exposed} than {t.control}; single batches may be far more exposed."
        )
    said += (
        f" With {best.label}, {_percents(point.exposed)} of {_scope(best, point)} {t.they} "
        f"{t.exposed}, against {_range(_percents(point.control))} with as many other records."
    )
    lucky = ", some of them by luck" if point.control.value > 0.0 else ""
    said += (
        f" In all, its claims came true about {best.people:,} of the "
        f"{beside.batches - beside.unjudged:,} batches{lucky}."
    )
    if point.over_blind is not None and point.over_blind.low <= 0.0:
        said += " It was not shown to do better than an adversary who never saw the update."
    return said


def not_found(mine: Sequence[JudgedSuccess], bounds: Sequence[RiskBound]) -> str:
    """Return what was excluded, and what that does not say."""
    worst = max(bounds, key=lambda b: b.high / b.tolerated)
    t = _tongue(worst.facet)
    more = f"at most {at_most(100.0 * worst.high)} more" if worst.high > 0.0 else "no more"
    return (
        f"No leak was found. With these attacks, of every 100 {t.many} {more} {t.they} {t.exposed} "
        f"than {t.control} ({plain(100.0 * worst.tolerated)} are tolerated); this does not show "
        "that the risk is insignificant for every batch."
    )


def inconclusive(
    mine: Sequence[JudgedSuccess], bounds: Sequence[RiskBound], unfinished: Sequence[str]
) -> str:
    """Return what could not be excluded, and how many batches it would take."""
    said = []
    if unfinished:
        said.append(f"No leak was found, but not every attack finished: {listed(unfinished)}.")
    start = "The test also" if unfinished else "No leak was found, but the test"
    few = [j.label for j in mine if ("", ALL) in j.left_out]
    if few:
        said.append(
            f"{start} could not judge {listed(few)}: claims about at least {FEWEST} batches are "
            "needed."
        )
    missed = [b for b in bounds if b.high > b.tolerated]
    if missed:
        worst = max(missed, key=lambda b: b.high / b.tolerated)
        t = _tongue(worst.facet)
        if not few:
            said.append(
                f"{start} could not exclude that, of every 100 {t.many}, up to "
                f"{at_most(100.0 * worst.high)} more {t.they} {t.exposed} than {t.control} "
                f"({plain(100.0 * worst.tolerated)} are tolerated)."
            )
        said.append(_needed(mine, missed))
    return " ".join(said)


def _needed(mine: Sequence[JudgedSuccess], missed: Sequence[RiskBound]) -> str:
    hardest = max(missed, key=lambda b: b.needed or 0)
    needed = hardest.needed or 0
    where = {(b.facet, b.coverage) for b in missed}
    met = [p for j in mine for p in j.points if (facet_of(j, p.facet), p.coverage) in where]
    fewest = min((min(p.exposed.n, p.control.n or p.exposed.n) for p in met), default=0)
    if needed > fewest:
        many = _tongue(hardest.facet).many
        return f"{headcount(needed).capitalize()} batches would be needed for {many}."
    return (
        f"{fewest:,} batches exclude an attack that guesses four times out of five; this time they "
        "did not, and more would tell."
    )


def how_near(best: JudgedSuccess, beside: Beside) -> str:
    """Return how near the best attack came to the update: a weak one finds nothing, too."""
    blind = next((p.blind for p in best.points if p.blind is not None), None)
    told = beside.residuals.get(best.label)
    if best.facets == (LABELS,):
        return ""  # no records, and so no update of them
    said = (
        f" {best.label} does not tell how near its update comes to the one that was sent."
        if told is None
        else f" The update that {best.label}'s reconstructions give differs from the one that was "
        f"sent by {percent(told.value)} of its length."
    )
    if blind is None:
        return said + " Nobody guessed without the update, since there are no auxiliary records."
    return said


def technical(
    mine: Sequence[JudgedSuccess],
    best: JudgedSuccess,
    bounds: Sequence[RiskBound],
    beside: Beside,
    policy: Policy,
) -> str:
    """Return the figures behind a finding."""
    smallest = min(j.p_value for j in mine)
    chance = "smallest p < 0.001" if smallest < 0.001 else f"smallest p = {plain(smallest)}"
    parts = [
        f"Largest lower bound of the odds ratio: L = {at_least(best.strength)} ({best.label}), "
        f"{chance}, {percent(policy.confidence)} family-wise over the audit"
    ]
    parts += [
        f"{best.label} at {p.coverage}{_about(p.facet)}: {_numbers(p.exposed)} of "
        f"{p.exposed.n:,} batches exposed, {_numbers(p.control)} of {p.control.n:,} control, "
        f"excess {_numbers(p.excess)}"
        for p in best.points
    ]
    parts += [
        f"excess{_about(b.facet)}: at most {at_most(b.high)} by any of {len(mine)} attacks "
        f"({plain(b.tolerated)} is tolerated)"
        for b in bounds
    ]
    shown = certificates(beside.demonstrated)
    return "; ".join(parts) + "." + (f" {shown}" if shown else "")


def certificates(shown: Sequence[Demonstrated]) -> str:
    """Return what was certified, in figures."""
    return " ".join(
        f"Certificates of {d.label}: {_counted(d.records, 'record', 'records')} of "
        f"{_counted(d.batches, 'batch', 'batches')}, largest relative residual {d.residual:.1e}."
        for d in shown
    )


def facet_of(judged: JudgedSuccess, facet: str) -> str:
    """Return what a point is about: all claims together are those of the attack's first facet."""
    return facet or (judged.facets[0] if judged.facets else IDENTIFIED)


def _tongue(facet: str) -> Tongue:
    return _TONGUES.get(facet, _TONGUES[IDENTIFIED])


def _scope(judged: JudgedSuccess, point: SuccessPoint) -> str:
    many = _tongue(facet_of(judged, point.facet)).many
    return {
        SUREST: f"the surest tenth of the {many}",
        EVERYBODY: f"all {many} (asked for, made or not)",
    }.get(point.coverage, f"all {many}")


def _about(facet: str) -> str:
    return f" ({facet})" if facet else ""


def _percents(rate: Estimate) -> str:
    low, high = at_least(100.0 * rate.low), percent_at_most(rate.high)
    return f"between {low}% and {high}" if f"{low}%" != high else high


def _range(between: str) -> str:
    """Return "a to b" for "between a and b"."""
    return between.removeprefix("between ").replace(" and ", " to ")


def _numbers(found: Estimate) -> str:
    return f"{plain(found.value)} [{at_least(found.low)}, {at_most(found.high)}]"


def clause(sentence: str) -> str:
    """Return a sentence as a clause: no full stop, and no capital unless it starts a name."""
    text = sentence.strip().rstrip(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
