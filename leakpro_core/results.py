"""One attack's result, its evidence judged: what the report shows of it."""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from attrs import evolve

from leakpro_core import judge
from leakpro_core.arrays import Bools
from leakpro_core.controls.placebo import PlaceboResult
from leakpro_core.plan import Plan
from leakpro_core.play import Played, rows_of
from leakpro_core.records import Evidence
from leakpro_core.report import AttackResult, Point
from leakpro_core.scene import Cast, Scene
from leakpro_core.validity import Validity, name_of


def people_of(evidence: Evidence, one: Scene, valid: Validity) -> tuple[Evidence, Bools]:
    """Return the rounds of people, and which rounds those are.

    Planted canaries are judged by their own control only.
    """
    times = len(evidence.claim) // len(one.rows)
    keep: Bools = np.tile(valid.ordinary[one.rows], times)
    return rows_of(evidence, keep), keep


def attack_result(
    plan: Plan,
    cast: Cast,
    valid: Validity,
    one: Scene,
    result: Played,
    judged: Sequence[judge.Judged],
    hashes: Mapping[str, str],
) -> AttackResult:
    """Return the result of one attack as one adversary, finished or not."""
    offer, offered = result.attack.offered.offer, result.attack.offered
    base = AttackResult(
        label=result.attack.label,
        attack=offer.name,
        plugin=offered.plugin,
        version=offered.version,
        adversary=result.adversary.name,
        summary=offer.summary,
        reference=offer.reference,
        options=_options(result.attack.options),
        status=result.status,
        reason=result.reason,
    )
    if result.evidence is None:
        return base
    key = (result.adversary.name, result.attack.label)
    by_family = {j.family: j for j in judged if (j.adversary, j.label) == key}
    main = by_family[judge.MAIN]
    evidence, _ = people_of(result.evidence, one, valid)
    blind = _blind(evidence)
    placebo = valid.placebos.get(key)
    return evolve(
        base,
        auc=main.auc,
        points=tuple(_point(p, plan, placebo, blind) for p in main.points),
        exclusion=main.exclusion,
        detected=any(j.detected for j in by_family.values()),
        p_value=min(j.p_value for j in by_family.values()),
        strength=main.strength,
        roc=main.roc,
        histogram=main.histogram,
        curve=_curve(plan, cast, valid, one, result),
        still_rising=_rising(plan, valid, one, result),
        placebo_auc=None if placebo is None else placebo.auc,
        blind_auc=None if blind is None else judge.auc_of(blind, plan.policy),
        evidence=hashes[name_of(result, plan)],
    )


def _options(options: object) -> tuple[tuple[str, str], ...]:
    if not attrs.has(type(options)):
        return ()
    names = [a.name for a in attrs.fields(type(options))]  # type: ignore[arg-type]
    return tuple((name, str(getattr(options, name))) for name in names)


def _blind(evidence: Evidence) -> Evidence | None:
    if np.isnan(evidence.blind_claim).all():
        return None
    return evolve(evidence, claim=evidence.blind_claim)


def _point(
    point: Point, plan: Plan, placebo: PlaceboResult | None, blind: Evidence | None
) -> Point:
    if point.kind != "fpr":
        return point
    return evolve(
        point,
        placebo=None if placebo is None else placebo.points.get(point.level),
        blind=None if blind is None else judge.tpr_of(blind, point.level, plan.policy),
    )


def _curve(
    plan: Plan, cast: Cast, valid: Validity, one: Scene, result: Played
) -> tuple[judge.StrengthPoint, ...]:
    if result.most is None:
        return ()
    steps = [*result.fewer, (len(cast.pair), result.most)]
    return tuple(
        judge.strength_point(people_of(e, one, valid)[0], plan.policy, shadows=k) for k, e in steps
    )


def _rising(plan: Plan, valid: Validity, one: Scene, result: Played) -> bool:
    if result.most is None or not result.fewer:
        return False
    fewer, most = (people_of(e, one, valid)[0] for e in (result.fewer[-1][1], result.most))
    return judge.still_rising(fewer, most, plan.policy)
