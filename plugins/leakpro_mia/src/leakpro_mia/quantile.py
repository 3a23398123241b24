"""Quantile attack (Bertran et al. 2023): what margin would this record have as a non-member?

No shadow models: a quantile of the margin is regressed on the raw record over auxiliary records.
"""

import numpy as np
from attrs import field, frozen, validators
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from leakpro_core.arrays import AnyArray, Floats, Ints, Singles
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import AuxiliaryView, MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run

_FITTED = 5_000
"""Auxiliary records from which the reduction of wide records is learned."""


@frozen(kw_only=True)
class QuantileOptions:
    """Options of ``quantile``.

    fpr: the false positive rate aimed at, the quantile is 1 - fpr;
    components: wider records (images, one-hot columns) are reduced to so many principal ones;
    folds: 0 regresses over auxiliary records only; k > 1 adds the candidates of the other folds,
    for where auxiliary records are few or drawn from elsewhere. Members among them raise the
    quantile alike for members and non-members.
    """

    fpr: float = field(default=0.01, validator=[validators.gt(0.0), validators.lt(0.5)])
    components: int = field(default=128, validator=validators.ge(1))
    folds: int = field(
        default=0, validator=[validators.ge(0), validators.not_(validators.in_((1,)))]
    )


def attack(challenge: MembershipChallenge, options: QuantileOptions, run: Run) -> MembershipAnswer:
    """Claim how far the margin, the mean over queries, lies above its quantile."""
    auxiliary = challenge.auxiliary
    if challenge.records is None or auxiliary is None or auxiliary.records is None:
        raise NotApplicable(
            "attack 'quantile' needs raw records of candidates and auxiliary records"
        )
    order, model = np.random.SeedSequence(run.seed).generate_state(2)
    with threadpool_limits(limits=1):
        own, others = _features(challenge, challenge.records, auxiliary, auxiliary.records, options)
        phi, reference = _mean(challenge.target.margin), _mean(auxiliary.target.margin)
        fold = np.random.default_rng(order).permutation(len(phi)) % max(options.folds, 1)
        quantile = np.empty_like(phi)
        for k in range(max(options.folds, 1)):
            within = fold == k
            beside = ~within if options.folds else np.zeros_like(within)
            regressor = HistGradientBoostingRegressor(
                loss="quantile",
                quantile=1 - options.fpr,
                max_iter=100,
                learning_rate=0.1,
                max_leaf_nodes=15,
                early_stopping=False,
                random_state=int(model),
            )
            regressor.fit(
                np.concatenate([others, own[beside]]), np.concatenate([reference, phi[beside]])
            )
            quantile[within] = regressor.predict(own[within])
    return MembershipAnswer(claims=phi - quantile)


def _mean(margin: Singles) -> Floats:
    mean: Floats = margin.astype(np.float64).mean(axis=1)
    return mean


def _features(
    challenge: MembershipChallenge,
    records: AnyArray,
    auxiliary: AuxiliaryView,
    others: AnyArray,
    options: QuantileOptions,
) -> tuple[Singles, Singles]:
    """Return features of candidates and auxiliary records: reduced records and the label."""
    own, rest = _flat(records), _flat(others)
    if own.shape[1] > options.components:
        fitted = rest[:_FITTED]
        components = min(options.components, *fitted.shape)
        reduce = PCA(components, svd_solver="randomized", iterated_power=2, random_state=0)
        reduce.fit(fitted)
        own, rest = reduce.transform(own), reduce.transform(rest)
    return _with_label(own, challenge.labels), _with_label(rest, auxiliary.labels)


def _flat(records: AnyArray) -> Singles:
    if not (np.issubdtype(records.dtype, np.number) or records.dtype == np.bool_):
        raise NotApplicable(
            "attack 'quantile' needs numeric records", found=f"records of {records.dtype}"
        )
    return records.reshape(len(records), -1).astype(np.float32)


def _with_label(features: Singles, labels: Ints) -> Singles:
    return np.column_stack([features, labels.astype(np.float32)])
