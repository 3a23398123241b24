"""False precision is a mistake: what a number may look like."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from leakpro_html import formatting as fmt

SHARES = st.floats(0, 1)
COUNTS = st.integers(1, 10**7)


def _value(text: str) -> Decimal:
    return Decimal(text.strip("<>%")) / 100


@pytest.mark.parametrize(
    ("value", "n", "expected"),
    [
        (0.0689, 20000, "6.9%"),
        (0.641, 20000, "64%"),
        (0.00123, 100000, "0.12%"),
        (0.0123, 200, "1%"),  # one in 200 is half a per cent: no decimal
        (0.001, 1000, "0.1%"),
        (0.0, 1000, "0%"),
        (1.0, 1000, "100%"),
        (0.005, 200, "<1%"),  # one of 200 is not none of them
        (1e-9, 1000, "<0.1%"),
        (0.9999, 1000, ">99%"),
        (float("nan"), 10, fmt.UNKNOWN),
    ],
)
def test_share_has_two_digits_and_none_below_one_in_n(value: float, n: int, expected: str) -> None:
    assert expected == fmt.share(value, n)


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0.0621, 0.0769, 20000, "6.2\u20137.7%"),
        (0.0, 0.0029951, 1000, "0\u20130.3%"),
        (0.988, 0.9951, 1000, "98\u2013100%"),
        (0.09032, 0.09032, 2846, "9.0%"),  # counted, so exact: a range would be false
        (1 - 0.99, 1 - 0.98, 10000, "1.0\u20132.0%"),
        (float("nan"), 1.0, 10, fmt.UNKNOWN),
    ],
)
def test_intervals_are_rounded_outwards(low: float, high: float, n: int, expected: str) -> None:
    assert expected == fmt.share_range(low, high, n)


def test_a_range_in_a_sentence_repeats_the_unit() -> None:
    assert fmt.share_range(0.0621, 0.0769, 20000, " to ") == "6.2% to 7.7%"


@given(SHARES, SHARES, COUNTS)
def test_the_printed_interval_contains_the_interval(a: float, b: float, n: int) -> None:
    low, high = sorted((a, b))
    assume(low < high)
    first, second = fmt.share_range(low, high, n).rstrip("%").split("\u2013")
    assert Decimal(first) / 100 <= Decimal(low) + Decimal("1e-11")
    assert Decimal(second) / 100 >= Decimal(high) - Decimal("1e-11")


@given(SHARES, COUNTS)
def test_the_point_is_off_by_half_a_digit_at_most(value: float, n: int) -> None:
    text = fmt.share(value, n)
    coarsest = max(Decimal(value) / 10, Decimal(10) / n, Decimal("0.01"))
    assert abs(_value(text) - Decimal(value)) <= coarsest


@given(SHARES, COUNTS)
def test_only_all_is_100_percent_and_only_none_is_0_percent(value: float, n: int) -> None:
    text = fmt.share(value, n)
    assert (value == 1) == (text == "100%")
    assert (value == 0) == (text == "0%")


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0.0312, 0.0449, 2000, "+3.1 to +4.5"),
        (-0.0312, 0.0449, 2000, "\u22123.2 to +4.5"),
        (-0.0449, -0.0312, 2000, "\u22124.5 to \u22123.1"),
        (0.0, 0.00449, 2000, "0 to +0.5"),
        (-0.004, 0.003, 41, "\u22121 to +1"),
        (0.25, 0.25, 2000, "+25"),
        (-2.0, 1.0, 2000, "\u2212200 to +100"),  # R has no lower end
        (float("nan"), 1.0, 10, fmt.UNKNOWN),
    ],
)
def test_differences_have_their_sign_and_are_rounded_outwards(
    low: float, high: float, n: int, expected: str
) -> None:
    assert expected == fmt.points_range(low, high, n)


@given(st.floats(-3, 3), st.floats(-3, 3), COUNTS)
def test_the_printed_interval_of_a_difference_contains_it(a: float, b: float, n: int) -> None:
    low, high = sorted((a, b))
    assume(low < high)
    printed = fmt.points_range(low, high, n).replace(fmt.MINUS, "-").split(" to ")
    first, second = (Decimal(text) / 100 for text in printed)
    assert first <= Decimal(low) + Decimal("1e-11")
    assert second >= Decimal(high) - Decimal("1e-11")


def test_upper_bounds_of_differences_are_rounded_up_and_keep_a_minus_only() -> None:
    assert [fmt.points_upper(v, 2000) for v in (0.0312, -0.0312, 0.0, -1e-9)] == [
        "3.2",
        "\u22123.1",
        "0",
        "0",
    ]


def test_declared_levels_are_exact() -> None:
    assert [fmt.level(v) for v in (0.001, 0.01, 0.1, 0.5, 0.00025)] == [
        "0.1%",
        "1%",
        "10%",
        "50%",
        "0.025%",
    ]


def test_people_in_a_thousand() -> None:
    assert fmt.per_thousand(0.0621, 0.0769, 20000) == "62 to 77"
    assert fmt.per_thousand(0.0021, 0.0075, 4000) == "2 to 8"
    assert fmt.per_thousand(0.09032, 0.09032, 2846) == "90"
    assert fmt.per_thousand(0.0001, 0.0001, 10**6) == "0.1"


def test_lower_bounds_of_ratios_are_rounded_down() -> None:
    assert [fmt.at_least(v) for v in (12.7, 3.09, 9.99, 1299.0, 0.539, 0.0)] == [
        "12",
        "3.0",
        "9.9",
        "1,200",
        "0.53",
        "0",
    ]
    assert fmt.at_least(float("inf")) == fmt.UNKNOWN


def test_areas_get_a_third_decimal_from_a_thousand_rounds_on() -> None:
    assert fmt.area(0.56374, 8000) == "0.564"
    assert fmt.area(0.56374, 999) == "0.56"
    assert fmt.area_range(0.5489, 0.5771, 8000) == "0.548\u20130.578"
    assert fmt.area(float("nan"), 8000) == fmt.UNKNOWN


def test_counts_of_people_are_about() -> None:
    assert fmt.about(114, 191) == "about 110\u2013200"
    assert fmt.about(3, 9) == "about 3\u20139"
    assert fmt.about_one(1201) == "about 1,300"
    assert fmt.about(50, 50) == "about 50"
    assert fmt.count(12000) == "12,000"


def test_p_values() -> None:
    assert [fmt.probability(v) for v in (0.0004, 0.0123, 0.41, None)] == [
        "< 0.001",
        "0.012",
        "0.41",
        fmt.UNKNOWN,
    ]


def test_thresholds_are_scores() -> None:
    assert [fmt.score(v) for v in (2.26601, -0.64512, None, 0.0)] == [
        "2.266",
        "\u22120.6451",
        "none",
        "0",
    ]


def test_durations() -> None:
    assert [fmt.duration(v) for v in (0.0, 0.4, 42.3, 154.2, 6000.0)] == [
        "not recorded",
        "less than 1 s",
        "42 s",
        "2 min 34 s",
        "1 h 40 min",
    ]
