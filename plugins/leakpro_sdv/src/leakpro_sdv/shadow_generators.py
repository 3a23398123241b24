"""Likelihood ratio on generators fitted with and without the record.

Stadler, Oprisanu, Troncoso 2022 train shadow generators for one record at a time and classify
features of their tables; here every shadow serves all candidates, as in Carlini et al. 2022. The
features are how near a table's rows come to the candidate, and how many are like it in a few
columns (``leakpro_sdv.queries``). Each is modelled as ``middle + effect * (member - 1/2) + noise``,
middle and effect of the record's own, noise Gaussian and of one variance. How far to trust which
feature is learned on shadows as pseudo-targets; queries of as many columns are one feature.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import field, frozen, validators
from sklearn.linear_model import LogisticRegression

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.distance import Space
from leakpro_core.tabular.table import Table
from leakpro_sdv.queries import counted
from leakpro_sdv.scores import NEAREST, Near, Rows, released_rows

_EXPONENTS = (1.0, 4.0)
_RADII = (0.1, 0.5)
"""Quantiles of the nearest distances within which released rows are counted."""

_ORDERS = (1, 2, 3)
"""Columns of a query."""

_MOST = 50_000
"""Pseudo-targets' candidates that weights are learned on, all shadows together."""

_AT_ONCE = 16
"""Features of many candidates that are modelled at a time, for the sake of memory."""


@frozen(kw_only=True)
class ShadowOptions:
    """Options of ``shadow-generators``.

    ridge: of the weights that are learned, for each candidate, of features of spread one; the
    larger, the more each feature counts by what it tells alone. It does not grow with the number
    of shadows: candidates on one shadow err together, so that only more shadows teach more.
    queries: sets of two, and of three, columns that rows are compared in, at most; 0 for none,
    and no single columns either.
    """

    ridge: float = field(default=0.05, validator=validators.gt(0.0))
    queries: int = field(default=128, validator=[validators.ge(0), validators.le(10_000)])


def attack(challenge: SamplesChallenge, options: ShadowOptions, run: Run) -> MembershipAnswer:
    """Claim the log-odds that the record was in.

    A record that all shadows were fitted on, or none, has the mean effect of the others. Where no
    shadow was fitted on a candidate, or they are a single pair, the deviations of how near rows
    come add up. ``NotApplicable`` without shadows.
    """
    if not challenge.shadows:
        raise NotApplicable("shadow generators", found="none", expected="two pairs")
    parts = _parts(challenge, options, run.seed)
    on, every = challenge.trained_on, np.arange(len(challenge.records))
    learned, members = _rehearsed(parts, challenge, run.seed)
    shadows = np.ones(len(on), np.bool_)
    if not members.any() or members.all():
        near = parts[0].seen
        deviations = Effects.of(near[1:], on).deviations(near[0])
        return MembershipAnswer(claims=deviations.mean(axis=1))
    told = _told(parts, on, shadows, 0, every)
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

    def deviations(self, seen: Floats) -> Floats:
        """Return how far features ``[n, f]`` lie from the middle, in spreads."""
        return (seen - self.middle) / self.spread

    def ratios(self, seen: Floats) -> Floats:
        """Return the log-likelihood ratio of each feature, ``[n, f]``."""
        return self.effect / self.spread * self.deviations(seen)


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


@frozen(kw_only=True, eq=False)
class Part:
    """Features of the release, then of every shadow.

    seen: ``[1 + models, n, f]``; summed: whether their likelihood ratios are one feature, their
    sum; otherwise each is one, and its deviation another.
    """

    seen: Floats
    summed: bool


def _parts(challenge: SamplesChallenge, options: ShadowOptions, seed: int) -> list[Part]:
    """Return how near rows come, and the queries, which share nothing but the candidates."""
    tables = (released_rows(challenge), *challenge.shadows)
    parts = [Part(seen=_nearness(challenge, tables, seed), summed=False)]
    orders = _ORDERS if options.queries else ()
    for found in counted(challenge.records, tables, orders, options.queries, seed):
        parts.append(Part(seen=found.shares, summed=True))
    return parts


def _nearness(challenge: SamplesChallenge, tables: Sequence[Table], seed: int) -> Floats:
    """Return ``[tables, n, f]``."""
    space = Space.of(challenge.records, *tables)
    asked = space.encode(challenge.records)
    found = [Near.of(asked, Rows.of(table, space), NEAREST, seed) for table in tables]
    nearest = np.concatenate([near.log_distance[:, 0] for near in found])
    radii = np.quantile(nearest, _RADII)
    return np.stack([_described(near, radii) for near in found])


def _described(near: Near, radii: Floats) -> Floats:
    """Return what one table's rows say of each candidate, ``[n, f]``; all rise with nearness."""
    within = near.log_distance[:, :, None] <= radii
    counts = (near.count[:, :, None] * within).sum(axis=1)
    densities = [near.log_density(exponent) for exponent in _EXPONENTS]
    return np.column_stack([-near.log_distance[:, 0], *densities, np.log1p(counts)])


def _told(parts: Sequence[Part], on: Bools, models: Bools, asked: int, rows: Ints) -> Floats:
    """Return what a table says of some candidates, by what some shadows taught, ``[rows, g]``.

    on: bool ``[models, n]``; models: which shadows; asked: the table's number in the parts.
    """
    told = []
    known = on[models][:, rows]
    for part in parts:
        total = np.zeros((len(rows), 1))
        for first in range(0, part.seen.shape[2], _AT_ONCE):
            few = part.seen[:, rows, first : first + _AT_ONCE].astype(np.float64)
            effects = Effects.of(few[1:][models], known)
            ratios = effects.ratios(few[asked])
            if part.summed:
                total += ratios.sum(axis=1, keepdims=True)
            else:
                told += [ratios, effects.deviations(few[asked])]
        told += [total] if part.summed else []
    return np.concatenate(told, axis=1)


def _rehearsed(
    parts: Sequence[Part], challenge: SamplesChallenge, seed: int
) -> tuple[Floats, Bools]:
    """Return shadows as pseudo-targets ``[m, g]`` and whether they were fitted on each record.

    Each is described by the shadows of the other pairs: its twin gives its records away.
    """
    n, on = len(challenge.records), challenge.trained_on
    quota = max(1, _MOST // len(challenge.pair))
    rows = np.random.default_rng(seed).permutation(n)[:quota]
    learned, members = [], [np.empty(0, np.bool_)]
    for models, others in _pairs(challenge):
        for model in models:
            learned.append(_told(parts, on, others, 1 + model, rows))
            members.append(on[model, rows])
    return np.concatenate(learned) if learned else np.empty((0, 1)), np.concatenate(members)


def _pairs(challenge: SamplesChallenge) -> Iterator[tuple[list[int], Bools]]:
    """Yield each pair's models by number, and bool ``[models]``, all others; not for one pair."""
    for pair in np.unique(challenge.pair):
        others = challenge.pair != pair
        if others.any():
            yield np.flatnonzero(~others).tolist(), others
