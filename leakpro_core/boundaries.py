"""What an audit does not say: its limits, what was not tried, what ran without approval."""

from collections.abc import Sequence
from typing import Protocol

from leakpro_core.loading import Status
from leakpro_core.plan import Adversary, ChosenAttack, Plan
from leakpro_core.plugins import PluginSet
from leakpro_core.report import Control, NotTested
from leakpro_core.summary import plugins_of


class Outcome(Protocol):
    """What became of an attack as one adversary."""

    @property
    def attack(self) -> ChosenAttack: ...
    @property
    def adversary(self) -> Adversary: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...


LIMITS = (
    "Attacks give lower bounds of what an attacker can do; the upper bounds here concern only the "
    "attacks that were run, with these powers.",
    "The findings hold for the audited version and its data; a retrained model, another access or "
    "a new class of attacks needs a new audit.",
    "Attacks are given no secret, which guards against mistakes; a plugin is code in the process, "
    "and vetting is the answer to malice.",
)


def unapproved(plan: Plan, plugins: PluginSet) -> list[str]:
    """Return what ran without having been approved."""
    used = [p for p in plugins.plugins if p.name in plugins_of(plan)]
    loose = [p for p in used if p.status in (Status.UNVETTED, Status.UNVERIFIED)]
    if not loose:
        return []
    names = ", ".join(f"{p.name} {p.version}" for p in loose)
    reasons = "; ".join(f"{p.name}: {q.reason.value}" for p in loose for q in p.problems)
    why = f" ({reasons})" if reasons else ": no registry says which are approved"
    return [f"Plugins ran that nobody approved: {names}{why}."]


def untried(
    plugins: PluginSet, played: Sequence[Outcome], controls: Sequence[Control]
) -> tuple[NotTested, ...]:
    """Return what was not tried: attacks, plugins, controls; why; and what follows."""
    skipped = [
        NotTested(
            means=f"attack {p.attack.label}, {p.adversary.name}",
            reason=p.reason if p.status == "not applicable" else f"{p.status}: {p.reason}",
            consequence="Its strength against this target is not known.",
        )
        for p in played
        if p.status != "finished"
    ]
    refused = [
        NotTested(
            means=f"whatever plugin {p.distribution} offers",
            reason=p.reason,
            consequence="Attacks that it may offer were not tried.",
        )
        for p in plugins.problems
    ]
    installed = {p.name for p in plugins.plugins}
    absent = [
        NotTested(
            means=f"whatever plugin {name} offers",
            reason="the registry approves it, and it is not installed",
            consequence="Attacks that it may offer were not tried.",
        )
        for name in plugins.registry.approvals
        if name not in installed
    ]
    unguarded = [
        NotTested(
            means=f"validity control: {c.name}",
            reason=c.statement,
            consequence="What it guards against is not ruled out.",
        )
        for c in controls
        if c.result == "not run"
    ]
    return (*skipped, *refused, *absent, *unguarded)
