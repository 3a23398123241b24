"""Charts of success games: hit rates of both arms and of the blind adversary, and their trend."""

from collections.abc import Sequence

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from leakpro_core.records import Estimate
from leakpro_core.report import SizePoint
from leakpro_html import formatting
from leakpro_html.charts import WIDTH, Chart
from leakpro_html.scales import points_axis, share_axis
from leakpro_html.svg import CONTROL, GRID, INK, MEMBER, MUTED, blank, inline, one_line

_ROW = 44
_ABOVE, _BELOW = 30, 70
_LABEL = 32
_SMALL = 26
_TICKS = 6
_RELEASES = 20


@frozen(kw_only=True)
class Bar:
    """A line of the chart of hit rates; detected: whether its dot is filled."""

    label: str
    exposed: Estimate
    control: Estimate
    blind: Estimate | None
    excess: Estimate
    detected: bool = True


def hit_rates(
    name: str, title: str, bars: Sequence[Bar], caption: str, exposed: str = "people in the data"
) -> Chart:
    """Forest plot: how often claims come true in the exposed arm, named in the key, and others."""
    height = _ABOVE + _BELOW + _ROW * len(bars)
    figure = blank(WIDTH, height)
    axes = figure.add_axes((0.04, _BELOW / height, 0.9, 1 - (_ABOVE + _BELOW) / height))
    arms = [e for bar in bars for e in (bar.exposed, bar.control, bar.blind) if e is not None]
    shown = [e for e in arms if not formatting.unclaimed(e)]
    right = min(1.0, 1.06 * max([1e-3, *(e.high for e in shown)]))
    axes.set_xlim(0, right)
    axes.set_ylim(len(bars), 0)
    for position, bar in enumerate(bars):
        _bar(axes, position, bar, right)
    share_axis(axes.xaxis, right)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    top = 1 - 18 / height
    figure.text(0.04, top, one_line(title, _LABEL), weight=700)
    figure.text(0.94, top, "excess, points", size=10, ha="right", color=MUTED)
    _key(figure, exposed, blind=any(bar.blind is not None for bar in bars))
    described = "; ".join(_describe(bar) for bar in bars)
    return Chart(svg=inline(figure, name, f"Hit rates: {title}", described), caption=caption)


def _bar(axes: Axes, position: int, bar: Bar, right: float) -> None:
    text, line = position + 0.3, position + 0.53
    axes.text(0, text, one_line(bar.label, _LABEL), size=10, va="baseline")
    empty = [formatting.unclaimed(e) for e in (bar.exposed, bar.control)]
    excess = formatting.points_range(bar.excess.low, bar.excess.high, bar.excess.n)
    excess = "no control claim" if empty[1] else excess
    axes.text(right, text, excess, size=10, ha="right", va="baseline", color=MUTED)
    axes.plot((0, right), (line, line), color=GRID, linewidth=0.8, zorder=0)
    for other, marker, below, colour in (
        (bar.control, "s", 0.18, CONTROL),
        (bar.blind, "^", 0.36, MUTED),
    ):
        if other is not None and not formatting.unclaimed(other):
            at = line + below
            axes.plot((other.low, other.high), (at, at), color=colour, linewidth=1.2)
            _mark(axes, other.value, at, marker, colour, 4.5)
    if empty[0]:
        return
    axes.plot(
        (bar.exposed.low, bar.exposed.high), (line, line), color=MEMBER, linewidth=2.4, zorder=3
    )
    face = MEMBER if bar.detected else "white"
    axes.plot(
        bar.exposed.value, line, "o", ms=6, mfc=face, mec=MEMBER, mew=1.4, clip_on=False, zorder=4
    )


def _mark(axes: Axes, x: float, y: float, marker: str, colour: str, size: float) -> None:
    axes.plot(x, y, marker, ms=size, mfc="white", mec=colour, mew=1.1, clip_on=False, zorder=3)


