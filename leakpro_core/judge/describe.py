"""Description, which decides nothing: AUC, ROC with its band, histogram, strength curve."""

from collections.abc import Sequence

import numpy as np

from leakpro_core.arrays import Floats
from leakpro_core.judge.points import PROCEDURE, WIDE, levels_of, point, rule_at
from leakpro_core.judge.rounds import Rounds, Sample, tabulate
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate, Evidence
from leakpro_core.report import Curve, Histogram, StrengthPoint
from leakpro_core.statistics.intervals import Interval, mean_interval
from leakpro_core.statistics.roc import Roc, auc_difference, auc_of, budget, roc_of, tpr_interval

BINS = 40
_VERTICES = 400
_FIRST = 150
"""So many vertices of a ROC, or steps of its FPR, are kept from the low end on."""

_BAND = 40


def area(sample: Sample, confidence: float) -> Estimate:
    """Return the AUC: DeLong for one target, a mean over targets for several."""
    each = 1.0 - (1.0 - confidence) / len(sample.parts)
    return _over_targets([auc_of(p.tally, each) for p in sample.parts], confidence)


def curve(sample: Sample, confidence: float) -> Curve:
    """Return the ROC, vertical mean over targets, and its pointwise distribution-free band."""
    curves = [roc_of(p.tally) for p in sample.parts]
    fpr, tpr = _thinned(curves[0]) if len(curves) == 1 else _mean_roc(curves, sample.nonmembers)
    resolvable = min(1.0, 3.0 / sample.nonmembers)
    grid = np.geomspace(resolvable, 1.0, _BAND + 1)[:-1] if resolvable < 1.0 else np.empty(0)
    each = 1.0 - (1.0 - confidence) / len(sample.parts)
    band = np.mean([tpr_interval(p.tally, grid, each) for p in sample.parts], axis=0)
    return Curve(
        fpr=tuple(fpr.tolist()),
        tpr=tuple(tpr.tolist()),
        band_fpr=tuple(grid.tolist()),
        band_low=tuple(band[0].tolist()),
        band_high=tuple(band[1].tolist()),
        resolvable=resolvable,
    )


def histogram(sample: Sample) -> Histogram:
    """Return the claims of both arms, in shares per bin.

    On the scale of the claims, if all were made, one target was audited and the middle 99% fill
    at least half of the range; else by the rank within the target, where a useless attack is flat.
    """
    plain = len(sample.parts) == 1 and _evenly_spread(sample.parts[0].claim)
    claims = sample.parts[0].tally.value
    low, high = (float(claims[-1]), float(claims[0])) if plain else (0.0, 1.0)
    edges = np.linspace(low, high, BINS + 1)
    arms = np.zeros((2, BINS))
    for part in sample.parts:
        t = part.tally
        count = t.exposed + t.control
        rank = 1.0 - (np.cumsum(count) - count / 2.0) / count.sum()
        place = t.value if plain else rank
        for arm, weights in enumerate((t.exposed, t.control)):
            arms[arm] += np.histogram(place, edges, weights=weights)[0]
    exposed, control = arms / arms.sum(axis=1, keepdims=True)
    return Histogram(
        scale="claim" if plain else "rank",
        edges=tuple(edges.tolist()),
        exposed=tuple(exposed.tolist()),
        control=tuple(control.tolist()),
    )


def auc_of_evidence(evidence: Evidence, policy: Policy) -> Estimate:
    """Return the AUC of one attack's rounds, or of another adversary's claims on them."""
    return area(_alone(evidence), policy.confidence)


def tpr_of(evidence: Evidence, fpr: float, policy: Policy) -> Estimate:
    """Return the TPR of the rule that the judge uses at that FPR, without any correction."""
    found = rule_at(_alone(evidence), "fpr", fpr)
    return point(found, 0.5, policy.confidence, sampled=True).tpr


def strength_point(evidence: Evidence, policy: Policy, shadows: int) -> StrengthPoint:
    """Return the attack's strength with that many shadows, at the lowest declared FPR resolved."""
    sample = _alone(evidence)
    fpr = lowest(sample, policy)
    level = WIDE if fpr is None else fpr
    return StrengthPoint(
        shadows=shadows,
        auc=area(sample, policy.confidence),
        tpr=point(rule_at(sample, "fpr", level), 0.5, policy.confidence, sampled=True).tpr,
        fpr=level,
    )


