"""Pseudo-targets: every shadow scored beside the shadows of the other pairs.

The adversary knows who is a member of its own shadows, so it can calibrate and learn on them
without a look at the audited bits.
"""

from collections.abc import Callable

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Floats
from leakpro_core.errors import NeedsBothSides
from leakpro_core.games.membership import MembershipChallenge
from leakpro_mia.shadows import (
    Model,
    Sides,
    all_sides,
    need_sides,
    target_model,
    without_each_pair,
)

Describe = Callable[[Sides], Callable[[Model], Floats]]
"""From the sides to a function that describes a model by features ``[n, f]``."""

_VIEWS = 8
"""Sets of shadows beside which the target is described; more change little and cost memory."""


@frozen(kw_only=True, eq=False)
class Rehearsal:
    """What was seen on pseudo-targets, and the target in the same circumstances.

    features: ``[m, f]`` of pseudo-targets; members: bool ``[m]``;
    target: ``[views, n, f]``, each view beside all shadows but one pair, as pseudo-targets are.
    """

    features: Floats
    members: Bools
    target: Floats


def rehearse(
    challenge: MembershipChallenge,
    temperature: float,
    describe: Describe,
    *,
    most: int,
    seed: int,
) -> Rehearsal:
    """Return features of all pseudo-targets (of ``most`` rows, drawn by ``seed``) and the target.

    Where a record lacks a side once a pair is left out, no pseudo-target is described on it, and
    the target is described beside all shadows. ``NeedsBothSides`` where that leaves nothing.
    """
    need_sides(challenge)
    target = target_model(challenge, temperature)
    whole = describe(all_sides(challenge, temperature))(target)
    quota = max(1, most // len(challenge.pair))
    rng = np.random.default_rng(seed)
    features: list[Floats] = []
    members: list[Bools] = []
    views: list[Floats] = []
    for models, sides in without_each_pair(challenge, temperature):
        rows = sides.complete()
        if not rows.size:
            continue
        described = describe(sides.at(rows))
        for number, model in models.items():
            chosen = np.arange(len(rows))
            if len(rows) > quota:
                chosen = np.sort(rng.permutation(len(rows))[:quota])
            features.append(described(model.at(rows))[chosen])
            members.append(challenge.trained_on[number, rows[chosen]])
        if len(views) < _VIEWS:
            view = whole.copy()
            view[rows] = described(target.at(rows))
            views.append(view)
    if not features:
        raise NeedsBothSides(
            "shadow models left once a pair is left out",
            found="no record with one trained on it and one not",
            expected="two complementary pairs at least",
            fix="Add shadow models.",
        )
    return Rehearsal(
        features=np.concatenate(features),
        members=np.concatenate(members),
        target=np.stack(views),
    )
