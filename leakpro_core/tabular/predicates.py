"""Predicates over a table: data, put into one form, counted on sorted columns, said in words.

Each column is sorted once, so that the rows of an interval are a slice of it. A conjunction looks
at the rows of its most selective term alone, and at each of those by its rank: exact, and no mask
over the whole table is made.
"""

import math
import operator
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Ints, array
from leakpro_core.errors import WrongAnswer
from leakpro_core.tabular.table import Column, Table


def _equal(bound: float) -> float | None:
    """Return what bounds are compared by: NaN says missing, and is equal to NaN."""
    return None if bound != bound else bound


@frozen
class Term:
    """One column of a predicate: values from low to high, both included, or of a set of codes.

    column: its number in the tables; a code of a coded column is a number too (low = high =
    code, -1: missing); values: codes instead of the interval; low NaN: the value is missing.
    """

    column: int
    low: float = field(default=0.0, eq=_equal)
    high: float = field(default=0.0, eq=_equal)
    values: tuple[int, ...] = ()


def _together(terms: Iterable[Term]) -> tuple[Term, ...]:
    return tuple(terms)


@frozen
class Predicate:
    """A conjunction of terms, each of a column of its own. Data, never code."""

    terms: tuple[Term, ...] = field(converter=_together)


@frozen(kw_only=True)
class Index:
    """A table with each column sorted.

    ordered: values of each column ascending, -1 (missing) first, NaN (missing) last; order: int32
    ``[columns, n]``, their rows; rank: int32 ``[columns, n]``, the place of each row in there;
    person: int64 ``[n]``, whose row it is, counted from 0; people: how many there are.
    """

    table: Table
    ordered: tuple[AnyArray, ...]
    order: AnyArray = array(np.int32)
    rank: AnyArray = array(np.int32)
    person: Ints = array(np.int64)
    people: int

    @classmethod
    def of(cls, table: Table) -> "Index":
        """Sort the columns of a table."""
        order = np.empty((len(table.columns), len(table)), np.int32)
        rank = np.empty_like(order)
        places = np.arange(len(table), dtype=np.int32)
        for j, values in enumerate(table.values):
            order[j] = np.argsort(values, kind="stable")
            rank[j, order[j]] = places
        owners, person = np.unique(table.subjects, return_inverse=True)
        return cls(
            table=table,
            ordered=tuple(v[o] for v, o in zip(table.values, order, strict=True)),
            order=order,
            rank=rank,
            person=person,
            people=len(owners),
        )


@frozen(kw_only=True)
class Matches:
    """What predicates match. people: int64 ``[predicates]``, how many people own a row that
    matches; row: int64 ``[predicates]``, the first row of the only such person, else -1.
    """

    people: Ints = array(np.int64)
    row: Ints = array(np.int64)


def canonical(
    predicates: Sequence[Predicate], columns: Sequence[Column], what: str = "predicates"
) -> tuple[Predicate, ...]:
    """Return predicates in the one form in which equal ones are equal: terms by column.

    Whole numbers and codes: an interval ends at whole numbers, a set without gaps is an interval.
    ``WrongAnswer`` for a predicate without terms, a column that is unknown or stands twice,
    low > high, a code that there is not, codes of a column of numbers; ``what`` names whose
    predicates they are.
    """
    result = []
    for i, predicate in enumerate(predicates):
        try:
            result.append(Predicate(_terms(predicate, columns, f"{what}, predicate {i}")))
        except (TypeError, ValueError, OverflowError) as error:
            raise WrongAnswer(
                f"{what}, predicate {i}", found=str(error), expected="numbers in its terms"
            ) from None
    return tuple(result)


def _terms(predicate: Predicate, columns: Sequence[Column], what: str) -> list[Term]:
    by_column = {operator.index(term.column): term for term in predicate.terms}
    for number in by_column:
        if not 0 <= number < len(columns):
            raise WrongAnswer(
                what, found=f"column {number}", expected=f"one from 0 to {len(columns) - 1}"
            )
    if not by_column or len(by_column) < len(predicate.terms):
        raise WrongAnswer(
            what,
            found="two terms of a column" if by_column else "no term",
            expected="at least one term, each of a column of its own",
        )
    return [_term(j, by_column[j], columns[j], what) for j in sorted(by_column)]


def _term(number: int, term: Term, column: Column, what: str) -> Term:
    if term.values:
        return _set(number, term, column, what)
    low, high = float(term.low), float(term.high)
    if math.isnan(low):
        missing = math.nan if column.measured else -1.0
        return Term(number, missing, missing)
    if not low <= high:
        raise WrongAnswer(
            f"{what}, column {column.name!r}",
            found=f"low {low:g} and high {high:g}",
            expected="low <= high",
        )
    if not column.measured:
        low, high = max(low, -1.0), min(high, len(column.levels) - 1.0)
    if column.integer or not column.measured:
        low = float(math.ceil(low)) if math.isfinite(low) else low
        high = float(math.floor(high)) if math.isfinite(high) else high
    return Term(number, low, high)


