"""The blind adversary: tells members from others by their records alone, without the model.

If it can, the arms differ by themselves and no claim of an attack speaks about the model
(Das, Zhang and Tramer 2024; Meeus 2024).
"""

from itertools import chain, islice

import numpy as np
from attrs import frozen
from scipy.stats import norm, rankdata

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, Singles, array
from leakpro_core.controls.features import describe
from leakpro_core.controls.permutation import p_value, rank_auc, rank_tail, rearranged
from leakpro_core.controls.ridge import centred, predicted, prepared
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import Control
from leakpro_core.statistics import auc, likelihood_ratio_lower, tpr_at_fpr

PENALTY = 50.0
"""Noise over signal variance that the ridge assumes, fixed beforehand: an AUC of about .55."""

STANDOUT = 4.0
"""z-score above which one column counts by itself; luck brings about 1 of 16,000 columns there."""

FOLDS = 5
PERMUTATIONS = 199
COLUMNS = 256
"""Arms predicted at once, at most."""

CELLS = 2**23
"""Arms times records predicted at once, at most (but one arm); bounds memory."""

LARGE = 0.55
TAILS = (0.01, 0.1)
ALPHA = 0.05


@frozen(kw_only=True)
class BlindResult:
    """What the blind adversary says, and the verdict on the split.

    claims: float64, of the shape of the arms; p_value: one-sided, by permutation with refitting,
    of the AUC and the tails together.
    """

    claims: Floats = array(np.float64)
    auc: Estimate
    p_value: float
    control: Control


def blind_claims(
    records: AnyArray | None,
    labels: Ints,
    classes: int,
    exposed: Bools,
    subjects: Ints,
    *,
    modality: str,
    seed: int,
) -> Floats:
    """Return out-of-fold claims for arms ``[n]`` or ``[targets, n]``; folds by subject."""
    columns = describe(records, labels, classes, modality=modality, seed=seed)
    fit = refitted(columns, np.atleast_2d(exposed), subjects, 0, seed)
    return fit.claims.reshape(exposed.shape)


