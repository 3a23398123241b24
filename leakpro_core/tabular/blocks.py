"""Distances in whole steps, block by block, and the nearest rows kept while blocks go by.

Blocks are small enough for a core's second-level cache, and each is filled column by column by
operations that compilers vectorise: codes as bytes, numbers as int32. Nothing is ever sorted whole.
"""

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from leakpro_core.arrays import AnyArray, Ints

Steps = NDArray[np.int32]

Pair = tuple[AnyArray, AnyArray]
"""A column of the queries ``[n, 1]`` and of the base ``[1, m]``."""

QUERIES, _BASE = 16, 6144
"""Rows of a block: two arrays of int32 of this size stay in a core's second-level cache."""

FAR = np.iinfo(np.int32).max
"""A distance that no row has."""


@frozen(kw_only=True)
class Blocks:
    """Distances of queries and base, block by block, in steps.

    coded, plain, capped: pairs of columns, of queries and base; unit: of a step, mean over columns.
    offset: int32 ``[base]``, steps that are added for each base row.
    """

    coded: tuple[Pair, ...]
    plain: tuple[Pair, ...]
    capped: tuple[Pair, ...]
    bits: int
    base: int
    offset: Steps | None = None

    @property
    def unit(self) -> float:
        """One step of one column in the mean over columns."""
        columns = len(self.coded) + len(self.plain) + len(self.capped)
        return 1 / (max(1, columns) << self.bits)

    def against(self, rows: slice) -> Iterator[tuple[int, Steps]]:
        """Yield where a block of the base starts and int32 ``[queries, block]``, then reused."""
        width = -(-self.base // max(1, -(-self.base // _BASE)))  # Blocks of about one size.
        shape = (rows.stop - rows.start, width)
        total, term = np.empty(shape, np.int32), np.empty(shape, np.int32)
        count = np.empty(shape, np.uint8 if len(self.coded) < 256 else np.uint16)
        unequal = np.empty(shape, np.bool_)
        for at in range(0, self.base, max(1, width)):
            part = slice(at, min(at + width, self.base))
            w = part.stop - part.start
            self._fill(rows, part, total[:, :w], term[:, :w], count[:, :w], unequal[:, :w])
            yield at, total[:, :w]

    def _fill(
        self,
        rows: slice,
        part: slice,
        total: Steps,
        term: Steps,
        count: AnyArray,
        unequal: NDArray[np.bool_],
    ) -> None:
        count.fill(0)
        for query, base in self.coded:
            np.not_equal(query[rows], base[:, part], out=unequal)
            np.add(count, unequal.view(np.uint8), out=count)
        np.copyto(total, count)
        np.left_shift(total, self.bits, out=total)
        if self.offset is not None:
            np.add(total, self.offset[part], out=total)
        for query, base in self.plain:
            np.subtract(query[rows], base[:, part], out=term)
            np.abs(term, out=term)
            np.add(total, term, out=total)
        for query, base in self.capped:
            np.subtract(query[rows], base[:, part], out=term)
            np.abs(term, out=term)
            np.minimum(term, 1 << self.bits, out=term)
            np.add(total, term, out=total)


@frozen(kw_only=True)
class Best:
    """The nearest so far of a block of queries.

    keys: int64 ``[queries, k]``, distance in the upper half and place in the base in the lower;
    ties: int64 ``[queries]``; last: int64 ``[queries]``, the k-th distance.
    """

    keys: Ints
    ties: Ints
    last: Ints

    @classmethod
    def start(cls, queries: int, k: int) -> "Best":
        """Nothing yet."""
        return cls(
            keys=np.full((queries, k), FAR << 32, np.int64),
            ties=np.zeros(queries, np.int64),
            last=np.full(queries, FAR, np.int64),
        )

    def take(self, far: Steps, at: int) -> None:
        """Take in a block of the base that starts at ``at``."""
        if not (k := self.keys.shape[1]):
            return
        bound = np.minimum(self.last, _bound(far, k))
        chosen = np.flatnonzero(far <= bound[:, None])
        if not len(chosen):
            return
        query, place = np.divmod(chosen, far.shape[1])
        found = far[query, place].astype(np.int64)
        counts = np.bincount(query, minlength=len(far))
        nth = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        table = np.full((len(far), k + counts.max()), FAR << 32, np.int64)
        table[:, :k] = self.keys
        table[query, k + nth] = found << 32 | (place + at)
        table.partition(k - 1, axis=1)
        last = table[:, k - 1] >> 32
        near = (self.keys >> 32) <= last[:, None]
        kept = np.where(last < self.last, near.sum(axis=1), self.ties)
        self.ties[:] = kept + np.bincount(query, found <= last[query], len(far)).astype(np.int64)
        self.keys[:], self.last[:] = table[:, :k], last


def _bound(far: Steps, k: int) -> Ints:
    """Return a distance for each query that at least ``k`` rows of the block do not exceed.

    The least of each of some groups of rows is found first: the k-th of these is not below the
    k-th of all, and far fewer numbers are to be partitioned.
    """
    n, width = far.shape
    groups = min(width, max(64, 4 * k))
    if groups < k:
        return np.full(n, FAR, np.int64)
    if k == 1:
        lowest: Ints = far.min(axis=1).astype(np.int64)
        return lowest
    each = width // groups
    least = far[:, : each * groups].reshape(n, each, groups).min(axis=1)
    bound: Ints = np.partition(least, k - 1, axis=1)[:, k - 1].astype(np.int64)
    return bound
