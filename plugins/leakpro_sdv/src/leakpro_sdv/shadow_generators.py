"""Likelihood ratio on generators fitted with and without the record.

Stadler, Oprisanu, Troncoso 2022 train shadow generators for one record at a time and classify
features of their tables; here every shadow serves all candidates, as in Carlini et al. 2022, and
the features are how near a table's rows come to the candidate. Each feature is modelled as
``middle + effect * (member - 1/2) + noise``, middle and effect of the record's own, noise Gaussian
and of one variance. How far to trust which feature is learned on shadows as pseudo-targets.
"""

from collections.abc import Iterator

import numpy as np
from attrs import field, frozen, validators
from sklearn.linear_model import LogisticRegression

from leakpro_core.arrays import Bools, Floats, array
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.distance import Space
from leakpro_sdv.scores import NEAREST, Near, Rows, released_rows

_EXPONENTS = (1.0, 4.0)
_RADII = (0.1, 0.5)
"""Quantiles of the nearest distances within which released rows are counted."""

_MOST = 200_000
"""Pseudo-targets' candidates that weights are learned on, all shadows together."""


@frozen(kw_only=True)
class ShadowOptions:
    """Options of ``shadow-generators``.

    ridge: of the weights that are learned, for each candidate, of features of spread one; the
    larger, the more each feature counts by what it tells alone. It does not grow with the number
    of shadows: candidates on one shadow err together, so that only more shadows teach more.
    """

    ridge: float = field(default=0.05, validator=validators.gt(0.0))


def attack(challenge: SamplesChallenge, options: ShadowOptions, run: Run) -> MembershipAnswer:
    """Claim the log-odds that the record was in.

    A record that all shadows were fitted on, or none, has the mean effect of the others. Where no
    shadow was fitted on a candidate, or they are a single pair, the features' deviations add up.
    ``NotApplicable`` without shadows.
    """
    if not challenge.shadows:
        raise NotApplicable("shadow generators", found="none", expected="two pairs")
    target, shadows = _features(challenge, run.seed)
    model = Effects.of(shadows, challenge.trained_on)
    learned, members = _rehearsed(shadows, challenge, run.seed)
    told = model.describe(target)
    if not members.any() or members.all():
        deviations = told[:, target.shape[1] :]
        return MembershipAnswer(claims=deviations.mean(axis=1))
    scale = np.maximum(learned.std(axis=0), 1e-12)
    each = len(members) / len(challenge.shadows)
    weights = LogisticRegression(C=1 / (options.ridge * each), max_iter=1000)
    weights.fit(learned / scale, members)
    run.log.info("weights of shadow features", weights=weights.coef_[0].round(3).tolist())
    return MembershipAnswer(claims=weights.decision_function(told / scale))


@frozen(kw_only=True, eq=False)
class Effects:
    """What membership does to features.

    middle, effect: ``[n, f]``, of each record; spread: ``[f]``, of the noise.
    """

    middle: Floats = array(np.float64)
    effect: Floats = array(np.float64)
    spread: Floats = array(np.float64)

    @classmethod
    def of(cls, seen: Floats, trained_on: Bools) -> "Effects":
        """Fit them to features ``[models, n, f]`` of tables fitted on records or not.

        Effects shrink towards the mean effect, by how much the noise makes them differ.
        """
        on = trained_on[:, :, None]
        counts = np.stack([on.sum(axis=0), (~on).sum(axis=0)])
        sides = zip((on, ~on), counts, strict=True)
        means = [np.where(s, seen, 0.0).sum(axis=0) / np.maximum(c, 1) for s, c in sides]
        both = (counts > 0).all(axis=(0, 2))
        differ = (means[0] - means[1])[both]
        noise = np.where(on, seen - means[0], seen - means[1])
        variance = _variance(noise, int(np.maximum(counts - 1, 0).sum()), differ, seen)
        effect = np.tile(np.sqrt(variance), (seen.shape[1], 1))
        if both.any():
            sampling = variance * (1 / counts[:, both]).sum(axis=0)
            mean = np.average(differ, axis=0, weights=(1 / sampling)[:, 0])
            between = np.maximum(((differ - mean) ** 2 - sampling).mean(axis=0), 0.0)
            effect[:] = mean
            effect[both] += between / (between + sampling) * (differ - mean)
        middle = seen.mean(axis=0) - effect * (on.mean(axis=0) - 0.5)
        return cls(middle=middle, effect=effect, spread=np.sqrt(variance))

    def describe(self, seen: Floats) -> Floats:
        """Return log-likelihood ratios, then deviations in spreads, ``[n, 2 f]``."""
        deviation = (seen - self.middle) / self.spread
        return np.concatenate([self.effect / self.spread * deviation, deviation], axis=1)


def _variance(noise: Floats, freedom: int, differ: Floats, seen: Floats) -> Floats:
    """Return that of the noise ``[f]``, above 0, of deviations from the means of both sides.

    With one shadow a side nothing tells noise from effects: differences are all taken for noise;
    with one shadow altogether, differences between records are.
    """
    if freedom:
        found = (noise**2).sum(axis=(0, 1)) / freedom
    elif len(differ):
        found = differ.var(axis=0) / 2
    else:
        found = seen.var(axis=(0, 1))
    return np.asarray(np.maximum(found, (1e-3 * seen.std(axis=(0, 1)) + 1e-12) ** 2))


def _features(challenge: SamplesChallenge, seed: int) -> tuple[Floats, Floats]:
    """Return features of the release ``[n, f]`` and of the shadows ``[models, n, f]``."""
    tables = (released_rows(challenge), *challenge.shadows)
    space = Space.of(challenge.records, *tables)
    asked = space.encode(challenge.records)
    found = [Near.of(asked, Rows.of(table, space), NEAREST, seed) for table in tables]
    nearest = np.concatenate([near.log_distance[:, 0] for near in found])
    radii = np.quantile(nearest, _RADII)
    every = np.stack([_described(near, radii) for near in found])
    return every[0], every[1:]


def _described(near: Near, radii: Floats) -> Floats:
    """Return what one table's rows say of each candidate, ``[n, f]``; all rise with nearness."""
    within = near.log_distance[:, :, None] <= radii
    counts = (near.count[:, :, None] * within).sum(axis=1)
    densities = [near.log_density(exponent) for exponent in _EXPONENTS]
    return np.column_stack([-near.log_distance[:, 0], *densities, np.log1p(counts)])


def _rehearsed(shadows: Floats, challenge: SamplesChallenge, seed: int) -> tuple[Floats, Bools]:
    """Return shadows as pseudo-targets ``[m, 2 f]`` and whether they were fitted on each record.

    Each is described by the shadows of the other pairs: its twin gives its records away.
    """
    features, members = [np.empty((0, 2 * shadows.shape[2]))], [np.empty(0, np.bool_)]
    rng = np.random.default_rng(seed)
    quota = max(1, _MOST // len(challenge.pair))
    for models, others in _pairs(challenge):
        beside = Effects.of(shadows[others], challenge.trained_on[others])
        for model in models:
            rows = rng.permutation(shadows.shape[1])[:quota]
            features.append(beside.describe(shadows[model])[rows])
            members.append(challenge.trained_on[model, rows])
    return np.concatenate(features), np.concatenate(members)


def _pairs(challenge: SamplesChallenge) -> Iterator[tuple[list[int], Bools]]:
    """Yield each pair's models by number, and bool ``[models]``, all others; not for one pair."""
    for pair in np.unique(challenge.pair):
        others = challenge.pair != pair
        if others.any():
            yield np.flatnonzero(~others).tolist(), others
