"""What a report says of single people whom generators give away."""

from collections.abc import Mapping, Sequence

from attrs import evolve

from leakpro_core import judge
from leakpro_core.plan import Adversary, Policy
from leakpro_core.report import AttackResult, Finding
from leakpro_core.tabular.one_by_one import Twins


def told_of(twins: Twins) -> judge.GivenAway | None:
    """Judge what an attack told of single people; None where nothing was played."""
    if not twins.people.size:
        return None
    return judge.given_away(twins.right, twins.alpha, label=twins.label, adversary=twins.adversary)


def of_single_people(
    adversary: Adversary, singles: Mapping[tuple[str, str], judge.GivenAway | None]
) -> list[Finding]:
    """Return the finding of the attack that gives most people away; none where none does."""
    mine = [s for (name, _), s in singles.items() if name == adversary.name and s and s.found]
    best = max(mine, key=lambda s: (s.found, s.strength), default=None)
    return [] if best is None else [judge.person_finding(best)]


def with_singles(
    result: AttackResult,
    twins: Sequence[Twins],
    singles: Mapping[tuple[str, str], judge.GivenAway | None],
    policy: Policy,
) -> AttackResult:
    """Return an attack's result with what it tells of single people, or why it cannot."""
    for one in twins:
        if (one.adversary, one.label) != (result.adversary, result.label):
            continue
        found = singles[one.adversary, one.label]
        if found is None:
            note = f"One person at a time: not told, for {one.reason}"
            return evolve(result, notes=(*result.notes, note))
        tests = (1.0 - policy.confidence) / one.alpha
        chances = [found.p_value * tests, 1.0 if result.p_value is None else result.p_value]
        return evolve(
            result,
            notes=(*result.notes, judge.person_note(found)),
            detected=result.detected or bool(found.found),
            p_value=min(chances),
        )
    return result
