"""Who attacked what, with what: the adversaries, the target, the data, the provenance."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np

from leakpro_core import judge
from leakpro_core.plan import Adversary, Plan, Policy
from leakpro_core.play import Played
from leakpro_core.plugins import PluginSet
from leakpro_core.rehearsal import Loaded
from leakpro_core.report import Card, DataSummary, PolicySummary, Provenance, TargetSummary
from leakpro_core.scene import Cast, Scene
from leakpro_core.summary import libraries, plugins_of
from leakpro_core.validity import Validity


def card(adversary: Adversary, cast: Cast, played: Sequence[tuple[Scene, Played]]) -> Card:
    """Return the adversary's card, with what it really asked."""
    mine = [(s, p) for s, p in played if p.adversary.name == adversary.name]
    queries = max(s.margin.shape[-1] for s in cast.targets.values())
    asked = max((len(s.rows) + len(s.auxiliary) for s, _ in mine), default=0) * queries
    return Card(
        name=adversary.name,
        label=adversary.label,
        access=adversary.access.value,
        top_k=adversary.top_k,
        decimals=adversary.decimals,
        queries=adversary.queries,
        queries_used=asked + max((p.queries_used for _, p in mine), default=0),
        knows=adversary.knows,
        shadows=0 if {"architecture", "recipe"} - set(adversary.knows) else len(cast.pair),
        actor=adversary.actor,
        rationale=adversary.rationale,
    )


def target_summary(loaded: Loaded, cast: Cast) -> TargetSummary:
    """Return what was audited, and what the findings speak of."""
    target, models = loaded.release.target, len(cast.members)
    scope = "this model" if models == 1 else f"these {models} models"
    if models >= judge.PROCEDURE:
        scope = f"this procedure, over {models} models"
    return TargetSummary(
        kind="model" if target is None else target.kind,
        description="trained for this audit by the shadows' recipe"
        if target is None
        else target.description,
        identity="" if target is None else target.identity,
        parameters=None if target is None else target.parameters,
        models=models,
        scope=scope,
    )


def data_summary(cast: Cast, valid: Validity) -> DataSummary:
    """Return what it was audited with; canaries that are no people do not count."""
    people, ordinary = cast.population, valid.ordinary
    members = int(cast.members[0][ordinary].sum())
    return DataSummary(
        candidates=int(ordinary.sum()),
        members=members,
        nonmembers=int(ordinary.sum()) - members,
        subjects=len(np.unique(people.subjects[ordinary])),
        auxiliary=0 if people.auxiliary is None else len(people.auxiliary.labels),
        classes=people.classes,
        modality=people.modality,
        sampling=people.sampling,
    )


def policy_summary(policy: Policy, *, tables: bool = False) -> PolicySummary:
    """Return what was declared before the run; tables: that of success games too."""
    return PolicySummary(
        confidence=policy.confidence,
        tolerance=tuple(sorted(policy.tolerance.items())),
        tenth_tolerance=tuple(sorted(policy.tenth_tolerance.items())),
        headline=policy.headline,
        mandatory=policy.mandatory,
        excess_tolerance=policy.excess_tolerance if tables else None,
    )


def provenance(
    plan: Plan, plugins: PluginSet, hashes: Mapping[str, str], started: str, clock: float
) -> Provenance:
    """Return how to do it again."""
    whole = hashlib.sha256("".join(f"{k} {hashes[k]}\n" for k in sorted(hashes)).encode())
    used = plugins_of(plan)
    layers = [r for r in plugins.registry.layers if r.path]
    return Provenance(
        command=f"leakpro audit {plan.path.name}",
        plan_sha256=plan.sha256,
        seed=plan.seed,
        tool=f"leakpro-core {version('leakpro-core')}",
        versions=libraries(plan),
        plugins=tuple(
            (p.name, p.version, p.status.value, p.digest) for p in plugins.plugins if p.name in used
        ),
        registry=", ".join(str(r.path.name) for r in layers if r.path),
        registry_sha256=", ".join(r.sha256 for r in layers),
        vetting=plugins.registry.mode.value,
        evidence_sha256=whole.hexdigest(),
        started=started,
        seconds=round(time.monotonic() - clock, 1),
    )
