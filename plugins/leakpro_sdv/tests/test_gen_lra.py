"""Likelihood of the released rows near a record, with the record known and without."""

import numpy as np
import pytest
from adult import adult_challenge, challenge, claims, codes, gower, numbers, separation
from attrs import evolve
from leakpro_sdv.scores import FLOOR
from planted import mixed

from leakpro_core.statistics.roc import auc
from leakpro_core.tabular.table import from_matrix, stacked


@pytest.mark.parametrize("k", [1, 4])
def test_claims_are_what_two_fits_of_the_density_give(k):
    rng = np.random.default_rng(0)
    people, released, known = (mixed(n, rng, 0.1) for n in (20, 30, 15))
    everybody = stacked([people, released, known])
    kernel = (gower(everybody, everybody) + FLOOR) ** -4.0
    found = claims("gen-lra", challenge(people, released, known), neighbours=k)
    for x in range(20):
        near = 20 + np.argsort(-kernel[x, 20:50])[:k]
        without = kernel[near, 50:].mean(axis=1)
        beside = np.column_stack([kernel[near, 50:], kernel[near, x]]).mean(axis=1)
        assert found[x] == pytest.approx(np.log(beside / without).sum(), abs=1e-3)


def test_a_released_row_that_auxiliary_rows_explain_is_no_sign_of_membership():
    people, released = numbers([[0.0], [50.0]]), numbers([[0.1], [50.1]])
    known = numbers([[0.1], [0.11], [100.0]])
    crowd, alone = claims("gen-lra", challenge(people, released, known))
    assert alone > 5.0
    assert crowd < 0.1


def test_a_row_released_twice_counts_twice():
    people, known = numbers([[0.0], [9.0]]), numbers([[5.0], [20.0]])
    once = challenge(people, numbers([[0.1], [9.1]]), known)
    twice = challenge(people, numbers([[0.1], [0.1], [9.1]]), known)
    single, double = claims("gen-lra", once), claims("gen-lra", twice)
    np.testing.assert_allclose(double, single * [2.0, 1.0])


def test_rows_that_are_equally_near_share_the_place():
    people, known = numbers([[0.0], [90.0]]), numbers([[-3.0], [100.0]])
    near = [
        claims("gen-lra", challenge(people, numbers([[place], [80.0]]), known))[0]
        for place in (1.0, -1.0)
    ]
    both = claims("gen-lra", challenge(people, numbers([[1.0], [-1.0], [80.0]]), known))[0]
    assert both == pytest.approx(np.mean(near), rel=1e-4)


def test_copies_are_found_on_adult():
    drawn, members = adult_challenge("leaky20")
    area, tpr = separation(claims("gen-lra", drawn), members)
    assert 0.58 < area < 0.61
    assert 0.19 < tpr < 0.22


def test_blurred_copies_of_all_members_are_found_better_than_by_distance():
    drawn, members = adult_challenge("copula")
    rng = np.random.default_rng(2)
    rows, fresh = drawn.records.matrix()[members], drawn.synthetic.matrix()
    blurred = np.where(rng.random(rows.shape) < 0.3, fresh, rows)
    shown = evolve(drawn, synthetic=from_matrix(drawn.records.columns, blurred))
    areas = [separation(claims(name, shown), members)[0] for name in ("gen-lra", "distance")]
    assert areas[0] > areas[1] + 0.01 > 0.56


def test_levels_alone_are_compared_by_how_often_they_were_released():
    drawn = challenge(codes([0, 1]), codes([0] * 9 + [1]), codes([0] * 3 + [1] * 3))
    often, seldom = claims("gen-lra", drawn)
    assert often == pytest.approx(9 * (np.log(4 / 3) - np.log(7 / 6)))
    assert seldom == pytest.approx(np.log(4 / 3) - np.log(7 / 6))


def test_a_generator_that_copies_nothing_is_not_said_to_leak():
    drawn, members = adult_challenge("copula")
    found = auc(claims("gen-lra", drawn), members, confidence=0.99)
    assert found.low < 0.5 < found.high
