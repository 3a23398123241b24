"""Operating points, fixed before the run: rules, their rates, bounds and what they exclude."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats, Ints, array
from leakpro_core.judge.rounds import MAIN, Sample
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import Exclusion, Point
from leakpro_core.statistics.intervals import (
    Interval,
    lower_bound,
    mean_interval,
    upper_bound,
)
from leakpro_core.statistics.roc import Tally, budget, tpr_interval, tpr_upper

WIDE = 0.1
"""The FPR that is looked at beside the declared ones."""

MIRROR = (0.01, 0.1)
"""The FNRs of the mirror points."""

PROCEDURE = 5
"""From so many targets on, displayed intervals speak of the procedure."""

Needed = Callable[[float, float, float], int]
"""``records_needed`` of an FPR, what is tolerated there and a confidence."""


@frozen(kw_only=True)
class Rule:
    """One rule at one operating point, on every target; all arrays are ``[targets]``.

    "fpr": t is the k-th largest control claim, k = floor(level n) + 1, and claims above t are
    flagged. "fnr": t is the k-th smallest exposed claim, and claims below t are cleared. Strict,
    so that ties with t stay out. spare = k - 1: whatever the ties, the true error rate of the rule
    is at most the Clopper-Pearson bound of ``spare`` errors, the Beta(k, n + 1 - k) quantile.
    tp, fp: flagged, in both kinds.
    """

    kind: str
    level: float
    threshold: Floats = array(np.float64)
    tp: Ints = array(np.int64)
    members: Ints = array(np.int64)
    fp: Ints = array(np.int64)
    nonmembers: Ints = array(np.int64)
    spare: Ints = array(np.int64)

    @property
    def hits(self) -> tuple[Ints, Ints]:
        """Rounds that the rule is right about, of how many, in the arm that did not set it."""
        if self.kind == "fpr":
            return self.tp, self.members
        return self.nonmembers - self.fp, self.nonmembers

    @property
    def misses(self) -> tuple[Ints, Ints]:
        """``spare`` and the number of rounds in the arm that set the threshold."""
        return self.spare, self.nonmembers if self.kind == "fpr" else self.members


def levels_of(policy: Policy, family: str) -> Mapping[float, float]:
    """Return the FPR budgets that the policy declares for a family, and the TPR it tolerates."""
    return policy.tolerance if family == MAIN else policy.tenth_tolerance


def rules(sample: Sample, policy: Policy) -> tuple[Rule, ...]:
    """Return the rules at every point that the numbers of rounds resolve."""
    declared = sorted({*levels_of(policy, sample.family), WIDE})
    found = [rule_at(sample, "fpr", f) for f in declared if budget(f, sample.nonmembers) >= 1]
    found += [rule_at(sample, "fnr", g) for g in MIRROR if budget(g, sample.members) >= 1]
    return tuple(found)


def rule_at(sample: Sample, kind: str, level: float) -> Rule:
    """Return the rule at one point."""
    tallies = [part.tally for part in sample.parts]
    cuts = [_cut(t, kind, level) for t in tallies]
    return Rule(
        kind=kind,
        level=level,
        threshold=np.array([c[0] for c in cuts]),
        tp=np.array([c[1] for c in cuts]),
        members=np.array([t.members for t in tallies]),
        fp=np.array([c[2] for c in cuts]),
        nonmembers=np.array([t.nonmembers for t in tallies]),
        spare=np.array([c[3] for c in cuts]),
    )


def _cut(t: Tally, kind: str, level: float) -> tuple[float, int, int, int]:
    """Return threshold, tp, fp and spare."""
    if kind == "fpr":
        spare = budget(level, t.nonmembers)
        edge = int(np.searchsorted(np.cumsum(t.control), spare + 1))
        flagged = edge
    else:
        spare = budget(level, t.members)
        edge = int(np.searchsorted(np.cumsum(t.exposed), t.members - spare))
        flagged = edge + 1
    return (
        float(t.value[edge]),
        int(t.exposed[:flagged].sum()),
        int(t.control[:flagged].sum()),
        spare,
    )


def likelihood_low(rule: Rule, alpha: float) -> float:
    """Return a lower bound of TPR / FPR (fnr points: TNR / FNR), ``alpha`` for either bound.

    Over T targets each has bounds at ``alpha / T``, and the rates are means over these targets.
    Members count as drawn at random even where all were tested: see
    ``docs/decisions/0021-member-side.md``.
    """
    each = alpha / len(rule.tp)
    right, wrong = lower_bound(*rule.hits, each).mean(), upper_bound(*rule.misses, each).mean()
    return float(right / wrong)


def smallest_alpha(points: Sequence[Rule]) -> float:
    """Return the least ``alpha`` at which some point's ``likelihood_low`` exceeds 1; at most 0.5.

    By bisection on the logarithm, to a relative 1e-6, and not below 1e-12.
    """
    if not points:
        return 0.5
    hits, trials = (np.stack(x) for x in zip(*(p.hits for p in points), strict=True))
    spare, others = (np.stack(x) for x in zip(*(p.misses for p in points), strict=True))
    targets = hits.shape[1]

    def shown(alpha: Floats) -> Floats:
        each = alpha[:, None] / targets
        right, wrong = lower_bound(hits, trials, each), upper_bound(spare, others, each)
        return np.asarray(right.mean(axis=1) > wrong.mean(axis=1))

    low, high = np.full(len(points), 1e-12), np.full(len(points), 0.5)
    for _ in range(25):
        middle = np.sqrt(low * high)
        enough = shown(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return float(high.min())


def point(rule: Rule, alpha: float, confidence: float, *, sampled: bool) -> Point:
    """Return a point for the report. sampled: False where all members were tested."""
    own = rule.spare if rule.kind == "fpr" else None
    mirrored = rule.spare if rule.kind == "fnr" else None
    return Point(
        kind=rule.kind,
        level=rule.level,
        threshold=_shown(rule.threshold),
        tp=int(rule.tp.sum()),
        members=int(rule.members.sum()),
        fp=int(rule.fp.sum()),
        nonmembers=int(rule.nonmembers.sum()),
        tpr=_flipped(
            _rate(rule.members - rule.tp, rule.members, mirrored, confidence, sampled=sampled)
        ),
        fpr=_rate(rule.fp, rule.nonmembers, own, confidence, sampled=True),
        likelihood_low=likelihood_low(rule, alpha),
    )


def _shown(threshold: Floats) -> float | None:
    """Return the threshold where there is one, and it is a number."""
    one = len(threshold) == 1 and bool(np.isfinite(threshold[0]))
    return float(threshold[0]) if one else None


def _rate(k: Ints, n: Ints, spare: Ints | None, confidence: float, *, sampled: bool) -> Estimate:
    """Return the mean rate over targets with its interval.

    spare: given where these rounds set the threshold; then it, and not what was counted, bounds
    the rate from above, and rates do not vary over targets as they were set.
    """
    values, targets = k / n, len(k)
    whose = "" if targets == 1 else f", mean over {targets} targets"
    each = (1.0 - confidence) / 2.0 / targets
    found = Interval(
        float(lower_bound(k, n, each).mean()),
        float(upper_bound(k if spare is None else spare, n, each).mean()),
    )
    method = "Clopper-Pearson" if spare is None else "order statistic"
    if not sampled:
        found = Interval(float(values.mean()), float(values.mean()))
        method = "all members counted"
    if targets >= PROCEDURE and spare is None and values.std() > 0.0:
        found = mean_interval(values, confidence)
        method, whose = "t interval", f" over {targets} targets (procedure)"
    return Estimate(
        value=float(values.mean()),
        low=max(0.0, found.low),
        high=min(1.0, found.high),
        confidence=confidence,
        n=int(n.sum()),
        method=method + whose,
    )


def _flipped(rate: Estimate) -> Estimate:
    """Return one minus a rate."""
    return Estimate(
        value=1.0 - rate.value,
        low=1.0 - rate.high,
        high=1.0 - rate.low,
        confidence=rate.confidence,
        n=rate.n,
        method=rate.method,
    )


def exclusions(
    sample: Sample, policy: Policy, needed: Needed, *, sampled: bool
) -> tuple[Exclusion, ...]:
    """Return, for every declared FPR, the upper bound of the TPR of this attack.

    Half of alpha for the threshold and half for the rate, shared evenly among the targets. No
    correction over attacks: a claim that needs all the bounds holds where each one holds.
    """
    alpha, targets = 1.0 - policy.confidence, len(sample.parts)
    declared = sorted(levels_of(policy, sample.family).items())
    fpr = [f for f, _ in declared]
    bounds = [tpr_upper(p.tally, fpr, alpha / targets, sampled=sampled) for p in sample.parts]
    return tuple(
        Exclusion(
            fpr=f,
            high=float(high),
            tolerated=tolerated,
            needed=None if high <= tolerated else needed(f, tolerated, 1.0 - alpha / targets),
        )
        for (f, tolerated), high in zip(declared, np.mean(bounds, axis=0), strict=True)
    )


def reach(sample: Sample, fpr: float, alpha: float, *, sampled: bool) -> Interval:
    """Return limits of the TPR at that FPR, the threshold's error included: mean over targets."""
    each = 1.0 - alpha / len(sample.parts)
    limits = [tpr_interval(p.tally, [fpr], each, sampled=sampled) for p in sample.parts]
    low, high = np.mean(limits, axis=0)
    return Interval(float(low[0]), float(high[0]))
