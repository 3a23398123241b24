"""Likelihood ratio to the average model: RMIA (Zarifzadeh et al. 2024), BASE (Lassila et al. 2025).

Both rank candidates as ``log p_target - log p`` does, where ``p`` is the mean probability over
models trained with and without the record, half and half.
"""

from typing import Literal

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Bools, Floats
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run
from leakpro_mia.pseudo import drawn
from leakpro_mia.ranks import low_fpr_power
from leakpro_mia.shadows import (
    Side,
    Sides,
    all_sides,
    need_sides,
    shadow_model,
    target_model,
    without_each_pair,
)

_GRID = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_PUBLISHED = 0.3

_MOST = 2_000_000
"""Scores of pseudo-targets by which ``a`` is chosen, all shadows together."""


@frozen(kw_only=True)
class RatioOptions:
    """Options of ``ratio``.

    mode: "online" uses both sides, "offline" only shadows trained without the record;
    temperature: of the softmax, above 0;
    a: how far the offline mean is trusted, ``p = ((1 + a) p_out + (1 - a)) / 2``, in (0, 1];
    chosen on the shadows where it is not given.
    """

    mode: Literal["online", "offline"] = "online"
    temperature: float = field(default=1.0, validator=validators.gt(0.0))
    a: float | None = field(
        default=None, validator=validators.optional([validators.gt(0.0), validators.le(1.0)])
    )


def attack(challenge: MembershipChallenge, options: RatioOptions, run: Run) -> MembershipAnswer:
    """Claim the log-ratio, the mean over queries."""
    need_sides(challenge, both=options.mode == "online")
    log_p = target_model(challenge, options.temperature).log_p
    sides = all_sides(challenge, options.temperature)
    if options.mode == "online":
        return MembershipAnswer(claims=ratio(log_p, sides))
    a = options.a if options.a is not None else _choose(challenge, options.temperature, run)
    run.log.info("offline ratio", a=a)
    return MembershipAnswer(claims=offline_ratio(log_p, sides.outside, a))


def ratio(log_p: Floats, sides: Sides) -> Floats:
    """Return the online score ``[n]``: either side counts half, however many shadows it has."""
    mean = np.logaddexp(sides.inside.log_mean_p, sides.outside.log_mean_p) - np.log(2)
    score: Floats = (log_p - mean).mean(axis=1)
    return score


def offline_ratio(log_p: Floats, outside: Side, a: float) -> Floats:
    """Return the offline score ``[n]``."""
    corrected = (
        np.log((1 + a) * np.exp(outside.log_mean_p) + (1 - a))
        if a < 1
        else (np.log(2) + outside.log_mean_p)
    )
    score: Floats = (log_p - corrected + np.log(2)).mean(axis=1)
    return score


def _choose(
    challenge: MembershipChallenge, temperature: float, run: Run, most: int = _MOST
) -> float:
    """Return the ``a`` that separates the shadows' own members best; never the audited bits.

    Where the shadows have no members among the candidates there is nothing to choose by: 0.3,
    as published for tabular data (Zarifzadeh et al. 2024, section B.2). All shadows together are
    scored on ``most`` records, drawn at random where there are more.
    """
    scores: dict[float, list[Floats]] = {a: [] for a in _GRID}
    bits: list[Bools] = []
    asked = drawn(len(challenge.ids), most // max(1, len(challenge.pair)), run.seed)
    for models, sides in without_each_pair(challenge, temperature, asked):
        rows = np.flatnonzero(sides.outside.count[:, 0] > 0)
        outside = sides.outside.at(rows)
        for model in models:
            bits.append(challenge.trained_on[model, asked[rows]])
            log_p = shadow_model(challenge, int(model), temperature, asked[rows]).log_p
            for a in _GRID:
                scores[a].append(offline_ratio(log_p, outside, a))
    if not bits or not (members := np.concatenate(bits)).any() or members.all():
        return _PUBLISHED
    power = [low_fpr_power(np.concatenate(scores[a]), members) for a in _GRID]
    return _GRID[int(np.argmax(power))]
