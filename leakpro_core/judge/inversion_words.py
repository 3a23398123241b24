"""From measurements of gradient inversion to a word and a sentence, by ``docs/verdicts.md``.

What is independent are batches of clients, not people. Where a client's batch was not given,
nothing can be counted, and only what the update alone shows is called extraction.
"""

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from leakpro_core.games.gradient_inversion import IDENTIFIED, LABELS, RECOVERED
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
from leakpro_core.judge.words import CLEAR, STRONG
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import Finding, RiskBound, SuccessPoint, Word

INVERSION = "gradient-inversion"

_TONGUES = {
    IDENTIFIED: Tongue(
        "reconstruction",
        "reconstructions",
        "be nearest to",
        "are nearest to",
        "a record of the client's batch",
        "one of as many other records",
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
        "of the client's batch",
        "of a batch of as many other records",
    ),
}


@frozen(kw_only=True)
class Counted:
    """Records that an attack recovered: hits of ``rounds`` records of ``batches``.

    control: of as many other records; distinct: different records among the hits.
    """

    hits: int
    rounds: int
    batches: int
    control: int
    distinct: int


@frozen(kw_only=True)
class Demonstrated:
    """What an attack shows by the update alone: records that it certified of ``batches``.

    residual: the largest relative distance of the update that core computes from these records
    from the one that was sent.
    """

    label: str
    records: int
    batches: int
    residual: float


@frozen(kw_only=True)
class Beside:
    """What is known of one adversary's attacks beside what the judge measured.

    batches: how many were played; unjudged: how many of these could not be judged, and why (a
    sentence without a full stop); counted: what was recovered, by label; demonstrated: by the
    update alone; uncertain: why certificates were not accepted, sentences; residuals: of
    reconstructions, mean over batches, by label, where an attack told it.
    """

    batches: int
    unjudged: int = 0
    why: str = ""
    counted: Mapping[str, Counted] = field(factory=dict)
    demonstrated: tuple[Demonstrated, ...] = ()
    uncertain: tuple[str, ...] = ()
    residuals: Mapping[str, Estimate] = field(factory=dict)


def inversion_finding(
    judged: Sequence[JudgedSuccess],
    policy: Policy,
    *,
    adversary: str,
    beside: Beside,
    invalid: str | None,
    unfinished: Sequence[str],
) -> Finding:
    """Return the verdict on gradient inversion for one adversary; ``judged`` may hold others too.

    invalid: why the test supports no conclusion; unfinished: attacks asked for that did not finish.
    What the update alone shows stands whatever controls say.
    """
    mine = [j for j in judged if (j.adversary, j.game) == (adversary, INVERSION)]
    if not mine:
        return _unjudged(adversary, beside)
    best = min(mine, key=lambda j: (not j.detected, -j.strength, j.p_value, -_excess(j)))
    bounds = _widest(mine)
    word = Word.EXTRACTION
    if not beside.demonstrated:
        word = Word.INVALID if invalid is not None else _word(mine, bounds, unfinished)
    if word is Word.INVALID:
        said = f"This test cannot support a conclusion because {_clause(invalid or '')}."
    elif word is Word.NOT_FOUND:
        said = _not_found(mine, bounds) + _how_near(best, beside)
    elif word is Word.INCONCLUSIVE:
        said = _inconclusive(mine, bounds, unfinished) + _how_near(best, beside)
    elif word is Word.EXTRACTION:
        said = _extraction(mine, best, beside)
    else:
        said = _leak(word, best, beside)
    if beside.unjudged:
        said += f" {beside.unjudged:,} of the {beside.batches:,} batches are not judged: "
        said += f"{beside.why}."
    return Finding(
        family=INVERSION,
        adversary=adversary,
        word=word,
        statement=said,
        technical=_technical(mine, best, bounds, beside, policy),
        attacks=tuple(j.label for j in mine),
        best=best.label,
        strength=best.strength,
        bounds=bounds,
    )


