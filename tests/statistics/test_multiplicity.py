"""The permutation test of a maximum: exact moments, exact level, joint moves."""

from itertools import permutations

import numpy as np
import pytest

from leakpro_core.statistics.multiplicity import Exchange, linear_scale, max_statistic_p

approx = pytest.approx


def exchange(rows, arms):
    return Exchange(rows=np.asarray(rows), arms=np.asarray(arms, np.float32))


def centred(weights, groups):
    """Return weights less their mean in each group of rounds."""
    w = np.array(weights, np.float64)
    for rows in groups:
        w[:, rows] -= w[:, rows].mean(axis=1, keepdims=True)
    return w.astype(np.float32)


def test_scale_is_the_spread_over_every_permutation():
    """Two clusters whose arms move together by subject, and a third on its own."""
    rng = np.random.default_rng(1)
    joint = exchange([[0, 4], [1, 5], [2, 6], [3, 7]], [[1, 0], [1, 1], [0, 0], [0, 1]])
    alone = exchange([[8], [9], [10]], [[1], [0], [0]])
    w = centred(rng.normal(size=(3, 11)), [range(4), range(4, 8), range(8, 11)])
    sums = []
    for p in permutations(range(4)):
        for q in permutations(range(3)):
            arms = np.zeros(11)
            arms[joint.rows] = joint.arms[list(p)]
            arms[alone.rows] = alone.arms[list(q)]
            sums.append(w @ arms)
    assert np.mean(sums, axis=0) == approx(0.0, abs=1e-6)
    assert np.std(sums, axis=0) == approx(linear_scale(w, [joint, alone]), rel=1e-5)


def test_level_is_exact_under_no_effect_whatever_the_dependence():
    """A third of the statistics are copies of each other, one is heavily skewed."""
    rejected = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        w = rng.normal(size=(6, 60))
        w[1] = w[0]
        w[2] = (w[2] > 2.0) * 1.0
        p = max_statistic_p(
            centred(w, [range(60)]),
            [exchange(np.arange(60)[:, None], np.arange(60)[:, None] % 2)],
            np.arange(6),
            seed,
            permutations=99,
        )
        rejected.append(p.min() <= 0.1)
    assert 0.055 <= np.mean(rejected) <= 0.145


def test_an_effect_is_found_in_its_own_family_only():
    rng = np.random.default_rng(2)
    arms = np.arange(200) % 2
    w = rng.normal(size=(4, 200))
    w[2] += arms
    p = max_statistic_p(
        centred(w, [range(200)]),
        [exchange(np.arange(200)[:, None], arms[:, None])],
        np.array([0, 0, 1, 1]),
        3,
    )
    assert p[1] == 0.001
    assert p[0] > 0.05


def test_people_who_are_members_of_every_target_count_once():
    """Moved together, ten copies of one target are no more evidence than one."""
    rng = np.random.default_rng(4)
    arms = np.arange(40) % 2
    w = centred(rng.normal(size=(1, 40)) + 0.3 * arms, [range(40)])
    rows = np.arange(400).reshape(10, 40).T
    one = max_statistic_p(w.copy(), [exchange(rows[:, :1], arms[:, None])], np.array([0]), 5)
    ten = max_statistic_p(
        np.tile(w, 10), [exchange(rows, np.tile(arms[:, None], 10))], np.array([0]), 5
    )
    assert one == approx(ten)


def test_a_constant_statistic_is_no_evidence():
    w = np.zeros((1, 10), np.float32)
    p = max_statistic_p(w, [exchange(np.arange(10)[:, None], np.ones((10, 1)))], np.array([0]), 0)
    assert p.tolist() == [1.0]


def test_permutation_p_counts_the_observed_order_too():
    """(1 + hits) / (1 + permutations): the vectors' formula, at its floor."""
    arms = np.repeat([0, 1], 20)
    w = centred(arms[None, :] * 1.0, [range(40)])
    swap = exchange(np.arange(40)[:, None], arms[:, None])
    assert max_statistic_p(w, [swap], np.array([0]), 0, permutations=99).tolist() == [0.01]
