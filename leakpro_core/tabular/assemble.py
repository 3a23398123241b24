"""From rounds on a released table to the report."""

from collections.abc import Mapping, Sequence

import numpy as np

from leakpro_core import judge
from leakpro_core.boundaries import LIMITS, unapproved, untried
from leakpro_core.cards import policy_summary, provenance
from leakpro_core.plan import Adversary, Plan
from leakpro_core.plugins import PluginSet
from leakpro_core.records import Release
from leakpro_core.report import (
    LEAKS,
    Card,
    DataSummary,
    Finding,
    NotTested,
    RiskReport,
    TargetSummary,
    Word,
)
from leakpro_core.seeds import spawn
from leakpro_core.store import Store
from leakpro_core.tabular import exhibits
from leakpro_core.tabular.checks import Checks
from leakpro_core.tabular.generators import Generated
from leakpro_core.tabular.one_by_one import Twins
from leakpro_core.tabular.play import TablePlayed
from leakpro_core.tabular.results import Sized, name_of, result, selected_result
from leakpro_core.tabular.secrets import secrets
from leakpro_core.tabular.single_people import of_single_people, told_of, with_singles
from leakpro_core.tabular.weigh import Verdicts, judged

_UNTRIED = (
    NotTested(
        means="property inference, white-box attacks on the generator, attacks on aggregates",
        reason="no attack of these kinds was part of this audit",
        consequence="Nothing is said about them.",
    ),
)


def assemble(
    plan: Plan,
    plugins: PluginSet,
    release: Release,
    generated: Generated,
    checks: Checks,
    played: Sequence[TablePlayed],
    sized: Mapping[tuple[str, str], Sized],
    twins: Sequence[Twins],
    store: Store,
    *,
    started: str,
    clock: float,
) -> RiskReport:
    """Judge the evidence, write it, and return the report."""
    found, chosen = judged(played, plan.policy, spawn(plan.seed, "tables"), beside=len(twins))
    hashes, shown = {}, {}
    for p in played:
        if p.refereed is not None:
            name = name_of(plan, p.attack.label, p.adversary.name)
            hashes[name] = store.write_evidence(name, p.refereed.evidence)
            if p.refereed.exhibits:
                path = exhibits.write(store.folder, name, p.attack.label, p.refereed.exhibits)
                shown[name] = str(path.relative_to(store.folder))
    for r in chosen:
        name = name_of(plan, r.label, r.adversary)
        hashes[name] = store.write_evidence(name, r.evidence)
    for one in twins:
        if one.evidence is not None:
            name = f"{name_of(plan, one.label, one.adversary)}-one-by-one"
            hashes[name] = store.write_evidence(name, one.evidence)
    singles = {(t.adversary, t.label): told_of(t) for t in twins}
    findings = tuple(
        finding
        for adversary in plan.adversaries
        for finding in (
            *_findings(plan, generated, checks, adversary, found, played),
            *of_single_people(adversary, singles),
        )
    )
    cards = tuple(_card(a, generated) for a in plan.adversaries)
    verdict = judge.overall(
        findings,
        cards,
        plan.policy,
        incomplete=[*_incomplete(plan, plugins, played), *checks.failed],
    )
    results = [result(plan, p, found, hashes, shown, sized) for p in played]
    results = [with_singles(r, twins, singles, plan.policy) for r in results]
    results += [selected_result(plan, r, found, hashes) for r in chosen]
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
    many = f"{others} other release{'s' if others > 1 else ''}"
    scope = "this table" if not others else f"this table, beside {many}"
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
    arms = (release.original.subjects, release.control.subjects)
    people = [len(np.unique(subjects)) for subjects in arms]
    return DataSummary(
        candidates=sum(map(len, arms)),
        members=people[0],
        nonmembers=people[1],
        subjects=len(np.unique(np.concatenate(arms))),
        auxiliary=0 if release.auxiliary is None else len(release.auxiliary),
        classes=0,
        modality="tabular",
        sampling="random",
        released=len(generated.synthetic),
        columns=tuple((c.name, c.kind.value) for c in release.original.columns),
        rounds=plan.games.rounds,
    )
