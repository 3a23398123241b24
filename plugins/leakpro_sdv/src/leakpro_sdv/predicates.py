"""Conjunctions around released rows, as arrays: what matches them, and what they say."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.singling_out import Predicate, SinglingOutChallenge, Term
from leakpro_core.tabular.table import Table
from leakpro_sdv.pooled import Axis, Codes, axes, hashes, likeness, originals

LUCK = 0.1
"""People that a light predicate is expected to match by chance, at most."""

_BLOCK = 1_000_000
"""Pairs of a predicate and a row that are looked at together."""


@frozen(kw_only=True)
class Pool:
    """The rows of a challenge, rank-coded, released ones first.

    codes: int32 ``[columns, rows]``; order: int32, the rows of each column by code;
    first: int64, where in ``order`` the rows of a code begin; chance: float64, ``Axis.chance``;
    start: int64 ``[columns]``, where a column begins in both. person: int64 ``[rows]``, whose row
    it is; with auxiliary rows, released rows that repeat another, and not by chance, count as the
    same person's. people: rows of the training data.
    """

    axes: tuple[Axis, ...]
    released: int
    people: int
    codes: Codes = array(np.int32)
    order: Codes = array(np.int32)
    first: Ints = array(np.int64)
    chance: Floats = array(np.float64)
    start: Ints = array(np.int64)
    person: Ints = array(np.int64)

    @property
    def rows(self) -> int:
        """Released and auxiliary rows."""
        return len(self.person)

    @property
    def allowed(self) -> int:
        """How many auxiliary people a light predicate may match."""
        return int((self.rows - self.released) * LUCK / self.people)


def pool(challenge: SinglingOutChallenge) -> Pool:
    """Return the rows of a challenge, rank-coded."""
    columns = axes(challenge.synthetic, challenge.auxiliary)
    person = _persons(challenge.synthetic, challenge.auxiliary)
    codes = np.zeros((len(columns), len(person)), np.int32)
    order = np.zeros_like(codes)
    for j, axis in enumerate(columns):
        codes[j] = axis.codes
        order[j] = np.argsort(axis.codes, kind="stable")
    released = len(challenge.synthetic)
    if challenge.auxiliary is not None and released:
        # Rows that many may hold by chance are repeated by chance.
        rare = _expected(columns, released) <= LUCK
        person[:released] = np.where(
            rare, person[originals(_hashes(columns, released))], person[:released]
        )
    # A last entry of each column, so that the rows of a code end where those of the next begin.
    first = [np.concatenate([[0], np.cumsum(axis.pooled)]) for axis in columns]
    return Pool(
        axes=columns,
        released=released,
        people=challenge.people,
        codes=codes,
        order=order,
        first=np.concatenate([np.zeros(0, np.int64), *first]),
        chance=np.concatenate([np.zeros(0), *(np.append(a.chance, 0.0) for a in columns)]),
        start=np.cumsum([0, *(len(f) for f in first)])[:-1],
        person=person,
    )


def _persons(released: Table, auxiliary: Table | None) -> Ints:
    parts = [released.subjects] + ([] if auxiliary is None else [auxiliary.subjects])
    total, numbered = 0, []
    for part in parts:
        owners, person = np.unique(part, return_inverse=True)
        numbered.append(person.reshape(-1) + total)
        total += len(owners)
    return np.concatenate(numbered).astype(np.int64)


def _expected(axes: tuple[Axis, ...], rows: int) -> Floats:
    """Return how many rows are expected to be like each released one, were columns independent."""
    total = np.full(rows, np.log(max(rows, 1)))
    for axis in axes:
        total += np.log(axis.chance)[axis.codes[:rows]]
    expected: Floats = np.exp(total)
    return expected


def _hashes(axes: tuple[Axis, ...], rows: int) -> NDArray[np.uint64]:
    total = np.zeros(rows, np.uint64)
    for axis in axes:
        total += hashes(axis, rows)
    return total


@frozen(kw_only=True)
class Conjunctions:
    """Predicates ``[predicates, terms]``: numbers in ``Pool.axes``, -1 for no term, and codes.

    low, high: int32, both included.
    """

    columns: Ints = array(np.int64)
    low: Codes = array(np.int32)
    high: Codes = array(np.int32)

    def __len__(self) -> int:
        return len(self.columns)

    def some(self, chosen: Ints | Bools) -> "Conjunctions":
        """Return some of them, in that order."""
        return Conjunctions(
            columns=self.columns[chosen], low=self.low[chosen], high=self.high[chosen]
        )


def _held(pool: Pool, these: Conjunctions) -> Ints:
    """Return how many rows hold each term; all of them where there is no term."""
    at = pool.start[these.columns]
    rows = pool.first[at + these.high + 1] - pool.first[at + these.low]
    return np.where(these.columns < 0, pool.rows, rows)


def log_weight(pool: Pool, these: Conjunctions) -> Floats:
    """Return the logarithm of the weight that predicates had were columns independent."""
    share = _held(pool, these) / pool.rows
    exact = (these.low == these.high) & (these.columns >= 0)
    share = np.where(exact, pool.chance[pool.start[these.columns] + these.low], share)
    weight: Floats = np.log(share).sum(axis=1)
    return weight


def matches(pool: Pool, these: Conjunctions) -> tuple[Ints, Ints]:
    """Return how many released and auxiliary people match, int64 ``[predicates]`` each.

    The rows of the term that fewest hold are looked up, and the other terms are asked of these.
    """
    count = _held(pool, these)
    rarest = np.argsort(count, axis=1, kind="stable")
    columns: Ints = np.take_along_axis(these.columns, rarest, axis=1)
    low: Codes = np.take_along_axis(these.low, rarest, axis=1)
    high: Codes = np.take_along_axis(these.high, rarest, axis=1)
    fewest = count.min(axis=1)
    total = np.cumsum(fewest)
    released, auxiliary = np.zeros(len(these), np.int64), np.zeros(len(these), np.int64)
    begin = 0
    while begin < len(these):
        reach = total[begin] - fewest[begin] + _BLOCK
        end = max(begin + 1, int(np.searchsorted(total, reach, side="right")))
        part = slice(begin, end)
        who, rows = _first(pool, columns[part, 0], low[part, 0], fewest[part])
        for t in range(1, columns.shape[1]):
            asked = columns[part, t][who]
            code = pool.codes[asked, rows]
            kept = (code >= low[part, t][who]) & (code <= high[part, t][who])
            kept |= asked < 0
            who, rows = who[kept], rows[kept]
        released[part], auxiliary[part] = _people(pool, who, rows, end - begin)
        begin = end
    return released, auxiliary


def _first(pool: Pool, columns: Ints, low: Codes, count: Ints) -> tuple[Ints, Codes]:
    """Return pairs of a predicate's number and a row that holds its first term."""
    who = np.repeat(np.arange(len(columns)), count)
    where = pool.first[pool.start[columns] + low] - (np.cumsum(count) - count)
    return who, pool.order[columns[who], where[who] + np.arange(len(who))]


