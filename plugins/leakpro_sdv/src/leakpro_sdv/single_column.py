"""Predicates of one column: rare values, extremes and gaps."""

from collections.abc import Sequence

import numpy as np
from attrs import evolve, field, fields, frozen, validators

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.singling_out import (
    Predicate,
    SinglingOutAnswer,
    SinglingOutChallenge,
    Term,
)
from leakpro_core.protocols import Run
from leakpro_sdv.light import sureness
from leakpro_sdv.predicates import LUCK, Pool, pool


@frozen(kw_only=True)
class SingleColumnOptions:
    """Options of ``single-column``.

    gap: how far from a number that was released once others still count as near, as the share of
    the gap to the next number that occurs; 0: only the number itself.
    """

    gap: float = field(default=0.01, validator=[validators.ge(0.0), validators.lt(0.5)])


@frozen(kw_only=True)
class _Rare:
    """Values that few hold. columns: int64 ``[k]``, numbers in ``Pool.axes``; low, high:
    float64, as ``Term`` has them; weight: float64, estimated; rows: int64, released rows of them.
    """

    columns: Ints = array(np.int64)
    low: Floats = array(np.float64)
    high: Floats = array(np.float64)
    weight: Floats = array(np.float64)
    rows: Ints = array(np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, chosen: Ints) -> "_Rare":
        """Return some of them, in that order."""
        return _Rare(**{f.name: getattr(self, f.name)[chosen] for f in fields(_Rare)})


def attack(
    challenge: SinglingOutChallenge, options: SingleColumnOptions, run: Run
) -> SinglingOutAnswer:
    """Give values that one released row holds, those of the lowest estimated weight first.

    Unrounded numbers, which hardly anybody else holds by chance, share the guesses by how many
    people are alone with theirs in each column. Rare levels, extremes and rounded numbers may be
    luck: they take a tenth of the guesses at most, and such numbers only where others do not.
    """
    rows = pool(challenge)
    rng = np.random.default_rng(run.seed)
    light, rare, heaped = [], [], []
    for place, axis in enumerate(rows.axes):
        once, known = _once(rows, place), ~np.isnan(axis.values)
        if axis.coded:
            rare.append(_exactly(rows, place, once))
            continue
        strict = once & np.isfinite(axis.values) & (axis.chance * rows.people <= LUCK)
        integer = challenge.synthetic.columns[axis.number].integer
        light.append(_gaps(rows, place, strict, options.gap, integer=integer))
        rare += [_exactly(rows, place, once & ~known), *_extremes(rows, place)]
        heaped.append(_exactly(rows, place, once & known & ~strict))
    tenth = -(-challenge.guesses // 10)
    few = _spread(rows, _joined(rare), tenth, rng)
    many = _spread(rows, _joined(light), challenge.guesses - len(few), rng)
    rest = _spread(rows, _joined(heaped), tenth - len(few) - len(many), rng)
    found = _joined([many, few, rest])
    run.log.info("single-column", asked=challenge.guesses, made=len(found))
    return SinglingOutAnswer(
        predicates=_predicates(rows, found),
        claims=sureness(rows, found.rows, np.log(found.weight)),
    )


def _once(pool: Pool, place: int) -> Bools:
    """Return which values one released person holds, and no more others than is light."""
    axis = pool.axes[place]
    person, codes = pool.person[: pool.released], axis.codes[: pool.released]
    somebody = np.zeros(len(axis.values), np.int64)
    somebody[codes] = person
    same = np.bincount(codes, person == somebody[codes], minlength=len(axis.values))
    once: Bools = (axis.released > 0) & (same == axis.released)
    once &= axis.auxiliary <= pool.allowed
    return once


def _exactly(pool: Pool, place: int, chosen: Bools) -> _Rare:
    """Return values of a column, each alone."""
    axis, codes = pool.axes[place], np.flatnonzero(chosen)
    values = (codes - 1).astype(np.float64) if axis.coded else axis.values[codes]
    return _Rare(
        columns=np.full(len(codes), place),
        low=values,
        high=values,
        weight=axis.chance[codes],
        rows=pool.order[place, pool.first[pool.start[place] + codes]],
    )


def _gaps(pool: Pool, place: int, chosen: Bools, share: float, *, integer: bool) -> _Rare:
    """Return numbers of a column with what is near them in the gaps on both sides."""
    exact, axis = _exactly(pool, place, chosen), pool.axes[place]
    numbers = axis.values[np.isfinite(axis.values)]
    if not len(exact) or len(numbers) < 2:
        return exact
    steps = np.concatenate([[np.inf], np.diff(numbers), [np.inf]])
    at = np.searchsorted(numbers, exact.low)
    half = share * np.minimum(steps[at], steps[at + 1])
    if integer:
        half = np.floor(half)
    # The gaps' halves on the two sides hold about one row of all.
    inside = np.where(half > 0, 2 * share / pool.rows, 0.0)
    return evolve(
        exact,
        low=exact.low - half,
        high=exact.high + half,
        weight=np.maximum(exact.weight, inside),
    )


def _extremes(pool: Pool, place: int) -> list[_Rare]:
    """Return what lies at or beyond the smallest and the largest released number, if it is rare."""
    axis, once = pool.axes[place], _once(pool, place)
    released = np.flatnonzero((axis.released > 0) & ~np.isnan(axis.values))
    if not len(released):
        return []
    least, most = released[0], released[-1]
    found = []
    for code, beyond, open_end in (
        (least, slice(1, least + 1), "low"),
        (most, slice(most, None), "high"),
    ):
        if once[code] and axis.auxiliary[beyond].sum() <= pool.allowed:
            one = _exactly(pool, place, np.arange(len(axis.values)) == code)
            end = np.full(1, -np.inf if open_end == "low" else np.inf)
            found.append(
                evolve(
                    one,
                    weight=axis.pooled[beyond].sum(keepdims=True) / pool.rows,
                    **{open_end: end},
                )
            )
    return found


def _spread(pool: Pool, rare: _Rare, wanted: int, rng: np.random.Generator) -> _Rare:
    """Return at most ``wanted``, the lightest of each column, columns by what they promise.

    Promise is the share of people who are alone with their value, as auxiliary rows have it.
    """
    rare = rare.some(rng.permutation(len(rare)))
    rare = rare.some(np.lexsort((rare.weight, rare.columns)))
    first = np.searchsorted(rare.columns, rare.columns)
    turn = (np.arange(len(rare)) - first + 0.5) / _promise(pool)[rare.columns]
    return rare.some(np.argsort(turn, kind="stable")[: max(wanted, 0)])


def _promise(pool: Pool) -> Floats:
    held = [a.auxiliary if pool.rows > pool.released else a.released for a in pool.axes]
    return np.array([max((h == 1).sum(), 0.5) / max(h.sum(), 1) for h in held])


def _joined(parts: Sequence[_Rare]) -> _Rare:
    return _Rare(
        **{
            f.name: np.concatenate([np.zeros(0, np.int64), *(getattr(p, f.name) for p in parts)])
            for f in fields(_Rare)
        }
    )


def _predicates(pool: Pool, rare: _Rare) -> tuple[Predicate, ...]:
    numbers = np.array([axis.number for axis in pool.axes], np.int64)[rare.columns]
    bounds = zip(numbers.tolist(), rare.low.tolist(), rare.high.tolist(), strict=True)
    return tuple(Predicate((Term(*one),)) for one in bounds)
