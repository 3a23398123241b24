"""Numbers in words and digits, without false precision.

Two significant digits; no digit below one in n; intervals rounded outwards, so that what is
printed holds wherever the interval did; never 100% or 0% of what is only nearly so.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from math import isfinite

from leakpro_core.records import Estimate

UNKNOWN = "not estimable"
MINUS = "\u2212"
KNOWN = 1_000_000
"""The n of what was not counted but is known: two digits are shown of it."""

_SIGNIFICANT = 2
_DESCRIBED = 3
_TINY = 1e-6
_DASH = "\u2013"  # en dash: from, to


def share(value: float, n: int) -> str:
    """Return a share of n as a percentage: ``0.069, 1000`` is ``6.9%``."""
    if not isfinite(value):
        return UNKNOWN
    rounded = _percent(value, n, ROUND_HALF_EVEN)
    step = Decimal(1).scaleb(_place(value, n))
    if value > 0 and rounded == 0:
        return f"<{_plain(step)}%"
    if value < 1 and rounded >= 100:
        return f">{_plain(100 - step)}%"
    return f"{_plain(rounded)}%"


def share_range(low: float, high: float, n: int, joint: str = _DASH) -> str:
    """Return an interval of a share, rounded outwards: ``6.2–7.7%``; one share if it is exact."""
    if not (isfinite(low) and isfinite(high)):
        return UNKNOWN
    if low == high:
        return share(low, n)
    first = _plain(_percent(low, n, ROUND_FLOOR))
    second = _plain(_percent(high, n, ROUND_CEILING))
    unit = "" if joint == _DASH else "%"
    return f"{first}{unit}{joint}{second}%"


def upper(value: float, n: int) -> str:
    """Return an upper bound of a share, rounded up."""
    if not isfinite(value):
        return UNKNOWN
    return f"{_plain(_percent(value, n, ROUND_CEILING))}%"


def unclaimed(estimate: Estimate) -> bool:
    """Return whether a rate is of no claim: 0 of 0, which may be anything."""
    return estimate.n == 0 and estimate.low < estimate.high


def points(value: float, n: int) -> str:
    """Return a difference of shares of n in percentage points, with its sign: ``+1.2``."""
    return _signed(value, n, ROUND_HALF_EVEN)


def points_range(low: float, high: float, n: int) -> str:
    """Return an interval of a difference, rounded outwards: ``−0.4 to +1.2``."""
    if not (isfinite(low) and isfinite(high)):
        return UNKNOWN
    if low == high:
        return points(low, n)
    return f"{_signed(low, n, ROUND_FLOOR)} to {_signed(high, n, ROUND_CEILING)}"


def points_upper(value: float, n: int) -> str:
    """Return an upper bound of a difference, rounded up, without a plus sign: ``1.2``."""
    return _signed(value, n, ROUND_CEILING).removeprefix("+")


def level(value: float) -> str:
    """Return a declared share (an FPR budget, a tolerance, a prior) exactly: ``0.1%``."""
    return f"{(Decimal(repr(value)) * 100).normalize():f}%"


def per_thousand(low: float, high: float, n: int) -> str:
    """Return an interval of a share as people in a thousand, rounded outwards: ``62 to 77``."""
    exact = low == high
    first = _thousandth(low, n, ROUND_HALF_EVEN if exact else ROUND_FLOOR)
    second = _thousandth(high, n, ROUND_HALF_EVEN if exact else ROUND_CEILING)
    return first if first == second else f"{first} to {second}"


def area(value: float, n: int) -> str:
    """Return an AUC: two decimals, three from a thousand rounds on."""
    return _unit(value, n, ROUND_HALF_EVEN)


def area_range(low: float, high: float, n: int) -> str:
    """Return an interval of an AUC, rounded outwards."""
    if not (isfinite(low) and isfinite(high)):
        return UNKNOWN
    return f"{_unit(low, n, ROUND_FLOOR)}{_DASH}{_unit(high, n, ROUND_CEILING)}"


def at_least(value: float) -> str:
    """Return a lower bound of a ratio, rounded down: ``12.7`` is ``12``."""
    if not isfinite(value):
        return UNKNOWN
    number = Decimal(repr(value))
    if number <= 0:
        return "0"
    place = max(number.adjusted() - _SIGNIFICANT + 1, -2)
    return _plain(number.quantize(Decimal(1).scaleb(place), rounding=ROUND_FLOOR), grouped=True)


def count(value: int) -> str:
    """Return a count with separated thousands."""
    return f"{value:,}"


def about(low: int, high: int) -> str:
    """Return a range of people, rounded outwards to two digits: ``about 120–190``."""
    first, second = _two_digits(low, ROUND_FLOOR), _two_digits(high, ROUND_CEILING)
    if first == second:
        return f"about {first:,}"
    return f"about {first:,}{_DASH}{second:,}"


def about_one(value: int) -> str:
    """Return a count that is a bound, rounded up to two digits."""
    return f"about {_two_digits(value, ROUND_CEILING):,}"


def score(value: float | None) -> str:
    """Return a threshold: a score of the attack, not an estimate."""
    if value is None or not isfinite(value):
        return "none"
    return f"{value:.4g}".replace("-", MINUS)


def measure(value: float) -> str:
    """Return what describes and was not counted (decibels, a distance): three digits, no exponent.

    What is nearer to nothing than a millionth is called less than that.
    """
    if not isfinite(value):
        return UNKNOWN
    if 0 < abs(value) < _TINY:
        return f"less than {_plain(Decimal(repr(_TINY)))}"
    return _measured(value, value, ROUND_HALF_EVEN)


def measure_range(low: float, high: float) -> str:
    """Return an interval of it, rounded outwards at the same digit: ``19.1 to 20.6``."""
    if not (isfinite(low) and isfinite(high)):
        return UNKNOWN
    if low == high:
        return measure(low)
    largest = max(low, high, key=abs)
    first, second = _measured(low, largest, ROUND_FLOOR), _measured(high, largest, ROUND_CEILING)
    return first if first == second else f"{first} to {second}"


def probability(value: float | None) -> str:
    """Return a p-value; for the developer's part only."""
    if value is None or not isfinite(value):
        return UNKNOWN
    if value < 0.001:
        return "< 0.001"
    return f"{value:.2g}"


