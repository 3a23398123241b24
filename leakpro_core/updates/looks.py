"""How reconstructions look beside the records that they are matched with: description, no verdict.

The Hungarian method matches them, which looks at the truth, so that nothing may follow from it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve, frozen
from scipy.special import stdtrit

from leakpro_core.arrays import AnyArray, Floats
from leakpro_core.games import gradient_inversion
from leakpro_core.games.gradient_inversion import Batch, InversionAnswer
from leakpro_core.protocols import Describing
from leakpro_core.records import Estimate
from leakpro_core.report import Fidelity
from leakpro_core.statistics.paired import score_interval
from leakpro_core.updates.exhibits import Pair
from leakpro_core.updates.play import UpdatePlayed, UpdateScene
from leakpro_core.updates.stage import Item, UpdateStage

Range = tuple[float, float]

ANY: Range = (-np.inf, np.inf)
NOT_BELOW_0: Range = (0.0, np.inf)
SHARE: Range = (0.0, 1.0)

_RANGES: Mapping[str, Range] = {"PSNR (dB)": NOT_BELOW_0, "RMSE": NOT_BELOW_0, "SSIM": (-1.0, 1.0)}
"""Measures whose range is known by their name."""

SHOWN = 20
"""Exhibits of an attack, at most."""


@frozen(kw_only=True)
class Looks:
    """What is told and shown of an attack's reconstructions."""

    fidelity: tuple[Fidelity, ...] = ()
    pairs: tuple[Pair, ...] = ()


def looks(scene: UpdateScene, played: UpdatePlayed, confidence: float) -> Looks:
    """Return measures, means over batches, and exhibits, of each batch those that are nearest.

    Nothing where the target describes no records or the attack made none.
    """
    stage = scene.stage
    if not isinstance(stage.client, Describing):
        return Looks()
    mine: list[Mapping[str, Floats]] = []
    theirs: list[Mapping[str, Floats]] = []
    pairs: list[Pair] = []
    each = -(-SHOWN // max(1, len(stage.items)))
    for item, blind in zip(stage.judged, scene.guesses, strict=True):
        answer, batch = played.answers[item.number], item.batch
        if answer is None or answer.records is None or batch is None:
            continue
        at, other = _matched(stage, answer, batch), _matched(stage, blind, batch)
        mine.append(_measured(stage.client, batch, answer, at))
        theirs.append(_measured(stage.client, batch, blind, other))
        best = _nearest(stage, batch, answer, at)[: min(each, SHOWN - len(pairs))]
        for record in best:
            pair = _pair(stage.client, batch, int(record), (answer, at), (blind, other))
            told = {n: float(v[record]) for n, v in mine[-1].items() if np.isfinite(v[record])}
            pairs.append(evolve(pair, measures=told))
    for item in stage.items:
        if item.batch is None:
            few = min(each, SHOWN - len(pairs))
            pairs += _alone(stage.client, item, played.answers[item.number], few)
    names = list(dict.fromkeys(name for one in mine for name in one))
    found = []
    for name in names:
        attack, blind_one = (
            mean_over_batches([e[name] for e in each if name in e], confidence, range_of(name))
            for each in (mine, theirs)
        )
        if attack is not None:
            found.append(Fidelity(name=name, attack=attack, blind=blind_one))
    return Looks(fidelity=tuple(found), pairs=tuple(pairs))


def range_of(name: str) -> Range:
    """Return the values that a measure can have, by its name and unit."""
    return SHARE if name.endswith("(share)") else _RANGES.get(name, ANY)


def mean_over_batches(
    values: Sequence[Floats], confidence: float, within: Range = ANY
) -> Estimate | None:
    """Return the mean over batches of each batch's mean, with its interval; None of nothing.

    within: the least and the largest value that there can be. Where both are finite, Wilson's
    interval with batches as the trials: values of a bounded range spread at most as coins of the
    same mean do, and it neither leaves the range nor has no width where all batches are alike.
    Else the t interval; a limit beyond what the mean can be is that, which costs no coverage.
    One batch has no interval: both ends are its value, and the method says so.
    """
    means = [float(v[np.isfinite(v)].mean()) for v in values if np.isfinite(v).any()]
    if not means:
        return None
    n, value = len(means), float(np.mean(means))
    low, high, method = value, value, "one batch, no interval"
    least, most = within
    if n > 1 and np.isfinite(within).all():
        found = score_interval(min(1.0, (value - least) / (most - least)), n, confidence)
        low, high = (least + (most - least) * end for end in (found.low, found.high))
        method = "mean over batches, score interval of a bounded value"
    elif n > 1:
        quantile = float(stdtrit(n - 1, 0.5 + confidence / 2.0))
        half = quantile * float(np.std(means, ddof=1)) / n**0.5
        low, high = max(least, value - half), min(most, value + half)
        method = "mean over batches, t interval"
    return Estimate(
        value=value,
        low=min(value, low),
        high=max(value, high),
        confidence=confidence,
        n=n,
        method=method,
    )


def _matched(stage: UpdateStage, answer: InversionAnswer | None, batch: Batch) -> AnyArray:
    if answer is None:
        return np.full(batch.size, -1)
    return gradient_inversion.matching(
        answer, batch, modality=stage.modality, groups=stage.release.groups
    )


def _measured(
    client: Describing, batch: Batch, answer: InversionAnswer | None, at: AnyArray
) -> Mapping[str, Floats]:
    """Return the measures of the records that have a reconstruction, ``[b]``, NaN elsewhere."""
    there = np.flatnonzero(at >= 0)
    if answer is None or answer.records is None or not there.size:
        return {}
    found = client.fidelity(batch.records[there], answer.records[at[there]])
    whole = {}
    for name, values in found.items():
        whole[name] = np.full(batch.size, np.nan)
        whole[name][there] = values
    return whole


def _nearest(stage: UpdateStage, batch: Batch, answer: InversionAnswer, at: AnyArray) -> AnyArray:
    """Return the records that have a reconstruction, those whose is nearest first."""
    there = np.flatnonzero(at >= 0)
    if answer.records is None or not there.size:
        return there
    apart = gradient_inversion.distance(
        answer.records[at[there]],
        batch.records[there],
        modality=stage.modality,
        scale=batch.scale,
        groups=stage.release.groups,
    )
    return there[np.argsort(np.diagonal(apart), kind="stable")]


def _pair(
    client: Describing,
    batch: Batch,
    record: int,
    mine: tuple[InversionAnswer, AnyArray],
    theirs: tuple[InversionAnswer | None, AnyArray],
) -> Pair:
    (answer, at), (blind, other) = mine, theirs
    assert answer.records is not None
    guess = None
    if blind is not None and blind.records is not None and other[record] >= 0:
        guess = client.shown(blind.records[other[record]])
    return Pair(
        batch=batch.subject,
        record=record,
        original=client.shown(batch.records[record]),
        reconstruction=client.shown(answer.records[at[record]]),
        blind=guess,
        certified=bool(answer.certified[at[record]]),
    )


def _alone(client: Describing, item: Item, answer: InversionAnswer | None, few: int) -> list[Pair]:
    """Return reconstructions of a batch that was not given, certified ones first."""
    if answer is None or answer.records is None:
        return []
    return [
        Pair(
            batch=item.number,
            record=None,
            original=None,
            reconstruction=client.shown(answer.records[row]),
            certified=bool(answer.certified[row]),
        )
        for row in np.argsort(~answer.certified, kind="stable")[:few]
    ]
