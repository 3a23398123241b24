"""A point of a success game for the report: rates of both arms, their excess, and its bounds."""

from collections.abc import Sequence

import numpy as np

from leakpro_core.arrays import Floats
from leakpro_core.judge.success_rounds import SuccessSample
from leakpro_core.judge.success_units import ALL, VULNERABLE, Units
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import RiskBound, SuccessPoint
from leakpro_core.statistics.intervals import Interval
from leakpro_core.statistics.paired import (
    correlation,
    difference,
    mean_lower,
    mean_upper,
    odds_ratio,
    paired_difference,
    relative_excess,
    score_interval,
    units_needed,
    weighted_high,
    weighted_needed,
)

_LEAST_LUCK = 1e-12
"""Luck that is known to be 0 counts as so much, so that odds stay finite."""

_WIDER = 2.0
"""That many times as much is tolerated for the most vulnerable tenth."""

_TENTH = 0.1
"""Its share of the claims where those are about nobody until they meet somebody."""

_UNKNOWN = 0.5
"""A control rate that nothing is known of counts as the one that is hardest to exclude at."""


def likelihood_low(units: Units, alpha: float) -> float:
    """Return a lower bound of the odds of a hit, exposed over control: ``alpha`` for either bound.

    ``[h / (1 - h)] [(1 - c) / c]``, h the Clopper-Pearson lower bound of the exposed arm and c the
    upper bound of the control arm, or the chance of luck where there is no control arm. Above 1
    just when h is above c. Rates are those of the rounds, at equal n; of the surest tenth of claims
    about people, the share of an arm's people about whom a claim is among it and came true.
    """
    low, high = _corners([units], np.array([alpha]))
    return odds_ratio(float(low[0]), min(1.0, max(_LEAST_LUCK, float(high[0]))))


def smallest_alpha(points: Sequence[Units]) -> float:
    """Return the least ``alpha`` at which some point's ``likelihood_low`` exceeds 1; at most 0.5.

    By bisection on the logarithm, to a relative 1e-6, and not below 1e-12.
    """
    if not points:
        return 0.5
    low, high = np.full(len(points), 1e-12), np.full(len(points), 0.5)
    for _ in range(25):
        middle = np.sqrt(low * high)
        right, wrong = _corners(points, middle)
        low, high = np.where(right > wrong, low, middle), np.where(right > wrong, middle, high)
    return float(high.min())


def success_point(
    units: Units, sample: SuccessSample, alpha: float, confidence: float
) -> SuccessPoint:
    """Return a point. alpha: of either bound of ``likelihood_low``.

    Every rate and difference is the rounds' times ``sample.scale``, rates capped at 1; n counts
    units: of both arms in a difference, of clusters where paired.
    """
    scale, of = sample.scale, "clusters of claims" if sample.paired else "people"
    phi = correlation(units.exposed, units.control) if sample.paired else 0.0
    excess = _excess(units, sample, confidence)
    blind = len(units.blind) > 0
    return SuccessPoint(
        facet=units.facet,
        coverage=units.coverage,
        exposed=_rate(units.exposed, scale, confidence, of),
        control=_known(units.luck, scale, confidence)
        if units.luck is not None
        else _rate(units.control, scale, confidence, of),
        blind=_rate(units.blind, scale, confidence, of) if blind else None,
        excess=excess,
        over_blind=_over_blind(units, scale, confidence) if blind else None,
        risk=_risk(units, scale, confidence, phi, excess.n),
        excess_high=_excess_high(units, sample, excess, confidence),
        likelihood_low=likelihood_low(units, alpha),
        null_p=units.null_p,
    )


def risk_bounds(
    sample: SuccessSample, points: Sequence[SuccessPoint], policy: Policy
) -> tuple[RiskBound, ...]:
    """Return upper bounds of the excess: at all claims, for the most vulnerable tenth, by facet.

    Each of them that the game has, so that nothing is cleared untested: where there are not enough
    units nothing is excluded, and the bound is 1. Of the tenth, which has a tenth of the people,
    twice as much is tolerated; where its rates are of all claims, of which it would meet a tenth
    by its size, a tenth of that. No correction over attacks: a claim that needs all the bounds
    holds where each one holds.
    """
    wanted = [("", ALL)] + [("", VULNERABLE)] * sample.tenth
    if len(sample.facets) > 1:
        wanted += [(name, ALL) for name in sample.facets]
    known = {(p.facet, p.coverage): (u, p) for u, p in zip(sample.points, points, strict=True)}
    return tuple(
        _bound(facet, coverage, known.get((facet, coverage)), sample, policy)
        for facet, coverage in wanted
    )


def _bound(
    facet: str,
    coverage: str,
    known: tuple[Units, SuccessPoint] | None,
    sample: SuccessSample,
    policy: Policy,
) -> RiskBound:
    tolerated = policy.excess_tolerance
    if coverage == VULNERABLE:
        tolerated = min(1.0, _WIDER * tolerated) * (_TENTH if sample.paired else 1.0)
    high = 1.0
    if known is not None and (facet, coverage) not in sample.left_out:
        high = known[1].excess_high
    needed = None
    if high > tolerated:
        each = tolerated / sample.scale
        needed = (
            units_needed(_UNKNOWN, each, policy.confidence)
            if known is None
            else _needed(known[0], sample, each, policy.confidence)
        )
    return RiskBound(facet=facet, coverage=coverage, high=high, tolerated=tolerated, needed=needed)


