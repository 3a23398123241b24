"""Tables and checks for the tests of singling-out attacks, and rates by the referee."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from attrs import evolve

from leakpro_core.games.samples import TableStage
from leakpro_core.games.singling_out import SinglingOutChallenge, challenge, referee
from leakpro_core.tabular.infer import tables
from leakpro_core.tabular.predicates import canonical
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix
from leakpro_core.testing.conformance import PlainRun

ADULT = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "adult_audit"
COLUMNS = (
    Column(name="balance", kind=Kind.NUMERIC),
    Column(name="visits", kind=Kind.NUMERIC, integer=True),
    Column(name="day", kind=Kind.DATETIME),
    Column(name="town", kind=Kind.CATEGORICAL, levels=("L'Aquila", "O'Fallon", "Rome", "7")),
    Column(name="insured", kind=Kind.BOOLEAN, levels=("False", "True")),
    Column(name="number", kind=Kind.IDENTIFIER, levels=tuple(map(str, range(999)))),
    Column(name="constant", kind=Kind.NUMERIC),
    Column(name="nothing", kind=Kind.NUMERIC),
    Column(name="unset", kind=Kind.CATEGORICAL, levels=("a",)),
)


def mixed(n: int, seed: int = 0, missing: float = 0.1) -> Table:
    """Return a table with a column of nearly every kind, negative numbers and missing values."""
    rng = np.random.default_rng(seed)
    whole = np.column_stack(
        [
            rng.normal(-1000.0, 300.0, n),
            rng.integers(-5, 6, n),
            rng.integers(-3000, 20_000, n) * 86_400.0,
            rng.choice(4, n, p=[0.9, 0.05, 0.04, 0.01]),
            rng.integers(0, 2, n),
            np.arange(n) % 999,
            np.full(n, 3.5),
            np.full(n, np.nan),
            np.full(n, np.nan),
        ]
    )
    gaps = rng.random((n, 5)) < missing
    whole[:, :5][gaps] = np.nan
    return from_matrix(COLUMNS, whole)


def coded(*rows: str) -> Table:
    """Return a table of one column a letter: the levels a to z, "." where missing."""
    columns = tuple(
        Column(name=str(j), kind=Kind.CATEGORICAL, levels=tuple("abcdefghijklmnopqrstuvwxyz"))
        for j in range(len(rows[0]))
    )
    codes = np.array([[-1 if c == "." else ord(c) - ord("a") for c in row] for row in rows])
    return Table(columns=columns, values=tuple(codes.T), subjects=np.arange(len(rows)))


def numbers(*values: float, integer: bool = False) -> Table:
    """Return a table of one column of numbers."""
    column = Column(name="x", kind=Kind.NUMERIC, integer=integer)
    return Table(
        columns=(column,), values=(np.array(values, float),), subjects=np.arange(len(values))
    )


def asked(released: Table, auxiliary: Table | None = None, guesses: int = 100, people: int = 0):
    return SinglingOutChallenge(
        synthetic=released,
        auxiliary=auxiliary,
        people=people or len(released),
        guesses=guesses,
    )


def played(attack, given: SinglingOutChallenge, options, seed: int = 0):
    return attack(given, options, PlainRun(seed=seed, scratch=Path()))


def matched(predicate, table: Table) -> np.ndarray:
    """Return which rows match: bool ``[n]``, by brute force."""
    kept = np.ones(len(table), bool)
    for term in predicate.terms:
        values = table.values[term.column].astype(float)
        if not table.columns[term.column].measured:
            values[values < 0] = np.nan
        if term.values:
            kept &= np.isin(np.where(np.isnan(values), -1, values), term.values)
        elif np.isnan(term.low) or (term.low == -1 and not table.columns[term.column].measured):
            kept &= np.isnan(values)
        else:
            kept &= (values >= term.low) & (values <= term.high)
    return kept


def shown(answer) -> list:
    """Return terms of each predicate as (column, low, high)."""
    return [[(t.column, t.low, t.high) for t in p.terms] for p in answer.predicates]


def check(attack, options, given: SinglingOutChallenge) -> int:
    """Check what every answer must be, and return the number of predicates."""
    answer = played(attack, given, options)
    columns = given.synthetic.columns
    found = canonical(answer.predicates, columns)
    assert len(found) <= given.guesses
    assert len(set(found)) == len(found)
    assert len(answer.claims) == len(found)
    assert np.isfinite(answer.claims).all()
    assert all(columns[t.column].kind is not Kind.IDENTIFIER for p in found for t in p.terms)
    beside = given.auxiliary
    for predicate in answer.predicates:
        # The row that it was built around, and none that repeats it.
        assert matched(predicate, given.synthetic).sum() == 1
        if beside is not None:
            assert matched(predicate, beside).sum() <= len(beside) / (10 * given.people)
    again = played(attack, given, options)
    assert canonical(again.predicates, columns) == found
    np.testing.assert_array_equal(again.claims, answer.claims)
    return len(found)


@cache
def adult() -> dict[str, Table]:
    """Return the tables of the audit of Adult."""
    if not ADULT.exists():
        pytest.skip("shared/data/adult_audit is absent")
    names = ("original", "control", "copula", "leaky20")
    return tables({name: pq.read_table(ADULT / f"{name}.parquet") for name in names})


def adult_stage(released: str, *, auxiliary: int = 0, rounds: int = 1000) -> TableStage:
    """Return the stage of an audit of Adult, some of the control's people set aside."""
    known = adult()
    control = known["control"]
    aside = np.arange(len(control)) < auxiliary
    return TableStage(
        released=known[released],
        original=known["original"],
        control=control.rows(~aside),
        auxiliary=control.rows(aside) if auxiliary else None,
        tenth_original=np.zeros(len(known["original"]), bool),
        tenth_control=np.zeros(int((~aside).sum()), bool),
        rounds=rounds,
    )


def adult_rates(attack, options, stage: TableStage, surest: float = 1.0) -> tuple[float, float]:
    """Return the hit rates of the exposed and the control arm, as the referee sees them.

    Both as if the arms were whole: in a smaller arm fewer are there to be isolated. surest: of
    this share of the predicates.
    """
    answer = played(attack, challenge(stage), options)
    evidence = referee(answer, stage, None, attack="tested").evidence
    least = min(len(stage.original), len(stage.control))
    floor = np.quantile(evidence.claim, 1 - surest) if surest < 1 else -np.inf
    counted = evidence.claim >= floor
    return tuple(
        float(evidence.hit[counted & (evidence.exposed == arm)].mean())
        * len(stage.original)
        / least
        for arm in (True, False)
    )


def with_rows(table: Table, *chosen: int) -> Table:
    """Return rows, in that order, as if of a person each."""
    return evolve(table.rows(np.array(chosen)), subjects=np.arange(len(chosen)))
