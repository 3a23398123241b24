"""How many rows people have in either arm."""

import numpy as np
import pytest

from leakpro_core.tabular.lengths import length_control


def control(original, others, seed=0):
    lengths = np.concatenate([original, others])
    subjects = np.repeat(np.arange(len(lengths)), lengths)
    return length_control(subjects, subjects < len(original), seed)


@pytest.mark.parametrize(("one", "other"), [(5, 2), (1, 2), (3, 4)])
def test_arms_of_which_one_has_more_rows_a_person_fail(one, other):
    found = control(np.full(300, one), np.full(300, other))
    assert found.result == "fail"
    assert f"({one} and {other} on average, p = 0.001)" in found.statement
    assert found.estimate.value == float(one > other)


def test_a_few_people_with_many_rows_in_one_arm_fail():
    long = np.ones(1000, np.int64)
    long[:30] = 50
    assert control(long, np.ones(1000, np.int64)).result == "fail"


def test_a_small_difference_of_many_people_is_a_warning():
    rng = np.random.default_rng(0)
    long = 10 + (rng.random(20_000) < 0.52), 10 + (rng.random(20_000) < 0.48)
    assert control(*long).result == "warn"


@pytest.mark.parametrize("others", [40, 300])
def test_luck_seldom_warns_and_hardly_ever_fails(others):
    rng = np.random.default_rng(others)
    results = [
        control(*(np.minimum(rng.zipf(1.7, n), 60) for n in (300, others)), seed).result
        for seed in range(40)
    ]
    assert results.count("fail") <= 2
    assert results.count("fail") + results.count("warn") <= 6


def test_people_with_a_row_each_are_not_counted():
    assert control(np.ones(20, np.int64), np.ones(30, np.int64)) is None
