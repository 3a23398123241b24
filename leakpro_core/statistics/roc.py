"""ROC, AUC and the TPR at a fixed FPR, from claims with ties; NaN claims abstain.

Abstentions rank below every number, as one tie group. Nothing is interpolated: whole tie groups
are in or out.
"""

import math
from collections.abc import Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, expit, logit, ndtri

from leakpro_core.records import Estimate
from leakpro_core.statistics.intervals import binomial_quantile, lower_bound, upper_bound

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@frozen(kw_only=True)
class Tally:
    """Claims of both arms, counted by their distinct values, highest first.

    value: float64 ``[levels]``, NaN for the abstentions, which come last;
    exposed, control: int64 ``[levels]``, how many of either arm make that claim.
    """

    value: Floats = field(eq=False)
    exposed: Ints = field(eq=False)
    control: Ints = field(eq=False)

    @property
    def members(self) -> int:
        """Number of exposed rounds."""
        return int(self.exposed.sum())

    @property
    def nonmembers(self) -> int:
        """Number of control rounds."""
        return int(self.control.sum())


@frozen(kw_only=True)
class Roc:
    """A ROC by whole tie groups, both end points included: float64 ``[levels + 1]``.

    threshold: the rule "claim >= threshold" gives that point; infinite at (0, 0); minus infinity
    where abstentions are flagged too.
    """

    fpr: Floats = field(eq=False)
    tpr: Floats = field(eq=False)
    threshold: Floats = field(eq=False)


@frozen(kw_only=True)
class OperatingPoint:
    """The best TPR with at most ``floor(f n)`` false positives, and what it says of the TPR at f.

    tpr, fpr: achieved by "claim >= threshold", tp of members and fp of nonmembers flagged;
    threshold: None where nobody can be flagged. low, high: distribution-free interval of the TPR
    at FPR f, threshold error included. resolvable: whether n could show a TPR above 0 at all.
    """

    tpr: float
    fpr: float
    threshold: float | None
    low: float
    high: float
    resolvable: bool
    tp: int
    fp: int
    members: int
    nonmembers: int


def levels(scores: ArrayLike) -> tuple[Floats, Ints]:
    """Return the distinct scores, highest first and NaN last, and the level of each score."""
    x = np.asarray(scores, np.float64)
    value, code = np.unique(-x, return_inverse=True)
    # Adding 0 turns -0 into 0.
    return 0.0 - value, code.reshape(-1).astype(np.int64)


def tally(scores: ArrayLike, exposed: ArrayLike) -> Tally:
    """Count scores by value. ``ValueError`` unless both arms have a round."""
    return tally_of(*levels(scores), exposed)


def tally_of(value: Floats, code: Ints, exposed: ArrayLike) -> Tally:
    """Count scores, given as ``levels`` returns them."""
    arms = np.asarray(exposed, np.bool_)
    if code.shape != arms.shape:
        raise ValueError(f"{code.size} scores and {arms.size} arms")
    count = np.bincount(code, minlength=len(value))
    members = np.bincount(code[arms], minlength=len(value))
    if not 0 < members.sum() < len(arms):
        raise ValueError(f"{members.sum()} of {len(arms)} rounds are exposed; both arms are needed")
    return Tally(value=value, exposed=members, control=count - members)


def roc(scores: ArrayLike, exposed: ArrayLike) -> Roc:
    """Return the ROC."""
    return roc_of(tally(scores, exposed))


def roc_of(t: Tally) -> Roc:
    """Return the ROC of a tally."""
    return Roc(
        fpr=np.append(0.0, np.cumsum(t.control) / t.nonmembers),
        tpr=np.append(0.0, np.cumsum(t.exposed) / t.members),
        threshold=np.append(math.inf, np.where(np.isnan(t.value), -math.inf, t.value)),
    )


