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
from leakpro_core.controls.permutation import p_value, rank_auc, rearranged
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
"""Arms predicted at once; bounds memory."""

LARGE = 0.55
TAIL = 0.1
ALPHA = 0.05


@frozen(kw_only=True)
class BlindResult:
    """What the blind adversary says, and the verdict on the split.

    claims: float64, of the shape of the arms; p_value: one-sided, by permutation with refitting.
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
    claims, _ = refitted(columns, np.atleast_2d(exposed), subjects, 0, seed)
    return claims.reshape(exposed.shape)


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
    """Return the claims, their AUC (mean over targets), its p-value and the control.

    records: ``[n, ...]`` or None; labels, subjects: ``[n]``; exposed: bool ``[n]``, or
    ``[targets, n]`` for targets on the same records, which are described once and permuted
    together. The classifier is linear in columns that do not depend on the arms (see ``ridge``),
    so that refitting it for every permutation is one matrix product.
    """
    bits = np.atleast_2d(exposed)
    columns = describe(records, labels, classes, modality=modality, seed=seed)
    claims, null = refitted(columns, bits, subjects, permutations, seed)
    found = _estimate(claims, bits, null, policy.confidence)
    p = p_value(null, found.value)
    people = [len(np.unique(subjects[arm])) for arm in (bits[0], ~bits[0])]
    tail = p <= ALPHA and _tail(claims, bits, (*policy.tolerance, TAIL), policy.confidence)
    return BlindResult(
        claims=claims.reshape(exposed.shape),
        auc=found,
        p_value=p,
        control=_control(found, p, tail, records is not None, detectable_auc(*people)),
    )


def refitted(
    columns: Singles, bits: Bools, subjects: Ints, permutations: int, seed: int
) -> tuple[Floats, Floats]:
    """Return claims ``[targets, n]`` for the arms, and the mean AUC for each permutation of them.

    columns: ``[n, p]``, centred, rows of mean norm 1; bits: ``[targets, n]``.
    """
    folds = prepared(columns, folds_by_subject(subjects, seed), PENALTY)
    claims = predicted(columns, centred(bits.T), folds, standout=STANDOUT).T.astype(np.float64)
    arms = chain.from_iterable(rearranged(bits, subjects, permutations, seed))
    found: list[Floats] = []
    while block := list(islice(arms, COLUMNS)):
        drawn = np.array(block)
        scores = predicted(columns, centred(drawn.T), folds, standout=STANDOUT)
        found.append(rank_auc(rankdata(scores.T, axis=1), drawn))
    null = np.concatenate(found) if found else np.empty(0)
    return claims, null.reshape(permutations, len(bits)).mean(axis=1)


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
        said = (
            "Members and non-members differ by themselves: a classifier that never saw the model "
            "tells them apart, so no attack's success speaks about the model"
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


def _tail(claims: Floats, bits: Bools, budgets: tuple[float, ...], confidence: float) -> bool:
    """Return whether the likelihood ratio is surely above 1 at a budget, for any target."""
    shared = 1 - (1 - confidence) / len(claims)
    for row, arm in zip(claims, bits, strict=True):
        for budget in budgets:
            at = tpr_at_fpr(row, arm, budget)
            if likelihood_ratio_lower(at.tp, at.members, at.fp, at.nonmembers, shared) > 1:
                return True
    return False


def _estimate(claims: Floats, bits: Bools, null: Floats, confidence: float) -> Estimate:
    if len(bits) == 1 or not len(null):
        return auc(claims[0], bits[0], confidence)
    observed = float(rank_auc(rankdata(claims, axis=1), bits).mean())
    half = float(norm.ppf(0.5 + confidence / 2)) * float(np.std(null))
    return Estimate(
        value=observed,
        low=max(0.0, observed - half),
        high=min(1.0, observed + half),
        confidence=confidence,
        n=bits.shape[1],
        method=f"mean AUC of {len(bits)} targets, spread under permutation of the arms",
    )
