"""What every attack on tables must do: ``conformance`` runs these for access samples."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from attrs import evolve, fields

from leakpro_core.arrays import Floats
from leakpro_core.errors import NotApplicable
from leakpro_core.games.samples import TableStage
from leakpro_core.offers import AttackOffer
from leakpro_core.testing.tables import SHAPES, outcome, plays, simulated_stage

ALIKE = 0.8
"""Rank correlation of claims that may not be missed where only the order of rows is another."""


def stage_for(offer: AttackOffer, seed: int = 0, **changes: Any) -> TableStage:
    """Return a simulated stage with what the offer says that the attack needs."""
    pairs = -(-offer.shadows // 2)
    return simulated_stage(seed, pairs=pairs, **changes)


def check_answer(offer: AttackOffer) -> None:
    """Answers that the referee can use: with few people, few guesses, and without the release.

    Blind, an attack is handed auxiliary rows in the place of the release, and no others.
    """
    cases: tuple[dict[str, Any], ...] = (
        {},
        {"people": 25},
        {"rounds": 20},
        {"auxiliary": False},
    )
    for seed, changes in enumerate(cases):
        stage = stage_for(offer, seed, **changes)
        if stage.auxiliary is None and "auxiliary" in offer.needs:
            continue
        outcome(offer, stage, seed=seed, drawn=seed)
    if "auxiliary" not in offer.needs and offer.game != "membership":
        stage = stage_for(offer)
        assert stage.auxiliary is not None
        outcome(offer, evolve(stage, released=stage.auxiliary, auxiliary=None))


def check_extremes(offer: AttackOffer) -> None:
    """Missing values, ties, columns of one value or none, equal rows: no crash, no infinite claim.

    ``NotApplicable`` is an answer, too.
    """
    for shape in SHAPES:
        stage = stage_for(offer, 1, shape=shape)
        if plays(offer, stage):
            with suppress(NotApplicable):
                outcome(offer, stage)


def check_seed(offer: AttackOffer, state: Callable[[], object]) -> None:
    """Answer the same stage twice. state: returns the global random state."""
    stage = stage_for(offer)
    before = state()
    first, second = (outcome(offer, stage, seed=5).answer for _ in range(2))
    wanted: Any = type(first)
    for field in fields(wanted):
        one, other = getattr(first, field.name), getattr(second, field.name)
        array = isinstance(one, np.ndarray)
        same = np.array_equal(one, other, equal_nan=True) if array else one == other
        assert same, f"{offer.ref}: {field.name} differs for the same seed"
    assert before == state(), f"{offer.ref} uses the global random state, not run.seed"


def check_order(offer: AttackOffer) -> None:
    """Shuffle people, released and auxiliary rows; what is claimed of whom must hardly change."""
    stage = stage_for(offer, 2, rounds=120)  # all people, whatever is drawn
    rng = np.random.default_rng(0)
    released = rng.permutation(len(stage.released))
    assert stage.auxiliary is not None
    mixed = evolve(
        stage,
        released=stage.released.rows(released),
        auxiliary=stage.auxiliary.rows(rng.permutation(len(stage.auxiliary))),
    )
    one, other = outcome(offer, stage, drawn=1), outcome(offer, mixed, drawn=2)
    away = abs(one.gain - other.gain)
    assert away < 0.2, f"the gain differs by {away:.2f} when only the order of rows does"
    if one.refereed.paired:
        return  # Predicates and released rows are drawn: which ones, the order may decide.
    claims = (one.refereed.evidence.claim, other.refereed.evidence.claim)
    like = _rank_correlation(*claims)
    assert like >= ALIKE, f"claims follow the order of rows: rank correlation {like:.2f}"


def check_direction(offer: AttackOffer) -> None:
    """A release of nothing but people's rows is worth something."""
    gain = outcome(offer, stage_for(offer, 3, leak=1.0, rounds=120)).gain
    assert gain > 0.2, "a plain leak is not found, or claims have the wrong sign"


def check_no_leak(offer: AttackOffer) -> None:
    """A release of fresh rows is worth nothing."""
    gains = [outcome(offer, stage_for(offer, seed, leak=0.0), drawn=seed).gain for seed in range(5)]
    assert abs(np.mean(gains)) < 0.12, f"a gain of {np.mean(gains):.2f} where nothing leaks"


def _rank_correlation(a: Floats, b: Floats) -> float:
    """Return Spearman's, of what is claimed both times; 1 where there is nothing to compare."""
    both = ~np.isnan(a) & ~np.isnan(b)
    x, y = (_ranks(values[both]) for values in (a, b))
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread > 0 else 1.0


def _ranks(values: Floats) -> Floats:
    """Return ranks less their mean; values that differ by rounding only tie."""
    _, at, count = np.unique(np.round(values, 9), return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - count / 2)[at]
    return ranks - len(ranks) / 2
