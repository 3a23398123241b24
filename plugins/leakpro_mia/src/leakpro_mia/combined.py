"""``ratio`` and ``student`` together, each ranked against held-out shadows' scores (own work).

A rank is taken among the scores of pseudo-targets, so a record's rank does not depend on who
else is audited.
"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Bools, Floats
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.pseudo import Features, rehearse
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
    combination = Combination.fit(seen.features, seen.members, options.weight)
    claims = np.empty(len(challenge.ids))
    for block, views in seen.target():
        claims[block] = combination.score(views)
    return MembershipAnswer(claims=claims)


@frozen(kw_only=True, eq=False)
class Combination:
    """Both scores' ranks among pseudo-targets, weighted.

    references: ``ratio`` and ``student`` of pseudo-targets, each sorted, ``[m]``;
    weight: of ``student``; spread: standard deviation of the combined score over the references.
    """

    references: tuple[Floats, Floats]
    weight: float
    spread: float

    @classmethod
    def fit(cls, scores: Floats, members: Bools, weight: float | None = None) -> "Combination":
        """Fit to scores ``[m, 2]`` and bits ``[m]`` of pseudo-targets.

        weight: of ``student``; None: the one with the best TPR at low FPR.
        """
        columns = scores[:, 0], scores[:, 1]
        references = np.sort(columns[0]), np.sort(columns[1])
        held = [normal_score(o, c) for o, c in zip(references, columns, strict=True)]
        if weight is None:
            power = [low_fpr_power((1 - w) * held[0] + w * held[1], members) for w in _WEIGHTS]
            weight = _WEIGHTS[int(np.nanargmax([*power, -1.0])) % len(_WEIGHTS)]
        spread = float(np.std((1 - weight) * held[0] + weight * held[1]))
        return cls(references=references, weight=weight, spread=spread)

    def score(self, views: Floats) -> Floats:
        """Return the combined score ``[n]`` of ``ratio`` and ``student`` ``[views, n, 2]``."""
        first, second = (normal_score(o, views[:, :, j]) for j, o in enumerate(self.references))
        score: Floats = ((1 - self.weight) * first + self.weight * second).mean(axis=0)
        return score


def _describe(sides: Sides) -> Features:
    student = Student.fit(sides)

    def features(sides: Sides, model: Model) -> Floats:
        scores = [ratio(model.log_p, sides), student.predict(sides).score(model.phi)]
        return np.stack(scores, axis=1)

    return features
