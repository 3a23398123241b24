"""Canaries for tables: people made up so that a generator that remembers anybody gives them away.

Where core fits the generators, a fair coin for each canary decides whether it is in the training
data, so that whatever tells those inside from the others was learned from the generator: nothing
else differs. They are nobody: generators are fitted on them, and no other game or figure has them.

Replaces ``controls.canaries`` for tables, which have no labels to get wrong, and whose attacks are
tried on planted copies (``trials.planted_control``) whether the generator remembers or not. Hence
canaries that nobody finds are a warning here: the generator may keep nothing of such people.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from attrs import evolve, frozen
from scipy.stats import norm

from leakpro_core import judge
from leakpro_core.arrays import AnyArray, Bools, Ints, array
from leakpro_core.controls.permutation import auc_weights, joint_test
from leakpro_core.errors import BadValue
from leakpro_core.games.samples import TableStage
from leakpro_core.judge.describe import area
from leakpro_core.judge.rounds import Sample, tabulate
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.records import Estimate, TableRelease
from leakpro_core.report import Control
from leakpro_core.seeds import spawn
from leakpro_core.tabular.checks import Checks
from leakpro_core.tabular.generators import Generated
from leakpro_core.tabular.play import TablePlayed, TableScene, play
from leakpro_core.tabular.table import Table, stacked
from leakpro_core.tabular.trials import not_run

NAME = "canaries"

SHARE = 10
"""Canaries are a tenth of either arm's people at most: the generator is to stay what it was."""

POWER = 0.8


@frozen(kw_only=True)
class Canaries:
    """People who were planted: those that coins put into the training data, and the others.

    trained_on: bool ``[models, n]``, which shadow was fitted on which row of inside, then outside.
    """

    inside: Table
    outside: Table
    trained_on: Bools = array(np.bool_)


def plant(plan: Plan, release: TableRelease) -> tuple[TableRelease, Canaries | None]:
    """Return the release as its generators are fitted, with canaries behind either arm's rows.

    As many rows are released as without them. Unchanged, and None, where nothing is planted: not
    asked for, or the table is there already. ``BadValue`` as of ``check_canaries``.
    """
    check_canaries(plan, release)
    count = 2 * plan.controls.canaries
    if not count or release.synthetic is not None:
        return release, None
    rng = np.random.default_rng(spawn(plan.seed, NAME))
    drawn = made_up(release, count, rng)
    # Each by a coin of its own, not half of them: otherwise they tell of each other.
    coins = rng.random(count) < 0.5
    inside = coins[np.unique(drawn.subjects, return_inverse=True)[1]]
    canaries = Canaries(
        inside=drawn.rows(inside),
        outside=drawn.rows(~inside),
        trained_on=np.zeros((0, len(drawn)), np.bool_),
    )
    planted = evolve(
        release,
        original=stacked([release.original, canaries.inside]),
        control=stacked([release.control, canaries.outside]),
        rows=release.rows or len(release.original),
    )
    return planted, canaries


def check_canaries(plan: Plan, release: TableRelease) -> None:
    """Raise ``BadValue`` for more canaries than a tenth of the smaller arm's people."""
    people = min(len(np.unique(t.subjects)) for t in (release.original, release.control))
    count, most = plan.controls.canaries, people // SHARE
    if release.synthetic is None and count > most:
        raise BadValue(
            "[controls] canaries",
            found=f"{count}, about so many for either arm",
            expected=f"at most a tenth of the {people} people of the smaller arm",
            fix=f"Set it to {most}{' or less' if most else ''}.",
        )