def duration(seconds: float) -> str:
    """Return a duration in the two largest units that say something."""
    if not isfinite(seconds) or seconds <= 0:
        return "not recorded"
    if seconds < 1:
        return "less than 1 s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, remaining = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {remaining} s" if minutes else f"{remaining} s"


def digest(text: str) -> str:
    """Return the first 12 signs of a hash, for reading; the whole one stands in the last part."""
    return text if len(text) <= 16 else f"{text[:12]}…"


def _place(value: float, n: int) -> int:
    """Exponent of the last digit of a percentage that may be shown; never coarser than 1%."""
    percent = _decimal(value) * 100
    # A count of n cannot resolve digits worth less than one in n.
    finest = (Decimal(100) / max(n, 1)).normalize()
    resolved = finest.adjusted() + (0 if finest == Decimal(1).scaleb(finest.adjusted()) else 1)
    wanted = percent.adjusted() - _SIGNIFICANT + 1 if percent else resolved
    return min(max(wanted, resolved), 0)


def _decimal(value: float) -> Decimal:
    # Without the noise of binary fractions: 1 - 0.99 is 0.01, and must not round up to 0.011.
    return Decimal(repr(round(value, 12)))


def _percent(value: float, n: int, rounding: str) -> Decimal:
    percent = _decimal(min(max(value, 0.0), 1.0)) * 100
    return percent.quantize(Decimal(1).scaleb(_place(value, n)), rounding=rounding)


def _signed(value: float, n: int, rounding: str) -> str:
    """Return a difference in points; never clipped, since control may be the higher one."""
    if not isfinite(value):
        return UNKNOWN
    place = Decimal(1).scaleb(_place(abs(value), n))
    rounded = (_decimal(value) * 100).quantize(place, rounding=rounding)
    if rounded == 0:
        return "0"
    return f"{'+' if rounded > 0 else MINUS}{_plain(abs(rounded))}"


def _unit(value: float, n: int, rounding: str) -> str:
    if not isfinite(value):
        return UNKNOWN
    step = Decimal("0.001") if n >= 1000 else Decimal("0.01")
    return str(Decimal(repr(value)).quantize(step, rounding=rounding))


def _thousandth(value: float, n: int, rounding: str) -> str:
    return f"{(_percent(value, n, rounding) * 10).normalize():,f}"


def _measured(value: float, largest: float, rounding: str) -> str:
    """Write a value with as many decimals as leave the largest beside it three digits."""
    size = Decimal(f"{largest:.12g}")  # without the noise of binary fractions
    place = min(max(size.adjusted() - _DESCRIBED + 1, -6), 0) if size else 0
    number = Decimal(f"{value:.12g}").quantize(Decimal(1).scaleb(place), rounding=rounding)
    return _plain(abs(number), grouped=True) if not number else f"{number:,f}".replace("-", MINUS)


def _two_digits(value: int, rounding: str) -> int:
    number = Decimal(value)
    place = max(number.adjusted() - _SIGNIFICANT + 1, 0)
    return int(number.quantize(Decimal(1).scaleb(place), rounding=rounding))


def _plain(number: Decimal, *, grouped: bool = False) -> str:
    """Write without exponent and without trailing zeros after whole numbers."""
    whole = number == number.to_integral_value()
    exponent = number.as_tuple().exponent
    if whole and (number == 0 or not isinstance(exponent, int) or exponent >= 0 or number >= 10):
        number = number.to_integral_value()
    return f"{number:,f}" if grouped else f"{number:f}"
