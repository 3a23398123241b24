"""Membership from updates: was a record among the client's, by the updates of several rounds?

Detection, judged as membership in a model is (Nasr, Shokri, Houmansadr 2019).
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Ints, array
from leakpro_core.records import Auxiliary, ClientUpdate, Disclosed

__all__ = ["UpdateMembershipChallenge"]


@frozen(kw_only=True)
class UpdateMembershipChallenge:
    """What the adversary gets.

    ids: opaque int64 ``[n]``; records ``[n, ...]``, labels int64 ``[n]``: the candidates, shuffled;
    model: the framework's own object, which must not be changed; rounds: the global model and the
    update of each round, in order, without what they were made of; disclosed: what the adversary
    knows of how updates came about; auxiliary: records that are in no update, to calibrate on, or
    None.
    """

    ids: Ints = array(np.int64)
    records: AnyArray = array()
    labels: Ints = array(np.int64)
    classes: int
    model: object
    rounds: tuple[ClientUpdate, ...]
    disclosed: Disclosed
    auxiliary: Auxiliary | None = None