def blind_test(
    records: AnyArray | None,
    labels: Ints,
    classes: int,
    exposed: Bools,
    subjects: Ints,
    *,
    policy: Policy,
    modality: str,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> BlindResult:
    """Return the claims, their AUC (mean over targets), a p-value and the control.

    records: ``[n, ...]`` or None; labels, subjects: ``[n]``; exposed: bool ``[n]``, or
    ``[targets, n]`` for targets on the same records, which are described once and permuted
    together. The classifier is linear in columns that do not depend on the arms (see ``ridge``),
    so that refitting it for every permutation is one matrix product.
    """
    bits = np.atleast_2d(exposed)
    columns = describe(records, labels, classes, modality=modality, seed=seed)
    fit = refitted(columns, bits, subjects, permutations, seed)
    found, p = _estimate(fit, bits, policy.confidence), fit.p_value
    people = [len(np.unique(subjects[arm])) for arm in (bits[0], ~bits[0])]
    tail = p <= ALPHA and _tail(fit.claims, bits, {*policy.tolerance, *TAILS}, policy.confidence)
    return BlindResult(
        claims=fit.claims.reshape(exposed.shape),
        auc=found,
        p_value=p,
        control=_control(found, p, tail, records is not None, detectable_auc(*people)),
    )


@frozen(kw_only=True)
class Refit:
    """A classifier fitted to the arms, and to permutations of them.

    claims: float64 ``[targets, n]`` for the arms as they are;
    statistics: ``[1 + permutations, 3]``, means over targets of the AUC and of TPR less FPR where
    the surest hundredth and tenth of the records are flagged; row 0 for the arms as they are.
    """

    claims: Floats = array(np.float64)
    statistics: Floats = array(np.float64)

    @property
    def p_value(self) -> float:
        """One-sided p-value of the largest statistic, each in units of its own spread."""
        spread = self.statistics.std(axis=0)
        centred = self.statistics - self.statistics.mean(axis=0)
        largest = (centred / np.where(spread > 0, spread, np.inf)).max(axis=1)
        return p_value(largest[1:], float(largest[0]))

    @property
    def spread(self) -> float:
        """Standard deviation of the AUC under permutation."""
        return float(self.statistics[1:, 0].std()) if len(self.statistics) > 1 else 0.0


def refitted(columns: Singles, bits: Bools, subjects: Ints, permutations: int, seed: int) -> Refit:
    """Fit columns ``[n, p]`` to bits ``[targets, n]`` and to permutations of them by subject.

    columns: centred, rows of mean norm 1. Folds by subject.
    """
    folds = prepared(columns, folds_by_subject(subjects, seed), PENALTY)
    arms = chain(bits, chain.from_iterable(rearranged(bits, subjects, permutations, seed)))
    claims: list[Floats] = []
    found: list[Floats] = []
    many = min(COLUMNS, max(1, CELLS // len(columns)))
    while block := list(islice(arms, many)):
        drawn = np.array(block)
        scores = predicted(columns, centred(drawn.T), folds, standout=STANDOUT).T
        if len(claims) < len(bits):
            claims.extend(scores[: len(bits) - len(claims)].astype(np.float64))
        tails = [rank_tail(scores, drawn, share) for share in TAILS]
        # Ranks row by row: they are float64, and four times the scores while they are made.
        areas = [rank_auc(rankdata(row), arm) for row, arm in zip(scores, drawn, strict=True)]
        found.append(np.stack([np.array(areas), *tails], axis=1))
    statistics = np.concatenate(found).reshape(1 + permutations, len(bits), -1).mean(axis=1)
    return Refit(claims=np.stack(claims), statistics=statistics)


def folds_by_subject(subjects: Ints, seed: int) -> Ints:
    """Return a fold number for each record; a subject's records share it."""
    found, who = np.unique(subjects, return_inverse=True)
    order = np.random.default_rng([seed, 2]).permutation(len(found))
    folds: Ints = (order % FOLDS)[who]
    return folds


def null_error(members: int, nonmembers: int) -> float:
    """Return the standard error of an AUC under no difference (Mann and Whitney 1947)."""
    return float(np.sqrt((members + nonmembers + 1) / (12 * members * nonmembers)))


def detectable_auc(members: int, nonmembers: int) -> float:
    """Return the least AUC that a one-sided 5% test sees with 80% power."""
    return 0.5 + float(norm.ppf(0.95) + norm.ppf(0.8)) * null_error(members, nonmembers)


def _control(found: Estimate, p: float, tail: bool, seen: bool, detectable: float) -> Control:
    significant = p <= ALPHA
    failed = significant and (found.value >= LARGE or tail)
    missing = "" if seen else " (labels only: no records were given)"
    if failed:
        whom = "them" if found.value >= LARGE else "some of them"
        said = (
            "Members and non-members differ by themselves: a classifier that never saw the model "
            f"tells {whom} apart, so no attack's success speaks about the model"
        )
    elif significant:
        said = (
            "A classifier that never saw the model tells members and non-members apart slightly, "
            "so a weak leak cannot be told from a difference between the groups"
        )
    else:
        said = "A classifier that never saw the model cannot tell members and non-members apart"
    return Control(
        name="blind adversary",
        result="fail" if failed else "warn" if significant else "pass",
        statement=f"{said}{missing}.",
        estimate=found,
        sensitivity=f"A blind AUC of {detectable:.3f} would have been seen in four cases out "
        "of five.",
    )


def _tail(claims: Floats, bits: Bools, budgets: set[float], confidence: float) -> bool:
    """Return whether the likelihood ratio is surely above 1 at a budget, for any target."""
    shared = 1 - (1 - confidence) / len(claims)
    for row, arm in zip(claims, bits, strict=True):
        for budget in budgets:
            at = tpr_at_fpr(row, arm, budget)
            if likelihood_ratio_lower(at.tp, at.members, at.fp, at.nonmembers, shared) > 1:
                return True
    return False


def _estimate(fit: Refit, bits: Bools, confidence: float) -> Estimate:
    if len(bits) == 1 or not fit.spread:
        return auc(fit.claims[0], bits[0], confidence)
    observed = float(fit.statistics[0, 0])
    half = float(norm.ppf(0.5 + confidence / 2)) * fit.spread
    return Estimate(
        value=observed,
        low=max(0.0, observed - half),
        high=min(1.0, observed + half),
        confidence=confidence,
        n=bits.shape[1],
        method=f"mean AUC of {len(bits)} targets, spread under permutation of the arms",
    )
