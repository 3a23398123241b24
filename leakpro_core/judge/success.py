"""The judge of success games: every attack, adversary and facet of an audit at once."""

from collections.abc import Sequence

from attrs import frozen

from leakpro_core.judge.success_detection import success_p
from leakpro_core.judge.success_points import risk_bounds, smallest_alpha, success_point
from leakpro_core.judge.success_rounds import SuccessRounds, SuccessSample, sample_of
from leakpro_core.plan import Policy
from leakpro_core.report import RiskBound, SuccessPoint
from leakpro_core.seeds import spawn


@frozen(kw_only=True)
class JudgedSuccess:
    """One attack of one adversary in a success game, measured.

    p_value: family-wise over the whole audit; detected: it is at most alpha. strength: L, the
    largest lower bound of the odds of a hit, exposed over control. bounds: what exclusion goes by.
    people: about how many subjects of the exposed arm a claim came true; asked, made: claims;
    facets: what claims may be about; left_out: facet and coverage of the points that exclude
    nothing, with fewer than ``FEWEST`` units in an arm.
    """

    label: str
    adversary: str
    game: str
    points: tuple[SuccessPoint, ...]
    bounds: tuple[RiskBound, ...]
    detected: bool
    p_value: float
    strength: float
    people: int
    asked: int
    made: int
    paired: bool
    facets: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def judge_success(
    rounds: Sequence[SuccessRounds], policy: Policy, *, seed: int, share: float = 1.0
) -> tuple[JudgedSuccess, ...]:
    """Measure all attacks of all adversaries in success games under one family-wise correction.

    share: of the audit's error budget that is these attacks', where it plays others too.
    Everything that may be called a leak spends ``1 - policy.confidence`` in all: half on
    permutation tests of the largest excess, half on the rectangles. An attack's share of the latter
    is even, or one half for the policy's headline; it is split evenly over its points and over
    their two bounds. Only claims that were made count, but at the point of all rounds.

    ``BadArray`` where rounds cannot be judged (see ``sample_of``).
    """
    samples = [sample_of(each, seed) for each in rounds]
    if not samples:
        return ()
    alpha = 1.0 - policy.confidence
    # Half of the error is the rectangles'.
    chance = success_p(samples, spawn(seed, "judge success"), alpha=alpha, share=share / 2.0)
    shares = _shares(rounds, policy)
    return tuple(
        _measured(sample, policy, float(p) / share, share * part)
        for sample, p, part in zip(samples, chance, shares, strict=True)
    )


def _measured(sample: SuccessSample, policy: Policy, chance: float, part: float) -> JudgedSuccess:
    alpha = 1.0 - policy.confidence
    # alpha / 2, times this, is what each bound of each point of this attack may spend.
    each = part / (2 * max(1, len(sample.points)))
    points = tuple(
        success_point(units, sample, alpha / 2.0 * each, policy.confidence)
        for units in sample.points
    )
    # Each half reaches its own alpha / 2 just when twice its p-value is at most alpha.
    p_value = min(1.0, 2.0 * chance, 2.0 * smallest_alpha(sample.points) / each)
    return JudgedSuccess(
        label=sample.label,
        adversary=sample.adversary,
        game=sample.game,
        points=points,
        bounds=risk_bounds(sample, points, policy),
        detected=p_value <= alpha,
        p_value=p_value,
        strength=max((p.likelihood_low for p in points), default=0.0),
        people=sample.people,
        asked=sample.asked,
        made=sample.made,
        paired=sample.paired,
        facets=sample.facets,
        left_out=sample.left_out,
    )


def _shares(rounds: Sequence[SuccessRounds], policy: Policy) -> list[float]:
    """Return what share of the rectangles' error each attack of each adversary may spend."""
    headline = sum(r.label == policy.headline for r in rounds)
    rest = len(rounds) - headline
    if not headline or not rest:
        return [1.0 / len(rounds)] * len(rounds)
    return [0.5 / (headline if r.label == policy.headline else rest) for r in rounds]
