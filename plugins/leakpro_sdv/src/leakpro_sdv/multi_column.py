"""Predicates of several columns: conjunctions around released rows."""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Ints
from leakpro_core.games.singling_out import SinglingOutAnswer, SinglingOutChallenge
from leakpro_core.protocols import Run
from leakpro_sdv.light import Built, answer, joined, light
from leakpro_sdv.predicates import Pool, around, pool, widened

_SPREAD = (2, 3, 4, 8)
"""Sizes that are tried beside all columns."""

_TRIES = 6
"""Conjunctions that are looked at for each that is wanted."""


@frozen(kw_only=True)
class MultiColumnOptions:
    """Options of ``multi-column``.

    columns: sizes of the conjunctions, which share the guesses evenly; 0, or none at all: 2, 3,
    4, 8 and all columns; more than there are: all.
    width: how far from a row's number others still count as near, as the share of released rows
    on the closer side, so that copies with a little noise are found; 0: only the number itself.
    Numbers are taken exactly where the conjunction is too heavy otherwise.
    """

    columns: tuple[int, ...] = field(
        default=(), validator=validators.deep_iterable(validators.ge(0))
    )
    width: float = field(default=0.01, validator=[validators.ge(0.0), validators.lt(0.5)])


def attack(
    challenge: SinglingOutChallenge, options: MultiColumnOptions, run: Run
) -> SinglingOutAnswer:
    """Give light conjunctions around released rows, columns and rows drawn by the seed."""
    rows = pool(challenge)
    rng = np.random.default_rng(run.seed)
    left, parts = challenge.guesses, []
    sizes = _sizes(options.columns, len(rows.axes))
    for place, size in enumerate(sizes):
        # What a size leaves over goes to the larger ones, which find more.
        wanted = left // (len(sizes) - place)
        parts.append(_of_size(rows, size, wanted, options.width, rng))
        left -= len(parts[-1])
    found = joined(parts)
    run.log.info("multi-column", sizes=sizes, asked=challenge.guesses, made=len(found))
    return answer(rows, found)


def _sizes(asked: tuple[int, ...], available: int) -> list[int]:
    sizes = [size for size in asked if size] or [*_SPREAD, available]
    return sorted({min(size, available) for size in sizes if min(size, available) >= 2})


def _of_size(pool: Pool, size: int, wanted: int, width: float, rng: np.random.Generator) -> Built:
    """Return conjunctions of that many columns, light ones alone, each once."""
    rows, columns = _drawn(pool, size, wanted * _TRIES, rng)
    exact = around(pool, rows, columns)
    return light(pool, rows, [widened(pool, exact, width), exact], wanted)


def _drawn(pool: Pool, size: int, number: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return rows ``[k]``, in turn, and columns ``[k, size]`` of each, ascending."""
    available = len(pool.axes)
    if size == available:
        number = min(number, pool.released)
    turns = -(-number // max(pool.released, 1))
    rows = np.concatenate(
        [np.zeros(0, np.int64), *(rng.permutation(pool.released) for _ in range(turns))]
    )[:number]
    chosen = np.argpartition(rng.random((len(rows), available)), size - 1, axis=1)[:, :size]
    return rows, np.sort(chosen, axis=1)
