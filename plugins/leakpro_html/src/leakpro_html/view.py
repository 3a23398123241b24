"""The report arranged for reading: attacks under their adversaries, each with its charts.

Nothing is estimated here. Values come from the report; the predictive value is Bayes' rule
(``leakpro_core.statistics.ppv``) at the ends of the report's own intervals.
"""

from collections.abc import Iterable

from attrs import frozen

from leakpro_core.report import (
    LEAKS,
    AttackResult,
    Card,
    Exclusion,
    Finding,
    Point,
    RiskReport,
    Word,
)
from leakpro_html import charts, words
from leakpro_html.svg import style

PRIORS = (
    (0.5, "every second person on the attacker's list is a member"),
    (0.1, "every tenth person is"),
    (0.01, "one in a hundred is"),
)
_ROWS_PER_CHART = 12  # half a printed page, a screen of a phone


@frozen(kw_only=True)
class Predictive:
    """What a flag is worth at one operating point: a range of PPV for each of ``PRIORS``."""

    point: Point
    ranges: tuple[tuple[float, float], ...]


@frozen(kw_only=True)
class AttackView:
    """A finished attack, what is drawn of it, and its place on the page.

    flagging, mirrors: its operating points of kind "fpr", and the rest.
    """

    anchor: str
    result: AttackResult
    flagging: tuple[Point, ...]
    mirrors: tuple[Point, ...]
    charts: tuple[charts.Chart, ...]
    predictive: tuple[Predictive, ...]


@frozen(kw_only=True)
class FindingView:
    """A finding, and which of its figures may stand beside its word.

    points: flagging points of the best attack, where a leak was found; bounds: what could still
    be flagged, where none was; conclusive: whether figures may be read at all.
    """

    finding: Finding
    tone: str
    conclusive: bool
    points: tuple[Point, ...]
    bounds: tuple[Exclusion, ...]


@frozen(kw_only=True)
class AdversaryView:
    """An adversary with everything that was found for it.

    unresolved: declared FPRs at which none of its attacks has an operating point.
    """

    anchor: str
    card: Card
    findings: tuple[FindingView, ...]
    overview: tuple[charts.Chart, ...]
    unresolved: tuple[float, ...]
    attacks: tuple[AttackView, ...]
    unfinished: tuple[AttackResult, ...]


@frozen(kw_only=True)
class Page:
    """A report arranged for the template.

    sides: "realistic" and "worst case", in this order; exact: whether some rate was counted over
    all members, and so has no interval.
    """

    report: RiskReport
    sides: tuple[tuple[str, tuple[AdversaryView, ...]], ...]
    adversaries: tuple[AdversaryView, ...]
    unfinished: tuple[AttackResult, ...]
    exact: bool
    meanings: tuple[tuple[Word, str], ...]


def arrange(report: RiskReport) -> Page:
    """Return the report arranged, with its charts drawn."""
    with style():
        adversaries = tuple(
            _adversary(report, number, card) for number, card in enumerate(report.adversaries, 1)
        )
    clear, strong = (f"{value:g}" for value in report.policy.words)
    return Page(
        report=report,
        sides=tuple(
            (label, tuple(a for a in adversaries if a.card.label == label))
            for label in words.LEVELS
        ),
        adversaries=adversaries,
        unfinished=tuple(a for view in adversaries for a in view.unfinished),
        exact=any(p.tpr.low == p.tpr.high for a in report.attacks for p in a.points),
        meanings=tuple(
            (word, text.format(clear=clear, strong=strong)) for word, text in words.MEANING.items()
        ),
    )


def _adversary(report: RiskReport, number: int, card: Card) -> AdversaryView:
    attacks = [a for a in report.attacks if a.adversary == card.name]
    finished = [a for a in attacks if a.status == "finished"]
    resolved = {p.level for a in finished for p in a.points if p.kind == "fpr"}
    return AdversaryView(
        anchor=f"adversary-{number}",
        card=card,
        findings=tuple(
            _finding(finding, finished)
            for finding in report.findings
            if finding.adversary == card.name
        ),
        overview=tuple(_overview(report, finished, f"overview-{number}")),
        unresolved=tuple(f for f, _ in report.policy.tolerance if finished and f not in resolved),
        attacks=tuple(
            _attack(attack, f"attack-{number}-{position}")
            for position, attack in enumerate(finished, 1)
        ),
        unfinished=tuple(a for a in attacks if a.status != "finished"),
    )


def _finding(finding: Finding, attacks: list[AttackResult]) -> FindingView:
    leak = finding.word in LEAKS
    conclusive = finding.word not in (Word.INVALID, Word.NOT_TESTED)
    # The operating points of the report are those of all candidates, not of a tenth of them.
    best = [a for a in attacks if a.label == finding.best and finding.family == "membership"]
    return FindingView(
        finding=finding,
        tone=words.TONE[finding.word],
        conclusive=conclusive,
        points=tuple(p for a in best for p in a.points if p.kind == "fpr") if leak else (),
        bounds=finding.exclusion if conclusive and not leak else (),
    )


def _overview(report: RiskReport, attacks: list[AttackResult], name: str) -> Iterable[charts.Chart]:
    for index, (fpr, tolerated) in enumerate(report.policy.tolerance):
        rows = [
            charts.Row(
                label=attack.label,
                detected=attack.detected,
                tpr=point.tpr,
                fpr=point.fpr,
                placebo=point.placebo,
                blind=point.blind,
            )
            for attack in attacks
            for point in attack.points
            if point.kind == "fpr" and point.level == fpr
        ]
        for start in range(0, len(rows), _ROWS_PER_CHART):
            part = rows[start : start + _ROWS_PER_CHART]
            yield charts.overview(f"{name}-{index}-{start}", part, fpr, tolerated)


def _attack(attack: AttackResult, anchor: str) -> AttackView:
    drawn = []
    if attack.roc is not None:
        drawn.append(charts.roc(f"{anchor}-roc", attack.label, attack.roc, attack.points))
    if attack.histogram is not None:
        drawn.append(charts.histogram(f"{anchor}-claims", attack.label, attack.histogram))
    if attack.curve:
        drawn.append(
            charts.strength(f"{anchor}-strength", attack.label, attack.curve, attack.still_rising)
        )
    flagging = tuple(p for p in attack.points if p.kind == "fpr")
    return AttackView(
        anchor=anchor,
        result=attack,
        flagging=flagging,
        mirrors=tuple(p for p in attack.points if p.kind != "fpr"),
        charts=tuple(drawn),
        predictive=tuple(_predictive(p) for p in flagging),
    )


def _predictive(point: Point) -> Predictive:
    return Predictive(
        point=point,
        ranges=tuple(
            (
                _ppv(point.tpr.low, point.fpr.high, prior, undefined=0.0),
                _ppv(point.tpr.high, point.fpr.low, prior, undefined=1.0),
            )
            for prior, _ in PRIORS
        ),
    )


def _ppv(tpr: float, fpr: float, prior: float, *, undefined: float) -> float:
    from leakpro_core.statistics import ppv

    return ppv(tpr, fpr, prior) if tpr > 0 or fpr > 0 else undefined