def auc(scores: ArrayLike, exposed: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the area under the ROC; ties count one half.

    Interval: DeLong's variance on the logit scale (DeLong, DeLong, Clarke-Pearson 1988), computed
    in O(n log n). Where that variance is 0 (arms separated, or all claims equal) or an arm has a
    single round, the exact interval over disjoint pairs of rounds, which is wider.
    """
    return auc_of(tally(scores, exposed), confidence)


def auc_of(t: Tally, confidence: float = 0.95) -> Estimate:
    """Return the AUC of a tally, as ``auc`` does."""
    wins, losses = _placements(t)
    m, n = t.members, t.nonmembers
    value = float(wins @ t.exposed) / m
    variance = _variance(wins, t.exposed) / m + _variance(losses, t.control) / n
    if variance > 0.0 and 0.0 < value < 1.0 and min(m, n) > 1:
        z = float(ndtri(1.0 - (1.0 - confidence) / 2.0))
        half = z * math.sqrt(variance) / (value * (1.0 - value))
        low, high = (float(expit(logit(value) + side * half)) for side in (-1, 1))
        method = "DeLong, logit"
    else:
        low, high = _pairs(value, min(m, n), 1.0 - confidence, tied=len(t.value) == 1)
        method = "exact over disjoint pairs"
    return Estimate(value=value, low=low, high=high, confidence=confidence, n=m + n, method=method)


def auc_difference(
    scores_a: ArrayLike, scores_b: ArrayLike, exposed: ArrayLike, confidence: float = 0.95
) -> Estimate:
    """Return the AUC of a less that of b on the same rounds, with the paired DeLong interval.

    Where its variance is 0, the difference of the two AUCs' own intervals, which is wider.
    """
    arms = np.asarray(exposed, np.bool_)
    a, wins_a, losses_a = _by_round(scores_a, arms)
    b, wins_b, losses_b = _by_round(scores_b, arms)
    difference, m, n = a.value - b.value, int(arms.sum()), int((~arms).sum())
    variance = 0.0
    if min(m, n) > 1:
        variance = float((wins_a - wins_b).var(ddof=1) / m + (losses_a - losses_b).var(ddof=1) / n)
    if variance > 0.0:
        half = float(ndtri(1.0 - (1.0 - confidence) / 2.0)) * math.sqrt(variance)
        low, high, method = difference - half, difference + half, "paired DeLong"
    else:
        joint = 1.0 - (1.0 - confidence) / 2.0
        one, other = auc(scores_a, arms, joint), auc(scores_b, arms, joint)
        low, high, method = one.low - other.high, one.high - other.low, "difference of intervals"
    return Estimate(
        value=difference,
        low=max(-1.0, low),
        high=min(1.0, high),
        confidence=confidence,
        n=m + n,
        method=method,
    )


def tpr_at_fpr(
    scores: ArrayLike, exposed: ArrayLike, fpr: float, confidence: float = 0.95
) -> OperatingPoint:
    """Return the highest TPR with at most ``floor(fpr * n)`` false positives.

    Its limits are those of ``tpr_interval`` at ``1 - alpha / 2``, wide enough for each limit to
    hold on its own at that level; tie groups are taken whole, in or out.
    """
    t = tally(scores, exposed)
    tp, fp = np.append(0, np.cumsum(t.exposed)), np.append(0, np.cumsum(t.control))
    last = int(np.searchsorted(fp, budget(fpr, t.nonmembers), side="right")) - 1
    # Of the thresholds with as many true positives, the one with the fewest false ones.
    at = int(np.searchsorted(tp, tp[last]))
    alpha = 1.0 - confidence
    low, high = (float(x[0]) for x in tpr_interval(t, [fpr], 1.0 - alpha / 2.0, whole=True))
    threshold = None
    if tp[at] > 0:
        threshold = -math.inf if math.isnan(t.value[at - 1]) else float(t.value[at - 1])
    return OperatingPoint(
        tpr=float(tp[at]) / t.members,
        fpr=float(fp[at]) / t.nonmembers,
        threshold=threshold,
        low=low,
        high=high,
        resolvable=bool(strict_rank([fpr], t.nonmembers, alpha / 4.0)[0] > 0),
        tp=int(tp[at]),
        fp=int(fp[at]),
        members=t.members,
        nonmembers=t.nonmembers,
    )


def tpr_interval(
    t: Tally,
    fpr: Sequence[float] | Floats,
    confidence: float = 0.95,
    *,
    sampled: bool = True,
    whole: bool = False,
) -> tuple[Floats, Floats]:
    """Return distribution-free limits of the TPR at each of ``fpr``, without a split.

    The k-th largest control claim of n has a true FPR of Beta(k, n + 1 - k). The lower limit
    counts members above the largest k that is certainly strict enough, the upper limit members that
    reach the smallest k that is certainly loose enough; ``alpha / 2`` for each threshold and
    each rate. Four such errors do not add up: what makes one likely makes another impossible, and
    together they stay below alpha whatever the ROC (``docs/decisions/0022-tpr-interval.md``).
    Valid with ties. whole: the upper limit takes in all members tied with its threshold, as a
    rule without a coin would flag them. sampled: False where the exposed rounds are all there
    are, so that their share at a threshold is exact and only the threshold's error remains.
    """
    half = (1.0 - confidence) / 2.0
    above, _ = exposed_beyond(t, strict_rank(fpr, t.nonmembers, half))
    _, reached = exposed_beyond(t, loose_rank(fpr, t.nonmembers, half), whole=whole)
    if not sampled:
        return above / t.members, reached / t.members
    return lower_bound(above, t.members, half), upper_bound(reached, t.members, half)


def tpr_upper(
    t: Tally, fpr: Sequence[float] | Floats, alpha: float, *, sampled: bool = True
) -> Floats:
    """Return one-sided upper bounds of the TPR at each of ``fpr``: ``alpha / 2`` each for the
    threshold and the rate, as ``tpr_interval``.
    """
    _, reached = exposed_beyond(t, loose_rank(fpr, t.nonmembers, alpha / 2.0))
    return upper_bound(reached, t.members, alpha / 2.0) if sampled else reached / t.members


def budget(rate: float, n: int) -> int:
    """Return ``floor(rate * n)``, guarded against products such as 0.29 * 100 = 28.999..."""
    return math.floor(rate * n + 1e-12)


def strict_rank(fpr: ArrayLike, n: int, alpha: float) -> Ints:
    """Return the largest k whose threshold has a true FPR of at most ``fpr``; 0: there is none.

    With probability ``1 - alpha`` at least: ``Beta^-1(1 - alpha; k, n + 1 - k) <= fpr``, which is
    ``P[Bin(n, fpr) <= k - 1] <= alpha``.
    """
    k = binomial_quantile(alpha, n, fpr)
    return np.where(bdtr(k, n, np.asarray(fpr, np.float64)) <= alpha, k + 1, k)


def loose_rank(fpr: ArrayLike, n: int, alpha: float) -> Ints:
    """Return the smallest k whose threshold has a true FPR of at least ``fpr``; n + 1: none has.

    With probability ``1 - alpha`` at least: ``Beta^-1(alpha; k, n + 1 - k) >= fpr``, which is
    ``P[Bin(n, fpr) <= k - 1] >= 1 - alpha``.
    """
    return binomial_quantile(1.0 - alpha, n, fpr) + 1


def exposed_beyond(t: Tally, rank: Ints, *, whole: bool = False) -> tuple[Ints, Ints]:
    """Return how many exposed claims lie above, and reach, the k-th largest control claim.

    Ties with it are not above. Of them as large a share reaches it as of the controls tied with
    it: an attacker can break ties by a coin and no better, so claims that are all equal reach no
    further than guesses (``docs/decisions/0023-ties.md``). whole: all of them reach it.
    rank: k from 1 to n; 0 counts nobody, n + 1 everybody.
    """
    through = np.cumsum(t.control)
    level = np.minimum(np.searchsorted(through, rank), len(t.value) - 1)
    tp = np.append(0, np.cumsum(t.exposed))[level]
    controls = np.maximum(t.control[level], 1)
    into = np.clip(rank - (through[level] - t.control[level]), 0, controls)
    # Whole numbers, so that the ceiling is exact.
    tied = t.exposed[level] if whole else -(-t.exposed[level] * into // controls)
    nobody, everybody = rank < 1, rank > t.nonmembers
    above = np.where(nobody, 0, np.where(everybody, t.members, tp))
    reached = np.where(nobody, 0, np.where(everybody, t.members, tp + tied))
    return above, reached


def _placements(t: Tally) -> tuple[Floats, Floats]:
    """Return by level the share of controls below (V10) and of members above (V01), ties half."""
    below = t.nonmembers - np.cumsum(t.control) + t.control / 2.0
    above = np.cumsum(t.exposed) - t.exposed / 2.0
    return below / t.nonmembers, above / t.members


def _by_round(scores: ArrayLike, arms: Bools) -> tuple[Estimate, Floats, Floats]:
    value, code = levels(scores)
    t = tally_of(value, code, arms)
    wins, losses = _placements(t)
    return auc_of(t), wins[code[arms]], losses[code[~arms]]


def _variance(values: Floats, counts: Ints) -> float:
    """Return the sample variance of values that occur so often; 0 for a single one."""
    total = int(counts.sum())
    if total < 2:
        return 0.0
    centred = values - (values @ counts) / total
    return float(counts @ (centred * centred)) / (total - 1)


def _pairs(value: float, pairs: int, alpha: float, *, tied: bool) -> tuple[float, float]:
    """Return an interval of an AUC whose DeLong variance is 0, over disjoint pairs of rounds.

    Pairs are independent. Separated arms: every pair was won (or lost), so at most
    ``1 - (alpha / 2)^(1 / pairs)`` of all would not be. tied, all claims equal: so was every pair.
    """
    slack = 1.0 - (alpha / 2.0) ** (1.0 / pairs)
    if value in (0.0, 1.0):
        return max(0.0, value - slack), min(1.0, value + slack)
    if tied:
        return 0.5 - slack / 2.0, 0.5 + slack / 2.0
    return 0.0, 1.0
