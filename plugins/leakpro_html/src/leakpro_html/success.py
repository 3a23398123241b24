"""Success games arranged for reading: which points are shown together, in which order.

Nothing is estimated here. Where there are many facets the worst are shown, and how many are not
is said; every one of them stands in ``report.json``.
"""

from collections.abc import Sequence
from re import fullmatch, match
from urllib.parse import quote

from attrs import frozen

from leakpro_core import games
from leakpro_core.report import AttackResult, RiskBound, SuccessPoint
from leakpro_html import facets, game_words, success_charts, told
from leakpro_html.charts import Chart
from leakpro_html.facets import ALL

SHOWN = 20
"""So many facets are shown of one attack at one coverage."""

ANSWERED, TABLED = 3, 10
"""So many upper bounds, the worst, stand in the answer, and among the figures of a game."""

_ROWS_PER_CHART = 12
_EXHIBITS = r"exhibits/[^/\\]+\.html"


@frozen(kw_only=True)
class Line:
    """A line of a table and of its chart."""

    label: str
    point: SuccessPoint


@frozen(kw_only=True)
class Group:
    """Lines that are compared with one another.

    by: what tells them apart; total, left_out: facets there are, and those that are not shown;
    blind, luck: whether a blind adversary played, and the chance of a hit by luck is known, in
    some of them.
    """

    title: str
    by: str
    lines: tuple[Line, ...]
    total: int
    left_out: int
    blind: bool
    luck: bool
    chart: Chart


@frozen(kw_only=True)
class SuccessView:
    """A finished attack of a success game, its tables and charts, and its place on the page.

    main: its point over all facets and claims, None where it has none; about: the kind of claim
    that it is about, "" where kinds are not told apart; pooled: the groups over all
    facets; faceted: those facet by facet; trend: charts of spread and growth;
    exhibits: address of the file of exhibits from the report's, "" where there is none.
    """

    anchor: str
    result: AttackResult
    main: SuccessPoint | None
    about: str
    pooled: tuple[Group, ...]
    faceted: tuple[Group, ...]
    trend: tuple[Chart, ...]
    exhibits: str


@frozen(kw_only=True)
class Bounds:
    """Upper bounds of a finding, the worst first; left_out: how many more there are."""

    shown: tuple[tuple[str, RiskBound], ...]
    left_out: int


def plays(attack: AttackResult) -> bool:
    """Return whether the attack plays a success game."""
    return bool(attack.success) or is_success(attack.game)


def is_success(name: str) -> bool:
    """Return whether the game of that name compares hit rates."""
    return any(game.kind == "success" for game in games.GAMES if game.name == name)


def arrange(attack: AttackResult, anchor: str) -> SuccessView:
    """Return one finished attack arranged, with its charts drawn."""
    groups = _groups(attack, anchor)
    main = main_point(attack)
    return SuccessView(
        anchor=anchor,
        result=attack,
        main=main,
        about="" if main is None else facets.kind(attack, main, told.game(attack.game)),
        pooled=tuple(g for g in groups if not g.total),
        faceted=tuple(g for g in groups if g.total),
        trend=trend(attack, anchor),
        exhibits=quote(attack.exhibits) if fullmatch(_EXHIBITS, attack.exhibits) else "",
    )


def trend(attack: AttackResult, anchor: str) -> tuple[Chart, ...]:
    """Return the charts of spread over releases and of growth with their rows, where given."""
    drawn = []
    if attack.growth:
        drawn.append(success_charts.growth(f"{anchor}-growth", attack.label, attack.growth))
    if attack.spread:
        drawn.append(success_charts.spread(f"{anchor}-spread", attack.label, attack.spread))
    return tuple(drawn)


def main_point(attack: AttackResult) -> SuccessPoint | None:
    """Return the point over all facets and all claims, else the first there is.

    Of copies the kind that tells most: where near ones alone were found, exact ones tell nothing.
    """
    if attack.game == "copies":
        kinds = [p for p in attack.success if p.facet and p.coverage == ALL]
        if kinds:
            return min(kinds, key=_worst)
    pooled = [p for p in attack.success if p.facet == ""]
    return next((p for p in pooled if p.coverage == ALL), next(iter(attack.success), None))


def strongest(attack: AttackResult) -> SuccessPoint | None:
    """Return the point with the largest L, then the largest lower bound of the excess."""
    return min(attack.success, key=_worst, default=None)


