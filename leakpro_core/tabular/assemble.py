"""From rounds on a released table to the report."""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from attrs import evolve, frozen

from leakpro_core import judge
from leakpro_core.boundaries import LIMITS, unapproved, untried
from leakpro_core.cards import policy_summary, provenance
from leakpro_core.plan import Adversary, Plan
from leakpro_core.plugins import PluginSet
from leakpro_core.records import Evidence, Release
from leakpro_core.report import (
    LEAKS,
    AttackResult,
    Card,
    DataSummary,
    Finding,
    NotTested,
    RiskReport,
    SizePoint,
    TargetSummary,
    Word,
)
from leakpro_core.seeds import spawn
from leakpro_core.store import Store
from leakpro_core.tabular import exhibits
from leakpro_core.tabular.checks import Checks
from leakpro_core.tabular.generators import Generated
from leakpro_core.tabular.play import TablePlayed
from leakpro_core.tabular.secrets import secrets
from leakpro_core.tabular.weigh import SELECTED, Verdicts, judged

_UNTRIED = (
    NotTested(
        means="property inference, white-box attacks on the generator, attacks on aggregates",
        reason="no attack of these kinds was part of this audit",
        consequence="Nothing is said about them.",
    ),
)


@frozen(kw_only=True)
class Sized:
    """How an attack fares on other releases by the same generator, and on more or fewer rows.

    notes: sentences about that.
    """

    spread: tuple[SizePoint, ...] = ()
    growth: tuple[SizePoint, ...] = ()
    notes: tuple[str, ...] = ()


def assemble(
    plan: Plan,
    plugins: PluginSet,
    release: Release,
    generated: Generated,
    checks: Checks,
    played: Sequence[TablePlayed],
    sized: Mapping[tuple[str, str], Sized],
    store: Store,
    *,
    started: str,
    clock: float,
) -> RiskReport:
    """Judge the evidence, write it, and return the report."""
    found, rounds = judged(played, plan.policy, spawn(plan.seed, "tables"))
    hashes, shown = {}, {}
    for p in played:
        if p.refereed is not None:
            name = _name(plan, p.attack.label, p.adversary.name)
            hashes[name] = store.write_evidence(name, p.refereed.evidence)
            if p.refereed.exhibits:
                path = exhibits.write(store.folder, name, p.attack.label, p.refereed.exhibits)
                shown[name] = str(path.relative_to(store.folder))
    for r in rounds:
        if r.label.startswith(SELECTED):
            name = _name(plan, r.label, r.adversary)
            hashes[name] = store.write_evidence(name, r.evidence)
    findings = tuple(
        finding
        for adversary in plan.adversaries
        for finding in _findings(plan, generated, checks, adversary, found, played)
    )
    cards = tuple(_card(a, generated) for a in plan.adversaries)
    verdict = judge.overall(
        findings, cards, plan.policy, incomplete=_incomplete(plan, plugins, played)
    )
    results = [_result(plan, p, found, hashes, shown, sized) for p in played]
    results += [_selected(plan, r, found, hashes) for r in rounds if r.label.startswith(SELECTED)]
    return RiskReport(
        name=plan.name,
        status=verdict.status,
        word=verdict.word,
        statement=verdict.statement,
        exit_code=verdict.exit_code,
        target=_target(release, generated),
        data=_data(plan, generated),
        policy=policy_summary(plan.policy, tables=True),
        adversaries=cards,
        findings=findings,
        attacks=tuple(results),
        controls=checks.controls,
        not_tested=(
            *untried(plugins, played, checks.controls),
            *_not_inferred(plan, generated, played),
            *_UNTRIED,
        ),
        limits=(*LIMITS, *unapproved(plan, plugins), *release.notes),
        provenance=provenance(plan, plugins, hashes, started, clock),
    )


def _name(plan: Plan, label: str, adversary: str) -> str:
    return label if len(plan.adversaries) == 1 else f"{label}@{adversary}"


def _findings(
    plan: Plan,
    generated: Generated,
    checks: Checks,
    adversary: Adversary,
    found: Verdicts,
    played: Sequence[TablePlayed],
) -> list[Finding]:
    mine = [p for p in played if p.adversary.name == adversary.name]
    findings = []
    people = len(np.unique(generated.release.original.subjects))
    for family in _families(found, mine, adversary.name):
        game = "membership" if family in (judge.MAIN, judge.TENTH) else family
        unfinished = [
            p.attack.label
            for p in mine
            if p.status == "failed" and p.attack.offered.offer.game == game
        ]
        one = _finding(plan, found, adversary.name, family, unfinished, people, None)
        why = _invalid(checks, adversary.name, family, one.word)
        if why is not None:
            one = _finding(plan, found, adversary.name, family, unfinished, people, why)
        findings.append(one)
    return findings


def _families(found: Verdicts, mine: Sequence[TablePlayed], adversary: str) -> list[str]:
    """Return the families that were played, the membership game first."""
    games = [p.attack.offered.offer.game for p in mine if p.status != "not applicable"]
    families = [judge.MAIN, judge.TENTH] if "membership" in games else []
    return families + [game for game in dict.fromkeys(games) if game != "membership"]


