"""Linkability: two halves of a person's columns, brought together by the release.

Success: people in the training data against control people, all in one challenge.
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats, Ints, array
from leakpro_core.tabular.table import Table


@frozen(kw_only=True)
class LinkabilityChallenge:
    """What the adversary gets: two column-disjoint tables of the same n people, each shuffled.

    left, right: ``[n]``; synthetic: released rows with all columns; auxiliary: rows of the same
    source with all columns, or None.
    """

    left: Table
    right: Table
    synthetic: Table
    auxiliary: Table | None = None


@frozen(kw_only=True)
class LinkabilityAnswer:
    """Who in ``right`` each row of ``left`` is.

    partner: int64 ``[n, k]``, rows of right, -1 where there is none; mass: float64 ``[n, k]``,
    the belief in each, at most 1 in a row: what ties share; claims: float64 ``[n]``, how sure.
    """

    partner: Ints = array(np.int64)
    mass: Floats = array(np.float64)
    claims: Floats = array(np.float64)
