"""What an audit of updates will be able to say, before it is run."""

from collections.abc import Iterator

from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.records import Release
from leakpro_core.seeds import spawn
from leakpro_core.updates.audit import refuse_unplayable, scenes_of, settle
from leakpro_core.updates.checks import size_control, why_unjudged
from leakpro_core.updates.planted import planted
from leakpro_core.updates.play import INVERSION, obstacle
from leakpro_core.updates.stage import UpdateStage
from leakpro_core.updates.unsaid import unsaid


def outlook(plan: Plan, release: Release, log: Log) -> Iterator[str]:
    """Yield the lines to print: batches, what luck does, what can be excluded, what is played.

    A client that core lets make updates makes one, to try it out.
    """
    staged = settle(plan, release, rounds=False)
    refuse_unplayable(plan, staged, log)
    yield f"plan {plan.path.name}: {plan.name}"
    yield _records(staged)
    how = staged.release.disclosed
    received = len(staged.release.updates)
    if staged.items:
        sent = staged.sent(staged.items[0])
        whose = f"{received} received" if received else f"{len(staged.items)} made for the audit"
        yield f"updates: {whose}, each the {how.kind} of {how.examples or 'unknown'} records"
        yield f"numbers in each: {sum(v.size for v in sent.values.values()):,}"
        size = size_control(plan, staged)
        yield f"gradient inversion: {size.statement} {size.sensitivity}".rstrip()
    unjudged = len(staged.items) - len(staged.batches)
    if unjudged:
        yield (
            f"not judged: {unjudged} of {len(staged.items)} batches, for {why_unjudged(staged)}; "
            "of these only what is certified can be called found"
        )
    if staged.items:
        found = planted(plan, staged, spawn(plan.seed, "planted"))
        told = found if isinstance(found, str) else f"{len(found.items)}, played to each attack"
        yield f"planted records: {told}"
    if staged.population is not None and staged.population.members is not None:
        rounds = received or staged.release.rounds
        yield f"rounds of training for membership: {rounds}"
    for item in unsaid(staged, release.notes):
        if item.reason.startswith("the client"):
            yield f"not disclosed: {item.means.removeprefix('knowledge of ')}"
    for scene in scenes_of(plan, staged, None, log):
        yield f"adversary {scene.adversary.name}: {scene.adversary.access.value}"
        yield f"  knows {', '.join(scene.adversary.knows) or 'nothing beside'}"
        for attack in plan.attacks:
            reason = obstacle(scene, attack)
            many = len(staged.items) if attack.offered.offer.game == INVERSION else 1
            times = "once" if many == 1 else f"{many} times"
            yield f"  {attack.label}: {f'will be played {times}' if reason is None else reason}"


def _records(staged: UpdateStage) -> str:
    people, spare = staged.population, staged.auxiliary
    n = 0 if people is None else len(people.labels)
    members = 0 if people is None or people.members is None else int(people.members.sum())
    return (
        f"records: {members:,} of clients, {n - members:,} others, "
        f"{0 if spare is None else len(spare.labels):,} auxiliary, {staged.classes} classes, each "
        f"{staged.modality} of shape {list(staged.shape)}"
    )
