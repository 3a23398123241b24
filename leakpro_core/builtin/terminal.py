"""The terminal reporter: report.txt, which the command line shows."""

import io
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leakpro_core.files import write_atomic
from leakpro_core.records import Estimate
from leakpro_core.report import AttackResult, Point, RiskReport
from leakpro_core.wording import printable

WIDTH = 100


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
    for card in report.adversaries:
        console.print(_line(f"Attacks as {card.name} ({card.label}, sees {card.access}):"))
        rates = (f"TPR, FPR: aim {f:.4g}" for f in levels)
        table = Table("attack", "AUC", *rates, "L", "p", box=None)
        for attack in report.attacks:
            if attack.adversary == card.name and attack.status == "finished":
                table.add_row(_line(attack.label), *_figures(attack, levels))
        console.print(table)
        console.print()
    console.print(
        _line(
            f"Intervals at {report.policy.confidence:.0%}; a TPR and its FPR have one threshold. "
            "L: how many times likelier a flag makes membership in odds, lower bound; "
            "p: over all attacks."
        )
    )
    console.print()


def _figures(attack: AttackResult, levels: list[float]) -> list[str]:
    by_level = {p.level: p for p in attack.points if p.kind == "fpr"}
    cells = [_interval(attack.auc)]
    cells += [_pair(by_level[f]) if f in by_level else "not resolvable" for f in levels]
    p = "" if attack.p_value is None else f"{attack.p_value:.3f}"
    p = "<0.001" if p == "0.000" else p
    return [*cells, f"{_down(attack.strength, 2):.2f}", p]


def _pair(point: Point) -> str:
    return f"{_interval(point.tpr)}\n{_interval(point.fpr)}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if estimate.low == estimate.high:
        return f"{estimate.value:.3f} exact"
    low, high = _down(estimate.low, 3), -_down(-estimate.high, 3)
    return f"{estimate.value:.3f} [{low:.3f}, {high:.3f}]"


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