def made_up(release: TableRelease, count: int, rng: np.random.Generator) -> Table:
    """Return the rows of so many canaries, with subjects that nobody has.

    Each value is drawn on its own from those of its column in the control, so that it stands out by
    the combination alone. A canary owns as many rows as a person drawn from the control. A column
    that has one value in all rows of each person, as a parent's has, has one in a canary's, drawn
    from people; others are drawn from rows.
    """
    control = release.control
    everybody = [release.original, control]
    everybody += [] if release.auxiliary is None else [release.auxiliary]
    people, first, sizes = np.unique(control.subjects, return_index=True, return_counts=True)
    owner = np.repeat(np.arange(count), sizes[rng.integers(0, len(people), count)])
    values = []
    for column, own in enumerate(control.values):
        if all(_one_each(table.values[column], table.subjects) for table in everybody):
            values.append(own[first][rng.integers(0, len(people), count)][owner])
        else:
            values.append(own[rng.integers(0, len(control), len(owner))])
    nobody = 1 + max(int(table.subjects.max()) for table in everybody if len(table))
    return evolve(control, values=tuple(values), subjects=nobody + owner)


def _one_each(values: AnyArray, subjects: Ints) -> bool:
    """Return whether all rows of a person have the same value, missing being one."""
    _, first, who = np.unique(subjects, return_index=True, return_inverse=True)
    return np.array_equal(values, values[first][who], equal_nan=values.dtype.kind == "f")


def apart(
    generated: Generated, release: TableRelease, canaries: Canaries | None
) -> tuple[Generated, Canaries | None]:
    """Return what is generated for the people of the release, and the canaries by themselves."""
    if canaries is None:
        return generated, None
    arms = (release.original, canaries.inside, release.control, canaries.outside)
    people = np.repeat([True, False, True, False], [len(table) for table in arms])
    of_people = evolve(
        generated.release, original=release.original, control=release.control, rows=release.rows
    )
    return (
        evolve(generated, release=of_people, trained_on=generated.trained_on[:, people]),
        evolve(canaries, trained_on=generated.trained_on[:, ~people]),
    )


def looked_for(
    plan: Plan,
    checks: Checks,
    scenes: Sequence[TableScene],
    canaries: Canaries | None,
    seed: int,
    log: Log,
) -> Checks:
    """Return the controls with that on canaries, by adversary: who finds those inside?

    Attacks of the membership game are played on canaries alone, the release as it is.
    """
    if not plan.controls.canaries:
        return checks
    if canaries is None:
        why = (
            "Nothing can be planted in a table that is already released; it takes a generator that "
            "core fits: targets in the place of synthetic, and a trainer in [shadows]"
        )
        return evolve(checks, controls=(*checks.controls, not_run(NAME, why, "")))
    controls, failed = list(checks.controls), list(checks.failed)
    for scene in scenes:
        played = _played(plan, scene, canaries, seed, log)
        controls.append(canary_control(plan, played, canaries, scene.adversary.name, seed))
        failed += [
            f"attack {p.attack.label} failed on canaries: {p.reason}"
            for p in played
            if p.status == "failed"
        ]
    return evolve(checks, controls=tuple(controls), failed=tuple(dict.fromkeys(failed)))


def _played(
    plan: Plan, scene: TableScene, canaries: Canaries, seed: int, log: Log
) -> list[TablePlayed]:
    if not len(canaries.inside) or not len(canaries.outside):
        return []
    scene = evolve(
        scene, stage=staged(scene.stage, canaries), blind=None, guess=False, seed=seed, log=log
    )
    played = []
    for attack in plan.attacks:
        if attack.offered.offer.game == "membership":
            log.info("canaries", attack=attack.label, adversary=scene.adversary.name)
            # An attack that was named is refused by the audit itself where it cannot be played.
            played.append(play(scene, evolve(attack, named=False)))
    return played


def staged(stage: TableStage, canaries: Canaries) -> TableStage:
    """Return the stage with the canaries in the place of its people."""
    inside, outside = canaries.inside, canaries.outside
    return evolve(
        stage,
        original=inside,
        control=outside,
        tenth_original=np.zeros(len(inside), np.bool_),
        tenth_control=np.zeros(len(outside), np.bool_),
        rounds=len(inside) + len(outside),  # which leaves nobody out
        trained_on=canaries.trained_on,
    )


