"""What shadow models say of each record, by side: trained with it (IN) or without it (OUT).

A shadow can be scored as a pseudo-target beside the shadows of the other pairs. Its own pair is
left out whole: the complement twin of a model gives that model's membership bits away.
"""

from collections.abc import Iterator

import numpy as np
from attrs import fields, frozen

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.errors import NeedsBothSides
from leakpro_core.games.membership import MembershipChallenge
from leakpro_core.records import Signals

_REDUCTIONS = (np.add, np.add, np.add, np.logaddexp, np.maximum, np.minimum)


@frozen(kw_only=True, eq=False)
class Side:
    """Statistics of the shadows on one side. Where ``count`` is 0 the others are not finite.

    All are float64 ``[n, queries]``. count: shadows on this side; mean of the margin;
    squares: sum of its squared deviations from that mean; log_mean_p: logarithm of the mean
    probability of the true class; highest and lowest margin.
    """

    count: Floats
    mean: Floats
    squares: Floats
    log_mean_p: Floats
    highest: Floats
    lowest: Floats

    def at(self, rows: Ints) -> "Side":
        """Return the statistics of some records."""
        return Side(**{f.name: getattr(self, f.name)[rows] for f in fields(Side)})


@frozen(kw_only=True, eq=False)
class Sides:
    """Both sides."""

    inside: Side
    outside: Side

    def complete(self) -> Ints:
        """Return the records that have shadows on both sides."""
        on_both = (self.inside.count[:, 0] > 0) & (self.outside.count[:, 0] > 0)
        return np.flatnonzero(on_both)

    def at(self, rows: Ints) -> "Sides":
        """Return the sides of some records."""
        return Sides(inside=self.inside.at(rows), outside=self.outside.at(rows))


@frozen(kw_only=True, eq=False)
class Model:
    """One model's signals, float64 ``[n, queries]``: ``log_p`` and the margin ``phi``."""

    log_p: Floats
    phi: Floats

    def at(self, rows: Ints) -> "Model":
        """Return the signals on some records."""
        return Model(log_p=self.log_p[rows], phi=self.phi[rows])


def need_sides(challenge: MembershipChallenge, *, both: bool = True) -> None:
    """Raise ``NeedsBothSides``, naming the first record without a shadow on a side it needs."""
    without = (~challenge.trained_on).any(axis=0)
    enough = challenge.trained_on.any(axis=0) & without if both else without
    if enough.all():
        return
    first = int(np.flatnonzero(~enough)[0])
    models, seen = len(challenge.trained_on), int(challenge.trained_on[:, first].sum())
    halves = "shadow models that train on complementary halves"
    raise NeedsBothSides(
        f"shadow models of candidate {challenge.ids[first]}",
        found=f"{seen} of {models} trained with it",
        expected="some trained with it and some without" if both else "some trained without it",
        fix=f'Set mode = "offline" where the attack has it, or add {halves}.'
        if both
        else f"Add {halves}.",
    )


def target_model(challenge: MembershipChallenge, temperature: float) -> Model:
    """Return the target; ``temperature`` is that of ``log_p``."""
    return _model(challenge.target, temperature)


def all_sides(challenge: MembershipChallenge, temperature: float) -> Sides:
    """Return the sides over all shadows."""
    shadows = _model(challenge.shadows, temperature)
    centre = shadows.phi.mean(axis=0)
    inside, outside = (
        _side([r.reduce(c, axis=0) for r, c in zip(_REDUCTIONS, columns, strict=True)], centre)
        for columns in _both(shadows, challenge.trained_on, centre)
    )
    return Sides(inside=inside, outside=outside)


def without_each_pair(
    challenge: MembershipChallenge, temperature: float
) -> Iterator[tuple[dict[int, Model], Sides]]:
    """Yield each pair's models by number, and the sides over the shadows of all other pairs.

    O(models x n) altogether. Yields nothing for a single pair. A record may lack a side
    where a pair is left out: see ``Sides.complete``.
    """
    pairs, pair = np.unique(challenge.pair, return_inverse=True)
    if len(pairs) < 2:
        return
    shadows = _model(challenge.shadows, temperature)
    centre = shadows.phi.mean(axis=0)
    on, off = (_others(c, pair) for c in _both(shadows, challenge.trained_on, centre))
    for number, (inside, outside) in enumerate(zip(on, off, strict=True)):
        models = {
            int(m): Model(log_p=shadows.log_p[m], phi=shadows.phi[m])
            for m in np.flatnonzero(pair == number)
        }
        yield models, Sides(inside=_side(inside, centre), outside=_side(outside, centre))


def _model(signals: Signals, temperature: float) -> Model:
    return Model(
        log_p=signals.log_p[temperature].astype(np.float64),
        phi=signals.margin.astype(np.float64),
    )


def _both(shadows: Model, trained_on: Bools, centre: Floats) -> Iterator[list[Floats]]:
    for on in (trained_on[:, :, None], ~trained_on[:, :, None]):
        # One array per reduction, its first axis the models; centred, so that squares are exact.
        deviation = np.where(on, shadows.phi - centre, 0.0)
        yield [
            np.broadcast_to(on, deviation.shape).astype(np.float64),
            deviation,
            deviation**2,
            np.where(on, shadows.log_p, -np.inf),
            np.where(on, shadows.phi, -np.inf),
            np.where(on, shadows.phi, np.inf),
        ]


def _others(columns: list[Floats], pair: Ints) -> Iterator[list[Floats]]:
    """Yield for each pair the reductions over all other pairs.

    From both ends, not by subtracting from the total: nothing cancels, however large the part
    that is left out, and a maximum could not be subtracted from at all.
    """
    last = int(pair.max())
    ends: list[tuple[Floats, Floats]] = []
    for reduction, column in zip(_REDUCTIONS, columns, strict=True):
        each = np.stack([reduction.reduce(column[pair == p], axis=0) for p in range(last + 1)])
        ends.append((reduction.accumulate(each), reduction.accumulate(each[::-1])[::-1]))
    yield [after[1] for _, after in ends]
    for p in range(1, last):
        yield [
            reduction(before[p - 1], after[p + 1])
            for reduction, (before, after) in zip(_REDUCTIONS, ends, strict=True)
        ]
    yield [before[-2] for before, _ in ends]


def _side(sums: list[Floats], centre: Floats) -> Side:
    count, total, squares, log_sum_p, highest, lowest = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return Side(
            count=count,
            mean=centre + total / count,
            squares=np.maximum(squares - total**2 / count, 0.0),
            log_mean_p=log_sum_p - np.log(count),
            highest=highest,
            lowest=lowest,
        )