def _set(number: int, term: Term, column: Column, what: str) -> Term:
    codes = sorted({operator.index(code) for code in term.values})
    if column.measured or codes[0] < -1 or codes[-1] >= len(column.levels):
        last = len(column.levels) - 1
        raise WrongAnswer(
            f"{what}, column {column.name!r}",
            found=f"codes from {codes[0]} to {codes[-1]}",
            expected="an interval of numbers" if column.measured else f"codes from -1 to {last}",
        )
    if codes[-1] - codes[0] == len(codes) - 1:
        return Term(number, float(codes[0]), float(codes[-1]))
    return Term(number, values=tuple(codes))


def search(predicates: Sequence[Predicate], index: Index) -> Matches:
    """Return what canonical predicates match.

    Exact. 2,000 predicates of 15 terms over 76,800 rows take a fraction of a second.
    """
    people = np.zeros(len(predicates), np.int64)
    row = np.full(len(predicates), -1)
    seen = np.zeros(index.people, np.bool_)
    for i, rows in enumerate(_rows(predicates, index)):
        if index.people == len(index.table):
            people[i] = len(rows)
        else:
            # One array for all predicates, wiped where it was written.
            who = index.person[rows]
            seen[who] = True
            people[i] = np.count_nonzero(seen)
            seen[who] = False
        if people[i] == 1:
            row[i] = rows.min()
    return Matches(people=people, row=row)


def owners(predicates: Sequence[Predicate], index: Index) -> Iterator[Ints]:
    """Yield the people that each canonical predicate matches, int64, ascending, each once."""
    for rows in _rows(predicates, index):
        yield np.unique(index.person[rows])


def count(predicates: Sequence[Predicate], table: Table) -> Ints:
    """Return how many people of a table match each predicate, int64 ``[predicates]``.

    ``WrongAnswer`` as ``canonical``. Whoever counts in one table often calls ``search``.
    """
    return search(canonical(predicates, table.columns), Index.of(table)).people


def _rows(predicates: Sequence[Predicate], index: Index) -> Iterator[AnyArray]:
    """Yield the rows that each predicate matches, in no order."""
    terms = [term for predicate in predicates for term in predicate.terms]
    first = np.cumsum([0] + [len(predicate.terms) for predicate in predicates])
    column = np.array([term.column for term in terms], np.int64)
    start, stop = _spans(terms, column, index)
    # Narrow terms first: few rows are left for the others.
    narrow = np.lexsort((stop - start, np.repeat(np.arange(len(predicates)), np.diff(first))))
    for k in range(len(predicates)):
        chain = narrow[first[k] : first[k + 1]].tolist()
        rows = index.order[column[chain[0]], start[chain[0]] : stop[chain[0]]]
        for t in chain[1:]:
            if not len(rows):
                break
            place = index.rank[column[t]][rows]
            rows = rows[(place >= start[t]) & (place < stop[t])]
        for t in chain:
            if terms[t].values:  # its span holds codes between its own
                codes = index.table.values[column[t]][rows]
                rows = rows[np.isin(codes, terms[t].values)]
        yield rows


def _spans(terms: Sequence[Term], column: Ints, index: Index) -> tuple[Ints, Ints]:
    """Return which slice of its sorted column each term spans, a set's from first to last."""
    low = np.array([term.values[0] if term.values else term.low for term in terms], np.float64)
    high = np.array([term.values[-1] if term.values else term.high for term in terms], np.float64)
    start, stop = np.zeros_like(column), np.zeros_like(column)
    for j, ordered in enumerate(index.ordered):
        at = np.flatnonzero(column == j)
        if at.size:
            values = ordered.astype(np.float64)
            # NaN lies behind all numbers for numpy, as the missing values do.
            start[at] = np.searchsorted(values, low[at], "left")
            stop[at] = np.searchsorted(values, high[at], "right")
    return start, stop


def shown(predicate: Predicate, columns: Sequence[Column]) -> str:
    """Return a canonical predicate in words: "age is 34 and education is Bachelors"."""
    return " and ".join(_shown(term, columns[term.column]) for term in predicate.terms)


def _shown(term: Term, column: Column) -> str:
    if math.isnan(term.low):
        return f"{column.name} is missing"
    if not column.measured:
        codes = term.values or range(int(term.low), int(term.high) + 1)
        if len(codes) > 5:
            return f"{column.name} is one of {len(codes)} values"
        return f"{column.name} is {' or '.join(column.shown(code) for code in codes)}"
    low, high = (column.shown(v) if math.isfinite(v) else "" for v in (term.low, term.high))
    if low and high:
        return f"{column.name} is {low}" if low == high else f"{column.name} is {low} to {high}"
    if low or high:
        return f"{column.name} is at {f'least {low}' if low else f'most {high}'}"
    return f"{column.name} is known"
