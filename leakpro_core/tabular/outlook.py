"""What an audit of a released table will be able to say, before it is run."""

from collections.abc import Iterator

import numpy as np

from leakpro_core.controls.sample_size import sample_size_control
from leakpro_core.plan import ChosenAttack, Plan
from leakpro_core.protocols import Log
from leakpro_core.records import Release
from leakpro_core.seeds import spawn
from leakpro_core.statistics import newcombe_difference
from leakpro_core.tabular.audit import hidden, refuse_unplayable, scenes_before
from leakpro_core.tabular.one_by_one import Budget, learns
from leakpro_core.tabular.people import settle
from leakpro_core.tabular.play import obstacle
from leakpro_core.tabular.secrets import secrets
from leakpro_core.wording import show

RATE = 0.5
"""The rate of hits at which an excess is told least precisely."""


def outlook(plan: Plan, release: Release, log: Log) -> Iterator[str]:
    """Yield the lines to print: tables, columns, what can be excluded, what will be played."""
    assert release.tables is not None
    tables = settle(release.tables, plan.games.auxiliary_share, spawn(plan.seed, "auxiliary"))
    plan = hidden(plan, tables)
    refuse_unplayable(plan, tables, log)
    people = [len(np.unique(t.subjects)) for t in (tables.original, tables.control)]
    spare = 0 if tables.auxiliary is None else len(tables.auxiliary)
    released = "to be released" if tables.synthetic is None else f"{len(tables.synthetic):,}"
    yield f"plan {plan.path.name}: {plan.name}"
    yield (
        f"rows: {released} synthetic, {len(tables.original):,} original of {people[0]:,} people, "
        f"{len(tables.control):,} control of {people[1]:,} people, {spare:,} auxiliary"
    )
    kinds = ", ".join(f"{_named(c.name)} ({c.kind.value})" for c in tables.original.columns)
    yield f"columns: {kinds}"
    for note in release.notes:
        yield f"note: {note}"
    every = len(secrets(tables.original, tables.control, ()))
    if len(plan.games.secrets) < every:
        hidden_ones = ", ".join(map(_named, plan.games.secrets))
        yield f"attribute inference: of {len(plan.games.secrets)} of {every} columns, {hidden_ones}"
    arms = np.repeat([True, False], people)
    yield f"membership: {sample_size_control(arms, plan.policy).statement}"
    tried = [min(plan.games.rounds, n) for n in people]
    hits = [round(RATE * n) for n in tried]
    high = newcombe_difference(hits[0], tried[0], hits[1], tried[1], plan.policy.confidence).high
    tolerated = plan.policy.excess_tolerance
    yield (
        f"other games: a useless attack that is right half of the time would be bounded by an "
        f"excess of {high:.2g} over control people ({tolerated:g} is tolerated)"
    )
    fitted = release.targets + (0 if plan.shadows is None else plan.shadows.count)
    yield f"generators to fit: {fitted}"
    scenes = scenes_before(plan, tables, log)
    able = [a for scene in scenes for a in plan.attacks if learns(a) and obstacle(scene, a) is None]
    for scene in scenes:
        yield f"adversary {scene.adversary.name}: {scene.adversary.access.value}"
        for attack in plan.attacks:
            reason = obstacle(scene, attack)
            yield f"  {attack.label}: {'will be played' if reason is None else reason}"
            if reason is None and learns(attack):
                yield f"    {_single_people(plan, attack, len(able), sum(people))}"


def _single_people(plan: Plan, attack: ChosenAttack, able: int, people: int) -> str:
    """Return how many people are tested one at a time."""
    assert plan.shadows is not None
    budget = Budget.of(plan, attack, able)
    tested = budget.tested(plan.shadows.count // 2, people)
    if not tested:
        return f"one person at a time: nobody; {budget.needed} shadow generators are needed"
    return f"one person at a time: of the {tested:,} people who are most unlike others"


def _named(name: str) -> str:
    """Return a column's name, in quotes where it would hardly be seen."""
    return name if name.strip() == name != "" else show(name)
