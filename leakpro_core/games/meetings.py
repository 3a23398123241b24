"""Whom claims meet among equally many people of each arm, so that people can be exchanged."""

from collections.abc import Iterable

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.outcome import Matched

MANY = 400
"""A claim that meets more of the people drawn from both arms is not listed: it comes true about
nobody of either, whichever way arms are exchanged (a chance of one against all others is not)."""

DRAW = 20
"""Seed of which people of the larger arm are drawn: the same for all attacks on a stage."""


@frozen(kw_only=True)
class Meetings:
    """Whom claims meet in an arm. lists: people that were drawn, from 0, of each claim; share:
    float64 ``[claims]``, of all whom a claim meets the share that is of the most vulnerable tenth
    (given that it isolates one of them: the chance that this one is); tenth: bool ``[drawn]``.
    """

    lists: tuple[Ints, ...]
    share: Floats = array(np.float64)
    tenth: Bools = array(np.bool_)


def meetings(
    met: Iterable[Ints], person: Ints, tenth: Bools, least: int, group: Ints | None = None
) -> Meetings:
    """Return whom claims meet among ``least`` people of an arm, everybody where it has no more.

    met: for each claim the people of the arm that it meets, each once, from 0; person: int64
    ``[rows]`` of the arm, whose each is; tenth: bool ``[rows]``; group: int64 ``[people]``, who
    are drawn together, None where everybody is drawn alone.
    """
    people = int(person.max(initial=-1)) + 1
    vulnerable = np.zeros(people, np.bool_)
    vulnerable[person[tenth]] = True
    drawn = np.arange(people)
    if people > least:
        order = np.random.default_rng(DRAW).permutation(people)
        if group is not None:
            order = np.argsort(order[group], kind="stable")
        drawn = np.sort(order[:least])
    number = np.full(people, -1)
    number[drawn] = np.arange(len(drawn))
    lists, share = [], []
    for who in met:
        share.append(float(vulnerable[who].mean()) if len(who) else 0.0)
        there = number[who]
        lists.append(there[there >= 0])
    return Meetings(lists=tuple(lists), share=np.array(share), tenth=vulnerable[drawn])


def joined(exposed: Meetings, control: Meetings, rule: str) -> Matched:
    """Return the meetings of the same claims in both arms as one; the exposed are numbered first.

    ``exposed`` and ``control`` are of as many people.
    """
    least = len(exposed.tenth)
    both = [
        np.concatenate([one, least + other])
        for one, other in zip(exposed.lists, control.lists, strict=True)
    ]
    both = [who[: 0 if len(who) > MANY else None] for who in both]
    return Matched(
        start=np.cumsum([0, *map(len, both)]),
        person=np.concatenate([np.zeros(0, np.int64), *both]),
        exposed=np.arange(2 * least) < least,
        tenth=np.concatenate([exposed.tenth, control.tenth]),
        rule=rule,
    )