def _key(figure: Figure, exposed: str, *, blind: bool) -> None:
    """Draw the key: what dot, square and triangle stand for."""
    axes = figure.axes[0]
    marks = [(exposed, "o", MEMBER, MEMBER), ("control", "s", "white", CONTROL)]
    marks += [("blind", "^", "white", MUTED)] if blind else []
    for label, marker, face, edge in marks:
        axes.plot([], [], marker, ms=5.5, mfc=face, mec=edge, mew=1.2, color=edge, label=label)
    figure.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=3,
        handlelength=1.0,
        handletextpad=0.4,
        columnspacing=1.4,
        borderpad=0.2,
    )
    axes.set_xlabel("Claims that come true", labelpad=4)


def _describe(bar: Bar) -> str:
    def span(e: Estimate) -> str:
        if formatting.unclaimed(e):
            return "no claim"
        return formatting.share_range(e.low, e.high, e.n or formatting.KNOWN, " to ")

    blind = "" if bar.blind is None else f", blind {span(bar.blind)}"
    return f"{bar.label}: {span(bar.exposed)}, control {span(bar.control)}{blind}"


def growth(name: str, label: str, steps: Sequence[SizePoint]) -> Chart:
    """The excess against the number of released rows."""
    figure = blank(WIDTH, 250)
    axes = figure.add_axes((0.16, 0.2, 0.79, 0.68))
    places = range(len(steps))
    values = [p.excess.value for p in steps]
    below = [max(p.excess.value - p.excess.low, 0.0) for p in steps]
    above = [max(p.excess.high - p.excess.value, 0.0) for p in steps]
    axes.axhline(0.0, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
    axes.errorbar(
        places, values, yerr=(below, above), fmt="o-", color=MEMBER, ms=6, elinewidth=1.2, capsize=3
    )
    low, high = _span(steps)
    axes.set_ylim(low, high)
    axes.set_xlim(-0.5, len(steps) - 0.5)
    points_axis(axes.yaxis, low, high)
    # Six numbers of rows fit beside one another.
    kept = [i for i in places if i % -(-len(steps) // _TICKS) == 0]
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.set_xticklabels([formatting.count(steps[i].rows) for i in kept])
    axes.set_xlabel("Released rows")
    figure.text(0.02, 0.93, "Excess, points, by released rows", weight=700)
    caption = (
        f"{label}: excess over control with the number of released rows. Dashed: no difference."
    )
    return Chart(svg=inline(figure, name, f"Growth of {label}", _told(steps)), caption=caption)


def spread(name: str, label: str, steps: Sequence[SizePoint]) -> Chart:
    """The excess of one release after another, the first twenty."""
    left_out, steps = max(len(steps) - _RELEASES, 0), steps[:_RELEASES]
    height = 66 + _SMALL * len(steps)
    figure = blank(WIDTH, height)
    axes = figure.add_axes((0.34, 36 / height, 0.61, 1 - 66 / height))
    low, high = _span(steps)
    axes.set_xlim(low, high)
    axes.set_ylim(len(steps) - 0.5, -0.5)
    axes.axvline(0.0, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
    for position, step in enumerate(steps):
        line = (position, position)
        axes.plot((step.excess.low, step.excess.high), line, color=MEMBER, linewidth=2.4)
        axes.plot(step.excess.value, position, "o", ms=6, mfc=MEMBER, mec=MEMBER)
        axes.text(
            -0.04,
            position,
            one_line(step.label, 18),
            size=10,
            ha="right",
            va="center",
            color=INK,
            transform=axes.get_yaxis_transform(),
        )
    points_axis(axes.xaxis, low, high)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    figure.text(0.02, 1 - 18 / height, "Excess, points, by release", weight=700)
    caption = f"{label}: excess over control, one line a release. Dashed: no difference."
    if left_out:
        caption += f" {left_out} more are in report.json."
    return Chart(svg=inline(figure, name, f"Spread of {label}", _told(steps)), caption=caption)


def _span(steps: Sequence[SizePoint]) -> tuple[float, float]:
    """Return limits of an axis that hold every interval, and no difference."""
    low = min([0.0, *(p.excess.low for p in steps)])
    high = max([0.0, *(p.excess.high for p in steps)])
    room = 0.06 * max(high - low, 1e-3)
    return low - room, high + room


def _told(steps: Sequence[SizePoint]) -> str:
    return "; ".join(
        f"{p.label}, {formatting.count(p.rows)} rows: "
        f"{formatting.points_range(p.excess.low, p.excess.high, p.excess.n)} points"
        for p in steps
    )
