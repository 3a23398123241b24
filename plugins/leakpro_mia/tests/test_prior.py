"""Empirical Bayes of variances and means."""

import numpy as np
import pytest
from leakpro_mia.prior import Bins, MeanPrior, VariancePrior


def shrink_variances(squares, degrees, covariate):
    prior = VariancePrior.fit(squares, degrees, covariate)
    return prior.shrink(squares, degrees, covariate), prior.degrees


def shrink_means(mean, noise, covariate):
    return MeanPrior.fit(mean, noise, covariate).shrink(mean, noise, covariate)


def test_the_prior_is_recovered():
    rng = np.random.default_rng(0)
    n, degrees, scale = 40_000, 6.0, 2.0
    true = degrees * scale / rng.chisquare(degrees, n)
    squares = true * rng.chisquare(3, n)
    variance, found = shrink_variances(squares, np.full(n, 3.0), rng.normal(size=n))
    assert found == pytest.approx(degrees, rel=0.1)
    expected = (degrees * scale + squares) / (degrees + 3)
    np.testing.assert_allclose(variance, expected, rtol=0.15)


def test_the_scale_follows_the_covariate():
    rng = np.random.default_rng(1)
    covariate = rng.uniform(-2, 2, 20_000)
    squares = np.exp(covariate) * rng.chisquare(4, len(covariate))
    variance, _ = shrink_variances(squares, np.full(len(covariate), 4.0), covariate)
    np.testing.assert_allclose(np.log(variance), covariate, atol=0.4)


def test_equal_variances_are_pooled():
    rng = np.random.default_rng(2)
    squares = 3.0 * rng.chisquare(5, 5000)
    variance, degrees = shrink_variances(squares, np.full(5000, 5.0), np.zeros(5000))
    assert degrees > 100
    np.testing.assert_allclose(variance, 3.0, rtol=0.15)


def test_one_shadow_takes_the_variance_of_the_others():
    rng = np.random.default_rng(3)
    degrees = np.where(np.arange(4000) < 100, 0.0, 4.0)
    squares = np.where(degrees > 0, rng.chisquare(4, 4000), 0.0)
    variance, _ = shrink_variances(squares, degrees, np.zeros(4000))
    np.testing.assert_allclose(variance[:100], 1.0, rtol=0.1)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_saturated_records_have_a_floor(share):
    squares = np.random.default_rng(4).chisquare(3, 1000)
    squares[: int(1000 * share)] = 0.0
    variance, degrees = shrink_variances(squares, np.full(1000, 3.0), np.zeros(1000))
    assert (variance > 0).all()
    assert np.isfinite(variance).all()
    assert np.isfinite(degrees)


def test_means_that_are_all_noise_become_their_trend():
    rng = np.random.default_rng(5)
    covariate = rng.uniform(0, 1, 20_000)
    mean = 2 * covariate + rng.normal(scale=0.5, size=len(covariate))
    shrunken, kept = shrink_means(mean, np.full(len(mean), 0.25), covariate)
    np.testing.assert_allclose(shrunken, 2 * covariate, atol=0.25)
    assert kept.max() < 0.2


def test_means_without_noise_stay():
    rng = np.random.default_rng(6)
    mean = rng.normal(size=1000)
    shrunken, kept = shrink_means(mean, np.full(1000, 1e-9), rng.normal(size=1000))
    np.testing.assert_allclose(shrunken, mean, atol=1e-6)
    assert kept.min() > 0.999


def test_a_covariate_that_never_varies_gives_the_mean():
    curve = Bins.along(np.zeros(500)).curve(np.arange(500.0))
    np.testing.assert_allclose(curve.at(np.array([-1.0, 0.0, 1.0])), 249.5)


def test_a_prior_holds_for_records_that_it_was_not_fitted_to():
    rng = np.random.default_rng(7)
    covariate = rng.uniform(-2, 2, 20_000)
    squares = np.exp(covariate) * rng.chisquare(4, len(covariate))
    degrees = np.full(len(covariate), 4.0)
    prior = VariancePrior.fit(squares[:10_000], degrees[:10_000], covariate[:10_000])
    rest = slice(10_000, None)
    variance = prior.shrink(squares[rest], degrees[rest], covariate[rest])
    np.testing.assert_allclose(np.log(variance), covariate[rest], atol=0.4)
