"""Distances between rows of mixed types, and the nearest rows of a table in blocks.

The distance is the mean over the columns compared (Gower 1971): numbers and times
``|a - b| / range``, codes 0 where equal and else 1, missing against missing 0 and against a value
1. Identifiers are never compared. Inside, a range is cut into millions of steps and distances are
whole: sums do not depend on the order of the columns, so that equal distances tie exactly, and only
rows that are equal are at distance 0.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve, field, frozen

from leakpro_core.arrays import AnyArray, Floats, Ints, array
from leakpro_core.errors import BadArray
from leakpro_core.errors import nearest as closest_name
from leakpro_core.tabular.blocks import FAR, QUERIES, Best, Blocks, Pair, Steps
from leakpro_core.tabular.table import Column, Kind, Table

_FINEST = 24
"""Bits of a range at most: fewer where that many columns would not fit 31 bits."""

_BELOW, _ABOVE, _MISSING = -2, 3, 5
"""Where infinities and missing values stand, in ranges: at least one from all else."""


@frozen(kw_only=True)
class Neighbours:
    """The nearest rows of a base, nearest first.

    index: int64 ``[n, k]``, rows of the base; distance: float64 ``[n, k]``, mean over columns;
    ties: int64 ``[n]``, how many rows of the base are as near as the k-th or nearer.
    """

    index: Ints = array(np.int64)
    distance: Floats = array(np.float64)
    ties: Ints = array(np.int64)


@frozen(kw_only=True, eq=False)
class Encoded:
    """Rows of a table in a space, compact: codes in the fewest bytes, numbers as int32.

    columns: by name, ``[n]`` each; far: names of columns that hold missing or infinite numbers.
    """

    space: "Space"
    columns: Mapping[str, AnyArray] = field(repr=False)
    far: frozenset[str]
    n: int

    def __len__(self) -> int:
        return self.n

    def rows(self, chosen: AnyArray) -> "Encoded":
        """Return some rows: bool ``[n]`` or row numbers, in that order."""
        taken = {name: values[chosen] for name, values in self.columns.items()}
        n = int(np.count_nonzero(chosen)) if chosen.dtype == np.bool_ else len(chosen)
        return evolve(self, columns=taken, n=n)


@frozen(kw_only=True, eq=False)
class Space:
    """Columns that are compared, with the range of each number.

    columns: of any of its tables, no identifiers; bits: a range is ``2**bits`` steps;
    values, places: of the number columns by name, all values in order and the step of each.
    """

    columns: tuple[Column, ...]
    bits: int
    values: Mapping[str, Floats] = field(repr=False)
    places: Mapping[str, Steps] = field(repr=False)

    @classmethod
    def of(cls, *tables: Table) -> "Space":
        """Return the space of tables, which may have different columns; they set the ranges.

        Columns of one name must be equal in all of them, else ``BadArray``.
        """
        found: dict[str, Column] = {}
        for column in (column for table in tables for column in table.columns):
            if found.setdefault(column.name, column) != column:
                raise BadArray(
                    f"column {column.name!r} of tables that are compared",
                    found=f"{found[column.name].kind} and {column.kind}, or other levels",
                    expected="the same column in all tables",
                )
        columns = tuple(c for c in found.values() if c.kind is not Kind.IDENTIFIER)
        bits = min(_FINEST, 30 - max(1, len(columns)).bit_length())
        values = {
            c.name: np.unique(np.concatenate([_finite(table, c.name) for table in tables]))
            for c in columns
            if c.measured
        }
        places = {name: _placed(known, 1 << bits) for name, known in values.items()}
        return cls(columns=columns, bits=bits, values=values, places=places)

    def encode(self, table: Table) -> Encoded:
        """Return the rows of one of its tables, or of a part of one; columns of the space only.

        ``BadArray`` where a number is none of its tables': its range is not known.
        """
        known = {column.name: column for column in self.columns}
        columns: dict[str, AnyArray] = {}
        far = set()
        for column, values in zip(table.columns, table.values, strict=True):
            if column.name not in known:
                continue
            if column.measured:
                columns[column.name] = self._steps(column.name, values)
                if not np.isfinite(values).all():
                    far.add(column.name)
            else:
                columns[column.name] = _codes(values, len(column.levels))
        return Encoded(space=self, columns=columns, far=frozenset(far), n=len(table))

    def _steps(self, name: str, values: Floats) -> Steps:
        """Return int32 ``[n]``, the step of each value of a column."""
        known, places = self.values[name], self.places[name]
        finite = np.isfinite(values)
        steps = np.full(len(values), _MISSING << self.bits, np.int32)
        steps[values == np.inf] = _ABOVE << self.bits
        steps[values == -np.inf] = _BELOW * (1 << self.bits)
        # NaN, which equals nothing, stands where no value is as large.
        at = np.searchsorted(known, values[finite])
        if (strange := np.append(known, np.nan)[at] != values[finite]).any():
            raise BadArray(
                f"column {name!r} of a table in a space of other tables",
                found=f"{values[finite][strange][0]}",
                expected="a value of the tables that the space was built from",
                fix="Build the space from every table that is compared.",
            )
        steps[finite] = places[at]
        return steps


def _finite(table: Table, name: str) -> Floats:
    if name not in table.names:
        return np.empty(0)
    values: Floats = table.values[table.index(name)]
    return values[np.isfinite(values)]


def _placed(values: Floats, steps: int) -> Steps:
    """Return int32, the step of each of sorted distinct values: 0 to ``steps``, no two alike.

    Whole numbers of a moderate range lie evenly, so that 1 below and 1 above are equally far; their
    range may be short of ``steps`` by one part in ``sqrt(steps)``. Where values lie closer than a
    step, they are moved on to the next free one; only where there are more of them than steps may
    two share one.
    """
    n = len(values)
    if n < 2:
        return np.zeros(n, np.int32)
    with np.errstate(over="ignore"):
        span = values[-1] - values[0]
    if span <= steps**0.5 and (values == np.rint(values)).all():
        even: Steps = ((values - values[0]) * (steps // int(span))).astype(np.int32)
        return even
    part = values / 4 if np.isinf(span) else values
    step = np.rint((part - part[0]) / (part[-1] - part[0]) * steps).astype(np.int64)
    if n <= steps:
        order = np.arange(n)
        step = np.maximum.accumulate(step - order) + order
        step = np.minimum(step, steps - (n - 1 - order))
    whole: Steps = step.astype(np.int32)
    return whole


def _codes(codes: Ints, levels: int) -> AnyArray:
    """Return codes moved by one, 0 where missing, in the fewest bytes."""
    return (codes + 1).astype(np.min_scalar_type(max(levels, int(codes.max(initial=0)) + 1)))


def nearest(
    queries: Encoded,
    base: Encoded,
    k: int,
    *,
    seed: int,
    columns: Sequence[str] | None = None,
    exclude_same_row: bool = False,
    offset: Floats | None = None,
) -> Neighbours:
    """Return the ``k`` nearest rows of ``base`` for each query, or all where there are fewer.

    Rows of one distance come in an order drawn from ``seed``, never in the base's.
    columns: names that are compared, all of the queries' unless given; the base must have them.
    exclude_same_row: where queries and base are the same rows, a row is not its own neighbour.
    offset: float64 ``[rows of base]``, from 0; added to the distance of each base row.
    Takes about 40 ns a pair and hundred columns; memory for a copy of the base, whatever n is.
    """
    order = np.random.default_rng(seed).permutation(len(base))
    blocks = _paired(queries, base.rows(order), columns, None if offset is None else offset[order])
    self_at = np.argsort(order) if exclude_same_row else None
    k = min(k, len(base) - exclude_same_row)
    keys = np.empty((len(queries), k), np.int64)
    ties = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), QUERIES):
        rows = slice(start, min(start + QUERIES, len(queries)))
        best = Best.start(rows.stop - rows.start, k)
        for at, far in blocks.against(rows):
            if self_at is not None:
                _leave_out(far, self_at[rows] - at)
            best.take(far, at)
        keys[rows], ties[rows] = np.sort(best.keys, axis=1), best.ties
    distance: Floats = (keys >> 32).astype(np.float64) * blocks.unit
    return Neighbours(index=order[keys & 0xFFFFFFFF], distance=distance, ties=ties)


def nearest_distance(
    queries: Encoded,
    base: Encoded,
    *,
    columns: Sequence[str] | None = None,
    exclude_same_row: bool = False,
) -> Floats:
    """Return float64 ``[n]``, the distance to the nearest row of ``base``; as ``nearest``.

    Infinity where there is none.
    """
    blocks = _paired(queries, base, columns)
    lowest = np.full(len(queries), FAR, np.int32)
    for start in range(0, len(queries), QUERIES):
        rows = slice(start, min(start + QUERIES, len(queries)))
        for at, far in blocks.against(rows):
            if exclude_same_row:
                _leave_out(far, np.arange(rows.start, rows.stop) - at)
            np.minimum(lowest[rows], far.min(axis=1), out=lowest[rows])
    distance: Floats = lowest.astype(np.float64) * blocks.unit
    distance[lowest == FAR] = np.inf
    return distance


def _leave_out(far: Steps, at: Ints) -> None:
    """Put one base row of each query out of reach: ``at``, where it is in the block."""
    inside = np.flatnonzero((at >= 0) & (at < far.shape[1]))
    far[inside, at[inside]] = FAR


def _paired(
    queries: Encoded, base: Encoded, names: Sequence[str] | None, offset: Floats | None = None
) -> Blocks:
    """Return the distances of queries and base in the columns that are compared."""
    if queries.space is not base.space:
        raise BadArray("tables that are compared", found="two spaces", expected="one space")
    coded: list[Pair] = []
    plain: list[Pair] = []
    capped: list[Pair] = []
    for name in queries.columns if names is None else names:
        if name not in queries.columns or name not in base.columns:
            raise BadArray(
                f"column {name!r} of tables that are compared",
                found="a table without it",
                expected="it in both",
                fix=closest_name(name, list(base.columns)),
            )
        kind = coded
        if name in queries.space.values:
            kind = capped if name in queries.far | base.far else plain
        kind.append((queries.columns[name][:, None], base.columns[name][None, :]))
    blocks = Blocks(
        coded=tuple(coded),
        plain=tuple(plain),
        capped=tuple(capped),
        bits=queries.space.bits,
        base=len(base),
    )
    if offset is None:
        return blocks
    return evolve(blocks, offset=np.rint(offset / blocks.unit).astype(np.int32))
