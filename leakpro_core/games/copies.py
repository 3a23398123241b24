"""Copies: released rows that repeat a row of the training data.

Success, paired: each released row is compared with the original and with the control rows.
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats, Ints, array
from leakpro_core.tabular.table import Table


@frozen(kw_only=True)
class CopiesChallenge:
    """What the adversary gets: released rows, and rows of the same source, or None."""

    synthetic: Table
    auxiliary: Table | None = None


@frozen(kw_only=True)
class CopiesAnswer:
    """Released rows that are said to repeat a person's, and how sure of each.

    rows: int64 ``[k]``, numbers of released rows, each once; claims: float64 ``[k]``.
    """

    rows: Ints = array(np.int64)
    claims: Floats = array(np.float64)
