"""Hooks of this plugin; imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import ReporterOffer


@hookimpl
def leakpro_reporters() -> Iterable[ReporterOffer]:
    """Offer the HTML report."""
    return (
        ReporterOffer(
            name="html",
            ref="leakpro_html.render:render",
            summary="One self-contained HTML page for lawyers and developers, printable.",
        ),
    )
