"""Hits at equal n: what a claim would achieve on as many people of the larger arm as the smaller.

A table of more people holds more that a claim can meet by chance. Rather than to correct rates
with a fitted curve, each claim is judged by its expected success on a random sample of n' people,
n' being the size of the smaller arm: closed forms of the hypergeometric distribution.
"""

from collections.abc import Iterable

import numpy as np

from leakpro_core.arrays import Floats, Ints


def isolating(matched: Ints, people: int, drawn: int) -> Floats:
    """Return the chance that exactly one of the ``matched`` people is among ``drawn`` at random.

    matched: int64 ``[n]``, of ``people``; 1 <= drawn <= people. Exactly 1 and 0 where all are.
    """
    most = int(matched.max(initial=0))
    steps = np.arange(max(0, most - 1))
    others_absent = np.cumprod(
        np.concatenate([[1.0], np.maximum(people - drawn - steps, 0) / (people - 1 - steps)])
    )
    counts = np.arange(1, most + 1)
    chance = np.concatenate([[0.0], counts * (drawn / people) * others_absent[:most]])
    return chance[matched]


def isolating_together(matched: Iterable[Ints], group: Ints, drawn: int) -> Floats:
    """Return the same where people are drawn in groups, as many in all as ``drawn`` people would.

    matched: whom each of n claims matches, from 0; group: int64 ``[people]``, from 0. A claim
    isolates where of one group alone, and there of one person alone, somebody is drawn.
    """
    several, alone = [], []
    for who in matched:
        count = np.unique(group[who], return_counts=True)[1]
        several.append(len(count))
        alone.append(np.count_nonzero(count == 1) / max(1, len(count)))
    groups = int(group.max()) + 1
    most = max(1, round(groups * drawn / len(group)))
    return np.array(alone) * isolating(np.array(several, np.int64), groups, most)


def reaching(matched: Ints, people: int, drawn: int) -> Floats:
    """Return the chance that at least one of the ``matched`` people is among ``drawn``.

    As ``isolating``.
    """
    steps = np.arange(int(matched.max(initial=0)))
    absent = np.cumprod(np.maximum(people - drawn - steps, 0) / (people - steps))
    return np.concatenate([[0.0], 1.0 - absent])[matched]


def repeating(original: Ints, control: Ints, people: int, others: int) -> Floats:
    """Return hits, float64 ``[2, n]``, that times ``people / n'`` tell of the whole original.

    original, control: int64 ``[n]``, whom a claim repeats among all ``people`` of the original and
    ``others`` of the control. In the original it is known who is repeated: 1, or 0. Of a smaller
    control it is not known whom it would repeat, were it as large. So both arms are compared at
    n' people, and their difference is divided by the chance that a claim which repeats as many
    people as both arms together would reach one of n' (not by n' / people: a copy of one of two
    twins would count twice). That weight tells nothing of the arm, so that the difference is 0 on
    average where there is no leak and people can be exchanged. What is added to bring the
    original's hit to 1 is added to the control's.
    """
    least = min(people, others)
    one, other = reaching(original, people, least), reaching(control, others, least)
    weight = weight_of(original + control, people, others)
    known = (original > 0) * (least / people)
    chance = np.where(control > 0, other * weight + known - one * weight, 0.0)
    hits: Floats = np.clip(np.stack([known, chance]), 0.0, 1.0)
    return hits


def weight_of(both: Ints, people: int, others: int) -> Floats:
    """Return what a hit at n' people counts, ``(0, 1]``; both: people of both arms, ``[n]``."""
    least = min(people, others)
    chance = reaching(np.clip(both, 1, people), people, least)
    return np.minimum(1.0, least / people / chance)
