"""The evidence of all attacks on a release, handed to the judge under one correction."""

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core import judge
from leakpro_core.plan import Policy
from leakpro_core.play import rows_of
from leakpro_core.seeds import generator
from leakpro_core.tabular.play import TablePlayed

SELECTED = "selected"
"""Label of the attack that is chosen on one half of the people and judged on the other."""


@frozen(kw_only=True)
class Verdicts:
    """What the judge measured: attacks of the membership game, and of the success games."""

    detections: tuple[judge.Judged, ...]
    successes: tuple[judge.JudgedSuccess, ...]


@frozen(kw_only=True)
class Weighed:
    """One attack in one family, for a control. p_value: over all attacks that were weighed."""

    label: str
    family: str
    p_value: float


def judged(
    played: Sequence[TablePlayed], policy: Policy, seed: int, beside: int = 0
) -> tuple[Verdicts, tuple[judge.Rounds, ...]]:
    """Return verdicts on all attacks, each kind of game at its share of the error budget.

    And the rounds of the membership attack that was chosen on half of the people, by adversary.
    beside: tests that share the budget and are judged elsewhere, as one attack each.
    """
    done = [p for p in played if p.refereed is not None]
    detections = [_rounds(p) for p in done if p.attack.offered.offer.game == "membership"]
    successes = [
        judge.SuccessRounds(
            label=p.attack.label,
            adversary=p.adversary.name,
            game=p.attack.offered.offer.game,
            refereed=p.refereed,
        )
        for p in done
        if p.attack.offered.offer.game != "membership" and p.refereed is not None
    ]
    chosen: list[judge.Rounds] = []
    for name in dict.fromkeys(r.adversary for r in detections):
        chosen += selected([r for r in detections if r.adversary == name], policy, seed)
    detections += chosen
    every = max(1, len(detections) + len(successes) + beside)
    found = Verdicts(
        detections=judge.judge(
            detections,
            policy,
            sampling="random",
            seed=seed,
            share=len(detections) / every,
        ),
        successes=judge.judge_success(successes, policy, seed=seed, share=len(successes) / every),
    )
    return found, tuple(chosen)


def weigh(played: Sequence[TablePlayed], policy: Policy, seed: int) -> tuple[Weighed, ...]:
    """Return the p-value of every attack in every family."""
    found, _ = judged(played, policy, seed)
    return tuple(
        Weighed(label=j.label, family=j.family, p_value=j.p_value) for j in found.detections
    ) + tuple(Weighed(label=j.label, family=j.game, p_value=j.p_value) for j in found.successes)


def selected(rounds: Sequence[judge.Rounds], policy: Policy, seed: int) -> tuple[judge.Rounds, ...]:
    """Return the attack that does best on one half of the people, on the other half.

    The best of many attacks on the same people looks better than it is: with ten useless ones the
    largest AUC of 500 against 500 is .528 on average. Best: by the TPR at the lowest FPR that the
    half resolves, then by the AUC.
    """
    if len(rounds) < 2:
        return ()
    people = np.unique(np.concatenate([r.evidence.subject for r in rounds]))
    chosen = generator(seed, "half").permutation(people)[: len(people) // 2]

    def half(r: judge.Rounds, *, first: bool) -> judge.Rounds:
        inside = np.isin(r.evidence.subject, chosen) == first
        tenth = None if r.tenth is None else r.tenth[inside]
        return evolve(r, evidence=rows_of(r.evidence, inside), tenth=tenth)

    def merit(r: judge.Rounds) -> tuple[float, float]:
        point = judge.strength_point(half(r, first=True).evidence, policy, 0)
        return point.tpr.value, point.auc.value

    arms = [half(r, first=first).evidence.exposed for r in rounds for first in (True, False)]
    if any(arm.all() or not arm.any() for arm in arms):
        return ()
    best = max(rounds, key=merit)
    return (evolve(half(best, first=False), label=f"{SELECTED} ({best.label})"),)


def _rounds(p: TablePlayed) -> judge.Rounds:
    assert p.refereed is not None
    return judge.Rounds(
        label=p.attack.label,
        adversary=p.adversary.name,
        evidence=p.refereed.evidence,
        tenth=p.refereed.tenth,
    )