def _people(pool: Pool, who: Ints, rows: Codes, predicates: int) -> tuple[Ints, Ints]:
    pairs = np.unique(who * (len(pool.person) + 1) + pool.person[rows], return_index=True)[1]
    who, own = who[pairs], rows[pairs] < pool.released
    return (
        np.bincount(who[own], minlength=predicates),
        np.bincount(who[~own], minlength=predicates),
    )


def around(pool: Pool, rows: Ints, columns: Ints) -> Conjunctions:
    """Return predicates of the very values of released rows ``[k]`` in columns ``[k, terms]``.

    column -1: no term.
    """
    codes = np.where(columns < 0, 0, pool.codes[columns, rows[:, None]])
    return Conjunctions(columns=columns, low=codes, high=codes)


def widened(pool: Pool, exact: Conjunctions, width: float) -> Conjunctions:
    """Return predicates of values near those of others, which are of one value each."""
    both = [near(axis, width) for axis in pool.axes]
    low = np.concatenate([np.append(low, 0) for low, _ in both])
    high = np.concatenate([np.append(high, 0) for _, high in both])
    at = pool.start[exact.columns] + exact.low
    return Conjunctions(
        columns=exact.columns,
        low=np.where(exact.columns < 0, 0, low[at]),
        high=np.where(exact.columns < 0, 0, high[at]),
    )


def near(axis: Axis, width: float) -> tuple[Codes, Codes]:
    """Return the codes from and to which a number is near each value, int32 ``[distinct + 1]``.

    Near is whatever lies no farther off than the released number that is ``width`` of the rows
    away, on the closer side: little where rows are dense, more where they are sparse, nothing
    around heaped numbers. Codes, and missing values, are near themselves alone.
    """
    own = np.arange(len(axis.values), dtype=np.int32)
    finite = np.flatnonzero(np.isfinite(axis.values))
    numbers, held = axis.values[finite], axis.released[finite]
    apart = int(width * held.sum())
    if axis.coded or apart == 0:
        return own, own
    beyond = np.full(apart + 1, np.inf)
    every = np.concatenate([-beyond, np.repeat(numbers, held), beyond])
    centre = np.cumsum(held) - (held + 1) // 2 + apart + 1
    half = np.minimum(numbers - every[centre - apart], every[centre + apart] - numbers)
    half = np.where(np.isfinite(half), np.maximum(half, 0.0), 0.0)
    low, high = own.copy(), own.copy()
    low[finite] = finite[np.searchsorted(numbers, numbers - half, side="left")]
    high[finite] = finite[np.searchsorted(numbers, numbers + half, side="right") - 1]
    return np.minimum(low, own), np.maximum(high, own)


def row_likeness(pool: Pool) -> Floats:
    """Return how much likelier people hold a released row's values than releases, ``[released]``.

    Sum over columns of ``pooled.likeness``, and the logarithm of how often the row was released.
    """
    original = originals(_hashes(pool.axes, pool.released))
    total: Floats = np.log(np.bincount(original)[original])
    for axis in pool.axes:
        total += likeness(axis)[axis.codes[: pool.released]]
    return total


def predicates(pool: Pool, these: Conjunctions) -> tuple[Predicate, ...]:
    """Return predicates as data; bounds of numbers are values that occur."""
    values = [[-1.0, *a.values[1:].tolist()] if a.coded else a.values.tolist() for a in pool.axes]
    numbers = [axis.number for axis in pool.axes]
    found = []
    for row in zip(these.columns.tolist(), these.low.tolist(), these.high.tolist(), strict=True):
        terms = zip(*row, strict=True)
        found.append(
            Predicate(Term(numbers[c], values[c][a], values[c][b]) for c, a, b in terms if c >= 0)
        )
    return tuple(found)
