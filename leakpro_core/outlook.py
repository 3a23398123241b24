"""What an audit will be able to say, before it is run: the text of ``leakpro check``."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import structlog

from leakpro_core.errors import NotApplicable
from leakpro_core.forecast import forecast, lines
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log, Recorded
from leakpro_core.records import Population, Signals
from leakpro_core.rehearsal import Loaded, load, released, try_out, wanted
from leakpro_core.scene import Cast, Scene, obstacle, scene
from leakpro_core.seeds import spawn
from leakpro_core.statistics import records_needed
from leakpro_core.tabular.outlook import outlook as of_tables
from leakpro_core.updates.outlook import outlook as of_updates
from leakpro_core.view import Lens
from leakpro_core.work import Vetting


def outlook(plan: Plan, vetting: Vetting | None = None) -> Iterator[str]:
    """Load target and data, try the target and a step of training; yield the lines to print.

    What is known of the records comes first, whatever is wrong with the models.
    """
    log = structlog.wrap_logger(structlog.ReturnLogger())
    with tempfile.TemporaryDirectory(prefix="leakpro-") as own:
        release = released(plan, Path(own), log)
    if release.tables is not None:
        yield from of_tables(plan, release, log)
        return
    if release.updates is not None:
        yield from of_updates(plan, release, log)
        return
    loaded = load(plan, release)
    refuse_unplayable(plan, loaded, log)
    try_out(loaded)
    yield from _records(plan, loaded)
    yield from lines(forecast(plan, loaded, vetting, log))
    yield from _attacks(plan, loaded, log)


def _records(plan: Plan, loaded: Loaded) -> Iterator[str]:
    people, targets = loaded.population, loaded.release.targets
    n = len(people.labels)
    members = n // 2 if people.members is None else int(people.members.sum())
    spare = 0 if people.auxiliary is None else len(people.auxiliary.labels)
    yield f"plan {plan.path.name}: {plan.name}"
    yield (
        f"records: {members} members and {n - members} non-members"
        f"{' per target' if targets > 1 else ''}, {spare} auxiliary, {people.classes} classes"
        + ("" if people.records is None else f", each of shape {list(people.records.shape[1:])}")
    )
    inside, outside = _by_person(people)
    # As the judge does: targets share alpha, and all members of a model are no sample of them.
    each = 1.0 - (1.0 - plan.policy.confidence) / max(1, targets)
    for fpr, tolerated in sorted(plan.policy.tolerance.items(), reverse=True):
        sampled = people.sampling != "all"
        yield _resolution(fpr, tolerated, inside, outside, each, sampled=sampled)
    yield f"models to train: {targets + (0 if plan.shadows is None else plan.shadows.count)}"


def _attacks(plan: Plan, loaded: Loaded, log: Log) -> Iterator[str]:
    n = len(loaded.population.labels)
    for before in _scenes(plan, loaded, log):
        adversary = before.adversary
        yield (
            f"adversary {adversary.name}: {adversary.access.value}, "
            f"{len(before.rows)} of {n} candidates within its queries"
        )
        for attack in plan.attacks:
            reason = obstacle(before, attack)
            yield f"  {attack.label}: {'will be played' if reason is None else reason}"


def refuse_unplayable(plan: Plan, loaded: Loaded, log: Log) -> None:
    """Raise ``NotApplicable`` for an attack that the plan names and no adversary can play.

    Before anything is trained; attacks that were not named are reported as not applicable.
    """
    scenes = _scenes(plan, loaded, log)
    for attack in plan.attacks:
        reasons = [obstacle(one, attack) for one in scenes]
        if attack.named and all(reasons):
            raise NotApplicable(
                f"attack {attack.label!r} cannot be played",
                found=str(reasons[0]),
                fix="Give it what it needs, or take it out of the plan.",
            )


def _scenes(plan: Plan, loaded: Loaded, log: Log) -> list[Scene]:
    cast = _empty_cast(loaded, plan, _shadows(plan, loaded))
    return [
        scene(
            cast,
            adversary,
            blind=None,
            placebos=0,
            curve=False,
            seed=spawn(plan.seed, "scene"),
            log=log,
        )
        for adversary in plan.adversaries
    ]


def _by_person(people: Population) -> tuple[int, int]:
    """Return how many people are members and how many are not; a person's records are one round."""
    everybody = len(np.unique(people.subjects))
    if people.members is None:
        return everybody // 2, everybody - everybody // 2
    inside = len(np.unique(people.subjects[people.members]))
    return inside, everybody - inside


def _resolution(
    fpr: float, tolerated: float, members: int, others: int, confidence: float, *, sampled: bool
) -> str:
    if int(fpr * others + 1e-12) == 0:
        return f"FPR {fpr:g}: not resolvable with {others} non-members, {1 / fpr:.0f} are needed"
    needed = records_needed(fpr, tolerated, confidence, sampled=sampled)
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
        # Who is a member is not drawn yet: anybody may be one, or not.
        members=np.array([np.zeros(n, bool), np.ones(n, bool)])
        if people.members is None
        else people.members[None],
        released=target,
        targets={one: Signals(margin=blank, log_p={}) for one in lens},
        shadows={},
        trained_on=np.zeros((shadows, n), bool),
        pair=np.arange(shadows),
    )
