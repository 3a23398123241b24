"""Each score is what its paper says, computed the slow way."""

import numpy as np
import pytest
from attrs import evolve
from leakpro_mia.combined import Combination, CombinedOptions
from leakpro_mia.lira import LiraOptions
from leakpro_mia.population import PopulationOptions
from leakpro_mia.quantile import QuantileOptions
from leakpro_mia.ratio import RatioOptions
from leakpro_mia.stacked import StackedOptions
from leakpro_mia.student import Prediction, StudentOptions
from scenes import claims, scene, with_shadows
from scipy.stats import multivariate_normal, norm, spearmanr
from scipy.stats import t as student_t

from leakpro_core.errors import NotApplicable
from leakpro_core.records import Signals


def sides(challenge, values):
    """Values [models, n, queries] with NaN on the other side."""
    on = challenge.trained_on[:, :, None]
    values = values.astype(np.float64)
    return np.where(on, values, np.nan), np.where(on, np.nan, values)


def test_loss_is_the_mean_log_probability():
    challenge, _ = scene(queries=3)
    expected = challenge.target.log_p[1.0].astype(np.float64).mean(axis=1)
    np.testing.assert_array_equal(claims("loss", challenge), expected)


def test_population_ranks_within_classes_of_enough_records():
    challenge, _ = scene()
    own, others = challenge.target.log_p[1.0][:, 0], challenge.auxiliary.target.log_p[1.0][:, 0]
    per_class = claims("population", challenge, PopulationOptions(per_class=20))
    overall = claims("population", challenge, PopulationOptions(per_class=1000))
    row, label = 3, challenge.labels[3]
    same = others[challenge.auxiliary.labels == label]
    assert per_class[row] == pytest.approx(((same < own[row]).sum() + 0.5) / (len(same) + 1))
    assert overall[row] == pytest.approx(((others < own[row]).sum() + 0.5) / (len(others) + 1))


def test_ratio_online_is_against_the_mean_probability():
    challenge, _ = scene(queries=2)
    own, all_models = challenge.target.log_p[2.0], challenge.shadows.log_p[2.0]
    mean = np.log(np.exp(all_models.astype(np.float64)).mean(axis=0))
    expected = (own - mean).mean(axis=1)
    scores = claims("ratio", challenge, RatioOptions(temperature=2.0))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_ratio_offline_corrects_the_mean():
    challenge, _ = scene()
    _, outside = sides(challenge, np.exp(challenge.shadows.log_p[1.0].astype(np.float64)))
    own = challenge.target.log_p[1.0][:, 0].astype(np.float64)
    for a in (0.3, 1.0):
        p = ((1 + a) * np.nanmean(outside, axis=0)[:, 0] + (1 - a)) / 2
        scores = claims("ratio", challenge, RatioOptions(mode="offline", a=a))
        np.testing.assert_allclose(scores, own - np.log(p), rtol=1e-9)


def test_ratio_offline_takes_the_published_a_where_shadows_have_no_members():
    challenge, _ = scene()
    challenge = evolve(challenge, trained_on=np.zeros_like(challenge.trained_on))
    chosen = claims("ratio", challenge, RatioOptions(mode="offline"))
    np.testing.assert_array_equal(
        chosen, claims("ratio", challenge, RatioOptions(mode="offline", a=0.3))
    )