def still_rising(fewer: Evidence, more: Evidence, policy: Policy) -> bool:
    """Return whether the AUC with more shadows is above that with fewer, by a paired interval."""
    samples = tabulate(
        [
            Rounds(label=label, adversary="", evidence=evidence)
            for label, evidence in (("fewer", fewer), ("more", more))
        ]
    ).samples
    pairs = list(zip(samples[0].parts, samples[1].parts, strict=True))
    each = 1.0 - (1.0 - policy.confidence) / len(pairs)
    differences = []
    for few, many in pairs:
        _, i, j = np.intersect1d(few.rows, many.rows, assume_unique=True, return_indices=True)
        differences.append(auc_difference(many.claim[j], few.claim[i], few.exposed[i], each))
    return _over_targets(differences, policy.confidence).low > 0.0


def lowest(sample: Sample, policy: Policy) -> float | None:
    """Return the lowest declared FPR that the rounds resolve."""
    declared = levels_of(policy, sample.family)
    return min((f for f in declared if budget(f, sample.nonmembers) >= 1), default=None)


def _alone(evidence: Evidence) -> Sample:
    return tabulate([Rounds(label="attack", adversary="", evidence=evidence)]).samples[0]


def _over_targets(found: Sequence[Estimate], confidence: float) -> Estimate:
    """Return the mean of estimates, one per target, each given at its share of alpha."""
    if len(found) == 1:
        return found[0]
    values = np.array([e.value for e in found])
    limits = Interval(
        float(np.mean([e.low for e in found])), float(np.mean([e.high for e in found]))
    )
    method = f"{found[0].method}, mean over {len(found)} targets"
    if len(found) >= PROCEDURE and values.std() > 0.0:
        limits = mean_interval(values, confidence)
        method = f"t interval over {len(found)} targets (procedure)"
    return Estimate(
        value=float(values.mean()),
        low=max(-1.0, limits.low),
        high=min(1.0, limits.high),
        confidence=confidence,
        n=sum(e.n for e in found),
        method=method,
    )


def _evenly_spread(claims: Floats) -> bool:
    """Return whether a histogram of claims is readable: no abstentions, no heavy tails."""
    span = float(claims.max() - claims.min())
    if not (np.isfinite(span) and span > 0.0):
        return False
    low, high = np.quantile(claims, [0.005, 0.995])
    return bool(high - low >= span / 2.0)


def _thinned(one: Roc) -> tuple[Floats, Floats]:
    """Return the corners of a ROC: all of the first ones, then so many that the rest looks alike.

    Dropping a vertex between two steps in the same direction loses nothing.
    """
    right, up = np.diff(one.fpr) > 0, np.diff(one.tpr) > 0
    straight = np.append(False, (right[1:] == right[:-1]) & (up[1:] == up[:-1]) & (right ^ up)[1:])
    corner = np.append(~straight, True)
    corner[0] = True
    fpr, tpr = one.fpr[corner], one.tpr[corner]
    if len(fpr) <= _VERTICES:
        return fpr, tpr
    share = (_VERTICES - _FIRST - 1) // 2
    start = float(fpr[_FIRST - 1])
    wanted = np.concatenate(
        [np.linspace(start, 1.0, share), np.geomspace(max(start, 1e-6), 1.0, share)]
    )
    later = np.searchsorted(fpr, wanted, side="right") - 1
    kept = np.unique(np.concatenate([np.arange(_FIRST), later, [len(fpr) - 1]]))
    return fpr[kept], tpr[kept]


def _mean_roc(curves: Sequence[Roc], nonmembers: int) -> tuple[Floats, Floats]:
    """Return the mean over targets of the TPR at FPRs, whole tie groups each."""
    share = (_VERTICES - _FIRST - 1) // 2
    steps = np.arange(min(_FIRST, nonmembers)) / nonmembers
    rest = [np.linspace(steps[-1], 1.0, share), np.geomspace(max(steps[-1], 1e-6), 1.0, share)]
    grid = np.unique(np.concatenate([steps, *rest]))
    # The guard keeps a vertex at j / n where the grid says j / n computed in another way.
    at = [np.searchsorted(c.fpr, grid + 1e-12, side="right") - 1 for c in curves]
    return grid, np.mean([c.tpr[i] for c, i in zip(curves, at, strict=True)], axis=0)
