"""Detection in success games: do claims come true more often about people in the data?

Family-wise over all attacks, adversaries and points. Claims about people: arms of people are
permuted; claims tried on both arms: arms of a cluster of claims are exchanged.
"""

from collections.abc import Sequence

import numpy as np

from leakpro_core.arrays import Floats, Ints, Singles
from leakpro_core.judge.success_rounds import SuccessSample
from leakpro_core.judge.success_units import Units
from leakpro_core.seeds import spawn
from leakpro_core.statistics.multiplicity import Exchange, max_statistic_p
from leakpro_core.statistics.paired import sign_flip_p


def success_p(samples: Sequence[SuccessSample], seed: int) -> Floats:
    """Return a p-value per sample, adjusted for all samples and all their points; at most 1.

    Where there are games of both kinds, each kind has half of the error, so that a p-value is
    twice that of its kind. A point without a control arm has none, nor has one without a hit.
    """
    paired = [i for i, s in enumerate(samples) if s.paired and s.points]
    others = [i for i, s in enumerate(samples) if not s.paired and _compared(s)]
    chance = np.ones(len(samples))
    if paired:
        blocks = [_differences(samples[i]) for i in paired]
        chance[paired] = sign_flip_p(blocks, spawn(seed, "flips"))
    if others:
        chance[others] = _people_p([_compared(samples[i]) for i in others], spawn(seed, "arms"))
    both = bool(paired) and bool(others)
    return np.minimum(1.0, 2.0 * chance) if both else chance


def _compared(sample: SuccessSample) -> list[Units]:
    return [p for p in sample.points if p.luck is None]


def _differences(sample: SuccessSample) -> Floats:
    """Return exposed minus control: float64 ``[units of all claims, points]``."""
    units = max((int(p.exposed_unit.max()) + 1 for p in sample.points), default=0)
    return np.stack(
        [
            np.bincount(p.exposed_unit, p.tested_exposed - p.tested_control, units)
            for p in sample.points
        ],
        axis=1,
    )


def _people_p(families: Sequence[Sequence[Units]], seed: int) -> Floats:
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
    return max_statistic_p(weights, [exchange], numbers, seed)


def _keys(subject: Ints, arm: int) -> Ints:
    """Return one number for a person in an arm; odd where exposed."""
    return 2 * subject + arm
