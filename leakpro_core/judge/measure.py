"""The judge's measurements: every attack, adversary and family of an audit at once."""

from collections.abc import Mapping, Sequence
from functools import cache

from attrs import frozen

from leakpro_core.judge.describe import area, curve, histogram, lowest
from leakpro_core.judge.detection import permutation_p
from leakpro_core.judge.points import Needed, Rule, exclusions, point, reach, rules, smallest_alpha
from leakpro_core.judge.rounds import Rounds, Sample, tabulate
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import Curve, Exclusion, Histogram, Point
from leakpro_core.seeds import spawn
from leakpro_core.statistics.intervals import Interval
from leakpro_core.statistics.power import records_needed


@frozen(kw_only=True)
class Judged:
    """One attack of one adversary in one family, measured.

    members, nonmembers: rounds per target, the fewest; everybody: members per target, the mean;
    a round is a person, whose records count as one. p_value: family-wise over the whole audit;
    detected: it is at most alpha. strength: L, the largest lower bound of the likelihood ratio at
    an fpr point. reach: at reach_fpr, the lowest declared FPR that is resolved, limits of the TPR
    that hold for all attacks of this adversary together; None where none is resolved.
    """

    label: str
    adversary: str
    family: str
    members: int
    nonmembers: int
    everybody: int
    auc: Estimate
    points: tuple[Point, ...]
    exclusion: tuple[Exclusion, ...]
    detected: bool
    p_value: float
    strength: float
    roc: Curve
    histogram: Histogram
    reach: Interval | None = None
    reach_fpr: float | None = None


def judge(
    rounds: Sequence[Rounds], policy: Policy, *, sampling: str, seed: int, share: float = 1.0
) -> tuple[Judged, ...]:
    """Measure all attacks of all adversaries of an audit under one family-wise correction.

    sampling: "all" (the exposed rounds are all members of the model), "random" or "other".
    share: of the audit's error budget that is these attacks', where it plays others too.
    Everything that may be called a leak spends ``1 - policy.confidence`` in all: half on a
    permutation test of the largest statistic, half on the rectangles. An attack's share of the
    latter is even, or one half for the policy's headline; it is split evenly over its points in
    both families and over their two bounds.

    Returns main families first. ``BadArray`` where an attack's rounds have one arm only.
    """
    if not rounds:
        return ()
    table = tabulate(rounds)
    found = [rules(sample, policy) for sample in table.samples]
    chance = permutation_p(table, found, spawn(seed, "judge"))
    shares = _shares(rounds, policy)
    sampled = sampling != "all"

    @cache
    def needed(fpr: float, tolerated: float, confidence: float) -> int:
        return records_needed(fpr, tolerated, confidence, sampled=sampled)

    judged = []
    for sample, points, p in zip(table.samples, found, chance, strict=True):
        mine = [
            len(others)
            for other, others in zip(table.samples, found, strict=True)
            if _key(other) == _key(sample)
        ]
        # alpha / 2, times this, is what each bound of each point of this attack may spend.
        part = share * shares[_key(sample)] / (2 * max(1, sum(mine)))
        attacks = sum(r.adversary == sample.adversary for r in rounds)
        judged.append(
            _measured(
                sample, points, policy, float(p) / share, part, attacks, needed, sampled=sampled
            )
        )
    return tuple(judged)


def _measured(
    sample: Sample,
    points: Sequence[Rule],
    policy: Policy,
    chance: float,
    part: float,
    attacks: int,
    needed: Needed,
    *,
    sampled: bool,
) -> Judged:
    alpha = 1.0 - policy.confidence
    shown = tuple(
        point(rule, alpha / 2.0 * part, policy.confidence, sampled=sampled) for rule in points
    )
    # Each half reaches its own alpha / 2 just when twice its p-value is at most alpha.
    p_value = min(1.0, 2.0 * chance, 2.0 * smallest_alpha(points) / part)
    fpr = lowest(sample, policy)
    return Judged(
        label=sample.label,
        adversary=sample.adversary,
        family=sample.family,
        members=sample.members,
        nonmembers=sample.nonmembers,
        everybody=sample.everybody,
        auc=area(sample, policy.confidence),
        points=shown,
        exclusion=exclusions(sample, policy, needed, sampled=sampled),
        detected=p_value <= alpha,
        p_value=p_value,
        # A mirror flag clears people; the words speak of those flagged as members.
        strength=max((p.likelihood_low for p in shown if p.kind == "fpr"), default=0.0),
        roc=curve(sample, policy.confidence),
        histogram=histogram(sample),
        reach=None if fpr is None else reach(sample, fpr, alpha / attacks, sampled=sampled),
        reach_fpr=fpr,
    )


def _shares(rounds: Sequence[Rounds], policy: Policy) -> Mapping[tuple[str, str], float]:
    """Return what share of the rectangles' error each attack of each adversary may spend."""
    headline = [r for r in rounds if r.label == policy.headline]
    rest = len(rounds) - len(headline)
    if not headline or not rest:
        return {_key(r): 1.0 / len(rounds) for r in rounds}
    return {_key(r): 0.5 / (len(headline) if r.label == policy.headline else rest) for r in rounds}


def _key(of: Rounds | Sample) -> tuple[str, str]:
    return of.label, of.adversary
