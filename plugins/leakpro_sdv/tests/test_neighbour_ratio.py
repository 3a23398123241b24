"""Distance to released rows against that to auxiliary rows."""

import numpy as np
import pytest
from adult import adult_challenge, challenge, claims, codes, gower, numbers, separation
from leakpro_sdv.neighbour_ratio import NeighbourRatioOptions
from leakpro_sdv.scores import FLOOR
from planted import mixed

from leakpro_core.statistics.roc import auc
from leakpro_core.tabular.table import stacked


@pytest.mark.parametrize("k", [1, 3])
def test_claims_are_the_logarithm_of_the_ratio_of_kth_distances(k):
    rng = np.random.default_rng(0)
    people, released, known = (mixed(n, rng, 0.1) for n in (30, 50, 40))
    every = gower(stacked([people, released, known]), stacked([people, released, known]))[:30]
    near = np.sort(every[:, 30:80], axis=1)[:, k - 1]
    far = np.sort(every[:, 80:], axis=1)[:, k - 1]
    expected = np.log(far + FLOOR) - np.log(near + FLOOR)
    found = claims("neighbour-ratio", challenge(people, released, known), neighbours=k)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_copies_rank_above_all_else_but_those_that_auxiliary_rows_repeat():
    people = numbers([[0.0], [10.0], [20.0], [30.0]])
    released = numbers([[0.0], [10.0], [20.1], [90.0]])
    known = numbers([[1.0], [10.0], [31.0], [100.0]])
    copy, common, near, apart = claims("neighbour-ratio", challenge(people, released, known))
    assert copy > near > common == 0.0 > apart


def test_with_fewer_rows_than_neighbours_the_last_is_taken():
    people, released, known = numbers([[0.0], [1.0]]), numbers([[0.0], [2.0]]), numbers([[5.0]])
    drawn = challenge(people, released, known)
    found = [claims("neighbour-ratio", drawn, neighbours=k) for k in (2, 9)]
    np.testing.assert_array_equal(*found)


def test_a_second_neighbour_does_not_see_single_copies():
    drawn, members = adult_challenge("leaky20")
    tpr = [separation(claims("neighbour-ratio", drawn, neighbours=k), members)[1] for k in (1, 2)]
    assert tpr[0] > 0.19
    assert tpr[1] < 0.05


def test_a_small_auxiliary_table_does_not_hide_copies():
    drawn, members = adult_challenge("leaky20")
    few = challenge(drawn.records, drawn.synthetic, drawn.auxiliary.rows(np.arange(100)))
    area, tpr = separation(claims("neighbour-ratio", few), members)
    assert 0.57 < area < 0.62
    assert 0.19 < tpr < 0.23


def test_a_generator_that_copies_nothing_is_not_said_to_leak():
    drawn, members = adult_challenge("copula")
    found = auc(claims("neighbour-ratio", drawn), members, confidence=0.99)
    assert found.low < 0.5 < found.high


def test_a_level_that_everybody_has_tells_nothing():
    drawn = challenge(codes([0, 0, 1]), codes([0, 0]), codes([0, 0, 0]))
    assert claims("neighbour-ratio", drawn).tolist() == [0.0, 0.0, 0.0]


def test_no_neighbour_is_no_option():
    with pytest.raises(ValueError, match="neighbours"):
        NeighbourRatioOptions(neighbours=0)
