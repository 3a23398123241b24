"""Distance to the closest released row, as a score of each record."""

import numpy as np
from adult import adult_challenge, challenge, claims, gower, numbers, planted, separation
from planted import mixed

from leakpro_core.statistics.roc import auc
from leakpro_core.tabular.distance import Space, nearest_distance


def test_claims_are_minus_the_distance_to_the_nearest_released_row():
    rng = np.random.default_rng(0)
    people, released = mixed(40, rng, 0.2), mixed(60, rng, 0.2)
    expected = -gower(people, released).min(axis=1)
    found = claims("distance", challenge(people, released))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_claims_tie_only_where_distances_tie():
    people = numbers([[0.0], [0.0], [1.0], [5.0], [6.0]])
    found = claims("distance", challenge(people, numbers([[0.0], [4.0], [8.0]])))
    assert len(np.unique(found)) == 3
    assert found[0] == found[1] > found[2] == found[3] > found[4]


def test_auxiliary_rows_do_not_change_the_claims():
    drawn, _ = planted(1)
    alone = challenge(drawn.records, drawn.synthetic)
    np.testing.assert_allclose(claims("distance", drawn), claims("distance", alone))


def test_the_median_over_a_set_misses_copies_that_the_score_of_a_record_finds():
    drawn, members = adult_challenge("leaky20")
    people = [np.flatnonzero(side)[:3600] for side in (members, ~members)]
    space = Space.of(drawn.records, drawn.synthetic)
    released = space.encode(drawn.synthetic)
    to_members, to_others = (
        np.median(nearest_distance(released, space.encode(drawn.records.rows(rows))))
        for rows in people
    )
    # The released rows are as far from people in the training data as from others, in the median.
    assert 0.95 < to_members / to_others < 1.0
    area, tpr = separation(claims("distance", drawn), members)
    assert 0.58 < area < 0.61
    assert 0.19 < tpr < 0.22


def test_a_generator_that_copies_nothing_is_not_said_to_leak():
    drawn, members = adult_challenge("copula")
    found = auc(claims("distance", drawn), members, confidence=0.99)
    assert found.low < 0.5 < found.high
