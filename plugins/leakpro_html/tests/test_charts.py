"""Charts of odd evidence stay within their frame."""

import re

import sample
from attrs import evolve
from leakpro_html import charts
from leakpro_html.svg import style


def test_an_operating_point_that_flags_nobody_stays_within_the_axes() -> None:
    # claims of two values, as of an adversary who sees labels only
    nobody = sample.proportion(0, 600)
    result = sample.leak().attacks[0]
    assert result.roc is not None
    point = evolve(result.points[0], tpr=nobody, fpr=nobody, placebo=None, blind=None)
    with style():
        svg = charts.roc("x", "loss", result.roc, [point]).svg
    height = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[1])  # type: ignore[index]
    ys = [float(y) for y in re.findall(r"[ML] -?[\d.]+ (-?[\d.]+)", svg)]
    assert ys
    assert max(ys) <= height
