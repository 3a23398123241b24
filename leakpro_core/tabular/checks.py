"""The validity panel of a table audit: may the arms be compared, and do the attacks work here?"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.controls.blind import blind_test
from leakpro_core.controls.duplicates import duplicate_control
from leakpro_core.controls.sample_size import sample_size_control
from leakpro_core.games.samples import TableStage
from leakpro_core.judge.numbers import listed, percent
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.records import TableRelease
from leakpro_core.report import Control
from leakpro_core.seeds import generator, spawn
from leakpro_core.tabular.people import objects
from leakpro_core.tabular.play import TablePlayed, TableScene, play
from leakpro_core.tabular.secrets import few
from leakpro_core.tabular.table import stacked
from leakpro_core.tabular.weigh import Weighed, weigh

LOOKED_AT = 20_000
"""Rows of both arms that the blind adversary is fitted on, at most."""

TRIED = 1000
"""People of each arm that are attacked in a control, at most."""

FAILS = 0.01
"""A known null that an attack calls a leak at this p-value breaks it; up to alpha it warns."""


@frozen(kw_only=True)
class Checks:
    """What the controls found.

    blind: the blind adversary's claims about original, then control rows, NaN where it did not
    look; all_broken: why no conclusion stands; broken: why a family's attacks support none, by
    adversary and family; unseen: why it cannot be concluded that a family finds nothing.
    """

    controls: tuple[Control, ...]
    blind: Floats | None = array(np.float64, optional=True)
    all_broken: str | None = None
    broken: Mapping[tuple[str, str], str]
    unseen: Mapping[tuple[str, str], str]


def before(plan: Plan, release: TableRelease, seed: int, log: Log) -> Checks:
    """Run the controls that need no attack: sample size, twins, whether the arms differ."""
    both = stacked([release.original, release.control])
    members = np.arange(len(both)) < len(release.original)
    looked = np.sort(generator(seed, "looked at").permutation(len(both))[:LOOKED_AT])
    rows = objects(both.rows(looked))
    log.info("validity controls")
    controls = [
        sample_size_control(_people(both.subjects, members), plan.policy),
        duplicate_control(
            rows.astype(np.str_),
            members[looked],
            both.subjects[looked],
            modality="tabular",
            seed=seed,
        ),
    ]
    blind = None
    if plan.controls.blind:
        found = blind_test(
            rows,
            np.zeros(len(looked), np.int64),
            1,
            members[looked],
            both.subjects[looked],
            policy=plan.policy,
            modality="tabular",
            seed=spawn(seed, "blind"),
        )
        blind = np.full(len(both), np.nan)
        blind[looked] = found.claims.reshape(-1)
        controls.append(found.control)
    else:
        controls.append(
            Control(name="blind adversary", result="not run", statement="The plan switched it off.")
        )
    failed = [c.statement for c in controls if c.result == "fail"]
    return Checks(
        controls=tuple(controls),
        blind=blind,
        all_broken=failed[0] if failed else None,
        broken={},
        unseen={},
    )


def after(plan: Plan, checks: Checks, scenes: Sequence[TableScene], seed: int, log: Log) -> Checks:
    """Play every attack on a known null and on planted leaks, in the audit's own data."""
    controls = list(checks.controls)
    broken: dict[tuple[str, str], str] = {}
    unseen: dict[tuple[str, str], str] = {}
    for scene in scenes:
        null = _tried(plan, scene, _null, spawn(seed, "null"), log)
        control, broken_here = _null_control(null, plan, scene.adversary.name)
        controls.append(control)
        broken |= broken_here
        for share in sorted(plan.games.planted, reverse=True):

            def planted(stage: TableStage, seed: int, share: float = share) -> TableStage:
                return plant(stage, share, seed)

            found = _tried(plan, scene, planted, spawn(seed, "planted", str(share)), log)
            control, unseen_here = _planted_control(found, plan, scene.adversary.name, share)
            controls.append(control)
            # A leak of a fifth is what every family must see; smaller ones are told.
            if share == max(plan.games.planted):
                unseen |= unseen_here
    return evolve(checks, controls=tuple(controls), broken=broken, unseen=unseen)


def plant(stage: TableStage, share: float, seed: int) -> TableStage:
    """Return the stage with a share of the released rows replaced by original rows, verbatim."""
    rng = np.random.default_rng(seed)
    count = round(share * len(stage.released))
    where = rng.permutation(len(stage.released))[:count]
    whose = rng.permutation(len(stage.original))
    source = stage.original.rows(np.resize(whose, count))
    values = []
    for mine, theirs in zip(stage.released.values, source.values, strict=True):
        mixed = mine.copy()
        mixed[where] = theirs
        values.append(mixed)
    return evolve(stage, released=evolve(stage.released, values=tuple(values)), shadows=())


