"""Placebo targets: models that never saw the records, attacked as if they were the target.

If an attack on them "finds" the target's members, members and others differ by themselves, and
what it finds in the target is not evidence.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from attrs import frozen
from scipy.stats import norm

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.controls.permutation import auc_weights, joint_test, tail_weights
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import Control

ALPHA = 0.05
LARGE = 0.05
"""Distance of an AUC from one half that makes a significant placebo a failed one."""

TAIL = 0.1
"""The FPR that is looked at beside the declared ones."""


@frozen(kw_only=True)
class PlaceboResult:
    """One attack on the placebos, against the target's bits.

    auc, points: means over placebos and targets; points: by FPR budget, the share of members
    above the threshold that flags that share of all records.
    p_value, tail_p: the least of all its statistics and of its points, family-wise over attacks.
    detectable: least distance of the AUC from one half that is seen four times out of five.
    """

    auc: Estimate
    points: Mapping[float, Estimate]
    p_value: float
    tail_p: float
    detectable: float

    @property
    def significant(self) -> bool:
        """Whether the arms differ."""
        return self.p_value <= ALPHA

    @property
    def invalid(self) -> bool:
        """Whether they differ so much that the audit cannot support a conclusion."""
        far = abs(self.auc.value - 0.5) >= LARGE
        return self.significant and (far or self.tail_p <= ALPHA)


@frozen(kw_only=True)
class _Row:
    attack: str
    budget: float | None
    weights: Floats


def placebo_test(
    claims: Mapping[str, Floats],
    unseen: Bools,
    members: Bools,
    subjects: Ints,
    policy: Policy,
    *,
    seed: int,
) -> Mapping[str, PlaceboResult]:
    """Compare what each attack claims of the two arms of records that the placebos never saw.

    claims: by attack, ``[placebos, n]``, NaN abstains (records that are NaN for every attack and
    placebo were not asked and do not count); unseen: ``[placebos, n]``;
    members: ``[targets, n]``; subjects: ``[n]``.
    The bits are permuted by subject, jointly over placebos and targets; two-sided, family-wise
    over attacks and points by the maximum statistic (Westfall, Young 1993).
    Attacks of which no placebo has both arms are left out.
    """
    asked = np.zeros(members.shape[1], bool)
    for values in claims.values():
        asked |= ~np.isnan(values).all(axis=0)
    rows = list(_rows(claims, unseen & asked, members, policy))
    if not rows:
        return {}
    weights = np.stack([row.weights.ravel() for row in rows])
    observed = weights @ members.ravel()
    families = np.tile(np.arange(len(rows)), 2)
    spread, p = joint_test(np.vstack([weights, -weights]), members, subjects, families, seed)
    counted = int((unseen & asked).any(axis=0).sum())
    return {
        attack: _result(
            [i for i, row in enumerate(rows) if row.attack == attack],
            [row.budget for row in rows],
            observed,
            spread,
            p,
            counted,
            policy.confidence,
        )
        for attack in dict.fromkeys(row.attack for row in rows)
    }


def placebo_control(results: Mapping[str, PlaceboResult], policy: Policy) -> Control:
    """Return the verdict over all attacks; the estimate is that of the attack farthest off.

    A warned placebo is too weak to overturn a clear leak and strong enough to explain a weak one.
    """
    name = "placebo target"
    if not results:
        return Control(
            name=name,
            result="not run",
            statement="Not run: no held-out model has both members and non-members left to score.",
        )
    invalid = [attack for attack, found in results.items() if found.invalid]
    worst = min(
        invalid or results,
        key=lambda a: (results[a].p_value, -abs(results[a].auc.value - 0.5), a),
    )
    found = results[worst]
    if invalid:
        result = "fail"
        said = (
            "Members and non-members differ by themselves: attacks tell them apart on models that "
            f"were trained on none of them, so success on the target proves nothing ({worst} most)"
        )
    elif found.significant:
        result = "warn"
        said = (
            "Attacks tell members and non-members apart slightly on models that were trained on "
            "none of them, so a weak leak cannot be told from a difference between the groups "
            f"({worst} most)"
        )
    else:
        result = "pass"
        said = (
            "On models that were trained on none of the records, the attacks cannot tell members "
            "and non-members apart"
        )
    least = max(r.detectable for r in results.values())
    return Control(
        name=name,
        result=result,
        statement=f"{said}.",
        estimate=found.auc,
        sensitivity=f"An AUC of {0.5 + least:.3f} or {0.5 - least:.3f} would have been seen in "
        "four cases out of five.",
    )


def _rows(
    claims: Mapping[str, Floats], seen: Bools, members: Bools, policy: Policy
) -> Iterator[_Row]:
    """Yield the statistics, means over placebos that have both arms, as weights of the bits."""
    arms = np.stack([members[:, s].any(axis=1) & ~members[:, s].all(axis=1) for s in seen])
    usable = np.flatnonzero(arms.any(axis=1))
    if not len(usable):
        return
    for attack, values in claims.items():
        parts = [auc_weights(values[p], seen[p], members) for p in usable]
        yield _Row(attack=attack, budget=None, weights=np.mean(parts, axis=0))
        for budget in sorted({*policy.tolerance, TAIL}):
            tails = [tail_weights(values[p], seen[p], members, budget) for p in usable]
            yield _Row(attack=attack, budget=budget, weights=np.mean(tails, axis=0))


def _result(
    mine: list[int],
    budgets: list[float | None],
    observed: Floats,
    spread: Floats,
    p: Floats,
    counted: int,
    confidence: float,
) -> PlaceboResult:
    z = float(norm.ppf(0.5 + confidence / 2))

    def estimate(i: int, null: float) -> Estimate:
        value = null + float(observed[i])
        half = z * float(spread[i])
        return Estimate(
            value=value,
            low=max(0.0, value - half),
            high=min(1.0, value + half),
            confidence=confidence,
            n=counted,
            method="mean over placebo targets, spread under permutation of the arms",
        )

    points = {f: i for i in mine if (f := budgets[i]) is not None and spread[i] > 0}
    whole = mine[0]
    # Bonferroni stands in for the quantile of the maximum: never smaller, nearly as large.
    critical = float(norm.ppf(1 - ALPHA / (2 * len(budgets))) + norm.ppf(0.8))
    return PlaceboResult(
        auc=estimate(whole, 0.5),
        points={f: estimate(i, f) for f, i in points.items()},
        p_value=float(min(p[i] for i in (whole, *points.values()))),
        tail_p=float(min((p[i] for i in points.values()), default=1.0)),
        detectable=critical * float(spread[whole]),
    )
