"""Membership one person at a time, on the shadow generators: which of two twins had the person?

An attack on one release is judged by how it does on many people, so that a single one who is given
away hides among those who are not. Where core fits shadow generators the same is asked of one
person and many releases: of each pair of twins, fitted on complementary halves, which one was
fitted with the person (the game of Stadler, Oprisanu, Troncoso 2022)? A coin decided it. The attack
answers about the two releases apart, knowing only the pairs before: whoever gives nothing away is
told right once in two then, each time anew, whatever was learned before, and the number of times is
binomial. Learning from later pairs too would tie the times together.

Only as many people are tested as the pairs can convict, those first who are most unlike others.
"""

import math
from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.samples import TableStage
from leakpro_core.plan import ChosenAttack, Plan
from leakpro_core.records import Evidence
from leakpro_core.seeds import generator, spawn
from leakpro_core.tabular.people import tenth_of
from leakpro_core.tabular.play import TableScene, play

COMPANY = 500
"""People that an attack is asked about beside those who are tested: it may learn from them."""


@frozen(kw_only=True)
class Twins:
    """What an attack said of each person tested, of each pair of twins.

    people: int64 ``[m]``, subjects; right: bool ``[m, pairs]``, whether the claim was higher for
    the twin that was fitted with the person; a tie and an abstention are not right.
    alpha: that of the budget; evidence: the rounds, clusters being pairs; reason: why nothing was
    played, "" if it was.
    """

    label: str
    adversary: str
    alpha: float
    people: Ints = array(np.int64)
    right: Bools = array(np.bool_)
    evidence: Evidence | None = None
    reason: str = ""