def _null(stage: TableStage, seed: int) -> TableStage:
    """Return the stage with one half of the control's people in the place of the original."""
    people = np.unique(stage.control.subjects)
    drawn = np.random.default_rng(seed).permutation(people)[: len(people) // 2]
    first = np.isin(stage.control.subjects, drawn)
    return evolve(
        stage,
        original=stage.control.rows(first),
        control=stage.control.rows(~first),
        tenth_original=stage.tenth_control[first],
        tenth_control=stage.tenth_control[~first],
        shadows=(),
    )


def _tried(
    plan: Plan,
    scene: TableScene,
    change: Callable[[TableStage, int], TableStage],
    seed: int,
    log: Log,
) -> tuple[Weighed, ...]:
    stage = change(scene.stage, seed)
    tried = evolve(
        scene,
        stage=evolve(stage, rounds=min(TRIED, stage.rounds), trained_on=None, pair=None),
        games=few(plan.games, scene.stage.original),
        blind=None,
        guess=False,
        seed=seed,
        # Whatever fails here has failed, or will fail, in the audit itself.
        log=log,
    )
    played: list[TablePlayed] = []
    for attack in plan.attacks:
        log.info("control", attack=attack.label, adversary=scene.adversary.name)
        # An attack that was named is refused by the audit itself where it cannot be played.
        played.append(play(tried, evolve(attack, named=False)))
    return weigh(played, plan.policy, spawn(seed, "judge"))


def _null_control(
    found: Sequence[Weighed], plan: Plan, adversary: str
) -> tuple[Control, dict[tuple[str, str], str]]:
    name, alpha = "known null", 1.0 - plan.policy.confidence
    if not found:
        return _not_run(name, "No attack could be played on it", adversary), {}
    worst = min(found, key=lambda w: w.p_value)
    caught = [w for w in found if w.p_value <= FAILS]
    broken = {
        (adversary, w.family): f"{w.label} finds a leak between two halves of the control people, "
        "where there is none"
        for w in caught
    }
    result = "fail" if caught else "warn" if worst.p_value <= alpha else "pass"
    names = list(dict.fromkeys(w.label for w in caught))
    said = {
        "pass": "No attack finds a leak between two halves of the control people",
        "warn": f"{worst.label} finds what might be a leak between two halves of the control "
        "people, which luck brings about in one audit of twenty",
        "fail": f"{listed(names)} finds a leak between two halves of the control people, where "
        "there is none",
    }[result]
    chance = f"smallest p = {worst.p_value:.3f} over {len(found)} attacks"
    return Control(
        name=name, result=result, statement=f"{said} ({chance}).", adversary=adversary
    ), broken


def _planted_control(
    found: Sequence[Weighed], plan: Plan, adversary: str, share: float
) -> tuple[Control, dict[tuple[str, str], str]]:
    name, alpha = f"planted {percent(share)}", 1.0 - plan.policy.confidence
    if not found:
        return _not_run(name, "No attack could be played on it", adversary), {}
    families = list(dict.fromkeys(w.family for w in found))
    seen = {w.family for w in found if w.p_value <= alpha}
    blind = [family for family in families if family not in seen]
    by = list(dict.fromkeys(w.label for w in found if w.p_value <= alpha))
    what = f"{percent(share)} of the released rows were replaced by original rows"
    caught = f"found by {listed(by)}" if by else "no attack found it"
    missed = f"; nothing was seen by {_told(blind)}" if blind and by else ""
    unseen = {(adversary, family): f"its attacks do not see it when {what}" for family in blind}
    return Control(
        name=name,
        result="pass" if not blind else "warn" if by else "fail",
        statement=f"{what[0].upper()}{what[1:]}: {caught}{missed}.",
        sensitivity=f"A leak of {percent(share)} is within reach of {_told(sorted(seen))}."
        if seen
        else "",
        adversary=adversary,
    ), unseen


def _told(families: Sequence[str]) -> str:
    """Return families in words; the name of one has a comma of its own."""
    return listed([family.replace(", ", " of the ") for family in families])


def _people(subjects: Ints, members: Bools) -> Bools:
    who = np.unique(subjects, return_inverse=True)[1]
    exposed: Bools = np.bincount(who, weights=members) > 0
    return exposed


def _not_run(name: str, why: str, adversary: str) -> Control:
    return Control(name=name, result="not run", statement=f"{why}.", adversary=adversary)
