"""Singling out: predicates that isolate exactly one person of the training data.

Success, paired: each predicate is tried on the original and on the control rows, at equal n.
"""

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import Floats, array
from leakpro_core.tabular.table import Table


@frozen
class Term:
    """One column of a predicate: values from low to high, both included, or of a set of codes.

    column: its number in the tables; a code of a coded column is a number too (low = high =
    code); values: codes (-1: missing) instead of the interval; low NaN: the number is missing.
    """

    column: int
    low: float = 0.0
    high: float = 0.0
    values: tuple[int, ...] = ()


@frozen
class Predicate:
    """A conjunction of terms, each of a column of its own. Data, never code."""

    terms: tuple[Term, ...] = field(converter=tuple)


@frozen(kw_only=True)
class SinglingOutChallenge:
    """What the adversary gets.

    synthetic: released rows; auxiliary: rows of the same source, or None; people: how many rows
    the training data had; guesses: how many predicates it may give.
    """

    synthetic: Table
    auxiliary: Table | None = None
    people: int
    guesses: int


@frozen(kw_only=True)
class SinglingOutAnswer:
    """Predicates, and how sure of each: float64 ``[predicates]``, NaN to abstain."""

    predicates: tuple[Predicate, ...]
    claims: Floats = array(np.float64)
