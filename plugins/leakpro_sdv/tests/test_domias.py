"""Density of the released rows against that of auxiliary rows."""

import numpy as np
import pytest
from adult import adult_challenge, challenge, claims, codes, gower, numbers, separation
from leakpro_sdv.scores import FLOOR
from planted import mixed

from leakpro_core.statistics.roc import auc
from leakpro_core.tabular.table import stacked


@pytest.mark.parametrize("exponent", [1.0, 4.0])
def test_claims_are_the_logarithm_of_the_density_ratio(exponent):
    rng = np.random.default_rng(0)
    people, released, known = (mixed(n, rng, 0.1) for n in (40, 25, 20))
    released = stacked([released, released.rows(np.array([0, 0, 1]))])
    everybody = stacked([people, released, known])
    kernel = (gower(everybody, everybody)[:40] + FLOOR) ** -exponent
    expected = np.log(kernel[:, 40:68].mean(axis=1)) - np.log(kernel[:, 68:].mean(axis=1))
    found = claims("domias", challenge(people, released, known), exponent=exponent)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_where_rows_are_equal_to_the_candidate_the_ratio_is_that_of_their_shares():
    shown, known = [0] * 60 + [1] * 20 + [2] * 20, [0] * 10 + [1] * 10 + [2] * 30
    found = claims("domias", challenge(codes([0, 1, 2]), codes(shown), codes(known)))
    expected = np.log([0.6 / 0.2, 0.2 / 0.2, 0.2 / 0.6])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_density_that_everybody_has_is_no_sign_of_membership():
    rng = np.random.default_rng(1)
    crowd, known = numbers(rng.normal(size=(500, 2))), numbers(rng.normal(size=(500, 2)))
    people = numbers([[0.0, 0.0], [6.0, 6.0], [-6.0, 6.0]])
    released = stacked([crowd, numbers([[6.01, 6.0]])])
    middle, copied, alone = claims("domias", challenge(people, released, known))
    assert copied > middle > alone - 1.0
    assert abs(middle) < 2.0
    nearest = claims("distance", challenge(people, released, known))
    assert nearest[2] < nearest[0]


def test_copies_are_found_on_adult():
    drawn, members = adult_challenge("leaky20")
    area, tpr = separation(claims("domias", drawn), members)
    assert 0.58 < area < 0.61
    assert 0.19 < tpr < 0.22


def test_a_generator_that_copies_nothing_is_not_said_to_leak():
    drawn, members = adult_challenge("copula")
    found = auc(claims("domias", drawn), members, confidence=0.99)
    assert found.low < 0.5 < found.high
