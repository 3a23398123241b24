"""The validity panel of a table audit: may the arms be compared, and do the attacks work here?"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.controls.blind import blind_test
from leakpro_core.controls.sample_size import sample_size_control
from leakpro_core.games.samples import TableStage
from leakpro_core.judge.numbers import listed
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.records import TableRelease
from leakpro_core.report import Control
from leakpro_core.seeds import generator, spawn
from leakpro_core.tabular.lengths import length_control
from leakpro_core.tabular.people import objects, told
from leakpro_core.tabular.play import TablePlayed, TableScene
from leakpro_core.tabular.table import stacked
from leakpro_core.tabular.trials import (
    halved,
    not_run,
    null_control,
    plant,
    planted_control,
    tried,
)
from leakpro_core.tabular.twins import twin_control

LOOKED_AT = 20_000
"""Rows of both arms that the blind adversary is fitted on, at most."""


@frozen(kw_only=True)
class Checks:
    """What the controls found.

    blind: the blind adversary's claims about original, then control rows, NaN where it did not
    look; all_broken: why no conclusion stands; broken: why a family's attacks support none, by
    adversary and family; unseen: why it cannot be concluded that a family finds nothing; failed:
    what failed in a control.
    """

    controls: tuple[Control, ...]
    blind: Floats | None = array(np.float64, optional=True)
    all_broken: str | None = None
    broken: Mapping[tuple[str, str], str]
    unseen: Mapping[tuple[str, str], str]
    failed: tuple[str, ...] = ()


def before(plan: Plan, release: TableRelease, seed: int, log: Log) -> Checks:
    """Run the controls that need no attack: sample size, twins, whether the arms differ."""
    both = stacked([release.original, release.control])
    members = np.arange(len(both)) < len(release.original)
    looked = np.sort(generator(seed, "looked at").permutation(len(both))[:LOOKED_AT])
    rows = objects(both.rows(looked))
    log.info("validity controls")
    controls = [
        sample_size_control(_people(both.subjects, members), plan.policy),
        twin_control(
            release.original, release.control, release.auxiliary, seed, plan.policy.confidence
        ),
    ]
    blind = None
    why = "" if plan.controls.blind else "The plan switched it off"
    if not why and not any(len(np.unique(v)) > 1 for v in told(both.rows(looked)).values):
        why = "All people are alike: there is nothing that arms could differ by"
    if not why:
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
        controls.append(not_run("blind adversary", why, ""))
    length = length_control(both.subjects, members, spawn(seed, "lengths"), plan.policy.confidence)
    controls += [] if length is None else [length]
    failed = [c.statement for c in controls if c.result == "fail"]
    return Checks(
        controls=tuple(controls),
        blind=blind,
        all_broken=failed[0] if failed else None,
        broken={},
        unseen={},
    )


def after(
    plan: Plan,
    checks: Checks,
    scenes: Sequence[TableScene],
    played: Sequence[TablePlayed],
    seed: int,
    log: Log,
) -> Checks:
    """Play every attack on a known null and on planted leaks, in the audit's own data.

    A family that finished in the audit and of which no attack could be judged in a control is said
    not to be controlled: a known null that nobody played breaks it, and a planted leak that nobody
    looked for leaves nothing to say about finding nothing.
    """
    controls = list(checks.controls)
    broken: dict[tuple[str, str], str] = {}
    unseen: dict[tuple[str, str], str] = {}
    failed: list[str] = []
    for scene in scenes:
        name = scene.adversary.name
        families = _families(p for p in played if p.adversary.name == name)
        null = tried(plan, scene, halved, spawn(seed, "null"), log)
        control, broken_here = null_control(null, families, plan, name)
        controls.append(control)
        broken |= broken_here
        failed += null.failed
        for share in sorted(plan.games.planted, reverse=True):

            def planted(stage: TableStage, seed: int, share: float = share) -> TableStage:
                return plant(stage, share, seed)

            found = tried(plan, scene, planted, spawn(seed, "planted", str(share)), log)
            control, unseen_here = planted_control(found, families, plan, name, share)
            controls.append(control)
            failed += found.failed
            # A leak of a fifth is what every family must see; smaller ones are told.
            if share == max(plan.games.planted):
                unseen |= unseen_here
        alone = [
            p.attack.label
            for p in played
            if p.adversary.name == name
            and p.status == "finished"
            and p.attack.offered.offer.shadows
        ]
        if alone:
            why = f"No control is played with shadow generators, which {listed(alone)} needs"
            controls.append(not_run("shadow generators", why, name))
        if not plan.games.planted:
            controls.append(not_run("planted leaks", "The plan switched them off", name))
            why = "no planted leak was looked for: the plan switched them off"
            unseen |= {(name, family): why for family in families}
    return evolve(
        checks,
        controls=tuple(controls),
        broken=broken,
        unseen=unseen,
        failed=tuple(dict.fromkeys(failed)),
    )


def _families(played: Iterable[TablePlayed]) -> tuple[str, ...]:
    """Return the families of attacks that finished and that controls can be played with."""
    games = [
        p.attack.offered.offer.game
        for p in played
        if p.status == "finished" and not p.attack.offered.offer.shadows
    ]
    return tuple(dict.fromkeys(games))


def _people(subjects: Ints, members: Bools) -> Bools:
    who = np.unique(subjects, return_inverse=True)[1]
    exposed: Bools = np.bincount(who, weights=members) > 0
    return exposed
