"""Likelihood ratio on generators fitted with and without the record."""

import numpy as np
import pytest
from adult import challenge, claims, planted, separation
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.shadow_generators import Effects, ShadowOptions, _pairs, _parts, _rehearsed
from planted import mixed

from leakpro_core.errors import NotApplicable
from leakpro_core.statistics.roc import auc
from leakpro_core.tabular.table import from_matrix


def simulated(models=400, n=50, seed=0, spread=0.5):
    """Return features [models, n, 2] with effects of each record's own, and who was in."""
    rng = np.random.default_rng(seed)
    middle, effect = rng.normal(size=(n, 2)), rng.normal(1.0, 0.7, size=(n, 2))
    half = rng.random((models // 2, n)) < 0.5
    on = np.stack([half, ~half], axis=1).reshape(models, n)
    noise = spread * rng.normal(size=(models, n, 2))
    return middle + effect * (on[:, :, None] - 0.5) + noise, on, middle, effect


def test_many_shadows_tell_middle_effect_and_spread_of_each_record():
    seen, on, middle, effect = simulated()
    found = Effects.of(seen, on)
    np.testing.assert_allclose(found.middle, middle, atol=0.15)
    np.testing.assert_allclose(found.effect, effect, atol=0.25)
    np.testing.assert_allclose(found.spread, 0.5, atol=0.02)


def test_with_few_shadows_effects_shrink_towards_their_mean():
    seen, on, _, effect = simulated(models=4, n=2000, spread=2.0)
    found = Effects.of(seen, on).effect
    raw = np.where(on[:, :, None], seen, 0).sum(axis=0) / on.sum(axis=0)[:, None]
    raw = raw - np.where(on[:, :, None], 0, seen).sum(axis=0) / (~on).sum(axis=0)[:, None]
    assert found.mean() == pytest.approx(1.0, abs=0.15)
    assert ((found - effect) ** 2).mean() < 0.3 * ((raw - effect) ** 2).mean()


def test_a_record_that_all_shadows_or_none_were_fitted_on_has_the_mean_effect():
    seen, on, _, _ = simulated(n=400)
    on[:, 0], on[:, 1] = True, False
    found = Effects.of(seen, on)
    others = found.effect[2:].mean(axis=0)
    np.testing.assert_allclose(found.effect[0], others, atol=0.02)
    np.testing.assert_allclose(found.effect[1], others, atol=0.02)
    np.testing.assert_allclose(found.middle[0], seen[:, 0].mean(axis=0) - others / 2, atol=0.02)
    np.testing.assert_allclose(found.middle[1], seen[:, 1].mean(axis=0) + others / 2, atol=0.02)


@given(st.integers(1, 4), st.booleans(), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_effects_are_finite_whoever_was_in(models, flat, seed):
    rng = np.random.default_rng(seed)
    seen = np.zeros((models, 5, 2)) if flat else rng.normal(size=(models, 5, 2))
    found, x = Effects.of(seen, rng.random((models, 5)) < 0.5), rng.normal(size=(5, 2))
    for told in (found.ratios(x), found.deviations(x)):
        assert told.shape == (5, 2)
        assert np.isfinite(told).all()


def test_likelihood_ratios_are_those_of_two_gaussians():
    seen, on, _, _ = simulated(models=20)
    model = Effects.of(seen, on)
    x = np.random.default_rng(1).normal(size=(50, 2))
    inside, outside = model.middle + model.effect / 2, model.middle - model.effect / 2
    squares = [((x - mean) / model.spread) ** 2 / 2 for mean in (outside, inside)]
    np.testing.assert_allclose(model.ratios(x), squares[0] - squares[1])


def test_a_twin_stands_on_the_side_of_the_one_that_is_left_out():
    drawn, _ = planted(0, n=20, pairs=3)
    found = [(models, np.flatnonzero(others).tolist()) for models, others in _pairs(drawn)]
    assert found == [([0, 1], [2, 3, 4, 5]), ([2, 3], [0, 1, 4, 5]), ([4, 5], [0, 1, 2, 3])]


def test_pseudo_targets_of_tables_that_copy_nothing_tell_nothing():
    drawn, _ = planted(1, n=300, copied=0.0, pairs=3)
    learned, members = _rehearsed(_parts(drawn, ShadowOptions(), 0), drawn, 0)
    for column in learned.T:
        assert abs(auc(column, members).value - 0.5) < 0.04


def test_every_feature_rises_for_members_that_were_copied():
    drawn, members = planted(2, n=300, copied=0.5, pairs=2)
    for part in _parts(drawn, ShadowOptions(), 0):
        target = part.seen[0]
        assert (target[members].mean(axis=0) > target[~members].mean(axis=0)).all()


def test_records_in_crowds_and_out_of_them_are_compared_on_equal_terms():
    drawn, members = planted(3, n=400, copied=0.25, pairs=4)
    area, tpr = separation(claims("shadow-generators", drawn), members)
    by_distance, _ = separation(claims("distance", drawn), members)
    assert area > by_distance - 0.01
    assert tpr > 0.25


def test_shadows_that_no_candidate_was_in_tell_what_is_usual_without_it():
    drawn, members = planted(4, n=300, pairs=2)
    rng = np.random.default_rng(0)
    nobody = evolve(
        drawn,
        shadows=tuple(mixed(300, rng) for _ in drawn.shadows),
        trained_on=np.zeros_like(drawn.trained_on),
    )
    found = claims("shadow-generators", nobody)
    assert np.isfinite(found).all()
    assert separation(found, members)[1] > 0.25


def test_a_single_pair_is_enough_to_answer():
    drawn, members = planted(5, n=300, pairs=1)
    assert separation(claims("shadow-generators", drawn), members)[1] > 0.25


def test_records_without_a_side_are_answered_like_the_others():
    drawn, members = planted(6, n=300, pairs=3)
    on = drawn.trained_on.copy()
    lacking = np.arange(600) % 3 == 0
    on[:, lacking] = False
    # Shadows that copied these records are said not to have been fitted on them: they err alike
    # for members and others, and nobody is left without a claim.
    found = claims("shadow-generators", evolve(drawn, trained_on=on))
    assert np.isfinite(found).all()
    assert separation(found[~lacking], members[~lacking])[1] > 0.2


def test_no_shadows_are_not_applicable():
    drawn, _ = planted(7, n=10)
    with pytest.raises(NotApplicable, match="shadow generators"):
        claims("shadow-generators", drawn)


def test_shadows_need_not_have_the_release_size():
    drawn, _ = planted(8, n=40, pairs=2)
    shorter = tuple(table.rows(np.arange(30)) for table in drawn.shadows)
    bare = challenge(drawn.records, drawn.synthetic, None, shorter, drawn.trained_on)
    assert np.isfinite(claims("shadow-generators", bare)).all()


def test_an_outlying_record_that_no_row_comes_near_is_given_away_by_its_rare_value():
    """The generator draws each column by itself, and has the rare value from the record alone."""
    rng, n, models = np.random.default_rng(9), 100, 8
    records = mixed(n, rng)
    code = records.index("code 0")
    rare = np.where(np.arange(n) == 0, 2, records.values[code] % 2)
    records = with_column(records, code, rare)
    half = rng.random((models // 2, n)) < 0.5
    on = np.stack([half, ~half], axis=1).reshape(models, n)

    def released(inside):
        made = mixed(5 * n, rng)
        return with_column(made, code, rng.choice(rare[inside], 5 * n))

    tables = [released(inside) for inside in on]
    for inside in (True, False):
        fitted = rng.random(n) < 0.5
        fitted[0] = inside
        asked = challenge(records, released(fitted), None, tuple(tables), on)
        claim = claims("shadow-generators", asked)
        beaten = (claim > claim[0]).sum()
        assert beaten < 5 if inside else beaten > n - 6
        near = claims("shadow-generators", asked, queries=0)
        assert 5 < (near > near[0]).sum() < n - 5


def with_column(table, number, values):
    """Return a table with a coded column's values replaced."""
    own = list(table.values)
    own[number] = np.asarray(values, np.int64)
    return evolve(table, values=tuple(own))


def test_records_of_many_columns_take_little_time_and_memory():
    rng = np.random.default_rng(10)
    wide = tuple(evolve(mixed(1, rng).columns[0], name=f"{j}") for j in range(300))
    tables = [from_matrix(wide, rng.normal(size=(50, 300))) for _ in range(5)]
    on = np.tile([[True], [False]], (2, 50))
    found = claims(
        "shadow-generators", challenge(tables[0], tables[0], None, tuple(tables[1:]), on)
    )
    assert np.isfinite(found).all()