@frozen(kw_only=True)
class Budget:
    """How many people pairs of twins can convict.

    alpha: the chance that anybody is called given away who is not; taught: pairs that only teach;
    needed: shadow generators that it takes for one person.
    """

    alpha: float
    taught: int
    needed: int

    @classmethod
    def of(cls, plan: Plan, attack: ChosenAttack, able: int) -> "Budget":
        """Take as much of the error budget as any attack has, of all games.

        able: attacks that are played so, of all adversaries; one more an adversary is selected.
        """
        tests = (len(plan.attacks) + 1) * len(plan.adversaries) + able
        alpha = (1.0 - plan.policy.confidence) / tests
        taught = -(-attack.offered.offer.shadows // 2)
        needed = 2 * (taught + math.ceil(math.log2(1.0 / alpha)))
        return cls(alpha=alpha, taught=taught, needed=needed)

    def tested(self, pairs: int, people: int) -> int:
        """Return how many of the people are tested: of their most vulnerable tenth at most all."""
        return min(math.floor(self.alpha * 2.0 ** (pairs - self.taught)), tenth_of(people))


def learns(attack: ChosenAttack) -> bool:
    """Return whether an attack tells members by what shadow generators released."""
    offer = attack.offered.offer
    return offer.game == "membership" and bool(offer.shadows)


def one_by_one(scene: TableScene, attack: ChosenAttack, ranked: Ints, budget: Budget) -> Twins:
    """Play an attack that learns from shadow generators on each pair of them.

    ranked: subjects of original and control, most unlike others first.
    """
    stage = scene.stage
    nothing = Twins(
        label=attack.label,
        adversary=scene.adversary.name,
        alpha=budget.alpha,
        people=ranked[:0],
        right=np.zeros((0, 0), np.bool_),
    )
    pairs = _pairs(stage)
    people = ranked[: budget.tested(len(pairs), len(ranked))]
    if not people.size:
        few = f"there are {len(stage.shadows)} shadow generators, and {budget.needed} are needed"
        return evolve(nothing, reason=few)
    about = _about(stage, people, generator(scene.seed, "company"))
    right, rounds = [], []
    for number in range(budget.taught, len(pairs)):
        known = np.concatenate(pairs[:number])
        claims = []
        for model in pairs[number]:
            scene.log.info("one by one", attack=attack.label, pair=number, of=len(pairs))
            seed = spawn(scene.seed, "one by one", str(number))
            asked = evolve(
                scene, stage=_asked(about, model, known), guess=False, blind=None, seed=seed
            )
            played = play(asked, evolve(attack, named=False))
            if played.refereed is None:
                return evolve(nothing, reason=f"{attack.label} failed: {played.reason}")
            claims.append(_means(played.refereed.evidence, people))
        inside = np.stack([_inside(stage, model, people) for model in pairs[number]])
        with np.errstate(invalid="ignore"):  # infinite claims that are equal are a tie
            higher = claims[0] > claims[1], claims[1] > claims[0]
        right.append(np.where(inside[0], *higher))
        rounds += [(number, i, c) for i, c in zip(inside, claims, strict=True)]
    return evolve(
        nothing,
        people=people,
        right=np.stack(right, axis=1),
        evidence=_evidence(people, rounds),
    )


def _design(stage: TableStage) -> tuple[Bools, Ints]:
    """Return who was in which shadow, and whose twin it is; of no shadows where there are none."""
    n = len(stage.original) + len(stage.control)
    if stage.trained_on is None or stage.pair is None:
        return np.zeros((0, n), np.bool_), np.zeros(0, np.int64)
    return stage.trained_on, stage.pair


def _pairs(stage: TableStage) -> list[Ints]:
    """Return the models of each pair of twins, in order; no model without a twin."""
    on, pair = _design(stage)
    found = [np.flatnonzero(pair == number) for number in np.unique(pair)]
    return [two for two in found if len(two) == 2 and (on[two[0]] != on[two[1]]).all()]


def _about(stage: TableStage, people: Ints, rng: np.random.Generator) -> TableStage:
    """Return the stage with those who are tested and some company, all of whom are asked about."""
    arms = stage.original, stage.control
    others = np.setdiff1d(np.concatenate([arm.subjects for arm in arms]), people)
    asked = np.concatenate([people, rng.permutation(others)[:COMPANY]])
    kept = [np.isin(arm.subjects, asked) for arm in arms]
    original, control = (arm.rows(rows) for arm, rows in zip(arms, kept, strict=True))
    return evolve(
        stage,
        original=original,
        control=control,
        tenth_original=np.zeros(len(original), np.bool_),
        tenth_control=np.zeros(len(control), np.bool_),
        rounds=len(asked),  # which leaves nobody out
        trained_on=_design(stage)[0][:, np.concatenate(kept)],
    )


def _asked(stage: TableStage, model: int, known: Ints) -> TableStage:
    """Return the stage with a shadow's table as the release, and some shadows to learn from."""
    on, pair = _design(stage)
    return evolve(
        stage,
        released=stage.shadows[model],
        shadows=tuple(stage.shadows[i] for i in known),
        trained_on=on[known],
        pair=pair[known],
    )


def _inside(stage: TableStage, model: int, people: Ints) -> Bools:
    """Return whether a shadow was fitted on each person, all of whose rows go together."""
    subjects = np.concatenate([stage.original.subjects, stage.control.subjects])
    inside: Bools = np.isin(people, subjects[_design(stage)[0][model]])
    return inside


def _means(evidence: Evidence, people: Ints) -> Floats:
    """Return the mean claim of each person's rows, NaN where one abstains."""
    order = np.argsort(people)
    at = np.searchsorted(people[order], evidence.subject)
    mine = np.isin(evidence.subject, people)
    who = order[at[mine]]
    total = np.bincount(who, weights=evidence.claim[mine], minlength=len(people))
    return total / np.bincount(who, minlength=len(people))


def _evidence(people: Ints, rounds: Sequence[tuple[int, Bools, Floats]]) -> Evidence:
    """Return a round for each person and twin, the exposed being those that it was fitted on."""
    n = len(people) * len(rounds)
    nan = np.full(n, np.nan)
    return Evidence(
        subject=np.tile(people, len(rounds)),
        cluster=np.repeat([number for number, _, _ in rounds], len(people)),
        exposed=np.concatenate([inside for _, inside, _ in rounds]),
        claim=np.concatenate([claims for _, _, claims in rounds]),
        hit=nan,
        blind_claim=nan,
        blind_hit=nan,
        null_p=nan,
    )