def _needed(units: Units, sample: SuccessSample, tolerated: float, confidence: float) -> int:
    """Return about how many units of each arm would exclude a useless attack with this control."""
    rate = _mean(units.control) if units.luck is None else units.luck
    needed = units_needed(rate, tolerated, confidence)
    if not sample.paired or len(units.claims) < 2:
        return needed
    arms = units.exposed, units.control
    return max(needed, weighted_needed(*arms, units.claims, tolerated, confidence))


def _corners(points: Sequence[Units], alpha: Floats) -> tuple[Floats, Floats]:
    """Return lower bounds of exposed rates and upper bounds of control rates, at ``alpha`` each."""
    hits, others = ([x.sum() for x in arm] for arm in _values(points))
    n, m = ([len(x) for x in arm] for arm in _values(points))
    high = mean_upper(others, m, alpha)
    luck = [p.luck for p in points]
    known = [x is not None for x in luck]
    return mean_lower(hits, n, alpha), np.where(known, [x or 0.0 for x in luck], high)


def _values(points: Sequence[Units]) -> tuple[list[Floats], list[Floats]]:
    return [p.tested_exposed for p in points], [p.tested_control for p in points]


def _mean(values: Floats) -> float:
    """Return the mean value, 0 where there is none."""
    return float(values.mean()) if len(values) else 0.0


def _rate(values: Floats, scale: float, confidence: float, of: str) -> Estimate:
    """Return a rate; where the arm has no claims, 0 of 0, which may be anything."""
    total, n, each = values.sum(), len(values), (1.0 - confidence) / 2.0
    return Estimate(
        value=min(1.0, scale * _mean(values)),
        low=min(1.0, scale * float(mean_lower(total, n, each))),
        high=min(1.0, scale * float(mean_upper(total, n, each))),
        confidence=confidence,
        n=n,
        method=f"Clopper-Pearson over {of}",
    )


def _known(luck: float, scale: float, confidence: float) -> Estimate:
    value = min(1.0, scale * luck)
    return Estimate(
        value=value, low=value, high=value, confidence=confidence, n=0, method="known chance"
    )


def _excess(units: Units, sample: SuccessSample, confidence: float) -> Estimate:
    """Return exposed minus control; below 0 where control is higher."""
    value, other = _arms(units, 1.0)
    if units.luck is not None:
        limits = _limits(units.exposed, 1.0, confidence)
        found = Interval(limits.low - other, limits.high - other)
        n, method = len(units.exposed), "score, less the known chance"
    elif sample.paired:
        found = paired_difference(units.exposed, units.control, confidence)
        n, method = len(units.exposed), "Newcombe, paired hybrid score"
    else:
        arms = (_limits(x, 1.0, confidence) for x in (units.exposed, units.control))
        found = difference(value, next(arms), other, next(arms))
        n, method = len(units.exposed) + len(units.control), "Newcombe, hybrid score"
    return _scaled(value - other, found, sample.scale, confidence, n, method)


def _excess_high(units: Units, sample: SuccessSample, excess: Estimate, confidence: float) -> float:
    """Return the upper bound of the excess that exclusion uses: one-sided, half of alpha.

    The upper end of the displayed interval. Where claims are clustered, also that of the excess
    over claims, each weighing the same, if it is larger: otherwise an attack with most of its
    claims about one person would be cleared, since these are one unit.
    """
    if not sample.paired:
        return excess.high
    if len(units.claims) < 2:
        return 1.0
    whole = weighted_high(units.exposed, units.control, units.claims, confidence)
    return min(1.0, max(excess.high, sample.scale * whole))


def _over_blind(units: Units, scale: float, confidence: float) -> Estimate:
    """Return exposed minus blind on the same rounds of the exposed arm."""
    gap = float(units.beside_blind.mean() - units.blind.mean())
    found = paired_difference(units.beside_blind, units.blind, confidence)
    return _scaled(gap, found, scale, confidence, len(units.blind), "Newcombe, paired hybrid score")


def _risk(units: Units, scale: float, confidence: float, phi: float, n: int) -> Estimate:
    """Return ``(exposed - control) / (1 - control)``; 0, from -1 to 1, where control is 1.

    There nothing is left to be risked beyond the control's rate, and any finite number is a
    convention.
    """
    value, other = _arms(units, scale)
    limits = _limits(units.exposed, scale, confidence)
    others = (
        Interval(other, other)
        if units.luck is not None
        else _limits(units.control, scale, confidence)
    )
    if others.high >= 1.0:
        risk, found, method = 0.0, Interval(-1.0, 1.0), "none: the control rate may be 1"
    else:
        risk = (value - other) / (1.0 - other)
        found = relative_excess(value, limits, other, others, phi)
        method = "MOVER for a ratio, score limits"
    return Estimate(
        value=risk, low=found.low, high=found.high, confidence=confidence, n=n, method=method
    )


def _arms(units: Units, scale: float) -> tuple[float, float]:
    other = _mean(units.control) if units.luck is None else units.luck
    return min(1.0, scale * _mean(units.exposed)), min(1.0, scale * other)


def _limits(values: Floats, scale: float, confidence: float) -> Interval:
    if not len(values):
        return Interval(0.0, 1.0)
    found = score_interval(_mean(values), len(values), confidence)
    return Interval(min(1.0, scale * found.low), min(1.0, scale * found.high))


def _scaled(
    value: float, found: Interval, scale: float, confidence: float, n: int, method: str
) -> Estimate:
    """Return a difference times the scale, within -1 and 1."""
    value, low, high = (max(-1.0, min(1.0, scale * x)) for x in (value, found.low, found.high))
    return Estimate(value=value, low=low, high=high, confidence=confidence, n=n, method=method)