def overview(
    name: str, words: game_words.GameWords, attacks: Sequence[AttackResult]
) -> tuple[Chart, ...]:
    """Return charts of one game with a line an attack, where there are several."""
    bars = [
        _bar(_named(attack, point, words), point, attack.detected)
        for attack in attacks
        if (point := main_point(attack)) is not None
    ]
    if len(bars) < 2:
        return ()
    caption = "Filled dot: a leak was detected over all attacks together; hollow: none was. "
    caption += "All claims of one kind." if words.facets else "All claims, all together."
    return tuple(
        success_charts.hit_rates(
            f"{name}-{at}", words.title, bars[at : at + _ROWS_PER_CHART], caption, words.chart
        )
        for at in range(0, len(bars), _ROWS_PER_CHART)
    )


def _named(attack: AttackResult, point: SuccessPoint, words: game_words.GameWords) -> str:
    """Return an attack's label, and what is claimed where claims are of several kinds."""
    return f"{attack.label}: {facets.label(attack, point, words)}" if words.facets else attack.label


def bounds(given: Sequence[RiskBound], most: int) -> Bounds:
    """Return upper bounds, those that exceed the tolerance by most first."""
    ordered = sorted(given, key=lambda b: b.tolerated - b.high)
    return Bounds(
        shown=tuple((about(b.facet, b.coverage), b) for b in ordered[:most]),
        left_out=max(len(ordered) - most, 0),
    )


def about(facet: str, coverage: str) -> str:
    """Return what a point is about: ``age``, ``surest tenth``, ``surest tenth, age``."""
    if facet and coverage == ALL:
        return facet
    return f"{coverage}, {facet}" if facet else coverage


def _groups(attack: AttackResult, anchor: str) -> list[Group]:
    """Return a group of what holds over all facets, then one a coverage with a line a facet."""
    words = told.game(attack.game)
    if words.facets:
        return _by_kind(attack, anchor, words)
    pooled = [Line(label=_sentence(p.coverage), point=p) for p in attack.success if not p.facet]
    of = f"{attack.label}: {words.claims} that come true"
    # What is over all claims of copies is of exact repeats alone.
    whole = "Exact repeats" if attack.game == "copies" else game_words.POOLED
    groups = [_group(of, whole, "coverage", pooled, 0, anchor, words.chart)] if pooled else []
    for coverage in dict.fromkeys(p.coverage for p in attack.success if p.facet):
        facets = [p for p in attack.success if p.facet and p.coverage == coverage]
        lines = [Line(label=p.facet, point=p) for p in _shown(attack.game, facets)]
        name = f"{anchor}-{len(groups)}"
        groups.append(
            _group(of, _sentence(coverage), words.facet, lines, len(facets), name, words.chart)
        )
    return groups


def _by_kind(attack: AttackResult, anchor: str, words: game_words.GameWords) -> list[Group]:
    """Return one group with a line for each kind of claim, and for choices among the first."""
    lines = [Line(label=label, point=p) for label, p in facets.lines(attack, words)]
    of = f"{attack.label}: {words.claims} that come true"
    return [_group(of, "Claims", words.facet, lines, 0, anchor, words.chart)] if lines else []


def _group(
    of: str, title: str, by: str, lines: Sequence[Line], total: int, name: str, arm: str
) -> Group:
    left_out = max(total - len(lines), 0)
    scope = "" if title == "Claims" else f" {title[:1].lower()}{title[1:]},"
    caption = f"{of},{scope} by {by}."
    if left_out:
        caption += f" The {SHOWN} worst of {total:,}, by L and then by the excess's lower bound."
    bars = [_bar(line.label, line.point, True) for line in lines]
    return Group(
        title=title,
        by=by,
        lines=tuple(lines),
        total=total,
        left_out=left_out,
        blind=any(line.point.blind is not None for line in lines),
        luck=any(line.point.null_p is not None for line in lines),
        chart=success_charts.hit_rates(name, title, bars, caption, arm),
    )


def _shown(game: str, points: Sequence[SuccessPoint]) -> list[SuccessPoint]:
    """Return the worst facets: attributes by their excess, others in their own order."""
    worst = sorted(points, key=_worst)[:SHOWN]
    if game == "attribute-inference":
        return sorted(worst, key=lambda p: -p.excess.value)
    numbers = {p.facet: match(r"\d+", p.facet) for p in points}
    if all(numbers.values()):
        return sorted(worst, key=lambda p: (int(numbers[p.facet][0]), p.facet))  # type: ignore[index]
    return [p for p in points if p in worst]


def _worst(point: SuccessPoint) -> tuple[float, float]:
    return (-point.likelihood_low, -point.excess.low)


def _bar(label: str, point: SuccessPoint, detected: bool) -> success_charts.Bar:
    return success_charts.Bar(
        label=label,
        exposed=point.exposed,
        control=point.control,
        blind=point.blind,
        excess=point.excess,
        detected=detected,
    )


def _sentence(name: str) -> str:
    return name[:1].upper() + name[1:]
