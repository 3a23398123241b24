"""What shadow models say of each record, by side: trained with it (IN) or without it (OUT).

A shadow can be scored as a pseudo-target beside the shadows of the other pairs. Its own pair is
left out whole: the complement twin of a model gives that model's membership bits away.

Signals may be larger than memory: they are read in blocks of records.
"""

from collections.abc import Iterator

import numpy as np
from attrs import fields, frozen

from leakpro_core import spill
from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.errors import NeedsBothSides
from leakpro_core.games.membership import MembershipChallenge
from leakpro_core.records import Signals

_BLOCK = 2**17
"""Values (models x records x queries) per block; few enough to stay near the processor."""

Index = int | slice | Ints

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

    @classmethod
    def of(cls, statistics: Floats) -> "Side":
        """Return the side of statistics ``[6, n, queries]``, in the order of the fields."""
        return cls(**{f.name: one for f, one in zip(fields(cls), statistics, strict=True)})

    def at(self, rows: Ints | slice) -> "Side":
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

    @classmethod
    def of(cls, statistics: Floats) -> "Sides":
        """Return the sides of statistics ``[2, 6, n, queries]``, inside first."""
        return cls(inside=Side.of(statistics[0]), outside=Side.of(statistics[1]))

    def at(self, rows: Ints | slice) -> "Sides":
        """Return the sides of some records."""
        return Sides(inside=self.inside.at(rows), outside=self.outside.at(rows))


@frozen(kw_only=True, eq=False)
class Model:
    """One model's signals, float64 ``[n, queries]``: ``log_p`` and the margin ``phi``."""

    log_p: Floats
    phi: Floats

    @classmethod
    def of(cls, signals: Signals, temperature: float, where: tuple[Index, ...] = ()) -> "Model":
        """Return the signals at an index; ``temperature`` is that of ``log_p``."""
        return cls(
            log_p=signals.log_p[temperature][where].astype(np.float64, order="C"),
            phi=signals.margin[where].astype(np.float64, order="C"),
        )

    def at(self, rows: Ints | slice) -> "Model":
        """Return the signals on some records."""
        return Model(log_p=self.log_p[rows], phi=self.phi[rows])


def need_sides(challenge: MembershipChallenge, *, both: bool = True) -> None:
    """Raise ``NeedsBothSides``, naming the first record without a shadow on a side it needs."""
    without = ~challenge.trained_on.all(axis=0)
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


