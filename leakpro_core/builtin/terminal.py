"""The terminal reporter: report.txt, which the command line shows."""

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leakpro_core.files import write_atomic
from leakpro_core.games import GAMES
from leakpro_core.records import Estimate
from leakpro_core.report import AttackResult, Point, RiskReport, SuccessPoint
from leakpro_core.wording import printable

INVERSION = "gradient-inversion"
COPIES = "copies"

WIDTH = 100
_FIRST_COLUMN = 24
_ALL = "all claims"


def render(report: RiskReport, folder: Path, options: None) -> tuple[Path, ...]:
    """Write ``report.txt``, plain text 100 columns wide, into ``folder``."""
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, emoji=False, highlight=False)
    _head(console, report)
    _attacks(console, report)
    _controls(console, report)
    path = folder / "report.txt"
    write_atomic(path, out.getvalue().encode())
    return (path,)


def _line(text: str) -> Text:
    return Text(printable(text))


def _head(console: Console, report: RiskReport) -> None:
    console.print(_line(f"{report.name}: {report.word.value}"))
    if report.status != "complete":
        console.print(_line(f"This audit is {report.status}."))
    console.print(_line(report.statement))
    console.print()
    for finding in report.findings:
        console.print(_line(f"{finding.family}, {finding.adversary}: {finding.word.value}"))
        console.print(_line(f"  {finding.statement}"))
    console.print()


def _attacks(console: Console, report: RiskReport) -> None:
    levels = [f for f, _ in sorted(report.policy.tolerance, reverse=True)]
    finished = [a for a in report.attacks if a.status == "finished"]
    for card in report.adversaries:
        mine = [a for a in finished if a.adversary == card.name]
        hits = [a for a in mine if _plays_success(a)]
        claims = [a for a in mine if a not in hits]
        console.print(_line(f"Attacks as {card.name} ({card.label}, sees {card.access}):"))
        if claims:
            _detection(console, claims, levels)
        elif not hits:
            console.print("  none was played to its end")
        if claims and hits:
            console.print()
        if hits:
            _success(console, hits)
        console.print()
    of_people = [a for a in finished if _plays_success(a) and a.game != INVERSION]
    only_success = bool(finished) and all(map(_plays_success, finished))
    level = f"{report.policy.confidence:.0%}"
    if finished and not only_success:
        _legend(
            console,
            f"Intervals at {level}; a TPR and its FPR have one threshold. "
            "L: how many times likelier a flag makes membership in odds, lower bound; "
            "p: over all attacks.",
        )
    if any(a.game == INVERSION for a in finished):
        _legend(
            console,
            f"Intervals at {level}, over batches. Data, control, blind: the share of the "
            "reconstructions (of the records, where recovered) that name a record of the client's "
            "batch, of a decoy batch, and of an adversary who never saw the update. Excess: data "
            "minus control. L: how many times as high the odds are in the data as in control, "
            "lower bound; p: over all attacks. Looks and residuals decide nothing.",
        )
    if of_people:
        _legend(
            console,
            f"Intervals at {level}. Data, control, blind: the share of the claims that come true "
            "about people in the training data, about control people, and of an adversary who "
            "never saw the release. Excess: data minus control. L: how many times as high the odds "
            "are in the data as in control, lower bound; p: over all attacks.",
        )


def _legend(console: Console, text: str) -> None:
    console.print(_line(text))
    console.print()


def _detection(console: Console, attacks: Sequence[AttackResult], levels: list[float]) -> None:
    rates = (f"TPR, FPR: aim {f:.4g}" for f in levels)
    table = Table("attack", "AUC", *rates, "L", "p", box=None)
    for attack in attacks:
        table.add_row(_line(attack.label), *_figures(attack, levels))
    console.print(table)
    for attack in attacks:
        for note in attack.notes:
            console.print(_line(f"{attack.label}: {note}."))


def _success(console: Console, attacks: Sequence[AttackResult]) -> None:
    """Print hit rates: over all that the claims are about, and where an attack does worst."""
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("attack", overflow="fold")
    for name in ("data", "control", "blind", "excess", "L", "p"):
        table.add_column(name, no_wrap=True)
    for attack in attacks:
        told, p = _told(attack), _chance(attack.p_value)
        if not told:
            unjudged = attack.game == INVERSION and not attack.evidence
            why = "not judged" if unjudged else "too few claims"
            table.add_row(_named(attack.label, why), "", "", "", "", "", p)
        for number, (name, point) in enumerate(told):
            first = number == 0
            label = _named(attack.label if first else "", name)
            table.add_row(label, *_hit_rates(point), p if first else "")
    console.print(table)
    for attack in attacks:
        console.print(_line(_made(attack)))
        for said in _of_updates(attack):
            console.print(_line(f"  {said}"))


def _named(label: str, name: str) -> Text:
    """Return what a row is about, under the attack's label where that is not empty."""
    lines = textwrap.wrap(
        printable(name), _FIRST_COLUMN, initial_indent="  ", subsequent_indent="    "
    )
    return Text("\n".join([printable(label)] * bool(label) + lines))


