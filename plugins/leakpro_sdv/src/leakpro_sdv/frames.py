"""Tables as SDV takes them, and back: pandas frames with metadata that says what columns hold."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Floats, Ints
from leakpro_core.errors import BadRecord, BadValue
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix
from leakpro_sdv.library import module

if TYPE_CHECKING:
    import pandas as pd

KEY = "key"
"""Whose row it is, or which row: a column of frames beside those of the table."""

UNMODELLED = (Kind.IDENTIFIER, Kind.TEXT)
"""Kinds that no synthesizer learns."""

_YEARS = (-9.2e9, 9.2e9)
"""Seconds since 1970 that pandas' nanoseconds reach: the years 1678 to 2261."""


@frozen(kw_only=True)
class Layout:
    """How a table's columns are laid out in a frame.

    Columns are named by position, so that no name of the user's can collide with one that SDV
    makes up (``age.is_null``, ``__child__key``). Levels are codes, and a missing level is a level
    of its own, as SDV treats it: numbers hash alike in every process, which strings do not, and
    SDV goes through sets of them.
    modelled: positions of the columns that a synthesizer learns. Free text and identifiers are not
    among them, nor columns without a value in the fitted rows; they are released as missing.
    """

    columns: tuple[Column, ...]
    modelled: tuple[int, ...] = field()

    def frame(self, table: Table) -> "pd.DataFrame":
        """Return the modelled columns; ``BadRecord`` for a time that pandas cannot hold."""
        import pandas as pd

        return pd.DataFrame(
            {name_of(j): _series(self.columns[j], table.values[j]) for j in self.modelled}
        )

    def described(self) -> dict[str, dict[str, str]]:
        """Return SDV's metadata of the modelled columns."""
        return {name_of(j): {"sdtype": _sdtype(self.columns[j])} for j in self.modelled}

    def table(self, frame: "pd.DataFrame", subjects: Ints) -> Table:
        """Return a sampled frame as a table of all columns."""
        matrix = np.full((len(frame), len(self.columns)), np.nan)
        for j in self.modelled:
            matrix[:, j] = _values(self.columns[j], frame[name_of(j)])
        return from_matrix(self.columns, matrix, subjects)

    def translated(self, text: str) -> str:
        """Return a message of SDV with the table's own names in it."""
        for j in reversed(self.modelled):
            text = text.replace(f"'{name_of(j)}'", f"'{self.columns[j].name}'")
        return text


def name_of(position: int) -> str:
    """Return the name of a column in a frame."""
    return f"c{position}"


def layout_of(table: Table) -> Layout:
    """Return the layout of a table that a synthesizer is to be fitted on; ``BadValue`` if empty."""
    modelled = tuple(
        j
        for j, (column, values) in enumerate(zip(table.columns, table.values, strict=True))
        if column.kind not in UNMODELLED and not missing(column, values).all()
    )
    if not modelled:
        raise BadValue(
            "columns to fit a synthesizer on",
            found="only text, identifiers or missing values",
            expected="a column of numbers, times, categories or booleans",
        )
    return Layout(columns=table.columns, modelled=modelled)


def missing(column: Column, values: AnyArray) -> AnyArray:
    """Return bool ``[n]``: where a column of a table has no value."""
    return np.isnan(values) if column.measured else values < 0


def metadata(tables: Mapping[str, Mapping[str, Any]], relationships: Sequence[Any] = ()) -> Any:
    """Return SDV's metadata of tables."""
    return module("sdv.metadata").Metadata.load_from_dict(
        {"tables": tables, "relationships": list(relationships)}
    )


def _sdtype(column: Column) -> str:
    if column.measured:
        return "numerical" if column.kind is Kind.NUMERIC else "datetime"
    return "categorical"  # SDV encodes and models booleans in the same way


def _series(column: Column, values: AnyArray) -> Any:
    if not column.measured:
        return np.where(values < 0, len(column.levels), values).astype(np.int64)
    if column.kind is Kind.DATETIME:
        return _times(column, values)
    whole = column.integer and not np.isnan(values).any()
    # Copies: SDV may write into its input, and a table's arrays are read-only.
    return values.astype(np.int64) if whole else values.astype(np.float64)


def _times(column: Column, values: Floats) -> AnyArray:
    outside = np.flatnonzero((values < _YEARS[0]) | (values > _YEARS[1]))
    if outside.size:
        raise BadRecord(
            f"column {column.name!r}, row {outside[0]}",
            found=column.shown(float(values[outside[0]])),
            expected="a time between the years 1678 and 2261, as SDV can hold",
            fix="Leave the column out by ignore, or mend the row.",
        )
    there = ~np.isnan(values)
    times = np.full(len(values), np.datetime64("NaT"), "datetime64[ns]")
    # To microseconds first: a float64 of seconds holds no more.
    times[there] = np.round(values[there] * 1e6).astype("datetime64[us]")
    return times


def _values(column: Column, series: Any) -> Floats:
    if column.kind is Kind.DATETIME:
        times = series.to_numpy("datetime64[us]")
        seconds: Floats = times.astype(np.int64) / 1e6
        seconds[np.isnat(times)] = np.nan
        return seconds
    values: Floats = series.to_numpy(np.float64, copy=True, na_value=np.nan)
    if not column.measured:
        values[values == len(column.levels)] = np.nan
    elif column.integer:
        values = np.round(values)
    return values