def blocks(challenge: MembershipChallenge, records: int | None = None) -> Iterator[slice]:
    """Yield blocks of candidates, or of so many ``records``, that all shadows fit in memory for."""
    models, n, queries = challenge.shadows.margin.shape
    records = n if records is None else records
    step = max(1, _BLOCK // max(1, models * queries))
    for start in range(0, records, step):
        yield slice(start, min(records, start + step))


def target_model(
    challenge: MembershipChallenge, temperature: float, rows: Index = slice(None)
) -> Model:
    """Return the target on candidates; ``temperature`` is that of ``log_p``."""
    return Model.of(challenge.target, temperature, (rows,))


def shadow_model(
    challenge: MembershipChallenge, number: int, temperature: float, rows: Index
) -> Model:
    """Return a shadow on candidates."""
    return Model.of(challenge.shadows, temperature, (number, rows))


def all_sides(
    challenge: MembershipChallenge, temperature: float, rows: Ints | None = None
) -> Sides:
    """Return the sides over all shadows, of all candidates or of ``rows``."""
    n = challenge.shadows.margin.shape[1] if rows is None else len(rows)
    found = np.empty((2, len(_REDUCTIONS), n, challenge.shadows.margin.shape[2]))
    for block in blocks(challenge, n):
        shadows, on = _shadows(challenge, temperature, block if rows is None else rows[block])
        centre = shadows.phi.mean(axis=0)
        for side, columns in zip(found, _both(shadows, on, centre), strict=True):
            sums = [r.reduce(c, axis=0) for r, c in zip(_REDUCTIONS, columns, strict=True)]
            side[:, block] = _side(sums, centre)
    return Sides.of(found)


def without_each_pair(
    challenge: MembershipChallenge, temperature: float, rows: Ints | None = None
) -> Iterator[tuple[Ints, Sides]]:
    """Yield each pair's models by number, and the sides over the shadows of all other pairs.

    rows: candidates that are asked for, all where None. O(models x rows) altogether; what is
    large lies in a file. Yields nothing for a single pair. A record may lack a side
    where a pair is left out: see ``Sides.complete``.
    """
    pairs, pair = np.unique(challenge.pair, return_inverse=True)
    if len(pairs) < 2:
        return
    n = challenge.shadows.margin.shape[1] if rows is None else len(rows)
    queries = challenge.shadows.margin.shape[2]
    found = spill.empty((len(pairs), 2, len(_REDUCTIONS), n, queries), np.float64)
    for block in blocks(challenge, n):
        some = block if rows is None else rows[block]
        for sides, part in zip(found, _beside_others(challenge, temperature, some), strict=True):
            sides[:, :, block] = part
    for number, sides in enumerate(found):
        yield np.flatnonzero(pair == number), Sides.of(sides)


def beside_others(
    challenge: MembershipChallenge, temperature: float, rows: Ints | slice
) -> Iterator[Sides]:
    """Yield the same sides as ``without_each_pair`` does, of one block of records, and no file."""
    return map(Sides.of, _beside_others(challenge, temperature, rows))


def _beside_others(
    challenge: MembershipChallenge, temperature: float, rows: Ints | slice
) -> Iterator[Floats]:
    """Yield for each pair the statistics ``[2, 6, rows, queries]`` over all other pairs."""
    shadows, on = _shadows(challenge, temperature, rows)
    pair = np.unique(challenge.pair, return_inverse=True)[1]
    centre = shadows.phi.mean(axis=0)
    inside, outside = (_others(columns, pair) for columns in _both(shadows, on, centre))
    for sums in zip(inside, outside, strict=True):
        yield np.stack([_side(one, centre) for one in sums])


def _shadows(
    challenge: MembershipChallenge, temperature: float, rows: Ints | slice
) -> tuple[Model, Bools]:
    """Return all shadows' signals ``[models, rows, queries]`` and who was trained on what."""
    where = (slice(None), rows)
    on = np.ascontiguousarray(challenge.trained_on[where])
    return Model.of(challenge.shadows, temperature, where), on


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
    twins = [np.flatnonzero(pair == p) for p in range(last + 1)]
    each = [
        [reduction.reduce(column[models], axis=0) for models in twins]
        for reduction, column in zip(_REDUCTIONS, columns, strict=True)
    ]
    after = [_accumulated(r, sums[::-1])[::-1] for r, sums in zip(_REDUCTIONS, each, strict=True)]
    yield [ends[1] for ends in after]
    before = [sums[0] for sums in each]
    for p in range(1, last):
        yield [r(b, ends[p + 1]) for r, b, ends in zip(_REDUCTIONS, before, after, strict=True)]
        before = [r(b, sums[p]) for r, b, sums in zip(_REDUCTIONS, before, each, strict=True)]
    yield before


def _accumulated(reduction: np.ufunc, parts: list[Floats]) -> list[Floats]:
    """Return what the ufunc's own method does, which walks along the models and is slow."""
    whole = parts[:1]
    for part in parts[1:]:
        whole.append(reduction(whole[-1], part))
    return whole


def _side(sums: list[Floats], centre: Floats) -> Floats:
    """Return the statistics of a side, stacked in the order of ``Side``'s fields."""
    count, total, squares, log_sum_p, highest, lowest = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = centre + total / count
        around = np.maximum(squares - total**2 / count, 0.0)
        return np.stack([count, mean, around, log_sum_p - np.log(count), highest, lowest])
