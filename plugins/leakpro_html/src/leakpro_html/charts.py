"""The charts. Each takes records of the report and returns an SVG; none computes a rate."""

from collections.abc import Sequence
from math import floor, log10

from attrs import frozen
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from leakpro_core.records import Estimate
from leakpro_core.report import Curve, Histogram, Point, StrengthPoint
from leakpro_html import formatting
from leakpro_html.scales import share_axis, steps
from leakpro_html.svg import (
    CONTROL,
    GRID,
    INK,
    MEMBER,
    MUTED,
    OTHER,
    SHADE,
    blank,
    inline,
    one_line,
)

WIDTH = 350
_HEIGHT = 350
_AXES = (0.16, 0.3, 0.79, 0.675)
_ROW = 44
_LABEL = 38


@frozen(kw_only=True)
class Chart:
    """An inline SVG and the sentence beneath it."""

    svg: Markup
    caption: str


@frozen(kw_only=True)
class Row:
    """A line of the overview: an attack at one FPR, with placebo and blind adversary."""

    label: str
    detected: bool
    tpr: Estimate
    fpr: Estimate
    placebo: Estimate | None
    blind: Estimate | None


def overview(name: str, rows: Sequence[Row], fpr: float, tolerated: float) -> Chart:
    """Forest plot: how many members every attack flags at one declared FPR."""
    height = 62 + _ROW * len(rows)
    figure = blank(WIDTH, height)
    axes = figure.add_axes((0.02, 26 / height, 0.95, 1 - 58 / height))
    shown = [e for row in rows for e in (row.tpr, row.fpr, row.placebo, row.blind) if e is not None]
    right = min(1.0, 1.06 * max([tolerated, fpr, *(e.high for e in shown)]))
    axes.set_xlim(0, right)
    axes.set_ylim(len(rows), 0)
    # Guides run beside the marks only, not through the labels above them.
    tops = [position + 0.42 for position in range(len(rows))]
    ends = [position + 1.0 for position in range(len(rows))]
    axes.vlines([fpr] * len(rows), tops, ends, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
    axes.vlines(
        [tolerated] * len(rows), tops, ends, color=INK, linestyle=(0, (1, 1.5)), linewidth=1.4
    )
    for position, row in enumerate(rows):
        _forest_row(axes, position, row, right)
    share_axis(axes.xaxis, right)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    heading = f"Members flagged at FPR {formatting.level(fpr)}"
    figure.text(0.02, 1 - 18 / height, heading, weight=700)
    described = "; ".join(
        f"{row.label}: {formatting.share_range(row.tpr.low, row.tpr.high, row.tpr.n, ' to ')}"
        for row in rows
    )
    title = f"Members flagged by each attack at a false-positive rate of {formatting.level(fpr)}"
    caption = (
        f"Dashed: a useless attack ({formatting.level(fpr)}). "
        f"Dotted: what the policy tolerates ({formatting.level(tolerated)})."
    )
    return Chart(svg=inline(figure, name, title, described), caption=caption)


def _forest_row(axes: Axes, position: int, row: Row, right: float) -> None:
    text, line = position + 0.3, position + 0.53
    axes.text(0, text, one_line(row.label, _LABEL), size=10, va="baseline")
    span = formatting.share_range(row.tpr.low, row.tpr.high, row.tpr.n)
    axes.text(right, text, span, size=10, ha="right", va="baseline", color=MUTED)
    axes.plot((0, right), (line, line), color=GRID, linewidth=0.8, zorder=0)
    for other, marker in ((row.placebo, "s"), (row.blind, "^")):
        if other is not None:
            low = line + (0.18 if marker == "s" else 0.36)
            axes.plot((other.low, other.high), (low, low), color=CONTROL, linewidth=1)
            axes.plot(
                other.value, low, marker, ms=4.5, mfc="white", mec=CONTROL, mew=1.1, clip_on=False
            )
    mistaken = (row.fpr.low, row.fpr.high)
    axes.plot(mistaken, (line, line), color=OTHER, linewidth=7, solid_capstyle="butt", zorder=1)
    axes.plot((row.tpr.low, row.tpr.high), (line, line), color=MEMBER, linewidth=2.4)
    face = MEMBER if row.detected else "white"
    axes.plot(row.tpr.value, line, "o", ms=6, mfc=face, mec=MEMBER, mew=1.4)


def roc(name: str, label: str, curve: Curve, points: Sequence[Point]) -> Chart:
    """ROC on two logarithmic axes, with its band and the zone that n cannot resolve."""
    figure = blank(WIDTH, _HEIGHT)
    axes = figure.add_axes(_AXES)
    least = _least(curve)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(least, 1)
    axes.set_ylim(least, 1)
    axes.axvspan(least, curve.resolvable, facecolor=SHADE, hatch="///", edgecolor=OTHER, lw=0)
    axes.plot((least, 1), (least, 1), color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
    axes.fill_between(
        [max(x, least / 10) for x in curve.band_fpr],
        [max(y, least / 10) for y in curve.band_low],
        [max(y, least / 10) for y in curve.band_high],
        color=MEMBER,
        alpha=0.18,
        linewidth=0,
        label="pointwise band",
    )
    axes.plot(
        *_visible(curve.fpr, curve.tpr, least),
        color=MEMBER,
        drawstyle="steps-post",
        label="attack",
    )
    _roc_points(axes, points, least)
    _log_axis(axes, least)
    axes.set_xlabel("Non-members flagged (FPR)", labelpad=3)
    axes.set_ylabel("Members flagged (TPR)", labelpad=2)
    note = f"not resolvable\n(FPR below {_tick(curve.resolvable)})"
    axes.text(least * 1.15, 0.8, note, size=9, color=INK, va="top", linespacing=1.15)
    axes.plot([], [], color=MUTED, linestyle=(0, (4, 3)), linewidth=1, label="guessing")
    _legend(figure)
    caption = (
        f"{label}: ROC on logarithmic axes. Left of an FPR of {_tick(curve.resolvable)} "
        "the number of non-members resolves nothing."
    )
    described = "; ".join(_describe(point) for point in points) or "no operating point"
    return Chart(svg=inline(figure, name, f"ROC of {label}", described), caption=caption)


def _visible(
    fpr: Sequence[float], tpr: Sequence[float], least: float
) -> tuple[list[float], list[float]]:
    """Leave out points that lie within half a pixel of the last one drawn."""
    pixel = (1 / least) ** (1 / 600)
    xs, ys = [least / 10], [least / 10]
    for x, y in zip(fpr, tpr, strict=True):
        if x >= xs[-1] * pixel or y >= ys[-1] * pixel:
            xs.append(x)
            ys.append(y)
    return [*xs, fpr[-1]], [*ys, tpr[-1]]


def _roc_points(axes: Axes, points: Sequence[Point], least: float) -> None:
    flagging = [p for p in points if p.kind == "fpr"]
    mirrors = [p for p in points if p.kind != "fpr"]
    _points(axes, flagging, least, "o", "operating point", (MEMBER, "white"))
    _points(axes, mirrors, least, "D", "mirror point", ("white", MEMBER))
    for which, marker in (("placebo", "s"), ("blind", "^")):
        drawn = [
            (max(p.fpr.value, least), max(e.value, least))
            for p in flagging
            if (e := getattr(p, which)) is not None
        ]
        if drawn:
            xs, ys = zip(*drawn, strict=True)
            axes.plot(xs, ys, marker, ms=5, mfc="white", mec=CONTROL, mew=1.2, label=which)


def _points(
    axes: Axes,
    points: Sequence[Point],
    least: float,
    marker: str,
    label: str,
    colours: tuple[str, str],
) -> None:
    if not points:
        return
    xs = [max(p.fpr.value, least) for p in points]
    ys = [max(p.tpr.value, least) for p in points]
    below = [y - min(y, max(p.tpr.low, least)) for y, p in zip(ys, points, strict=True)]
    above = [max(p.tpr.high - y, 0) for y, p in zip(ys, points, strict=True)]
    axes.errorbar(
        xs,
        ys,
        yerr=(below, above),
        fmt=marker,
        clip_on=False,
        ms=6,
        ecolor=MEMBER,
        elinewidth=1,
        label=label,
        zorder=4,
        mfc=colours[0],
        mec=colours[1],
    )


def _describe(point: Point) -> str:
    kind = "FPR" if point.kind == "fpr" else "mirror point, FNR"
    span = formatting.share_range(point.tpr.low, point.tpr.high, point.tpr.n, " to ")
    return f"{kind} {formatting.level(point.level)}: {span} of members flagged"


def histogram(name: str, label: str, shares: Histogram) -> Chart:
    """Claims of members and non-members, in shares per bin."""
    figure = blank(WIDTH, _HEIGHT)
    axes = figure.add_axes(_AXES)
    axes.stairs(
        shares.control,
        shares.edges,
        fill=True,
        facecolor="#f3dcc4",
        edgecolor=CONTROL,
        linewidth=1,
        label="non-members",
    )
    axes.stairs(
        shares.exposed,
        shares.edges,
        fill=False,
        edgecolor=MEMBER,
        linewidth=1.8,
        label="members",
    )
    top = 1.05 * max([*shares.control, *shares.exposed, 1e-9])
    axes.set_xlim(shares.edges[0], shares.edges[-1])
    axes.set_ylim(0, top)
    share_axis(axes.yaxis, top)
    axes.xaxis.set_major_locator(FixedLocator(steps(shares.edges[0], shares.edges[-1])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.4g}"))
    ranked = shares.scale == "rank"
    axes.set_xlabel("Rank of the claim" if ranked else "Claim (higher: surer of a member)")
    axes.set_ylabel("Share of each arm", labelpad=2)
    _legend(figure)
    caption = (
        f"{label}: {'ranks of claims' if ranked else 'claims'} of members and non-members. "
        "Where the two shapes agree, the attack knows nothing."
    )
    described = f"{len(shares.exposed)} bins from {shares.edges[0]:.4g} to {shares.edges[-1]:.4g}"
    title = f"Claims of members and non-members, {label}"
    return Chart(svg=inline(figure, name, title, described), caption=caption)


def strength(name: str, label: str, curve: Sequence[StrengthPoint], rising: bool) -> Chart:
    """The attack's strength against the number of shadow models."""
    figure = blank(WIDTH, _HEIGHT)
    axes = figure.add_axes(_AXES)
    places = range(len(curve))
    values = [p.tpr.value for p in curve]
    below = [max(p.tpr.value - p.tpr.low, 0) for p in curve]
    above = [max(p.tpr.high - p.tpr.value, 0) for p in curve]
    axes.errorbar(
        places, values, yerr=(below, above), fmt="o-", color=MEMBER, ms=6, elinewidth=1.2, capsize=3
    )
    fpr = curve[0].fpr
    axes.axhline(fpr, color=MUTED, linestyle=(0, (4, 3)), linewidth=1, label="guessing")
    top = 1.08 * max([fpr, *(p.tpr.high for p in curve)])
    axes.set_ylim(0, top)
    axes.set_xlim(-0.4, len(curve) - 0.6)
    share_axis(axes.yaxis, top)
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.set_xticklabels([formatting.count(p.shadows) for p in curve])
    axes.set_xlabel("Shadow models")
    axes.set_ylabel(f"Members flagged at FPR {formatting.level(fpr)}", labelpad=2)
    _legend(figure)
    remark = "Still rising: more shadow models would make this attack stronger." if rising else ""
    caption = f"{label}: strength against the number of shadow models. {remark}".strip()
    described = "; ".join(
        f"{p.shadows} shadow models: "
        f"{formatting.share_range(p.tpr.low, p.tpr.high, p.tpr.n, ' to ')}"
        for p in curve
    )
    return Chart(svg=inline(figure, name, f"Strength of {label}", described), caption=caption)


def _legend(figure: Figure) -> None:
    figure.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.19),
        ncols=2,
        handlelength=1.8,
        columnspacing=1.4,
        labelspacing=0.35,
    )


def _least(curve: Curve) -> float:
    """Lower end of both axes: a decade that leaves room for the unresolvable zone."""
    return 10.0 ** max(floor(log10(max(curve.resolvable, 1e-9)) - 0.3), -6)


def _tick(value: float) -> str:
    return f"{100 * value:.2g}%" if value < 1 else "100%"


def _log_axis(axes: Axes, least: float) -> None:
    decades = [10.0**e for e in range(round(log10(least)), 1)]
    minor = [m * d for d in decades[:-1] for m in range(2, 10)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(decades))
        axis.set_minor_locator(FixedLocator(minor))
        axis.set_major_formatter(FuncFormatter(lambda x, _: _tick(x)))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
