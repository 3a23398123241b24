"""A classifier of membership, learned on pseudo-targets (own work; after Shokri et al. 2017)."""

import numpy as np
from attrs import field, frozen, validators
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from leakpro_core.arrays import Floats
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.combined import Combination
from leakpro_mia.pseudo import Features, rehearse
from leakpro_mia.ratio import ratio
from leakpro_mia.shadows import Model, Sides
from leakpro_mia.student import Student

_NONE = 1e-9


@frozen(kw_only=True)
class StackedOptions:
    """Options of ``stacked``.

    temperature: of the softmax behind probabilities, above 0;
    rows: pseudo-target records learned from at most, drawn at random;
    combined: share of the score of ``combined``, in units of spread: the trees' steps are coarse
    and noisy where few records lie.
    """

    temperature: float = field(default=2.0, validator=validators.gt(0.0))
    rows: int = field(default=200_000, validator=validators.ge(1000))
    combined: float = field(default=0.5, validator=validators.ge(0.0))


def attack(challenge: MembershipChallenge, options: StackedOptions, run: Run) -> MembershipAnswer:
    """Claim the classifier's log-odds of membership, the mean over sets of shadows."""
    seen = rehearse(challenge, options.temperature, _describe, most=options.rows, seed=run.seed)
    trees = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.06,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        l2_regularization=5.0,
        max_features=0.3,
        early_stopping=False,
        random_state=int(np.random.SeedSequence(run.seed).generate_state(1)[0]),
    )
    # One thread: shares of a busy machine cost more than they give, and the cost is known.
    with threadpool_limits(limits=1):
        trees.fit(seen.features, seen.members)
        spread = np.std(trees.decision_function(seen.features[:: 1 + len(seen.features) // 20_000]))
        beside = Combination.fit(seen.features[:, :2], seen.members)
        # Where nothing varies, as with outputs that are all equal, there is no unit of spread.
        unit = spread if spread > _NONE else 1.0
        width = beside.spread if beside.spread > _NONE else 1.0
        claims = np.empty(len(challenge.ids))
        for block, views in seen.target():
            odds = np.mean([trees.decision_function(view) for view in views], axis=0)
            claims[block] = odds / unit + options.combined * beside.score(views[:, :, :2]) / width
    return MembershipAnswer(claims=claims)


def _describe(sides: Sides) -> Features:
    student = Student.fit(sides)

    def features(sides: Sides, model: Model) -> Floats:
        phi, predicted = model.phi, student.predict(sides)
        inside, outside = predicted.inside, predicted.outside
        each = [
            phi,
            model.log_p,
            sides.inside.mean,
            sides.outside.mean,
            np.log(inside.scale),
            np.log(outside.scale),
            (phi - inside.mean) / np.sqrt(inside.scale),
            (phi - outside.mean) / np.sqrt(outside.scale),
            sides.inside.lowest,
            sides.inside.highest,
            sides.outside.lowest,
            sides.outside.highest,
            phi - sides.inside.lowest,
            phi - sides.outside.highest,
            sides.inside.log_mean_p,
            sides.outside.log_mean_p,
        ]
        scores = [ratio(model.log_p, sides), predicted.score(phi)]
        return np.stack([*scores, *(one.mean(axis=1) for one in each)], axis=1)

    return features