def _unjudged(adversary: str, beside: Beside) -> Finding:
    """Return the verdict where nothing can be counted: shown by the update alone, or none."""
    shown = beside.demonstrated
    word = Word.EXTRACTION if shown else Word.NOT_TESTED
    said = _shown(shown)
    if not shown:
        parts = [f"Not judged: {beside.why or 'there are no rounds to judge'}."]
        parts += [
            f"The update that {label}'s reconstructions give differs from the one that was sent "
            f"by {percent(e.value)} of its length."
            for label, e in beside.residuals.items()
        ]
        parts += beside.uncertain
        parts.append(
            "A verdict needs the client's batch and other records to compare it with, or a "
            "certificate."
        )
        said = " ".join(parts)
    return Finding(
        family=INVERSION,
        adversary=adversary,
        word=word,
        statement=said,
        technical=_certificates(shown),
        attacks=tuple(d.label for d in shown),
        best=shown[0].label if shown else "",
    )


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
    """Return the point at which records were recovered: beyond luck, and the blind."""
    if not judged.detected:
        return None
    name = "" if judged.facets == (RECOVERED,) else RECOVERED
    for p in judged.points:
        if (p.facet, p.coverage) == (name, ALL) and p.likelihood_low > 1.0:
            return p if p.over_blind is None or p.over_blind.low > 0.0 else None
    return None


def _excess(judged: JudgedSuccess) -> float:
    return max((p.excess.value for p in judged.points), default=-1.0)


def _widest(mine: Sequence[JudgedSuccess]) -> tuple[RiskBound, ...]:
    """Return the largest bound over the attacks, by facet and coverage."""
    widest: dict[tuple[str, str], RiskBound] = {}
    for b in (b for j in mine for b in j.bounds):
        known = widest.setdefault((b.facet, b.coverage), b)
        if b.high > known.high:
            widest[b.facet, b.coverage] = b
    return tuple(widest.values())


# Sentences.


def _extraction(mine: Sequence[JudgedSuccess], best: JudgedSuccess, beside: Beside) -> str:
    copied = next((j for j in (best, *mine) if _recovered(j) is not None), None)
    parts = []
    count = None if copied is None else beside.counted.get(copied.label)
    if copied is not None and count is not None:
        parts.append(
            f"Records of clients were recovered: with {copied.label}, {count.hits:,} of "
            f"{count.rounds:,} records of {count.batches:,} batches ({count.distinct:,} different "
            f"records), against {count.control:,} of as many other records."
        )
        found = _recovered(copied)
        if found is not None and found.blind is not None:
            parts.append(
                f"An adversary who never saw an update would have recovered "
                f"{_percents(found.blind)}."
            )
    if beside.demonstrated:
        parts.append(_shown(beside.demonstrated))
    return " ".join(parts)


def _shown(demonstrated: Sequence[Demonstrated]) -> str:
    return " ".join(
        f"Records of clients were recovered, as demonstrated by certificate: {d.label} certified "
        f"{d.records:,} records of {d.batches:,} {'batch' if d.batches == 1 else 'batches'} as the "
        "only ones that the update allows, and core computed the update that they give, which "
        f"differs from the one that was sent by at most {at_most(d.residual)} of its length."
        for d in demonstrated
    )


def _leak(word: Word, best: JudgedSuccess, beside: Beside) -> str:
    point = max(best.points, key=lambda p: (p.likelihood_low, p.excess.value))
    t = _tongue(best, point.facet)
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
        f"{t.exposed}, against {_range(_percents(point.control))} {t.control}."
    )
    lucky = ", some of them by luck" if point.control.value > 0.0 else ""
    said += (
        f" In all, its claims came true about {best.people:,} of the "
        f"{beside.batches - beside.unjudged:,} batches{lucky}."
    )
    if point.over_blind is not None and point.over_blind.low <= 0.0:
        said += " It was not shown to do better than an adversary who never saw the update."
    return said


def _not_found(mine: Sequence[JudgedSuccess], bounds: Sequence[RiskBound]) -> str:
    worst = max(bounds, key=lambda b: b.high / b.tolerated)
    t = _tongue(mine[0], worst.facet)
    more = f"at most {at_most(100.0 * worst.high)} more" if worst.high > 0.0 else "no more"
    return (
        f"No leak was found. With these attacks, of every 100 {t.many} {more} {t.they} {t.exposed} "
        f"than {t.control} ({plain(100.0 * worst.tolerated)} are tolerated); this does not show "
        "that the risk is insignificant for every batch."
    )


