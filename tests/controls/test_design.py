"""Who trained on what must not give the target away."""

import numpy as np
from scipy.stats import binom

from leakpro_core.arrays import Bools
from leakpro_core.controls.design import design_control, pairs


def paired(rng: np.random.Generator, count: int = 4, n: int = 1000) -> Bools:
    half = rng.random((count, n)) < 0.5
    return np.concatenate([half, ~half])


def test_complementary_models_share_a_number() -> None:
    rows = paired(np.random.default_rng(0), 3)
    np.testing.assert_array_equal([0, 1, 2, 0, 1, 2], pairs(rows))


def test_other_models_have_numbers_of_their_own() -> None:
    rows = np.random.default_rng(0).random((4, 50)) < 0.5
    np.testing.assert_array_equal([0, 1, 2, 3], pairs(rows))


def test_models_that_differ_from_a_complement_in_one_record_are_no_pair() -> None:
    rows = paired(np.random.default_rng(0), 1)
    rows[1, 0] = rows[0, 0]
    np.testing.assert_array_equal([0, 1], pairs(rows))


def test_models_on_the_same_records_share_a_number_and_untrained_ones_do_not() -> None:
    row = np.random.default_rng(0).random(50) < 0.5
    none = np.zeros(50, bool)
    np.testing.assert_array_equal([0, 1, 0, 2, 3], pairs(np.stack([row, none, row, none, ~none])))


def test_no_models_have_no_numbers() -> None:
    assert pairs(np.zeros((0, 5), bool)).shape == (0,)


def test_shadows_in_complementary_pairs_give_nothing_away() -> None:
    rng = np.random.default_rng(0)
    assert design_control(paired(rng), rng.random(1000) < 0.5, seed=1).result == "pass"


def test_column_sums_of_a_balanced_design_give_the_missing_row_away() -> None:
    rng = np.random.default_rng(0)
    rows = rng.permuted(np.tile(np.arange(8) < 4, (1000, 1)), axis=1).T
    found = design_control(rows[1:], rows[0], seed=1)
    assert found.result == "fail"
    assert found.estimate is not None
    assert found.estimate.value > 0.99


def test_two_missing_rows_still_give_each_other_away() -> None:
    rng = np.random.default_rng(0)
    rows = rng.permuted(np.tile(np.arange(10) < 5, (2000, 1)), axis=1).T
    assert design_control(rows[2:], rows[0], seed=1).result == "fail"


def test_a_product_of_two_rows_that_is_the_target_fails() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((6, 1000)) < 0.5
    assert design_control(rows, rows[0] ^ rows[1], seed=1).result == "fail"


def test_the_target_or_its_twin_among_the_shadows_fails() -> None:
    rng = np.random.default_rng(0)
    rows = paired(rng)
    assert design_control(rows, rows[2], seed=1).result == "fail"
    assert design_control(rows[:4], ~rows[2], seed=1).result == "fail"


def test_shadows_that_saw_no_candidate_pass_and_no_shadows_are_not_judged() -> None:
    members = np.arange(100) % 2 == 0
    assert design_control(np.zeros((4, 100), bool), members, seed=1).result == "pass"
    assert design_control(np.zeros((0, 100), bool), members, seed=1).result == "not run"


def test_false_alarms_are_rare_by_subject_too() -> None:
    alarms, owner = 0, np.arange(300) // 3
    for seed in range(80):
        rng = np.random.default_rng(seed)
        rows = paired(rng, 4, 100)[:, owner]
        members = (rng.random(100) < 0.5)[owner]
        alarms += design_control(rows, members, seed=seed, subjects=owner).result != "pass"
    assert alarms <= binom.ppf(0.999, 80, 0.01)
