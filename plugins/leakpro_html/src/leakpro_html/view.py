"""The report arranged for reading: attacks under their adversaries, each with its charts.

Nothing is estimated here. Values come from the report; the predictive value is Bayes' rule
(``leakpro_core.statistics.ppv``) at the ends of the report's own intervals.
"""

from collections.abc import Iterable

from attrs import frozen

from leakpro_core.report import (
    AttackResult,
    Card,
    Point,
    RiskReport,
    Word,
)
from leakpro_html import charts, game_words, success, table_words, told, update_words, words
from leakpro_html.findings import FindingView
from leakpro_html.findings import arrange as arrange_finding
from leakpro_html.svg import style

PRIORS = (
    (0.5, "every second person on the attacker's list is a member"),
    (0.1, "every tenth person is"),
    (0.01, "one in a hundred is"),
)
NAMED = 40
"""So many columns of one kind are named."""

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
class AdversaryView:
    """An adversary with everything that was found for it.

    unresolved: declared FPRs at which none of its attacks has an operating point.
    attacks: those of detection games; successes: finished ones of success games.
    """

    anchor: str
    card: Card
    findings: tuple[FindingView, ...]
    overview: tuple[charts.Chart, ...]
    unresolved: tuple[float, ...]
    attacks: tuple[AttackView, ...]
    successes: tuple[success.SuccessView, ...]
    unfinished: tuple[AttackResult, ...]


@frozen(kw_only=True)
class GameSide:
    """What one adversary did in one success game."""

    adversary: AdversaryView
    findings: tuple[FindingView, ...]
    overview: tuple[charts.Chart, ...]
    attacks: tuple[success.SuccessView, ...]


@frozen(kw_only=True)
class GameView:
    """A section of the page: a success game, adversary by adversary."""

    anchor: str
    told: game_words.GameWords
    sides: tuple[GameSide, ...]


@frozen(kw_only=True)
class Page:
    """A report arranged for the template.

    sides: "realistic" and "worst case", in this order; exact: whether some rate was counted over
    all members, and so has no interval. games: success games that were played; tables: whether
    a table or a generator was audited; updates: whether federated updates were; arms: how both
    arms of success games are told; detection: whether detection games are spoken of, which
    they are not where every attack plays a success game; kinds: columns of a table by what they
    hold.
    """

    report: RiskReport
    sides: tuple[tuple[str, tuple[AdversaryView, ...]], ...]
    adversaries: tuple[AdversaryView, ...]
    unfinished: tuple[AttackResult, ...]
    exact: bool
    games: tuple[GameView, ...]
    tables: bool
    updates: bool
    arms: game_words.Arms
    detection: bool
    kinds: tuple[tuple[str, tuple[str, ...]], ...]
    sampling: str
    glossary: tuple[tuple[str, str], ...]
    meanings: tuple[tuple[Word, str], ...]


def arrange(report: RiskReport) -> Page:
    """Return the report arranged, with its charts drawn."""
    with style():
        adversaries = tuple(
            _adversary(report, number, card) for number, card in enumerate(report.adversaries, 1)
        )
    tables = report.target.kind in table_words.KINDS
    played = bool(report.attacks) and all(success.plays(a) for a in report.attacks)
    clear, strong = (f"{value:g}" for value in report.policy.words)
    updates = report.target.kind == update_words.KIND
    own = table_words.MEANING if tables else update_words.MEANING if updates else {}
    meaning = words.MEANING | own
    sampling = table_words.SAMPLING if tables else words.SAMPLING
    scope = sampling.get(report.data.sampling, report.data.sampling)
    if updates:
        scope = update_words.RECEIVED if report.data.released else update_words.SAMPLING
    return Page(
        report=report,
        sides=tuple(
            (label, tuple(a for a in adversaries if a.card.label == label))
            for label in words.LEVELS
        ),
        adversaries=adversaries,
        unfinished=tuple(a for view in adversaries for a in view.unfinished),
        exact=any(p.tpr.low == p.tpr.high for a in report.attacks for p in a.points),
        games=tuple(_games(adversaries, report)),
        tables=tables,
        updates=updates,
        arms=update_words.BATCHES if updates else game_words.Arms(),
        detection=not played,
        kinds=_kinds(report),
        sampling=scope,
        glossary=_glossary(tables, updates, detection=not played),
        meanings=tuple(
            (word, text.format(clear=clear, strong=strong)) for word, text in meaning.items()
        ),
    )


def _kinds(report: RiskReport) -> tuple[tuple[str, tuple[str, ...]], ...]:
    kinds = dict.fromkeys(kind for _, kind in report.data.columns)
    return tuple((k, tuple(name for name, kind in report.data.columns if kind == k)) for k in kinds)


def _glossary(tables: bool, updates: bool, *, detection: bool) -> tuple[tuple[str, str], ...]:
    if not tables and not updates:
        return words.GLOSSARY
    own = update_words if updates else table_words
    adapted = tuple(
        (term, own.MEMBERSHIP_GLOSSARY.get(term, text))
        for term, text in words.GLOSSARY
        if not updates or update_words.speaks_of(term, detection=detection)
    )
    return (*own.GLOSSARY, *adapted)


def _games(adversaries: tuple[AdversaryView, ...], report: RiskReport) -> Iterable[GameView]:
    """Yield the success games of which an attack was to run or a finding speaks."""
    played = [a.game for a in report.attacks if success.plays(a)]
    named = [f.family for f in report.findings if success.is_success(f.family)]
    for number, name in enumerate(dict.fromkeys(played + named), 1):
        with style():
            sides = tuple(
                _side(view, name, f"game-{number}-{position}")
                for position, view in enumerate(adversaries, 1)
            )
        yield GameView(
            anchor=f"game-{number}",
            told=told.game(name),
            sides=tuple(s for s in sides if s.attacks or s.findings),
        )


def _side(view: AdversaryView, name: str, anchor: str) -> GameSide:
    attacks = tuple(a for a in view.successes if a.result.game == name)
    return GameSide(
        adversary=view,
        findings=tuple(f for f in view.findings if f.finding.family == name),
        overview=success.overview(anchor, told.game(name), [a.result for a in attacks]),
        attacks=attacks,
    )


def _adversary(report: RiskReport, number: int, card: Card) -> AdversaryView:
    attacks = [a for a in report.attacks if a.adversary == card.name]
    done = [a for a in attacks if a.status == "finished"]
    finished = [a for a in done if not success.plays(a)]
    resolved = {p.level for a in finished for p in a.points if p.kind == "fpr"}
    return AdversaryView(
        anchor=f"adversary-{number}",
        card=card,
        findings=tuple(
            arrange_finding(finding, done)
            for finding in report.findings
            if finding.adversary == card.name
        ),
        overview=tuple(_overview(report, finished, f"overview-{number}")),
        unresolved=tuple(f for f, _ in report.policy.tolerance if finished and f not in resolved),
        attacks=tuple(
            _attack(attack, f"attack-{number}-{position}")
            for position, attack in enumerate(finished, 1)
        ),
        successes=tuple(
            success.arrange(attack, f"success-{number}-{position}")
            for position, attack in enumerate((a for a in done if success.plays(a)), 1)
        ),
        unfinished=tuple(a for a in attacks if a.status != "finished"),
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
    drawn += success.trend(attack, anchor)
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
