"""Levels as an adversary knows them: those that stand in what it is handed, and no others.

The tables of an audit are coded alike, so a column's levels are those of the original too, and
whoever saw them all would know values that only people in the training data have. A challenge is
therefore coded anew before an attack sees it, and the answer's codes are taken back.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import evolve, fields, frozen

from leakpro_core.arrays import Bools, Ints
from leakpro_core.games.attribute_inference import AttributeAnswer, AttributeChallenge
from leakpro_core.games.singling_out import Predicate, SinglingOutAnswer, Term
from leakpro_core.tabular.table import Column, Table


@frozen(kw_only=True)
class Narrow:
    """Codes that an adversary knows, by column: int64 ``[levels it knows]``, ascending.

    columns: the columns as the adversary sees them, in the order of the released table.
    """

    known: Mapping[str, Ints]
    columns: tuple[Column, ...]

    def back(self, answer: Any, challenge: object) -> Any:
        """Return an answer to the challenge with its codes taken back."""
        if isinstance(answer, SinglingOutAnswer):
            return evolve(answer, predicates=tuple(self._predicate(p) for p in answer.predicates))
        if isinstance(answer, AttributeAnswer) and isinstance(challenge, AttributeChallenge):
            return self._guesses(answer, challenge.secret)
        return answer

    def _guesses(self, answer: AttributeAnswer, secret: Column) -> AttributeAnswer:
        if secret.measured:
            return answer
        known, guesses = self.known[secret.name], np.array(answer.guesses, np.float64)
        code = (guesses >= 0) & (guesses < len(known)) & (guesses == np.floor(guesses))
        # What is no code of those that it knows stays one that nobody knows, and is refused.
        guesses[~code & ~np.isnan(guesses)] = -2.0
        guesses[code] = known[guesses[code].astype(np.int64)]
        return evolve(answer, guesses=guesses)

    def _predicate(self, predicate: Predicate) -> Predicate:
        return Predicate(tuple(self._term(term) for term in predicate.terms))

    def _term(self, term: Term) -> Term:
        if not 0 <= term.column < len(self.columns) or self.columns[term.column].measured:
            return term
        known = self.known[self.columns[term.column].name]
        if term.values:
            return evolve(term, values=tuple(_code(known, v) for v in term.values))
        # Levels are in order, so an interval of those that are known is one of all.
        return evolve(term, low=float(_code(known, term.low)), high=float(_code(known, term.high)))


def _code(known: Ints, value: float) -> int:
    """Return the code of all tables; -1 stays missing, and what is no code is no code after."""
    if value == -1:
        return -1
    if value != value or value != int(value) or not 0 <= value < len(known):
        return -2
    return int(known[int(value)])


def narrowed(challenge: Any) -> tuple[Any, Narrow]:
    """Return the challenge with its tables coded by the levels that stand in them."""
    held = {f.name: getattr(challenge, f.name) for f in fields(type(challenge))}
    tables = [table for value in held.values() for table in _tables(value)]
    there: dict[str, Bools] = {}
    for table in tables:
        for column, values in zip(table.columns, table.values, strict=True):
            if not column.measured:
                flags = there.setdefault(column.name, np.zeros(len(column.levels) + 1, np.bool_))
                flags[values] = True  # -1, missing, is the last
    codes = {name: np.flatnonzero(flags[:-1]) for name, flags in there.items()}
    changes: dict[str, object] = {}
    for name, value in held.items():
        if isinstance(value, Table):
            changes[name] = _recoded(value, codes)
        elif _tables(value):
            changes[name] = tuple(_recoded(table, codes) for table in value)
    if isinstance(challenge, AttributeChallenge):
        changes["secret"] = _column(challenge.secret, codes)
    columns = tuple(_column(column, codes) for column in challenge.synthetic.columns)
    return evolve(challenge, **changes), Narrow(known=codes, columns=columns)


def _tables(value: object) -> tuple[Table, ...]:
    if isinstance(value, Table):
        return (value,)
    return value if isinstance(value, tuple) and value and isinstance(value[0], Table) else ()


def _column(column: Column, known: Mapping[str, Ints]) -> Column:
    if column.measured:
        return column
    codes = known.get(column.name, np.zeros(0, np.int64))
    return evolve(column, levels=tuple(column.levels[i] for i in codes))


def _recoded(table: Table, known: Mapping[str, Ints]) -> Table:
    values = []
    for column, old in zip(table.columns, table.values, strict=True):
        if column.measured:
            values.append(old)
            continue
        new = np.searchsorted(known[column.name], old)
        values.append(np.where(old < 0, -1, new))
    return evolve(
        table, columns=tuple(_column(c, known) for c in table.columns), values=tuple(values)
    )