def _inconclusive(
    mine: Sequence[JudgedSuccess], bounds: Sequence[RiskBound], unfinished: Sequence[str]
) -> str:
    said = []
    if unfinished:
        said.append(f"No leak was found, but not every attack finished: {listed(unfinished)}.")
    start = "The test also" if unfinished else "No leak was found, but the test"
    few = [j.label for j in mine if ("", ALL) in j.left_out]
    if few:
        said.append(
            f"{start} could not judge {listed(few)}: it says nothing of {FEWEST} batches or more."
        )
    missed = [b for b in bounds if b.high > b.tolerated]
    if missed:
        worst = max(missed, key=lambda b: b.high / b.tolerated)
        t = _tongue(mine[0], worst.facet)
        if not few:
            said.append(
                f"{start} could not exclude that, of every 100 {t.many}, up to "
                f"{at_most(100.0 * worst.high)} more {t.they} {t.exposed} than {t.control} "
                f"({plain(100.0 * worst.tolerated)} are tolerated)."
            )
        said.append(_needed(mine, missed))
    return " ".join(said)


def _needed(mine: Sequence[JudgedSuccess], missed: Sequence[RiskBound]) -> str:
    needed = max(b.needed or 0 for b in missed)
    where = {(b.facet, b.coverage) for b in missed}
    met = [p for j in mine for p in j.points if (p.facet, p.coverage) in where]
    fewest = min((min(p.exposed.n, p.control.n or p.exposed.n) for p in met), default=0)
    if needed > fewest:
        return f"{headcount(needed).capitalize()} batches would be needed."
    return (
        f"{fewest:,} batches exclude an attack that guesses four times out of five; this time they "
        "did not, and more would tell."
    )


def _how_near(best: JudgedSuccess, beside: Beside) -> str:
    """Return how near the best attack came to the update: a weak one finds nothing, too."""
    blind = next((p.blind for p in best.points if p.blind is not None), None)
    told = beside.residuals.get(best.label)
    said = (
        f" {best.label} does not tell how near its update comes to the one that was sent."
        if told is None
        else f" The update that {best.label}'s reconstructions give differs from the one that was "
        f"sent by {percent(told.value)} of its length."
    )
    if blind is None:
        return said + " Nobody guessed without the update, since there are no auxiliary records."
    return said


def _technical(
    mine: Sequence[JudgedSuccess],
    best: JudgedSuccess,
    bounds: Sequence[RiskBound],
    beside: Beside,
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
        f"{p.exposed.n:,} batches exposed, {_numbers(p.control)} of {p.control.n:,} control, "
        f"excess {_numbers(p.excess)}"
        for p in best.points
    ]
    parts += [
        f"excess{_about(b.facet)}: at most {at_most(b.high)} by any of {len(mine)} attacks "
        f"({plain(b.tolerated)} is tolerated)"
        for b in bounds
    ]
    shown = _certificates(beside.demonstrated)
    return "; ".join(parts) + "." + (f" {shown}" if shown else "")


def _certificates(shown: Sequence[Demonstrated]) -> str:
    return " ".join(
        f"Certificates of {d.label}: {d.records:,} records of {d.batches:,} batches, largest "
        f"relative residual {at_most(d.residual)}."
        for d in shown
    )


def _tongue(judged: JudgedSuccess, facet: str) -> Tongue:
    name = facet or (judged.facets[0] if judged.facets else IDENTIFIED)
    return _TONGUES.get(name, _TONGUES[IDENTIFIED])


def _scope(judged: JudgedSuccess, point: SuccessPoint) -> str:
    many = _tongue(judged, point.facet).many
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


def _clause(sentence: str) -> str:
    """Return a sentence as a clause: no full stop, and no capital unless it starts a name."""
    text = sentence.strip().rstrip(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
