"""Pseudo-targets: every shadow scored beside the shadows of the other pairs.

The adversary knows who is a member of its own shadows, so it can calibrate and learn on them
without a look at the audited bits.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.errors import NeedsBothSides
from leakpro_core.games.membership import MembershipChallenge
from leakpro_mia.shadows import (
    Model,
    Sides,
    all_sides,
    beside_others,
    blocks,
    need_sides,
    shadow_model,
    target_model,
    without_each_pair,
)

Features = Callable[[Sides, Model], Floats]
"""From the sides of some records, and a model on them, to features ``[n, f]``."""

Describe = Callable[[Sides], Features]
"""From the sides of the records that are learned from to a function that describes any."""

_VIEWS = 8
"""Sets of shadows beside which the target is described; more change little and cost time."""

RECORDS = 100_000
"""Records that are learned from; where there are more, so many are drawn at random."""


@frozen(kw_only=True, eq=False)
class Rehearsal:
    """What was seen on pseudo-targets, and how the target is seen in the same circumstances.

    features: ``[m, f]`` of pseudo-targets; members: bool ``[m]``;
    whole: describes beside all shadows; views: describes beside all but a pair, by its number.
    """

    features: Floats
    members: Bools
    whole: Features
    views: Mapping[int, Features]
    challenge: MembershipChallenge
    temperature: float

    def target(self) -> Iterator[tuple[slice, Floats]]:
        """Yield blocks of candidates and the target's features on them, ``[views, n, f]``.

        Each view is beside all shadows but one pair, as pseudo-targets are; a record that lacks a
        side then is described beside all shadows.
        """
        for block in blocks(self.challenge):
            rows = np.arange(block.start, block.stop)
            model = target_model(self.challenge, self.temperature, block)
            every = beside_others(self.challenge, self.temperature, block)
            views = [
                self._seen(self.views[number], sides, model, rows)
                for number, sides in zip(range(max(self.views) + 1), every, strict=False)
                if number in self.views
            ]
            yield block, np.stack(views)

    def _seen(self, features: Features, sides: Sides, model: Model, rows: Ints) -> Floats:
        complete = sides.complete()
        if len(complete) == len(rows):
            return features(sides, model)
        lacking = np.setdiff1d(np.arange(len(rows)), complete)
        every = all_sides(self.challenge, self.temperature, rows[lacking])
        beside = self.whole(every, model.at(lacking))
        view = np.empty((len(rows), beside.shape[1]))
        view[lacking] = beside
        if complete.size:
            view[complete] = features(sides.at(complete), model.at(complete))
        return view


def rehearse(
    challenge: MembershipChallenge,
    temperature: float,
    describe: Describe,
    *,
    most: int,
    seed: int,
    records: int = RECORDS,
) -> Rehearsal:
    """Return features of all pseudo-targets (of ``most`` rows, drawn by ``seed``) and the target.

    Of more than ``records`` candidates so many are drawn to learn from. Where a record lacks a
    side once a pair is left out, no pseudo-target is described on it, and the target is described
    beside all shadows. ``NeedsBothSides`` where that leaves nothing.
    """
    need_sides(challenge)
    rows = drawn(len(challenge.ids), records, seed)
    quota = max(1, most // len(challenge.pair))
    rng = np.random.default_rng(seed)
    features: list[Floats] = []
    members: list[Bools] = []
    views: dict[int, Features] = {}
    for number, (models, beside) in enumerate(without_each_pair(challenge, temperature, rows)):
        complete = beside.complete()
        if not complete.size:
            continue
        sides = beside.at(complete)
        described = describe(sides)
        for model in models:
            chosen = np.arange(len(complete))
            if len(complete) > quota:
                chosen = np.sort(rng.permutation(len(complete))[:quota])
            seen = rows[complete[chosen]]
            shadow = shadow_model(challenge, int(model), temperature, seen)
            features.append(described(sides.at(chosen), shadow))
            members.append(challenge.trained_on[model, seen])
        if len(views) < _VIEWS:
            views[number] = described
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
        whole=describe(all_sides(challenge, temperature, rows)),
        views=views,
        challenge=challenge,
        temperature=temperature,
    )


def drawn(records: int, most: int, seed: int) -> Ints:
    """Return the numbers of all records, or of ``most`` drawn at random, in order."""
    if records <= most:
        return np.arange(records)
    # A stream apart from the one that pseudo-targets' rows are drawn from.
    return np.sort(np.random.default_rng([seed, 1]).choice(records, most, replace=False))
