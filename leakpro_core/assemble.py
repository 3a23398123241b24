"""From rounds to report: hand the evidence to the judge, put findings and controls together."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from leakpro_core import judge
from leakpro_core.boundaries import LIMITS, unapproved, untried
from leakpro_core.cards import (
    card,
    data_summary,
    policy_summary,
    provenance,
    target_summary,
)
from leakpro_core.plan import Adversary, Plan
from leakpro_core.play import Played
from leakpro_core.plugins import PluginSet
from leakpro_core.rehearsal import Loaded
from leakpro_core.report import (
    LEAKS,
    Control,
    Finding,
    NotTested,
    RiskReport,
    Word,
)
from leakpro_core.results import attack_result, people_of
from leakpro_core.scene import Cast, Scene
from leakpro_core.store import Store
from leakpro_core.validity import Validity, name_of

MAIN, TENTH = judge.MAIN, judge.TENTH

_UNTRIED = (
    NotTested(
        means="reconstruction, attribute and property inference, model extraction",
        reason="no attack of these games was part of this audit",
        consequence="Nothing is said about them.",
    ),
)


def assemble(
    plan: Plan,
    plugins: PluginSet,
    loaded: Loaded,
    cast: Cast,
    valid: Validity,
    played: Sequence[tuple[Scene, Played]],
    store: Store,
    *,
    started: str,
    clock: float,
) -> RiskReport:
    """Judge the evidence, write it, and return the report."""
    rounds, hashes = [], {}
    for one, result in played:
        if result.evidence is not None:
            evidence, keep = people_of(result.evidence, one, valid)
            name = name_of(result, plan)
            hashes[name] = store.write_evidence(name, evidence)
            tenth = None
            if valid.tenth is not None:
                tenth = np.tile(valid.tenth[one.rows], len(cast.members))[keep]
            rounds.append(
                judge.Rounds(
                    label=result.attack.label,
                    adversary=result.adversary.name,
                    evidence=evidence,
                    tenth=tenth,
                )
            )
    sampling = cast.population.sampling
    if sampling == "all" and any(len(one.rows) < cast.candidates for one, _ in played):
        # A query budget drew some of the members: their share is no longer everybody's.
        sampling = "random"
    judged = judge.judge(rounds, plan.policy, sampling=sampling, seed=plan.seed)
    cards = tuple(card(a, cast, played) for a in plan.adversaries)
    findings = []
    for adversary in plan.adversaries:
        findings += _findings(plan, cast, valid, adversary, judged, played, sampling)
    incomplete = _incomplete(plan, plugins, findings, played)
    verdict = judge.overall(findings, cards, plan.policy, incomplete=incomplete)
    attacks = tuple(
        attack_result(plan, cast, valid, one, result, judged, hashes) for one, result in played
    )
    return RiskReport(
        name=plan.name,
        status=verdict.status,
        word=verdict.word,
        statement=verdict.statement,
        exit_code=verdict.exit_code,
        target=target_summary(loaded, cast),
        data=data_summary(cast, valid),
        policy=policy_summary(plan.policy),
        adversaries=cards,
        findings=tuple(findings),
        attacks=attacks,
        controls=valid.controls,
        not_tested=(*untried(plugins, [p for _, p in played], valid.controls), *_UNTRIED),
        limits=(*LIMITS, *unapproved(plan, plugins), *loaded.release.notes),
        provenance=provenance(plan, plugins, hashes, started, clock),
    )


def _findings(
    plan: Plan,
    cast: Cast,
    valid: Validity,
    adversary: Adversary,
    judged: Sequence[judge.Judged],
    played: Sequence[tuple[Scene, Played]],
    sampling: str,
) -> list[Finding]:
    unfinished = [
        p.attack.label
        for _, p in played
        if p.adversary.name == adversary.name and p.status == "failed"
    ]
    mine = [j for j in judged if j.adversary == adversary.name]
    findings = []
    for family in (MAIN, TENTH):
        of_family = [j for j in mine if j.family == family]
        if not of_family:
            findings.append(_untested(family, adversary, bool(mine)))
            continue
        judge_it = partial(
            judge.finding,
            of_family,
            plan.policy,
            adversary=adversary.name,
            family=family,
            sampling=sampling,
            models=len(cast.members),
            unfinished=unfinished,
        )
        found = judge_it(invalid=None)
        why = _invalid(found, adversary, valid.controls)
        found = found if why is None else judge_it(invalid=why)
        findings.append(found)
    return findings


def _untested(family: str, adversary: Adversary, others: bool) -> Finding:
    reason = "no attack finished"
    if others:
        reason = "neither shadow models nor raw records tell which records are most exposed"
    return Finding(
        family=family,
        adversary=adversary.name,
        word=Word.NOT_TESTED,
        statement=f"Not tested: {reason}.",
        technical="",
        attacks=(),
    )


def _invalid(found: Finding, adversary: Adversary, controls: Sequence[Control]) -> str | None:
    """Return why the finding cannot stand.

    A failed control invalidates all; a missed positive control invalidates only that nothing was
    found; a placebo that warns leaves nothing to say about a leak that is only just detectable, and
    neither does a blind adversary that warns where no placebo was played.
    """
    mine = [c for c in controls if c.adversary in ("", adversary.name)]
    played = any(c.name == "placebo target" and c.result != "not run" for c in mine)
    guard = "placebo target" if played else "blind adversary"
    for control in mine:
        if control.result == "fail" and (control.name != "canaries" or found.word not in LEAKS):
            return control.statement
        if control.name == guard and control.result == "warn" and found.word is Word.WEAK:
            return control.statement
    return None


def _incomplete(
    plan: Plan,
    plugins: PluginSet,
    findings: Sequence[Finding],
    played: Sequence[tuple[Scene, Played]],
) -> list[str]:
    reasons = [
        f"attack {p.attack.label} failed: {p.reason}" for _, p in played if p.status == "failed"
    ]
    if not all(attack.named for attack in plan.attacks):
        # All attacks were asked for, and some plugin's could not be had.
        reasons += [f"plugin {p.distribution} was not loaded: {p.reason}" for p in plugins.problems]
    for finding in findings:
        family = "most vulnerable tenth" if finding.family == TENTH else "membership"
        if finding.word is Word.NOT_TESTED and family in plan.policy.mandatory:
            reasons.append(f"{finding.family} was not tested ({finding.adversary})")
    return reasons
