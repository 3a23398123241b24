"""Quantile attack (Bertran et al. 2023): what margin would this record have as a non-member?

No shadow models: a quantile of the margin is regressed on the raw record over auxiliary records.
"""

import math

import numpy as np
from attrs import field, frozen, validators
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from leakpro_core import spill
from leakpro_core.arrays import AnyArray, Floats, Ints, Singles
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run

_FITTED = 5_000
"""Auxiliary records from which the reduction of wide records is learned."""

_BLOCK = 2**24
"""Values of records (64 MB) that are reduced at once."""

_ASKED = 65_536
"""Records that the regression is asked about at once: it takes float64 copies."""


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
        others = _numeric(auxiliary.records)
        reduction = _reduction(others, options.components)
        rest = _features(others, auxiliary.labels, reduction)
        own = _features(_numeric(challenge.records), challenge.labels, reduction)
        phi, reference = _mean(challenge.target.margin), _mean(auxiliary.target.margin)
        fold = np.random.default_rng(order).permutation(len(phi)) % max(options.folds, 1)
        quantile = np.empty_like(phi)
        for k in range(max(options.folds, 1)):
            learned, at = rest, reference
            if options.folds:
                learned = np.concatenate([rest, own[fold != k]])
                at = np.concatenate([reference, phi[fold != k]])
            regressor = _regressor(1 - options.fpr, int(model)).fit(learned, at)
            within = np.flatnonzero(fold == k)
            for start in range(0, len(within), _ASKED):
                rows = within[start : start + _ASKED]
                quantile[rows] = regressor.predict(own[rows])
    return MembershipAnswer(claims=phi - quantile)


def _regressor(quantile: float, seed: int) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=quantile,
        max_iter=100,
        learning_rate=0.1,
        max_leaf_nodes=15,
        early_stopping=False,
        random_state=seed,
    )


def _mean(margin: Singles) -> Floats:
    mean: Floats = margin.astype(np.float64).mean(axis=1)
    return mean


def _reduction(records: AnyArray, components: int) -> PCA | None:
    """Return what reduces wide records to principal components, learned from the first records."""
    fitted = _flat(records[:_FITTED])
    if fitted.shape[1] <= components:
        return None
    reduction = PCA(
        min(components, *fitted.shape), svd_solver="randomized", iterated_power=2, random_state=0
    )
    return reduction.fit(fitted)


def _features(records: AnyArray, labels: Ints, reduction: PCA | None) -> Singles:
    """Return features float32 ``[n, f]``: records, reduced in blocks where wide, and the label."""
    width = math.prod(records.shape[1:])
    kept = width if reduction is None else reduction.n_components_
    features: Singles = spill.empty((len(records), kept + 1), np.float32)
    features[:, -1] = labels
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(records), step):
        part = _flat(records[start : start + step])
        features[start : start + step, :-1] = (
            part if reduction is None else reduction.transform(part)
        )
    return features


def _numeric(records: AnyArray) -> AnyArray:
    if not (np.issubdtype(records.dtype, np.number) or records.dtype == np.bool_):
        raise NotApplicable(
            "attack 'quantile' needs numeric records", found=f"records of {records.dtype}"
        )
    return records


def _flat(records: AnyArray) -> Singles:
    return records.reshape(len(records), -1).astype(np.float32)
