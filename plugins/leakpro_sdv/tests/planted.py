"""Small tables, Adult, and attacks on them played as core plays them, for tests."""

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from leakpro_core.arrays import AnyArray, Floats
from leakpro_core.games.samples import TableStage
from leakpro_core.records import Evidence
from leakpro_core.tables import read_table
from leakpro_core.tabular.infer import tables
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix
from leakpro_core.testing.conformance import PlainRun

ADULT = Path(__file__).resolve().parents[4] / "shared" / "data" / "adult_audit"

MIXED = (
    *(Column(name=f"number {i}", kind=Kind.NUMERIC) for i in range(3)),
    Column(name="day", kind=Kind.DATETIME),
    *(Column(name=f"code {i}", kind=Kind.CATEGORICAL, levels=("a", "b", "c")) for i in range(3)),
    Column(name="binary", kind=Kind.BOOLEAN, levels=("no", "yes")),
)


def mixed(n: int, rng: np.random.Generator, missing: float = 0.0, first: int = 0) -> Table:
    """Return n people with eight columns that are independent."""
    levels = [2 if c.kind is Kind.BOOLEAN else 3 for c in MIXED]
    values = np.column_stack(
        [
            rng.normal(size=n) if column.measured else rng.integers(0, most, n).astype(float)
            for column, most in zip(MIXED, levels, strict=True)
        ]
    )
    values[rng.random(values.shape) < missing] = np.nan
    return from_matrix(MIXED, values, first + np.arange(n))


def adult(*names: str) -> list[Table]:
    """Return tables of shared/data/adult_audit; skips where it is not there."""
    if not ADULT.exists():
        pytest.skip("shared/data/adult_audit is not there")
    roles = {"original", "control", *names}
    made = tables({role: read_table(ADULT / f"{role}.parquet") for role in sorted(roles)})
    return [made[name] for name in names]


def stage(original: Table, control: Table, released: Table, rounds: int = 2000) -> TableStage:
    """Return a stage without auxiliary rows."""
    return TableStage(
        released=released,
        original=original,
        control=control,
        tenth_original=np.zeros(len(original), bool),
        tenth_control=np.zeros(len(control), bool),
        rounds=rounds,
    )


def shuffled(table: Table, rng: np.random.Generator) -> Table:
    """Return the rows of a table as a release: in another order, of nobody."""
    released = table.rows(rng.permutation(len(table)))
    return evolve(released, subjects=np.arange(len(table)))


def rates(evidence: Evidence) -> tuple[float, float]:
    """Return the hit rates of exposed and control people."""
    hit: Floats = evidence.hit
    return tuple(float(np.nanmean(hit[evidence.exposed == arm])) for arm in (True, False))  # type: ignore[return-value]


def surest(evidence: Evidence) -> AnyArray:
    """Return the tenth of the rounds with the surest claims."""
    return np.argsort(-evidence.claim, kind="stable")[: len(evidence.claim) // 10]


def plain_run(seed: int = 0) -> PlainRun:
    """Return a run that logs nothing."""
    return PlainRun(seed=seed, scratch=Path())
