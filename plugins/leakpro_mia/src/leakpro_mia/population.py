"""Population attack (Ye et al. 2022, Attack P): how rare is such a fit among non-members?"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Floats, Singles
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.ranks import mid_rank


@frozen(kw_only=True)
class PopulationOptions:
    """Options of ``population``.

    per_class: auxiliary records that a class needs to be ranked by itself; candidates of
    smaller classes are ranked among all auxiliary records.
    """

    per_class: int = field(default=100, validator=validators.ge(1))


def attack(
    challenge: MembershipChallenge, options: PopulationOptions, run: Run
) -> MembershipAnswer:
    """Claim the rank of a candidate's log-probability among auxiliary records', in [0, 1]."""
    auxiliary = challenge.auxiliary
    if auxiliary is None or not len(auxiliary.labels):
        raise NotApplicable("attack 'population' needs auxiliary records, and there are none")
    others = _mean_log_p(auxiliary.target.log_p[1.0])
    own = _mean_log_p(challenge.target.log_p[1.0])
    claims = mid_rank(np.sort(others), own)
    sizes = np.bincount(auxiliary.labels, minlength=challenge.classes)
    for label in np.flatnonzero(sizes >= options.per_class):
        rows = challenge.labels == label
        claims[rows] = mid_rank(np.sort(others[auxiliary.labels == label]), own[rows])
    return MembershipAnswer(claims=claims)


def _mean_log_p(log_p: Singles) -> Floats:
    mean: Floats = log_p.astype(np.float64).mean(axis=1)
    return mean