@pytest.mark.parametrize("variance", ["pooled", "per-record", "pooled-global"])
def test_lira_is_the_ratio_of_two_gaussians(variance):
    challenge, _ = scene(pairs=8)
    phi = challenge.target.margin[:, 0].astype(np.float64)
    terms = []
    for side in sides(challenge, challenge.shadows.margin):
        values = side[:, :, 0]
        mean = np.nanmean(values, axis=0)
        spread = {
            "pooled": np.sqrt(np.nansum((values - mean) ** 2) / (8 - 1) / values.shape[1]),
            "per-record": np.nanstd(values, axis=0),
            "pooled-global": np.nanstd(values),
        }[variance]
        terms.append((norm.logpdf(phi, mean, spread), (phi - mean) / spread))
    online = claims("lira", challenge, LiraOptions(variance=variance))
    offline = claims("lira", challenge, LiraOptions(variance=variance, mode="offline"))
    np.testing.assert_allclose(online, terms[0][0] - terms[1][0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(offline, terms[1][1], rtol=1e-4, atol=1e-4)
    assert spearmanr(offline, norm.cdf(terms[1][1]))[0] > 0.99999


def test_lira_takes_several_queries_as_one_gaussian():
    challenge, _ = scene(queries=3, pairs=8)
    expected = np.zeros(len(challenge.ids))
    for sign, side in zip((1, -1), sides(challenge, challenge.shadows.margin), strict=True):
        mean = np.nanmean(side, axis=0)
        deviation = np.nan_to_num(side - mean).reshape(-1, 3)
        covariance = deviation.T @ deviation / (len(mean) * (8 - 1))
        expected += sign * multivariate_normal.logpdf(
            challenge.target.margin - mean, np.zeros(3), covariance
        )
    np.testing.assert_allclose(claims("lira", challenge), expected, rtol=1e-3, atol=1e-3)


def test_lira_per_record_survives_more_queries_than_shadows():
    challenge, _ = scene(queries=6, pairs=2)
    scores = claims("lira", challenge, LiraOptions(variance="per-record"))
    assert np.isfinite(scores).all()


def test_epsilon_stops_margins():
    challenge, _ = scene()
    far = evolve(
        challenge,
        target=Signals(
            margin=np.full_like(challenge.target.margin, 500.0), log_p=challenge.target.log_p
        ),
    )
    stopped = evolve(
        far,
        target=Signals(
            margin=np.full_like(challenge.target.margin, -np.log(1e-45)),
            log_p=challenge.target.log_p,
        ),
    )
    published = LiraOptions(epsilon=1e-45)
    np.testing.assert_allclose(
        claims("lira", far, published), claims("lira", stopped, published), rtol=0.02
    )


def test_a_prediction_is_students_t():
    rng = np.random.default_rng(0)
    phi, mean, scale, degrees = rng.normal(size=(2, 5, 1)), 0.3, 2.0, 7.0
    prediction = Prediction(
        mean=np.full((5, 1), mean), scale=np.full((5, 1), scale), degrees=np.full((5, 1), degrees)
    )
    expected = student_t.logpdf(phi[0], degrees, mean, np.sqrt(scale))
    np.testing.assert_allclose(prediction.log_density(phi[0]), expected)


@pytest.mark.parametrize("shrink", [True, False])
def test_student_beats_per_record_variances_with_few_shadows(shrink):
    # AUC over 20 targets; spreads differ by record, four shadows on each side
    better = []
    for seed in range(10):
        challenge, secret = scene(seed + 100, records=600, leak=1.5, raw_outputs=False)
        student = _auc(claims("student", challenge, StudentOptions(shrink_means=shrink)), secret)
        lira = _auc(claims("lira", challenge, LiraOptions(variance="per-record")), secret)
        better.append(student - lira)
    assert np.mean(better) > 3 * np.std(better) / np.sqrt(len(better))


def test_combined_without_student_ranks_as_ratio_does():
    rng = np.random.default_rng(0)
    reference, members = rng.normal(size=(4000, 2)), rng.random(4000) < 0.5
    target = rng.normal(size=(1, 300, 2))
    scores = Combination.fit(reference, members, weight=0.0).score(target)
    assert spearmanr(scores, target[0, :, 0])[0] > 0.9999


def test_combined_weighs_the_score_that_finds_the_shadows_own_members():
    rng = np.random.default_rng(1)
    members = rng.random(20_000) < 0.5
    noise, telling = rng.normal(size=20_000), rng.normal(size=20_000) + 2.0 * members
    target = rng.normal(size=(1, 300, 2))
    by_ratio = Combination.fit(np.stack([telling, noise], axis=1), members).score(target)
    by_student = Combination.fit(np.stack([noise, telling], axis=1), members).score(target)
    assert spearmanr(by_ratio, target[0, :, 0])[0] > 0.95
    assert spearmanr(by_student, target[0, :, 1])[0] > 0.9


@pytest.mark.parametrize("name", ["combined", "stacked"])
def test_what_is_learned_depends_on_the_shadows_alone(name):
    # A record scored beside others, or with other target signals on them, keeps its score.
    challenge, _ = scene()
    shifted = challenge.target.margin.copy()
    shifted[1:] += 3.0
    other = evolve(challenge, target=Signals(margin=shifted, log_p=dict(challenge.target.log_p)))
    assert claims(name, challenge)[0] == claims(name, other)[0]


def test_stacked_learns_from_so_many_rows_at_most():
    challenge, secret = scene(records=600, leak=4.0)
    few = claims("stacked", challenge, StackedOptions(rows=1000))
    assert _auc(few, secret) > 0.8


@pytest.mark.parametrize("name", ["combined", "stacked"])
def test_what_is_drawn_follows_the_seed(name, monkeypatch):
    challenge, _ = scene(records=600, leak=4.0)
    options = StackedOptions(rows=1000) if name == "stacked" else CombinedOptions()
    monkeypatch.setattr("leakpro_mia.combined._MOST", 1000)
    first = claims(name, challenge, options, seed=1)
    np.testing.assert_array_equal(first, claims(name, challenge, options, seed=1))
    assert (first != claims(name, challenge, options, seed=2)).any()


def test_four_shadows_are_enough_for_combined():
    challenge, secret = scene(records=600, pairs=2, leak=4.0)
    assert _auc(claims("combined", challenge), secret) > 0.8


def test_quantile_expects_more_of_easier_records():
    rng = np.random.default_rng(0)
    challenge, secret = scene(records=600, leak=3.0)
    # The raw record tells how easy it is: the margin's common part can be predicted from it.
    records = challenge.shadows.margin.mean(axis=0) + 0.1 * rng.normal(size=(600, 1))
    beside = challenge.auxiliary
    told = evolve(
        challenge,
        records=records,
        auxiliary=evolve(beside, records=beside.shadows.margin.mean(axis=0)),
    )
    assert _auc(claims("quantile", told), secret) > _auc(claims("loss", told), secret) + 0.02


def test_quantile_reduces_images_and_fits_across_candidates():
    challenge, _ = scene()
    rng = np.random.default_rng(0)
    images = evolve(
        challenge,
        records=rng.random((300, 8, 8, 3)).astype(np.float32),
        auxiliary=evolve(challenge.auxiliary, records=rng.random((150, 8, 8, 3))),
    )
    for options in (QuantileOptions(components=10), QuantileOptions(components=10, folds=3)):
        assert np.isfinite(claims("quantile", images, options)).all()


def test_quantile_needs_numbers():
    challenge, _ = scene()
    words = evolve(challenge, records=np.full(300, "word"))
    with pytest.raises(NotApplicable, match="found records of <U4"):
        claims("quantile", words)


@pytest.mark.parametrize("name", ["population", "quantile"])
def test_auxiliary_records_are_needed(name):
    challenge, _ = scene()
    with pytest.raises(NotApplicable, match="auxiliary records"):
        claims(name, evolve(challenge, auxiliary=None))


def test_more_shadows_do_not_hurt():
    challenge, secret = scene(records=600, pairs=8, leak=2.0)
    few = with_shadows(challenge, np.arange(4))
    for name in ("ratio", "student", "combined"):
        assert _auc(claims(name, challenge), secret) > _auc(claims(name, few), secret) - 0.02


def _auc(scores, secret):
    exposed, control = scores[secret.members, None], scores[~secret.members]
    return float(((exposed > control) + 0.5 * (exposed == control)).mean())