def _finding(
    plan: Plan,
    found: Verdicts,
    adversary: str,
    family: str,
    unfinished: Sequence[str],
    people: int,
    invalid: str | None,
) -> Finding:
    if family in (judge.MAIN, judge.TENTH):
        return judge.finding(
            found.detections,
            plan.policy,
            adversary=adversary,
            family=family,
            sampling="random",
            models=1,
            invalid=invalid,
            unfinished=unfinished,
        )
    return judge.success_finding(
        found.successes,
        plan.policy,
        adversary=adversary,
        game=family,
        people=people,
        invalid=invalid,
        unfinished=unfinished,
    )


def _invalid(checks: Checks, adversary: str, family: str, word: Word) -> str | None:
    """Return why a finding cannot stand.

    Arms that differ by themselves, or a leak found where there is none, leave nothing to say; a
    planted leak that was missed leaves nothing to say about finding nothing.
    """
    if word is Word.NOT_TESTED:
        return None
    if checks.all_broken is not None:
        return checks.all_broken
    key = (adversary, family)
    if key in checks.broken:
        return checks.broken[key]
    return None if word in LEAKS else checks.unseen.get(key)


def _incomplete(plan: Plan, plugins: PluginSet, played: Sequence[TablePlayed]) -> list[str]:
    reasons = [
        f"attack {p.attack.label} failed: {p.reason}" for p in played if p.status == "failed"
    ]
    if not all(attack.named for attack in plan.attacks):
        # All attacks were asked for, and some plugin's could not be had.
        reasons += [f"plugin {p.distribution} was not loaded: {p.reason}" for p in plugins.problems]
    return reasons


def _not_inferred(
    plan: Plan, generated: Generated, played: Sequence[TablePlayed]
) -> tuple[NotTested, ...]:
    """Return that columns were left out of attribute inference, where it was played."""
    games = {p.attack.offered.offer.game for p in played if p.status == "finished"}
    release, chosen = generated.release, plan.games.secrets
    every = secrets(release.original, release.control, ())
    left = len(set(every) - set(chosen))
    if "attribute-inference" not in games or not left:
        return ()
    return (
        NotTested(
            means=f"attribute inference of {left} columns",
            reason=f"{len(chosen)} of {len(every)} columns were inferred; [games] secrets says "
            "which, else they are drawn",
            consequence="Nothing is said about the others.",
        ),
    )


def _card(adversary: Adversary, generated: Generated) -> Card:
    return Card(
        name=adversary.name,
        label=adversary.label,
        access=adversary.access.value,
        top_k=adversary.top_k,
        decimals=adversary.decimals,
        queries=adversary.queries,
        queries_used=0,
        knows=adversary.knows,
        shadows=0 if {"architecture", "recipe"} - set(adversary.knows) else len(generated.shadows),
        actor=adversary.actor,
        rationale=adversary.rationale,
    )


def _target(release: Release, generated: Generated) -> TargetSummary:
    target, others = release.target, len(generated.release.again)
    scope = "this table" if not others else f"this table, beside {others} other releases"
    return TargetSummary(
        kind="generator" if target is None else target.kind,
        description="released by a generator that was fitted for this audit"
        if target is None
        else target.description,
        identity="" if target is None else target.identity,
        parameters=None,
        models=1,
        scope=scope,
    )


def _data(plan: Plan, generated: Generated) -> DataSummary:
    release = generated.release
    everybody = np.concatenate([release.original.subjects, release.control.subjects])
    return DataSummary(
        candidates=len(everybody),
        members=len(release.original),
        nonmembers=len(release.control),
        subjects=len(np.unique(everybody)),
        auxiliary=0 if release.auxiliary is None else len(release.auxiliary),
        classes=0,
        modality="tabular",
        sampling=plan.data.sampling,
        released=len(generated.synthetic),
        columns=tuple((c.name, c.kind.value) for c in release.original.columns),
        rounds=plan.games.rounds,
    )


def _result(
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
    name, key = _name(plan, p.attack.label, p.adversary.name), (p.adversary.name, p.attack.label)
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


def _selected(
    plan: Plan, rounds: judge.Rounds, found: Verdicts, hashes: Mapping[str, str]
) -> AttackResult:
    base = AttackResult(
        label=rounds.label,
        attack=SELECTED,
        plugin="leakpro-core",
        version="",
        adversary=rounds.adversary,
        summary="The membership attack that does best on one half of the people, on the other.",
        reference="selection on one half, report on the other",
        evidence=hashes[_name(plan, rounds.label, rounds.adversary)],
    )
    return _detection(plan, base, found, rounds.evidence)


def _options(options: object) -> tuple[tuple[str, str], ...]:
    if not attrs.has(type(options)):
        return ()
    names = [a.name for a in attrs.fields(type(options))]  # type: ignore[arg-type]
    return tuple((name, str(getattr(options, name))) for name in names)