def canary_control(
    plan: Plan, played: Sequence[TablePlayed], canaries: Canaries, adversary: str, seed: int
) -> Control:
    """Return whether an attack tells canaries inside from the others.

    By the AUC of the best attack, claims averaged by canary: a permutation of the coins, family-
    wise over attacks, decides; the interval is DeLong's and holds for all attacks at once.
    """
    skipped = partial(not_run, NAME, adversary=adversary)
    inside, outside = (len(np.unique(t.subjects)) for t in (canaries.inside, canaries.outside))
    if not inside or not outside:
        side = "put all of them into" if inside else "left all of them out of"
        return skipped(f"Coins {side} the training data; more are needed")
    samples = _samples(played)
    if not samples:
        return skipped("No attack of the membership game could be played on them")
    parts = [sample.parts[0] for sample in samples]
    bits, each = parts[0].exposed, np.ones(inside + outside, np.bool_)
    weights = np.concatenate([auc_weights(p.claim, each, bits[None]) for p in parts])
    family = np.zeros(len(parts), np.int64)
    spread, p = joint_test(weights, bits[None], np.arange(len(bits)), family, spawn(seed, "coins"))
    standing = np.divide(weights @ bits, spread, out=np.zeros(len(parts)), where=spread > 0)
    best = samples[int(np.argmax(standing))]
    alpha = 1.0 - plan.policy.confidence
    auc = _auc(best, len(parts), alpha)
    return Control(
        name=NAME,
        result="pass" if p[0] <= alpha else "warn",
        statement=_said(best, auc, float(p[0]), len(parts), alpha),
        estimate=auc,
        sensitivity=_sensitivity(float(spread.max()), alpha / len(parts)),
        adversary=adversary,
    )


def _samples(played: Sequence[TablePlayed]) -> tuple[Sample, ...]:
    """Return the claims of each attack that finished, one a canary, lined up."""
    rounds = [
        judge.Rounds(label=p.attack.label, adversary="", evidence=p.refereed.evidence)
        for p in played
        if p.refereed is not None
    ]
    return tabulate(rounds).samples if rounds else ()


def _auc(sample: Sample, tests: int, alpha: float) -> Estimate:
    found = area(sample, 1.0 - alpha / tests)
    method = f"AUC of {sample.label}; {found.method}"
    method += f", simultaneous over {tests} attacks" if tests > 1 else ""
    return evolve(found, confidence=1.0 - alpha, method=method)


def _said(best: Sample, auc: Estimate, p: float, tests: int, alpha: float) -> str:
    part = best.parts[0]
    inside, outside = part.tally.members, part.tally.nonmembers
    # Levels go from the surest claim down; abstentions, which come last, are above nobody.
    flagged = int(part.tally.exposed[np.cumsum(part.tally.control) == 0].sum())
    numbers = f"{auc.value:.2f}, {auc.low:.2f} to {auc.high:.2f}, p = {p:.3f}"
    numbers += f" over {tests} attacks" if tests > 1 else ""
    luck = inside / (outside + 1)
    where = (
        f"of {inside + outside} made-up people, whom coins put into the training data ({inside}) "
        f"or not ({outside})"
    )
    above = (
        f"At the threshold that none of the others reaches, {flagged} of the {inside} inside are "
        f"flagged; luck would make it {luck:.1f}."
    )
    if p <= alpha:
        return (
            f"{best.label} tells which {where} were in it (AUC {numbers}). {above} The generator "
            "remembers people who are like nobody else."
        )
    return (
        f"No attack tells which {where} were in it; best is {best.label} (AUC {numbers}). {above} "
        "Either the generator keeps nothing of people who are like nobody else, or this test does "
        "not show it."
    )


def _sensitivity(spread: float, alpha: float) -> str:
    least = 0.5 + float(norm.ppf(1.0 - alpha) + norm.ppf(POWER)) * spread
    if least > 1.0 or spread == 0.0:
        return "They are too few, or too much alike, for an attack to be told from luck."
    return f"An AUC of {least:.2f} would have been found in four cases out of five."
