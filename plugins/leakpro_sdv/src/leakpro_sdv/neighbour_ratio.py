"""Distance to released rows against that to auxiliary rows (Chen et al. 2020, calibrated).

A record in a crowd is near to any table; what counts is whether the released rows are nearer than
rows that are certainly of other people.
"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Floats
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.distance import Encoded, Space, nearest, nearest_distance
from leakpro_sdv.scores import FLOOR, auxiliary_rows, released_rows


@frozen(kw_only=True)
class NeighbourRatioOptions:
    """Options of ``neighbour-ratio``.

    neighbours: which nearest row, of both tables; the last where a table has fewer. From the
    second on a single copy of a record is not seen.
    """

    neighbours: int = field(default=1, validator=validators.ge(1))


def attack(
    challenge: SamplesChallenge, options: NeighbourRatioOptions, run: Run
) -> MembershipAnswer:
    """Claim log distance to the k-th nearest auxiliary row, minus that to released rows.

    Both tables are used whole, although they differ in size: in a table of r times the rows the
    k-th distance is smaller by the factor ``r**(-1/dimension)``, the same for all candidates, and
    ranks stay. Drawing the released rows down to the auxiliary ones' number would throw copies
    away: `adult_audit`, 20% copies, TPR at FPR 1% falls from .21 to .13.

    A copy is at distance 0; the floor keeps its claim finite and above all that are no copies,
    unless an auxiliary row is equal too: then the claim is 0. ``NotApplicable`` without rows.
    """
    released, auxiliary = released_rows(challenge), auxiliary_rows(challenge)
    space = Space.of(challenge.records, released, auxiliary)
    asked = space.encode(challenge.records)
    near, known = (
        _log_distance(asked, space.encode(table), options.neighbours, run.seed)
        for table in (released, auxiliary)
    )
    return MembershipAnswer(claims=known - near)


def _log_distance(queries: Encoded, base: Encoded, k: int, seed: int) -> Floats:
    """Return ``[queries]``, of the k-th nearest row."""
    if k == 1:
        far = nearest_distance(queries, base)
    else:
        far = nearest(queries, base, k, seed=seed).distance[:, -1]
    return np.asarray(np.log(far + FLOOR))
