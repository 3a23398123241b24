"""From rounds on updates to the report."""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve

from leakpro_core import judge
from leakpro_core.boundaries import LIMITS, unapproved, untried
from leakpro_core.cards import policy_summary, provenance
from leakpro_core.judge.inversion_words import Beside, Demonstrated, inversion_finding
from leakpro_core.plan import Adversary, Plan
from leakpro_core.plugins import PluginSet
from leakpro_core.records import Release
from leakpro_core.report import (
    LEAKS,
    Card,
    DataSummary,
    Finding,
    RiskReport,
    TargetSummary,
    Word,
)
from leakpro_core.seeds import spawn
from leakpro_core.store import Store
from leakpro_core.tabular.checks import Checks
from leakpro_core.tabular.results import name_of, selected_result
from leakpro_core.tabular.weigh import Verdicts, judged
from leakpro_core.updates import exhibits
from leakpro_core.updates.checks import MEMBERSHIPS, why_unjudged
from leakpro_core.updates.play import INVERSION, MEMBERSHIP, UpdatePlayed
from leakpro_core.updates.results import Beheld, result, true_of
from leakpro_core.updates.stage import UpdateStage
from leakpro_core.updates.unsaid import unsaid, without_membership

Seen = Mapping[tuple[str, str], Beheld]
"""What is told of finished attacks, by adversary and label."""


def assemble(
    plan: Plan,
    plugins: PluginSet,
    release: Release,
    stage: UpdateStage,
    checks: Checks,
    played: Sequence[UpdatePlayed],
    beheld: Seen,
    store: Store,
    *,
    started: str,
    clock: float,
) -> RiskReport:
    """Judge the evidence, write it, and return the report."""
    found, chosen = judged(played, plan.policy, spawn(plan.seed, "updates"))
    found = _by_batch(found, played)
    hashes, shown = _written(plan, played, chosen, beheld, store)
    findings = tuple(
        finding
        for adversary in plan.adversaries
        for finding in _findings(plan, stage, checks, adversary, found, played, beheld)
    )
    cards = tuple(_card(a) for a in plan.adversaries)
    failed = [*_incomplete(plan, plugins, played), *checks.failed]
    verdict = judge.overall(findings, cards, plan.policy, incomplete=failed)
    results = [
        result(
            plan,
            p,
            found,
            hashes,
            shown,
            name_of(plan, p.attack.label, p.adversary.name),
            beheld.get((p.adversary.name, p.attack.label)),
        )
        for p in played
    ]
    results += [selected_result(plan, r, found, hashes) for r in chosen]
    return RiskReport(
        name=plan.name,
        status=verdict.status,
        word=verdict.word,
        statement=verdict.statement,
        exit_code=verdict.exit_code,
        target=_target(release, stage),
        data=_data(plan, stage),
        policy=policy_summary(plan.policy, tables=True),
        adversaries=cards,
        findings=findings,
        attacks=tuple(results),
        controls=checks.controls,
        not_tested=(
            *untried(plugins, played, checks.controls),
            *without_membership(stage, played),
            *unsaid(stage, release.notes),
        ),
        limits=tuple(dict.fromkeys([*LIMITS, *unapproved(plan, plugins), *release.notes])),
        provenance=provenance(plan, plugins, hashes, started, clock),
    )


def _by_batch(found: Verdicts, played: Sequence[UpdatePlayed]) -> Verdicts:
    """Return the verdicts with batches counted of which claims of one facet came true."""
    true = {
        (p.adversary.name, p.attack.label): true_of(p.refereed)
        for p in played
        if p.refereed is not None
    }
    counted = [evolve(j, people=true[j.adversary, j.label]) for j in found.successes]
    return evolve(found, successes=tuple(counted))


def _written(
    plan: Plan,
    played: Sequence[UpdatePlayed],
    chosen: Sequence[judge.Rounds],
    beheld: Seen,
    store: Store,
) -> tuple[dict[str, str], dict[str, str]]:
    """Write evidence and exhibits; return hashes and files, by the name of the evidence."""
    hashes, shown = {}, {}
    for p in played:
        name = name_of(plan, p.attack.label, p.adversary.name)
        if p.refereed is not None:
            hashes[name] = store.write_evidence(name, p.refereed.evidence)
        seen = beheld.get((p.adversary.name, p.attack.label))
        if seen is not None and seen.looks.pairs:
            path = exhibits.write(store.folder, name, p.attack.label, seen.looks.pairs)
            shown[name] = str(path.relative_to(store.folder))
    for r in chosen:
        name = name_of(plan, r.label, r.adversary)
        hashes[name] = store.write_evidence(name, r.evidence)
    return hashes, shown


def _findings(
    plan: Plan,
    stage: UpdateStage,
    checks: Checks,
    adversary: Adversary,
    found: Verdicts,
    played: Sequence[UpdatePlayed],
    beheld: Seen,
) -> list[Finding]:
    mine = [p for p in played if p.adversary.name == adversary.name]
    games = [p.attack.offered.offer.game for p in mine if p.status != "not applicable"]
    findings = []
    if INVERSION in games:
        findings.append(_inversion(plan, stage, checks, adversary, found, mine, beheld))
    if MEMBERSHIP in games:
        findings += [_membership(plan, checks, adversary, found, mine, f) for f in MEMBERSHIPS]
    return findings


