"""The stage of the games on tables, and the membership game on a released table.

Every table game draws its people from one stage. The blind adversary of all of them is the same
attack, handed auxiliary rows where the adversary is handed the synthetic ones: it plays with all
that the adversary has but the release.
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Ints, array
from leakpro_core.tabular.table import Table


@frozen(kw_only=True)
class TableStage:
    """Everything that core draws challenges of table games from.

    released: the rows that the adversary is given, in the place of the synthetic table;
    original: people in the training data; control: people who are not; auxiliary: rows of the
    same source that the adversary knows, None where it has none. Subjects of original and control
    are numbered together, so that no number stands for two people.
    tenth_original, tenth_control: bool ``[n]``, rows of the most vulnerable tenth.
    rounds: people of each arm that are attacked, or guesses that are asked for.
    shadows: tables that shadow generators released; trained_on: bool ``[models, n]``, over the
    rows of original, then control; pair: int64 ``[models]``, twins share a number.
    """

    released: Table
    original: Table
    control: Table
    auxiliary: Table | None = None
    tenth_original: Bools = array(np.bool_)
    tenth_control: Bools = array(np.bool_)
    rounds: int = 2000
    shadows: tuple[Table, ...] = ()
    trained_on: Bools | None = array(np.bool_, optional=True)
    pair: Ints | None = array(np.int64, optional=True)


@frozen(kw_only=True)
class SamplesChallenge:
    """Membership from a released table: whose rows was the generator trained on?

    ids: opaque int64 ``[n]``; records: the candidates ``[n]``, shuffled, subjects hidden;
    synthetic: the released rows; auxiliary: rows that are certainly no members, or None;
    shadows: tables that shadow generators released, in the size of the release;
    trained_on: bool ``[models, n]``, which shadow was fitted on which candidate;
    pair: int64 ``[models]``, twins fitted on complementary halves share a number.
    """

    ids: Ints = array(np.int64)
    records: Table
    synthetic: Table
    auxiliary: Table | None = None
    shadows: tuple[Table, ...] = ()
    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)
