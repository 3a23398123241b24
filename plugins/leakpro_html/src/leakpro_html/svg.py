"""From a matplotlib figure to an inline SVG: deterministic, self-contained, with a description."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, cast

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#1c2430"
MUTED = "#5a6675"
GRID = "#dde2e8"
MEMBER = "#0b4f8a"
CONTROL = "#b35900"
SHADE = "#eceff3"
OTHER = "#c3cad3"

_STYLE: dict[str, object] = {
    "svg.fonttype": "none",  # text stays text: searchable, and set in the page's own font
    "svg.hashsalt": "leakpro",
    "svg.image_inline": True,
    "font.family": "sans-serif",
    # Layout is measured with a wide font; the page then sets it in the reader's sans-serif.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.labelsize": 11,
    "axes.titlesize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names in a plan may hold a dollar sign
    "lines.linewidth": 1.8,
    "hatch.color": OTHER,
    "hatch.linewidth": 0.6,
}
_OWN_MACHINE = ("backend", "interactive", "toolbar", "timezone", "savefig.directory")


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style whatever the user's settings are, and leave those as they were."""
    with mpl.rc_context(), warnings.catch_warnings():
        # A name in a script that the measuring font lacks is drawn by the reader's browser.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        defaults = cast("dict[str, Any]", mpl.rcParamsDefault)
        settings = cast("dict[str, Any]", mpl.rcParams)
        settings.update({k: v for k, v in defaults.items() if not k.startswith(_OWN_MACHINE)})
        settings.update(_STYLE)
        yield


def blank(width: float, height: float) -> Figure:
    """Return an empty figure with its size in SVG units, about pixels of a narrow screen."""
    figure = Figure(figsize=(width / 72, height / 72))
    FigureCanvasSVG(figure)
    return figure


def inline(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return the figure as an ``<svg>`` element whose ids all start with ``name``."""
    stream = StringIO()
    figure.savefig(
        stream,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = stream.getvalue()
    body = text[text.index("<svg") :]
    inner = body[body.index(">") + 1 : body.rindex("</svg>")]
    inner = re.sub(r"<metadata>.*?</metadata>", "", inner, count=1, flags=re.DOTALL)
    inner = inner.replace("xlink:href=", "href=")
    # Several figures share one page: what one of them defines must not be found by another.
    inner = re.sub(r'\bid="', f'id="{name}-', inner)
    inner = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", inner)
    width, height = (round(72 * side) for side in figure.get_size_inches())
    # All text in it was escaped: by matplotlib in the body, and here in title and description.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
        f"{inner.strip()}</svg>"
    )


def one_line(text: str, limit: int) -> str:
    """Return a name fit for a chart: one line, printable, shortened in the middle of nowhere."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
