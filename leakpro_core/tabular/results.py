"""One attack's result on a released table, its evidence judged: what the report shows of it."""

from collections.abc import Mapping

import attrs
import numpy as np
from attrs import evolve, frozen

from leakpro_core import judge
from leakpro_core.plan import Plan
from leakpro_core.records import Evidence
from leakpro_core.report import AttackResult, SizePoint
from leakpro_core.tabular.play import TablePlayed
from leakpro_core.tabular.weigh import SELECTED, Verdicts


@frozen(kw_only=True)
class Sized:
    """How an attack fares on other releases by the same generator, and on more or fewer rows.

    notes: sentences about that.
    """

    spread: tuple[SizePoint, ...] = ()
    growth: tuple[SizePoint, ...] = ()
    notes: tuple[str, ...] = ()


def name_of(plan: Plan, label: str, adversary: str) -> str:
    """Return the name of an attack's evidence: its label, and the adversary where several."""
    return label if len(plan.adversaries) == 1 else f"{label}@{adversary}"


def result(
    plan: Plan,
    p: TablePlayed,
    found: Verdicts,
    hashes: Mapping[str, str],
    shown: Mapping[str, str],
    sized: Mapping[tuple[str, str], Sized],
) -> AttackResult:
    """Return the result of one attack as one adversary, finished or not."""
    offered, offer = p.attack.offered, p.attack.offered.offer
    base = AttackResult(
        label=p.attack.label,
        attack=offer.name,
        plugin=offered.plugin,
        version=offered.version,
        adversary=p.adversary.name,
        summary=offer.summary,
        reference=offer.reference,
        options=_options(p.attack.options),
        status=p.status,
        reason=p.reason,
        game=offer.game,
    )
    if p.refereed is None:
        return base
    name, key = name_of(plan, p.attack.label, p.adversary.name), (p.adversary.name, p.attack.label)
    more = sized.get(key, Sized())
    base = evolve(
        base,
        evidence=hashes[name],
        exhibits=shown.get(name, ""),
        asked=p.refereed.asked,
        made=p.refereed.made,
        notes=(*p.refereed.notes, *more.notes),
        spread=more.spread,
        growth=more.growth,
    )
    if offer.game == "membership":
        return _detection(plan, base, found, p.refereed.evidence)
    mine = [j for j in found.successes if (j.adversary, j.label) == key]
    if not mine:
        return base
    return evolve(
        base,
        success=mine[0].points,
        detected=mine[0].detected,
        p_value=mine[0].p_value,
        strength=mine[0].strength,
        people=mine[0].people,
        made=mine[0].made,
    )


def _detection(plan: Plan, base: AttackResult, found: Verdicts, evidence: Evidence) -> AttackResult:
    key = (base.adversary, base.label)
    by_family = {j.family: j for j in found.detections if (j.adversary, j.label) == key}
    main = by_family[judge.MAIN]
    blind = None
    if not np.isnan(evidence.blind_claim).all():
        blind = evolve(evidence, claim=evidence.blind_claim)
    return evolve(
        base,
        auc=main.auc,
        points=main.points
        if blind is None
        else tuple(
            evolve(q, blind=judge.tpr_of(blind, q.level, plan.policy)) if q.kind == "fpr" else q
            for q in main.points
        ),
        exclusion=main.exclusion,
        detected=any(j.detected for j in by_family.values()),
        p_value=min(j.p_value for j in by_family.values()),
        strength=main.strength,
        roc=main.roc,
        histogram=main.histogram,
        blind_auc=None if blind is None else judge.auc_of(blind, plan.policy),
    )


def selected_result(
    plan: Plan, rounds: judge.Rounds, found: Verdicts, hashes: Mapping[str, str]
) -> AttackResult:
    """Return the result of the attack that was chosen on one half of the people."""
    base = AttackResult(
        label=rounds.label,
        attack=SELECTED,
        plugin="leakpro-core",
        version="",
        adversary=rounds.adversary,
        summary="The membership attack that does best on one half of the people, on the other.",
        reference="selection on one half, report on the other",
        evidence=hashes[name_of(plan, rounds.label, rounds.adversary)],
    )
    return _detection(plan, base, found, rounds.evidence)


def _options(options: object) -> tuple[tuple[str, str], ...]:
    if not attrs.has(type(options)):
        return ()
    names = [a.name for a in attrs.fields(type(options))]  # type: ignore[arg-type]
    return tuple((name, str(getattr(options, name))) for name in names)
