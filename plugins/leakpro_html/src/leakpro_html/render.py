"""Render a report: the function behind the offer."""

import pkgutil
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from leakpro_core.report import RiskReport, from_json, to_json
from leakpro_html import formatting, success, told, view, words


def render(report: RiskReport, folder: Path, options: object) -> tuple[Path, ...]:
    """Write ``report.html`` into the folder and return its path. There are no options."""
    path = folder / "report.html"
    path.write_bytes(page(report).encode())
    return (path,)


def page(report: RiskReport) -> str:
    """Return the report as one self-contained HTML page.

    The page is made from the report's JSON form, so it is a function of ``report.json``:
    a report read back gives the same bytes.
    """
    arranged = view.arrange(from_json(to_json(report)))
    return _environment().get_template("report.html").render(page=arranged, report=arranged.report)


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests["unclaimed"] = formatting.unclaimed
    environment.globals.update(
        fmt=formatting,
        words=words,
        priors=view.PRIORS,
        shown=success.SHOWN,
        named=view.NAMED,
        known=formatting.KNOWN,
        told=told.game,
    )
    return environment


def _template(name: str) -> str:
    # pkgutil asks the loader that imported this package, so that a loader which verifies what
    # it imports serves the templates too.
    data = pkgutil.get_data(__package__, f"templates/{name}")
    if data is None:
        raise FileNotFoundError(f"template {name} of leakpro-html")
    return data.decode()