def _inversion(
    plan: Plan,
    stage: UpdateStage,
    checks: Checks,
    adversary: Adversary,
    found: Verdicts,
    mine: Sequence[UpdatePlayed],
    beheld: Seen,
) -> Finding:
    """Return the verdict; planted records that nobody saw leave nothing to say of finding none."""

    def said(invalid: str | None) -> Finding:
        return inversion_finding(
            found.successes,
            plan.policy,
            adversary=adversary.name,
            beside=_beside(stage, mine, beheld),
            invalid=invalid,
            unfinished=_unfinished(mine, INVERSION),
        )

    key = (adversary.name, INVERSION)
    one, unseen = said(checks.broken.get(key)), checks.unseen.get(key)
    stands = unseen is None or one.word in (*LEAKS, Word.NOT_TESTED, Word.INVALID)
    return one if stands else said(unseen)


def _membership(
    plan: Plan,
    checks: Checks,
    adversary: Adversary,
    found: Verdicts,
    mine: Sequence[UpdatePlayed],
    family: str,
) -> Finding:
    def said(invalid: str | None) -> Finding:
        return judge.finding(
            found.detections,
            plan.policy,
            adversary=adversary.name,
            family=family,
            sampling="random",
            models=1,
            invalid=invalid,
            unfinished=_unfinished(mine, MEMBERSHIP),
        )

    one, why = said(None), checks.broken.get((adversary.name, family))
    return one if why is None or one.word is Word.NOT_TESTED else said(why)


def _unfinished(mine: Sequence[UpdatePlayed], game: str) -> list[str]:
    return [
        p.attack.label for p in mine if p.status == "failed" and p.attack.offered.offer.game == game
    ]


def _beside(stage: UpdateStage, mine: Sequence[UpdatePlayed], beheld: Seen) -> Beside:
    seen = {
        p.attack.label: beheld[p.adversary.name, p.attack.label]
        for p in mine
        if p.attack.offered.offer.game == INVERSION and (p.adversary.name, p.attack.label) in beheld
    }
    checked = {label: b.checked for label, b in seen.items() if b.checked is not None}
    return Beside(
        batches=len(stage.items),
        unjudged=len(stage.items) - len(stage.batches),
        why=why_unjudged(stage),
        counted={label: b.counted for label, b in seen.items() if b.counted is not None},
        demonstrated=tuple(
            Demonstrated(label=label, records=c.shown, batches=c.batches, residual=c.residual)
            for label, c in checked.items()
            if c.shown
        ),
        uncertain=tuple(dict.fromkeys(r for c in checked.values() for r in c.refused)),
        residuals={label: b.residual for label, b in seen.items() if b.residual is not None},
    )


def _incomplete(plan: Plan, plugins: PluginSet, played: Sequence[UpdatePlayed]) -> list[str]:
    reasons = [
        f"attack {p.attack.label} failed: {p.reason}" for p in played if p.status == "failed"
    ]
    if not all(attack.named for attack in plan.attacks):
        # All attacks were asked for, and some plugin's could not be had.
        reasons += [f"plugin {p.distribution} was not loaded: {p.reason}" for p in plugins.problems]
    return reasons


def _card(adversary: Adversary) -> Card:
    return Card(
        name=adversary.name,
        label=adversary.label,
        access=adversary.access.value,
        top_k=adversary.top_k,
        decimals=adversary.decimals,
        queries=adversary.queries,
        queries_used=0,
        knows=adversary.knows,
        shadows=0,
        actor=adversary.actor,
        rationale=adversary.rationale,
    )


def _target(release: Release, stage: UpdateStage) -> TargetSummary:
    target, received = release.target, len(stage.release.updates)
    what = f"{received:,} updates that were received" if received > 1 else "this update"
    return TargetSummary(
        kind="update",
        description="" if target is None else target.description,
        identity="" if target is None else target.identity,
        parameters=None if target is None else target.parameters,
        models=1,
        scope=what
        if received
        else f"what clients send of this model, by {len(stage.items):,} batches",
    )


def _data(plan: Plan, stage: UpdateStage) -> DataSummary:
    people, spare = stage.population, stage.auxiliary
    labels = np.zeros(0, np.int64) if people is None else people.labels
    members = 0 if people is None or people.members is None else int(people.members.sum())
    sizes = [len(item.labels) for item in stage.items if item.labels is not None]
    return DataSummary(
        candidates=len(labels),
        members=members,
        nonmembers=len(labels) - members,
        subjects=0 if people is None else len(np.unique(people.subjects)),
        auxiliary=0 if spare is None else len(spare.labels),
        classes=stage.classes,
        modality=stage.modality,
        sampling=plan.data.sampling if people is None else people.sampling,
        released=len(stage.release.updates),
        rounds=len(stage.items),
        examples=max(sizes, default=stage.release.disclosed.examples or 0),
        decoys=max((len(b.decoys) - b.size for b in stage.batches), default=0),
    )
