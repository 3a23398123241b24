"""Ranks against a reference, and power at low FPR."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from leakpro_mia.ranks import low_fpr_power, mid_rank, normal_score

NUMBERS = st.integers(-5, 5).map(float)


def vectors(least=1):
    return arrays(np.float64, st.integers(least, 30), elements=NUMBERS)


@given(vectors(), vectors())
def test_mid_rank_counts_ties_by_half_and_stays_inside(reference, values):
    expected = [
        ((reference < v).sum() + (reference <= v).sum() + 1) / 2 / (len(reference) + 1)
        for v in values
    ]
    rank = mid_rank(np.sort(reference), values)
    np.testing.assert_allclose(rank, expected)
    assert ((rank > 0) & (rank < 1)).all()


def test_normal_scores_are_symmetric():
    reference = np.arange(9.0)
    np.testing.assert_allclose(
        normal_score(reference, reference), -normal_score(reference, reference)[::-1], atol=1e-12
    )


@given(vectors(), vectors())
def test_power_is_the_share_of_members_above_the_thresholds(exposed, control):
    scores = np.concatenate([exposed, control])
    members = np.arange(len(scores)) < len(exposed)
    falling = np.sort(control)[::-1]
    rates = np.geomspace(0.002, 0.05, 15)
    expected = np.mean([(exposed > falling[int(f * len(control))]).mean() for f in rates])
    np.testing.assert_allclose(low_fpr_power(scores, members), expected)


def test_power_of_one_arm_is_not_a_number():
    assert np.isnan(low_fpr_power(np.arange(3.0), np.ones(3, bool)))
