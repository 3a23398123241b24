"""Permutations keep what one person's records have in common; weights are the statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakpro_core.arrays import Bools
from leakpro_core.controls.permutation import (
    auc_weights,
    p_value,
    rank_auc,
    rank_tail,
    rearranged,
    tail_weights,
)
from leakpro_core.statistics import auc


@given(st.lists(st.integers(0, 12), min_size=2, max_size=30), st.integers(0, 99))
def test_a_rearrangement_gives_each_person_the_arms_of_one_with_as_many_records(
    owners: list[int], seed: int
) -> None:
    subjects = np.array(owners)
    bits = np.random.default_rng(seed).random((2, len(owners))) < 0.5

    def patterns(arms: Bools) -> list[object]:
        people = np.unique(subjects)
        return sorted(arms[:, subjects == s].tolist() for s in people)

    for drawn in rearranged(bits, subjects, 3, seed):
        assert patterns(drawn) == patterns(bits)


def test_rearrangements_differ_and_repeat_with_the_seed() -> None:
    bits, subjects = np.arange(40)[None] < 20, np.arange(40)
    first, again, other = (
        np.stack(list(rearranged(bits, subjects, 2, seed))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=40))
def test_weights_times_bits_are_the_auc(rounds: list[tuple[int, bool]]) -> None:
    claims = np.array([c for c, _ in rounds], float)
    bits = np.array([b for _, b in rounds] + [True, False])
    claims = np.append(claims, [1.0, np.nan])
    expected = auc(claims, bits).value
    weights = auc_weights(claims, np.ones(len(bits), bool), bits[None])
    assert pytest.approx(expected, abs=1e-9) == 0.5 + float((weights[0] * bits).sum())


def test_weights_of_a_tail_are_the_difference_of_rates_above_one_threshold() -> None:
    rng = np.random.default_rng(0)
    claims, bits = rng.standard_normal(200), rng.random(200) < 0.3
    flagged = claims >= np.sort(claims)[-20]
    expected = flagged[bits].mean() - flagged[~bits].mean()
    weights = tail_weights(claims, np.ones(200, bool), bits[None], 0.1)
    assert pytest.approx(expected, abs=1e-12) == float((weights[0] * bits).sum())
    assert pytest.approx(expected, abs=1e-12) == float(rank_tail(claims, bits, 0.1))


def test_a_tie_group_across_the_threshold_is_not_flagged() -> None:
    claims, bits = np.array([1.0] * 10 + [2.0]), np.arange(11) % 2 == 0
    one, two = (tail_weights(claims, np.ones(11, bool), bits[None], share) for share in (0.1, 0.5))
    np.testing.assert_array_equal(one, two)
    assert one[0].argmax() == 10


def test_an_empty_arm_has_an_auc_of_one_half_and_no_weights() -> None:
    bits = np.zeros((1, 4), bool)
    assert rank_auc(np.arange(1.0, 5.0), bits[0]) == 0.5
    assert not auc_weights(np.arange(4.0), np.ones(4, bool), bits).any()


def test_the_p_value_counts_the_observed_arms_among_the_permutations() -> None:
    assert p_value(np.arange(999.0), 995.0) == 0.005
    assert p_value(np.zeros(99), 1.0) == 0.01
