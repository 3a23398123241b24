"""The JSON reporter: report.json, as it stands."""

from pathlib import Path

from leakpro_core.files import write_atomic
from leakpro_core.report import RiskReport, to_json


def render(report: RiskReport, folder: Path, options: None) -> tuple[Path, ...]:
    """Write ``report.json`` into ``folder``."""
    path = folder / "report.json"
    write_atomic(path, to_json(report).encode())
    return (path,)
