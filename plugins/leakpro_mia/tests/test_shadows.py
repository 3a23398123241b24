"""Sides of each record, and leaving out whole pairs."""

import numpy as np
import pytest
from attrs import evolve, fields
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_mia.lira import LiraOptions
from leakpro_mia.ratio import RatioOptions
from leakpro_mia.shadows import Side, all_sides, without_each_pair
from scenes import claims, scene, with_records, with_shadows

from leakpro_core.errors import NeedsBothSides
from leakpro_core.records import Signals


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    pairs=st.integers(2, 6),
    twinless=st.integers(0, 3),
    spread=st.sampled_from([0.01, 1.0, 100.0]),
)
def test_leaving_a_pair_out_equals_sides_over_the_others(seed, pairs, twinless, spread):
    challenge, _ = scene(seed % 5, records=40, pairs=pairs + twinless, spread=spread)
    rng = np.random.default_rng(seed)
    # The twins of the last pairs are dropped, and some rows of trained_on are unbalanced.
    keep = rng.permutation(2 * (pairs + twinless) - twinless)
    challenge = with_shadows(challenge, keep)
    mixed = challenge.trained_on ^ (rng.random(challenge.trained_on.shape) < 0.1)
    challenge = evolve(challenge, trained_on=mixed)
    numbers = []
    for models, sides in without_each_pair(challenge, 2.0):
        left_out = np.array(sorted(models))
        numbers += list(models)
        assert len(set(challenge.pair[left_out])) == 1
        others = np.setdiff1d(np.arange(len(challenge.pair)), left_out)
        direct = all_sides(with_shadows(challenge, others), 2.0)
        rows = sides.complete()
        np.testing.assert_array_equal(rows, direct.complete())
        for side in ("inside", "outside"):
            for field in fields(Side):
                np.testing.assert_allclose(
                    getattr(getattr(sides, side), field.name)[rows],
                    getattr(getattr(direct, side), field.name)[rows],
                    rtol=1e-9,
                    atol=1e-9 * spread**2,
                )
    assert sorted(numbers) == list(range(len(challenge.pair)))


def test_the_rest_is_exact_beside_a_shadow_that_dominates():
    challenge, _ = scene(pairs=2)
    log_p = np.full(challenge.shadows.margin.shape, -900.0, np.float32)
    log_p[0] = 0.0  # the first shadow's probability is e^900 times the others'
    shadows = Signals(margin=challenge.shadows.margin, log_p={1.0: log_p})
    challenge = evolve(challenge, shadows=shadows)
    (_, without_first), _ = without_each_pair(challenge, 1.0)
    np.testing.assert_allclose(without_first.inside.log_mean_p, -900.0)


def test_nothing_is_left_of_a_single_pair():
    challenge, _ = scene(pairs=1)
    assert list(without_each_pair(challenge, 1.0)) == []


@pytest.mark.parametrize("name", ["ratio", "lira", "student", "combined", "stacked"])
def test_a_record_without_a_side_is_named(name):
    challenge, _ = scene()
    trained_on = challenge.trained_on.copy()
    trained_on[:, [7, 9]] = [False, True]
    with pytest.raises(NeedsBothSides, match=rf"candidate {challenge.ids[7]}: found 0 of 8"):
        claims(name, evolve(challenge, trained_on=trained_on))


@pytest.mark.parametrize(("name", "options"), [("ratio", RatioOptions), ("lira", LiraOptions)])
def test_offline_needs_only_shadows_without_the_record(name, options):
    challenge, _ = scene()
    offline = options(mode="offline")
    never = evolve(challenge, trained_on=np.zeros_like(challenge.trained_on))
    assert np.isfinite(claims(name, never, offline)).all()
    always = evolve(challenge, trained_on=np.ones_like(challenge.trained_on))
    with pytest.raises(NeedsBothSides, match="expected some trained without it"):
        claims(name, always, offline)


def test_no_shadows_at_all_is_an_error():
    challenge, _ = scene()
    with pytest.raises(NeedsBothSides, match="found 0 of 0"):
        claims("lira", with_shadows(challenge, np.arange(0)))


@pytest.mark.parametrize("name", ["ratio", "lira", "student", "combined", "stacked"])
def test_sides_of_unequal_size_are_no_obstacle(name):
    challenge, secret = scene(pairs=6, leak=6.0)
    keep = np.array([0, 1, 2, 3, 4, 6, 8, 10])  # two pairs and four shadows without twin
    challenge = with_shadows(challenge, keep)
    both = challenge.trained_on.any(axis=0) & ~challenge.trained_on.all(axis=0)
    rows = np.flatnonzero(both)
    scores = claims(name, with_records(challenge, rows))
    members = secret.members[rows]
    above = (scores[members, None] > scores[~members]).mean()
    assert above > 0.75
