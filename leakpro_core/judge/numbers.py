"""Numbers in sentences: two significant digits, bounds rounded outwards, no false precision."""

import math
from collections.abc import Callable, Sequence


def plain(value: float) -> str:
    """Return two significant digits without an exponent: 1400 is "1,400", 0.0312 is "0.031"."""
    rounded = float(f"{value:.2g}")
    if rounded == 0.0 or abs(rounded) >= 1.0:
        return f"{rounded:,.10g}" if abs(rounded) < 1e10 else f"{rounded:.2g}"
    digits = 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{digits}f}".rstrip("0")


def at_least(bound: float) -> str:
    """Return a lower bound, rounded down: 9.99 is "9.9"."""
    return plain(_to_two_digits(bound, math.floor))


def at_most(bound: float) -> str:
    """Return an upper bound, rounded up: 0.0301 is "0.031"."""
    return plain(_to_two_digits(bound, math.ceil))


def percent(share: float) -> str:
    """Return a share as a percentage with two significant digits: 0.001 is "0.1%"."""
    return f"{plain(100.0 * share)}%"


def percent_at_most(share: float) -> str:
    """Return an upper bound of a share as a percentage, rounded up: 0.0301 is "3.1%"."""
    return f"{at_most(100.0 * share)}%"


def headcount(number: float) -> str:
    """Return a number of people, rounded to two significant digits and called so: "about 1,200"."""
    whole = math.ceil(number)
    rounded = round(whole, 2 - len(str(whole)))
    return f"{whole:,}" if rounded == whole else f"about {rounded:,}"


def people(low: int, high: int) -> str:
    """Return a range of counts, rounded outwards to two significant digits."""
    a, b = _outwards(low, math.floor), _outwards(high, math.ceil)
    return f"between {a:,} and {b:,}" if a < b else f"{a:,}"


def listed(items: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def _to_two_digits(value: float, rounding: Callable[[float], int]) -> float:
    if value == 0.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    # What is 0.03 but for the last bits stays 0.03.
    nearest = round(value / step)
    close = math.isclose(value / step, nearest, rel_tol=1e-9)
    return step * (nearest if close else rounding(value / step))


def _outwards(count: int, rounding: Callable[[float], int]) -> int:
    step: int = 10 ** max(0, len(str(count)) - 2)
    return rounding(count / step) * step
