"""What an audit will be able to say, before it is run: the text of ``leakpro check``."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import structlog

from leakpro_core.plan import Plan
from leakpro_core.play import Cast, obstacle, scene
from leakpro_core.protocols import Log, Recorded
from leakpro_core.records import Signals
from leakpro_core.rehearsal import Loaded, load, wanted
from leakpro_core.statistics.power import records_to_exclude
from leakpro_core.view import Lens


def outlook(plan: Plan) -> tuple[str, ...]:
    """Load the target and the data, train nothing, and return what can be said, line by line."""
    log = structlog.wrap_logger(structlog.ReturnLogger())
    with tempfile.TemporaryDirectory(prefix="leakpro-") as own:
        loaded = load(plan, Path(own), log)
    return tuple(_lines(plan, loaded, log))


def _lines(plan: Plan, loaded: Loaded, log: Log) -> Iterator[str]:
    people, targets = loaded.population, loaded.release.targets
    n = len(people.labels)
    members = n // 2 if people.members is None else int(people.members.sum())
    spare = 0 if people.auxiliary is None else len(people.auxiliary.labels)
    yield f"plan {plan.path.name}: {plan.name}"
    yield (
        f"records: {members} members and {n - members} non-members"
        f"{' per target' if targets > 1 else ''}, {spare} auxiliary, {people.classes} classes"
    )
    for fpr, tolerated in sorted(plan.policy.tolerance.items(), reverse=True):
        yield _resolution(fpr, tolerated, members, n - members, plan.policy.confidence)
    shadows = _shadows(plan, loaded)
    yield f"models to train: {targets + (0 if plan.shadows is None else plan.shadows.count)}"
    cast = _empty_cast(loaded, plan, shadows)
    for adversary in plan.adversaries:
        before = scene(
            cast, adversary, blind=None, placebos=0, curve=False, seed=plan.seed, log=log
        )
        yield (
            f"adversary {adversary.name}: {adversary.access.value}, "
            f"{len(before.rows)} of {n} candidates within its queries"
        )
        for attack in plan.attacks:
            reason = obstacle(before, attack)
            yield f"  {attack.label}: {'will be played' if reason is None else reason}"


def _resolution(fpr: float, tolerated: float, members: int, others: int, confidence: float) -> str:
    if int(fpr * others + 1e-12) == 0:
        return f"FPR {fpr:g}: not resolvable with {others} non-members, {1 / fpr:.0f} are needed"
    needed = records_to_exclude(fpr, tolerated, 1.0 - confidence)
    if needed is None:
        return f"FPR {fpr:g}: no number of records can exclude a TPR above {tolerated:g}"
    enough = "enough" if min(members, others) >= needed else "too few"
    return (
        f"FPR {fpr:g}: {enough} to exclude a TPR above {tolerated:g} "
        f"(about {needed} members and as many non-members are needed)"
    )


def _shadows(plan: Plan, loaded: Loaded) -> int:
    if loaded.release.shadows is not None:
        return len(loaded.release.shadows.trained_on)
    return 0 if plan.shadows is None else plan.shadows.count


def _empty_cast(loaded: Loaded, plan: Plan, shadows: int) -> Cast:
    """Return a cast whose models have not been asked, for what only depends on their number."""
    people, target = loaded.population, loaded.release.target
    queries = 1
    if target is not None and isinstance(target.handle, Recorded):
        outputs = target.handle.recorded("candidates")
        queries = 1 if outputs is None else outputs.shape[1]
    blank = np.zeros((1, 1, queries), np.float32)
    lens = wanted(plan).lenses or (Lens.of(plan.adversaries[0], None),)
    n = len(people.labels)
    return Cast(
        population=people,
        members=np.zeros((1, n), bool),
        released=target,
        targets={one: Signals(margin=blank, log_p={}) for one in lens},
        shadows={},
        trained_on=np.zeros((shadows, n), bool),
        pair=np.arange(shadows),
    )