def _told(attack: AttackResult) -> list[tuple[str, SuccessPoint]]:
    """Return the points over all facets, and that of the worst facet, with what they are about."""
    told = [(p.coverage, p) for p in attack.success if p.facet == ""]
    facets = [p for p in attack.success if p.facet != ""]
    if attack.game == INVERSION:
        # All claims together are those of the first facet.
        return told + [(p.facet, p) for p in facets[1:]]
    facets.sort(key=lambda p: (-p.likelihood_low, -p.excess.low))
    if attack.game == COPIES and facets:
        # What is over all claims is of the first kind alone, which may tell nothing.
        first = next(p.facet for p in attack.success if p.facet != "")
        chosen = [(f"{first}, {name}", p) for name, p in told if name != _ALL]
        return [(p.facet, p) for p in facets] + chosen
    worst = next(iter(facets), None)
    if worst is not None:
        told.append((f"worst: {worst.facet}", worst))
    return told


def _hit_rates(point: SuccessPoint) -> list[str]:
    arms = (point.exposed, point.control)
    rates = ["no claim" if _unclaimed(e) else _stacked(e) for e in (*arms, point.blind)]
    excess = _stacked(point.excess, sign="+")
    if any(map(_unclaimed, arms)):
        excess = "\n".join(["not known", *excess.split("\n")[1:]])
    return [*rates, excess, f"{_down(point.likelihood_low, 2):.2f}"]


def _unclaimed(estimate: Estimate | None) -> bool:
    """Return whether a rate is of no claim: 0 of 0, which may be anything."""
    return estimate is not None and estimate.n == 0 and estimate.low < estimate.high


def _made(attack: AttackResult) -> str:
    parts = [f"{attack.made:,} of {attack.asked:,} claims made"] if attack.asked else []
    if attack.people is not None:
        batches = "batch" if attack.people == 1 else "batches"
        about = batches if attack.game == INVERSION else "distinct people in the data"
        parts.append(f"true about {attack.people:,} {about}")
    if attack.exhibits:
        parts.append(f"some in {attack.exhibits} (personal data)")
    return f"{attack.label}: {', '.join(parts) or 'claims were not counted'}."


def _of_updates(attack: AttackResult) -> list[str]:
    """Return how reconstructions look, how near their update comes, and what is certified."""
    said = []
    for f in attack.fidelity:
        blind = "" if f.blind is None else f", without the update {_mean(f.blind)}"
        said.append(f"{f.name}: {_mean(f.attack)}{blind}")
    if attack.residual is not None:
        said.append(f"relative residual: {attack.residual.value:.2g}")
    if attack.certified is not None:
        c = attack.certified
        wrong = f"{c.wrong:,} WRONG" if c.wrong else "none wrong"
        said.append(f"certified: {c.right:,} right, {wrong}, {c.unjudged:,} not judged")
    return said


def _mean(estimate: Estimate) -> str:
    """Return a mean with its interval, where batches differ."""
    spread = f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}" + (spread if estimate.low < estimate.high else "")


def _plays_success(attack: AttackResult) -> bool:
    kinds = {game.name: game.kind for game in GAMES}
    return bool(attack.success) or kinds.get(attack.game) == "success"


def _figures(attack: AttackResult, levels: list[float]) -> list[str]:
    by_level = {p.level: p for p in attack.points if p.kind == "fpr"}
    cells = [_interval(attack.auc)]
    cells += [_pair(by_level[f]) if f in by_level else "not resolvable" for f in levels]
    return [*cells, f"{_down(attack.strength, 2):.2f}", _chance(attack.p_value)]


def _chance(p: float | None) -> str:
    if p is None:
        return ""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def _pair(point: Point) -> str:
    return f"{_interval(point.tpr)}\n{_interval(point.fpr)}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if estimate.low == estimate.high:
        return f"{estimate.value:.3f} exact"
    low, high = _down(estimate.low, 3), -_down(-estimate.high, 3)
    return f"{estimate.value:.3f} [{low:.3f}, {high:.3f}]"


def _stacked(estimate: Estimate | None, sign: str = "") -> str:
    """Return a value with its interval beneath it, rounded outwards."""
    if estimate is None:
        return ""
    value = f"{estimate.value:{sign}.3f}"
    if estimate.low == estimate.high:
        return f"{value}\nexact"
    low, high = _down(estimate.low, 3), -_down(-estimate.high, 3)
    return f"{value}\n[{low:{sign}.3f}, {high:{sign}.3f}]"


def _down(bound: float, digits: int) -> float:
    """Return a lower bound rounded so that it holds; what differs by rounding only stays."""
    step = 10.0**digits
    return math.floor(bound * step + 1e-9) / step


def _controls(console: Console, report: RiskReport) -> None:
    several = len(report.adversaries) > 1
    for control in report.controls:
        whose = f", {control.adversary}" if several and control.adversary else ""
        console.print(_line(f"{control.name}{whose}: {control.result}. {control.statement}"))
    if report.not_tested:
        console.print()
        for item in report.not_tested:
            console.print(_line(f"not tested: {item.means}: {item.reason}"))
