"""Small tables to fit synthesizers on, and SDV itself, for tests."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from leakpro_core.tabular.table import Column, Kind, Table

needs_sdv = pytest.mark.skipif(
    find_spec("sdv") is None, reason="SDV is not installed: pip install 'leakpro-sdv[sdv]'"
)
ADULT = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "adult_audit"


def mixed(n: int = 120, rows_each: int = 1, seed: int = 0) -> Table:
    """Return a table with a column of every kind, most with missing values."""
    rng = np.random.default_rng(seed)
    columns = (
        Column(name="size.is_null", kind=Kind.NUMERIC),
        Column(name="visits", kind=Kind.NUMERIC, integer=True),
        Column(name="c4", kind=Kind.CATEGORICAL, levels=("a", "b's", "nan")),
        Column(name="insured", kind=Kind.BOOLEAN, levels=("False", "True")),
        Column(name="day", kind=Kind.DATETIME),
        Column(name="note", kind=Kind.TEXT, levels=("good", "bad")),
        Column(name="number", kind=Kind.IDENTIFIER, levels=tuple(map(str, range(n)))),
        Column(name="constant", kind=Kind.NUMERIC),
        Column(name="nothing", kind=Kind.NUMERIC),
        Column(name="step", kind=Kind.NUMERIC, integer=True),
    )
    size, visits = rng.normal(size=n), rng.integers(0, 50, n).astype(float)
    day = rng.integers(0, 20_000, n) * 86_400.0
    size[::7], visits[3], day[5] = np.nan, np.nan, np.nan
    values = (
        size,
        visits,
        rng.integers(-1, 3, n),
        rng.integers(0, 2, n),
        day,
        rng.integers(0, 2, n),
        np.arange(n),
        np.full(n, 3.5),
        np.full(n, np.nan),
        np.arange(n, dtype=float) % rows_each,
    )
    return Table(columns=columns, values=values, subjects=np.arange(n) // rows_each)


def adult(rows: int) -> Table:
    """Return the first rows of Adult."""
    path = ADULT / "original.parquet"
    if not path.exists():
        pytest.skip("shared/data/adult_audit is not here")
    data = pq.read_table(path).slice(0, rows)
    columns, values = [], []
    for name in data.column_names:
        column = data[name].to_numpy(zero_copy_only=False)
        if column.dtype.kind in "iuf":
            columns.append(Column(name=name, kind=Kind.NUMERIC, integer=True))
            values.append(column.astype(np.float64))
        else:
            levels, codes = np.unique(column.astype(str), return_inverse=True)
            columns.append(Column(name=name, kind=Kind.CATEGORICAL, levels=tuple(map(str, levels))))
            values.append(codes.astype(np.int64))
    return Table(columns=tuple(columns), values=tuple(values), subjects=np.arange(rows))
