"""Membership challenges made up from a known truth, by the same code as in an audit."""

from collections.abc import Iterable

import numpy as np

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.games.membership import (
    AuxiliaryView,
    MembershipChallenge,
    Secret,
    Stage,
    challenge,
)
from leakpro_core.records import Population, Signals
from leakpro_core.signals import derive, stack


def simulated_challenge(
    seed: int,
    *,
    records: int = 200,
    pairs: int = 4,
    classes: int = 3,
    queries: int = 1,
    leak: float = 2.0,
    spread: float = 1.0,
    temperatures: Iterable[float] = (1.0,),
    raw_outputs: bool = False,
) -> tuple[MembershipChallenge, Secret]:
    """Return a challenge and its secret, with records, auxiliary records and shadows in pairs.

    Each record is easy or hard for every model alike (standard deviation ``2 * spread``, in logits
    of the true class); each model has noise of its own (``spread``); training on a record adds
    ``leak``. Half of the records are members; each is in one shadow of every pair.
    """
    rng = np.random.default_rng(seed)
    models = 2 * pairs
    members, halves = _half(rng, 1, records)[0], _half(rng, pairs, records)
    trained_on = np.stack([halves, ~halves], axis=1).reshape(models, records)
    labels = rng.integers(classes, size=records)
    features = rng.normal(size=(records, 4)) + labels[:, None]
    wanted = tuple(temperatures)

    def signals(seen: Bools, labels: Ints, ease: Floats) -> list[Signals]:  # one for each model
        shape = (*seen.shape, queries, classes)
        outputs = rng.normal(scale=spread, size=shape)
        rows = np.arange(len(labels))
        outputs[:, rows, :, labels] += (ease[:, None] + leak * seen.T)[:, :, None]
        return [derive(one.astype(np.float32), labels, wanted, keep=raw_outputs) for one in outputs]

    ease = rng.normal(scale=2 * spread, size=records)
    whole = signals(np.vstack([members, trained_on]), labels, ease)
    outside = records // 2
    others = rng.integers(classes, size=outside)
    unseen = np.zeros((models + 1, outside), np.bool_)
    beside = signals(unseen, others, rng.normal(scale=2 * spread, size=outside))
    auxiliary = AuxiliaryView(
        labels=others,
        records=rng.normal(size=(outside, 4)) + others[:, None],
        target=beside[0],
        shadows=stack(beside[1:]),
    )
    population = Population(
        records=features, labels=labels, subjects=np.arange(records), classes=classes
    )
    stage = Stage(
        population=population,
        members=members,
        target=whole[0],
        shadows=stack(whole[1:]),
        trained_on=trained_on,
        pair=np.repeat(np.arange(pairs), 2),
        auxiliary=auxiliary,
    )
    return challenge(stage, np.arange(records), seed, records=True)


def _half(rng: np.random.Generator, rows: int, records: int) -> Bools:
    """Return bool ``[rows, records]`` with half of each row True."""
    half = np.arange(records) < records // 2
    return rng.permuted(np.tile(half, (rows, 1)), axis=1)
