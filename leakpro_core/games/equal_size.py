"""Hits at equal n: what a claim would achieve on as many people of the larger arm as the smaller.

A table of more people holds more that a claim can meet by chance. Rather than to correct rates
with a fitted curve, each claim is judged by its expected success on a random sample of n' people,
n' being the size of the smaller arm: closed forms of the hypergeometric distribution.
"""

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


def reaching(matched: Ints, people: int, drawn: int) -> Floats:
    """Return the chance that at least one of the ``matched`` people is among ``drawn``.

    As ``isolating``.
    """
    steps = np.arange(int(matched.max(initial=0)))
    absent = np.cumprod(np.maximum(people - drawn - steps, 0) / (people - steps))
    return np.concatenate([[0.0], 1.0 - absent])[matched]
