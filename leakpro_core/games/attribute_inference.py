"""Attribute inference: a column of a person, guessed from the person's others.

Success: people in the training data against control people, all in one challenge a column.
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats, array
from leakpro_core.tabular.table import Column, Table


@frozen(kw_only=True)
class AttributeChallenge:
    """What the adversary gets.

    known: ``[n]`` people, shuffled, without the secret column; secret: that column; tolerance:
    how far a guessed number may be off (0 for codes); synthetic: released rows with all columns;
    auxiliary: rows of the same source with all columns, or None.
    """

    known: Table
    secret: Column
    tolerance: float
    synthetic: Table
    auxiliary: Table | None = None


@frozen(kw_only=True)
class AttributeAnswer:
    """A guess for each person, float64 ``[n]``: a number or a code; NaN abstains.

    claims: float64 ``[n]``, how sure.
    """

    guesses: Floats = array(np.float64)
    claims: Floats = array(np.float64)
