"""Detection in success games: do claims come true more often about people in the data?

Family-wise over all attacks, adversaries and points. Arms of people are permuted, whether claims
are about people or are tried on both arms: what claims come true is then looked up anew.
"""

import math
from collections.abc import Sequence

import numpy as np

from leakpro_core.arrays import Floats, Ints, Singles
from leakpro_core.judge.success_rounds import SuccessSample
from leakpro_core.judge.success_units import VULNERABLE, Met, Units
from leakpro_core.seeds import spawn
from leakpro_core.statistics.multiplicity import PERMUTATIONS, Exchange, max_statistic_p
from leakpro_core.statistics.paired import Meetings, arms_p

_FINE = 10
"""An audit's smallest p-value is at most alpha over so much, up to ``_MOST`` permutations."""

_MOST = 20_000


def success_p(
    samples: Sequence[SuccessSample], seed: int, *, alpha: float = 0.05, share: float = 1.0
) -> Floats:
    """Return a p-value per sample, adjusted for all samples and all their points; at most 1.

    Samples that share no permutation (claims about people; claims tried on both arms of the same
    people) are families of their own: each has its part of the error, so that a p-value is that of
    its family times their number. A point without a control arm has none, nor has one without a
    hit. alpha, share: what the p-values are to resolve, and the share of alpha that is these
    samples' in all; there are as many permutations as that takes.
    """
    groups = _same_people(samples)
    others = [i for i, s in enumerate(samples) if not s.paired and _compared(s)]
    families = len(groups) + bool(others)
    times = permutations(alpha, share / max(1, families))
    chance = np.ones(len(samples))
    for number, group in enumerate(groups):
        met = _known(samples[group[0]])
        blocks = [_meetings(samples[i]) for i in group]
        chance[group] = arms_p(blocks, met.exposed, spawn(seed, "flips", number), times)
    if others:
        points = [_compared(samples[i]) for i in others]
        chance[others] = _people_p(points, spawn(seed, "arms"), times)
    return np.minimum(1.0, max(1, families) * chance)


def permutations(alpha: float, share: float) -> int:
    """Return how many resolve a p-value of ``alpha * share`` well, from 999 to 20,000."""
    return min(_MOST, max(PERMUTATIONS, math.ceil(_FINE / (alpha * share))))


def _same_people(samples: Sequence[SuccessSample]) -> list[list[int]]:
    """Return which samples are tried on the same people, numbered alike."""
    groups: list[list[int]] = []
    for i, sample in enumerate(samples):
        if not (sample.paired and sample.points):
            continue
        met = _known(sample)
        for group in groups:
            other = _known(samples[group[0]])
            if np.array_equal(met.exposed, other.exposed) and np.array_equal(
                met.tenth, other.tenth
            ):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _known(sample: SuccessSample) -> Met:
    assert sample.met is not None
    return sample.met


def _meetings(sample: SuccessSample) -> Meetings:
    met = _known(sample)
    rows = [np.zeros(0) if p.weights is None else p.weights for p in sample.points]
    return Meetings(
        meets=met.meets,
        tenth=met.tenth,
        one=met.one,
        weights=np.stack(rows).astype(np.float32),
        vulnerable=np.array([p.coverage == VULNERABLE for p in sample.points]),
    )


def _compared(sample: SuccessSample) -> list[Units]:
    return [p for p in sample.points if p.luck is None]


def _people_p(families: Sequence[Sequence[Units]], seed: int, times: int) -> Floats:
    """Return the p-value of each family's largest sum over exposed people of centred values.

    A person who is not at a point weighs nothing there, in whichever arm.
    """
    keys = [(_keys(p.exposed_unit, 1), _keys(p.control_unit, 0)) for f in families for p in f]
    people = np.unique(np.concatenate([k for both in keys for k in both]))
    weights: Singles = np.zeros((len(keys), len(people)), np.float32)
    for row, both, point in zip(weights, keys, (p for f in families for p in f), strict=True):
        values = np.concatenate([point.tested_exposed, point.tested_control])
        row[np.searchsorted(people, np.concatenate(both))] = values - values.mean()
    arms = (people % 2).astype(np.float32)[:, None]
    exchange = Exchange(rows=np.arange(len(people))[:, None], arms=arms)
    numbers = np.repeat(np.arange(len(families)), [len(f) for f in families])
    return max_statistic_p(weights, [exchange], numbers, seed, times)


def _keys(subject: Ints | None, arm: int) -> Ints:
    """Return one number for a person in an arm; odd where exposed."""
    assert subject is not None
    return 2 * subject + arm
