"""Membership game: was this record in the training data?

Detection: the claims of members and non-members are compared.
"""

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.protocols import Queryable
from leakpro_core.records import Signals


@frozen(kw_only=True)
class AuxiliaryView:
    """What the adversary has of records that are certainly no members.

    target: signals ``[n_auxiliary, queries]``; shadows: ``[models, n_auxiliary, queries]`` or None.
    """

    labels: Ints = array(np.int64)
    records: AnyArray | None = array(optional=True)
    target: Signals
    shadows: Signals | None = None


@frozen(kw_only=True)
class MembershipChallenge:
    """What the adversary gets; row i of every array is candidate i, in an order of core's own.

    ids: opaque int64 ``[n]``; labels: int64 ``[n]``; classes: number of classes;
    records: ``[n, ...]`` where the adversary knows them;
    target: signals ``[n, queries]``;
    shadows: signals ``[models, n, queries]``, with zero models where there are none;
    trained_on: bool ``[models, n]``; pair: int64 ``[models]``: twins, trained on complementary
    halves, share a number, and whoever calibrates on shadows leaves out whole pairs;
    auxiliary: None where the adversary has none;
    query: the target behind the adversary's access and budget, for adaptive attacks.
    """

    ids: Ints = array(np.int64)
    labels: Ints = array(np.int64)
    classes: int
    records: AnyArray | None = array(optional=True)
    target: Signals
    shadows: Signals
    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)
    auxiliary: AuxiliaryView | None = None
    query: Queryable | None = None


@frozen(kw_only=True)
class MembershipAnswer:
    """One claim a candidate, float64 ``[n]``: higher: surer that it is a member; NaN: abstains."""

    claims: Floats = array(np.float64)


@frozen(kw_only=True)
class Secret:
    """What core keeps to itself: the order of the candidates, and who is a member.

    order: challenge row i is population record ``order[i]``.
    """

    order: Ints = array(np.int64)
    members: Bools = array(np.bool_)
    subjects: Ints = array(np.int64)
    cluster: int = field(default=0)
