"""A table of typed columns: the record by which tables cross the boundary, plain numpy."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from attrs import evolve, field, frozen

from leakpro_core.arrays import AnyArray, Floats, Ints, array, frozen_array
from leakpro_core.errors import BadArray, UnknownName, nearest


class Kind(StrEnum):
    """What a column holds.

    identifier: names a row or a person, and is never attacked or compared.
    text: free text; compared by equality, never guessed.
    """

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    IDENTIFIER = "identifier"
    TEXT = "text"


MEASURED = (Kind.NUMERIC, Kind.DATETIME)
"""Kinds whose values are numbers with a distance; the others are codes."""


@frozen(kw_only=True)
class Column:
    """A column of all tables of an audit.

    levels: of coded kinds, code i stands for levels[i]; the same in every table.
    integer: whether all its numbers are whole.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = field(default=(), repr=False)
    integer: bool = False

    @property
    def measured(self) -> bool:
        """Whether its values are numbers with a distance, not codes."""
        return self.kind in MEASURED

    def shown(self, value: float) -> str:
        """Return a value as a person reads it: a level, a number or a time; "missing"."""
        if np.isnan(value) or (not self.measured and value < 0):
            return "missing"
        if not self.measured:
            return self.levels[int(value)]
        if self.kind is Kind.DATETIME:
            return str(np.datetime64(round(value * 1e6), "us").astype("datetime64[s]"))
        return f"{value:.0f}" if self.integer else f"{value:.6g}"


def _columns(values: Sequence[AnyArray]) -> tuple[AnyArray, ...]:
    convert = frozen_array(None)
    return tuple(convert(v) for v in values)  # type: ignore[misc]


@frozen(kw_only=True)
class Table:
    """Rows of typed columns.

    values: one array ``[n]`` a column: float64 for numeric and datetime (seconds since 1970),
    NaN where missing; int64 codes for the others, -1 where missing.
    subjects: int64 ``[n]``, whose row it is; the same number is the same person, in one table.
    """

    columns: tuple[Column, ...]
    values: tuple[AnyArray, ...] = field(converter=_columns, eq=False, repr=False)
    subjects: Ints = array(np.int64)

    def __attrs_post_init__(self) -> None:
        if len(self.values) != len(self.columns):
            raise BadArray(
                "values of a table",
                found=f"{len(self.values)} arrays",
                expected=f"one for each of {len(self.columns)} columns",
            )
        for column, values in zip(self.columns, self.values, strict=True):
            wanted = np.float64 if column.measured else np.int64
            if values.dtype != wanted or values.shape != self.subjects.shape:
                raise BadArray(
                    f"column {column.name!r} of a table",
                    found=f"{values.dtype} {list(values.shape)}",
                    expected=f"{np.dtype(wanted)} [{len(self.subjects)}]",
                )

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def index(self, name: str) -> int:
        """Return the number of a column; ``UnknownName`` where there is none."""
        if name not in self.names:
            raise UnknownName(
                "column",
                found=repr(name),
                expected="a column of the tables",
                fix=nearest(name, list(self.names)),
            )
        return self.names.index(name)

    def rows(self, chosen: AnyArray) -> "Table":
        """Return some rows: bool ``[n]`` or row numbers, in that order."""
        values = tuple(v[chosen] for v in self.values)
        return evolve(self, values=values, subjects=self.subjects[chosen])

    def only(self, names: Sequence[str]) -> "Table":
        """Return some columns, in that order."""
        at = [self.index(name) for name in names]
        return evolve(
            self,
            columns=tuple(self.columns[i] for i in at),
            values=tuple(self.values[i] for i in at),
        )

    def matrix(self) -> Floats:
        """Return float64 ``[n, columns]``, codes as numbers, NaN where missing."""
        whole = np.full((len(self), len(self.columns)), np.nan)
        for j, (column, values) in enumerate(zip(self.columns, self.values, strict=True)):
            whole[:, j] = values
            if not column.measured:
                whole[values < 0, j] = np.nan
        return whole

    def shown(self, row: int) -> tuple[tuple[str, str], ...]:
        """Return names and values of a row, as a person reads them."""
        pairs = zip(self.columns, self.values, strict=True)
        return tuple((c.name, c.shown(float(v[row]))) for c, v in pairs)


def from_matrix(columns: tuple[Column, ...], matrix: Floats, subjects: Ints | None = None) -> Table:
    """Return the table of which ``Table.matrix`` is ``matrix``; a person each row unless given."""
    values = []
    for j, column in enumerate(columns):
        one = np.array(matrix[:, j], np.float64)
        if not column.measured:
            one = np.where(np.isnan(one), -1, one).astype(np.int64)
        values.append(one)
    who = np.arange(len(matrix)) if subjects is None else subjects
    return Table(columns=columns, values=tuple(values), subjects=who)


def stacked(tables: Sequence[Table]) -> Table:
    """Return the rows of tables of the same columns, one after the other; subjects as they are."""
    first = tables[0]
    return evolve(
        first,
        values=tuple(
            np.concatenate([t.values[j] for t in tables]) for j in range(len(first.columns))
        ),
        subjects=np.concatenate([t.subjects for t in tables]),
    )
