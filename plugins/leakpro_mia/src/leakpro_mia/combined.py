"""``ratio`` and ``student`` together, each ranked against held-out shadows' scores (own work).

A rank is taken among the scores of pseudo-targets, so a record's rank does not depend on who
else is audited.
"""

from collections.abc import Callable

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Bools, Floats
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.pseudo import rehearse
from leakpro_mia.ranks import low_fpr_power, normal_score
from leakpro_mia.ratio import ratio
from leakpro_mia.shadows import Model, Sides
from leakpro_mia.student import Student

_WEIGHTS = (0.15, 0.25, 0.35, 0.5, 0.65, 0.8)
_MOST = 100_000


@frozen(kw_only=True)
class CombinedOptions:
    """Options of ``combined``.

    temperature: of the softmax in ``ratio``, above 0; a soft one keeps its tails apart;
    weight: of ``student``, in [0, 1]; chosen on the shadows where it is not given.
    """

    temperature: float = field(default=2.0, validator=validators.gt(0.0))
    weight: float | None = field(
        default=None, validator=validators.optional([validators.ge(0.0), validators.le(1.0)])
    )


def attack(challenge: MembershipChallenge, options: CombinedOptions, run: Run) -> MembershipAnswer:
    """Claim the weighted sum of both normal scores, the mean over sets of shadows."""
    seen = rehearse(challenge, options.temperature, _describe, most=_MOST, seed=run.seed)
    claims, _ = combine(seen.features, seen.members, seen.target, options.weight)
    return MembershipAnswer(claims=claims)


def combine(
    reference: Floats, members: Bools, target: Floats, weight: float | None = None
) -> tuple[Floats, float]:
    """Return the combined score ``[n]`` and its standard deviation over the reference.

    reference: ``ratio`` and ``student`` of pseudo-targets, ``[m, 2]``; members: bool ``[m]``;
    target: the same of the target ``[views, n, 2]``; weight of ``student``, None: the one with
    the best TPR at low FPR on the reference.
    """
    columns = (reference[:, 0], reference[:, 1])
    held = [normal_score(column, column) for column in columns]
    if weight is None:
        power = [low_fpr_power((1 - w) * held[0] + w * held[1], members) for w in _WEIGHTS]
        weight = _WEIGHTS[int(np.nanargmax([*power, -1.0])) % len(_WEIGHTS)]
    score = [normal_score(column, target[:, :, j]) for j, column in enumerate(columns)]
    claims = ((1 - weight) * score[0] + weight * score[1]).mean(axis=0)
    return claims, float(np.std((1 - weight) * held[0] + weight * held[1]))


def _describe(sides: Sides) -> Callable[[Model], Floats]:
    student = Student.fit(sides)

    def features(model: Model) -> Floats:
        return np.stack([ratio(model.log_p, sides), student.score(model.phi)], axis=1)

    return features
