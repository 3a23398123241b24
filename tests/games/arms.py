"""Small tables of two arms for the tests of table games."""

import numpy as np

from leakpro_core.games.samples import TableStage
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix

AGE = Column(name="age", kind=Kind.NUMERIC, integer=True)
INCOME = Column(name="income", kind=Kind.NUMERIC)
WORK = Column(name="work", kind=Kind.CATEGORICAL, levels=("clerk", "cook", "nurse", "smith"))
SMOKES = Column(name="smokes", kind=Kind.BOOLEAN, levels=("no", "yes"))
NUMBER = Column(name="number", kind=Kind.IDENTIFIER, levels=tuple(map(str, range(5000))))
NOTE = Column(name="note", kind=Kind.TEXT, levels=("ill", "tired", "well"))
COLUMNS = (NUMBER, AGE, INCOME, WORK, NOTE, SMOKES)


def draw(n: int, rng: np.random.Generator, first: int = 0, *, missing: float = 0.0) -> Table:
    """Return n people of one source, numbered from ``first``."""
    matrix = np.column_stack(
        [
            first + np.arange(n),
            rng.integers(18, 90, n),
            rng.normal(0, 10, n),
            rng.integers(0, 4, n),
            rng.integers(0, 3, n),
            rng.integers(0, 2, n),
        ]
    ).astype(float)
    gaps = rng.random(matrix.shape) < missing
    gaps[:, 0] = False
    matrix[gaps] = np.nan
    return from_matrix(COLUMNS, matrix, first + np.arange(n))


def stage(
    original: Table,
    control: Table,
    released: Table | None = None,
    auxiliary: Table | None = None,
    *,
    rounds: int = 100,
    tenth: tuple[int, ...] = (),
) -> TableStage:
    """Return a stage; released: original unless given; tenth: the most vulnerable people."""
    return TableStage(
        released=original if released is None else released,
        original=original,
        control=control,
        auxiliary=auxiliary,
        tenth_original=np.isin(original.subjects, tenth),
        tenth_control=np.isin(control.subjects, tenth),
        rounds=rounds,
    )


def numbers(*columns: list[float], subjects: list[int] | None = None) -> Table:
    """Return a table of number columns a, b, ..."""
    named = tuple(Column(name=name, kind=Kind.NUMERIC) for name in "abcdefghijkl"[: len(columns)])
    who = None if subjects is None else np.array(subjects)
    return from_matrix(named, np.column_stack(columns).astype(float), who)
