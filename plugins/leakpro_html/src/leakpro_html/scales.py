"""Axes of charts: round ticks, in per cent or in points."""

from math import ceil, floor, log10

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator


def share_axis(axis: Axis, top: float) -> None:
    """Set ticks of a share, from 0 to top."""
    _round(axis, 0.0, top)
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g}%"))


def points_axis(axis: Axis, low: float, high: float) -> None:
    """Set ticks of a difference of shares, in points and with its sign."""
    _round(axis, low, high)
    axis.set_major_formatter(FuncFormatter(lambda x, _: _signed(x)))


def steps(low: float, high: float) -> list[float]:
    """Return round ticks from low to high, four to six of them."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / 4
    scale = 10.0 ** floor(log10(raw))
    step = next(scale * m for m in (1, 2, 2.5, 5, 10) if scale * m >= raw * 0.999)
    first = ceil(low / step - 1e-9)
    return [step * i for i in range(first, floor(high / step + 1e-9) + 1)]


def _round(axis: Axis, low: float, high: float) -> None:
    axis.set_major_locator(FixedLocator(steps(low, high)))
    axis.set_minor_locator(NullLocator())


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{100 * value:+.3g}".replace("-", "\u2212")
