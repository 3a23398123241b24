"""Canaries of graded strength: planted without touching people, found or not."""

import numpy as np
import pytest
from scipy.stats import binom

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints
from leakpro_core.controls.canaries import canary_control, plant
from leakpro_core.errors import BadValue
from leakpro_core.plan import Policy

POLICY = Policy()


def population(n: int = 1000, seed: int = 0) -> tuple[AnyArray, Ints, Ints]:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal(n)
    return np.column_stack([first, first]), rng.integers(0, 3, n), np.arange(n) // 2


def test_so_many_of_each_strength_are_planted_one_a_person() -> None:
    records, labels, subjects = population()
    planted = plant(records, labels, 3, subjects, 30, 1)
    np.testing.assert_array_equal([910, 30, 30, 30], np.bincount(planted.strength))
    assert len(np.unique(subjects[planted.strength > 0])) == 90


def test_ordinary_and_plain_records_are_unchanged() -> None:
    records, labels, subjects = population()
    planted = plant(records, labels, 3, subjects, 30, 1)
    same = planted.strength <= 1
    np.testing.assert_array_equal(records[same], planted.records[same])
    np.testing.assert_array_equal(labels[same], planted.labels[same])
    np.testing.assert_array_equal(subjects[same], planted.subjects[same])


def test_rare_records_take_each_feature_from_its_own_column_and_break_their_dependence() -> None:
    records, labels, subjects = population()
    planted = plant(records, labels, 3, subjects, 30, 1)
    rare = planted.records[planted.strength == 2]
    assert np.isin(rare[:, 0], records[:, 0]).all()
    assert (rare[:, 0] != rare[:, 1]).mean() > 0.9
    np.testing.assert_array_equal(
        labels[planted.strength == 2], planted.labels[planted.strength == 2]
    )


def test_mislabelled_records_have_another_class_and_are_else_unchanged() -> None:
    records, labels, subjects = population()
    planted = plant(records, labels, 3, subjects, 30, 1)
    wrong = planted.strength == 3
    assert (planted.labels[wrong] != labels[wrong]).all()
    assert set(planted.labels[wrong]) <= {0, 1, 2}
    np.testing.assert_array_equal(records[wrong], planted.records[wrong])


def test_made_up_canaries_belong_to_nobody() -> None:
    records, labels, subjects = population()
    planted = plant(records, labels, 3, subjects, 30, 1)
    own = planted.subjects[planted.strength >= 2]
    assert len(np.unique(own)) == 60
    assert not np.isin(own, subjects).any()


@pytest.mark.parametrize(
    ("count", "subjects", "classes"),
    [(34, np.arange(1000), 3), (30, np.zeros(1000, int), 3), (30, np.arange(1000), 1)],
    ids=["more than a tenth", "too few people", "one class"],
)
def test_what_cannot_be_planted_is_an_error(count: int, subjects: Ints, classes: int) -> None:
    records, labels, _ = population()
    with pytest.raises(BadValue, match="canaries"):
        plant(records, labels, classes, subjects, count, 1)


def claimed(
    rng: np.random.Generator, gains: tuple[int, int, int], attacks: int = 4, targets: int = 4
) -> tuple[dict[str, Floats], Bools, Ints]:
    strength = np.repeat([0, 1, 2, 3], [100, 50, 50, 50])
    exposed = rng.random((targets, 250)) < 0.5
    gain = np.array([0, *gains])[strength]
    noise = {f"a{k}": rng.standard_normal((targets, 250)) for k in range(attacks)}
    noise["a0"] = noise["a0"] + gain * exposed
    return noise, exposed, strength


def test_the_weakest_strength_that_was_found_is_named() -> None:
    claims, exposed, strength = claimed(np.random.default_rng(0), (0, 1, 2))
    control = canary_control(claims, exposed, strength, POLICY, seed=1)
    assert control.result == "pass"
    assert "mislabelled ones were found" in control.statement
    assert "plain ones were not found" in control.statement
    assert "the weakest that was found is rare" in control.statement


def test_where_none_is_found_nothing_found_means_nothing() -> None:
    claims, exposed, strength = claimed(np.random.default_rng(0), (0, 0, 0))
    control = canary_control(claims, exposed, strength, POLICY, seed=1)
    assert (control.result, "means nothing" in control.statement) == ("fail", True)


def test_attacks_that_cannot_work_rarely_find_any() -> None:
    passed = 0
    for seed in range(120):
        claims, exposed, strength = claimed(np.random.default_rng(seed), (0, 0, 0), 8, 2)
        passed += canary_control(claims, exposed, strength, POLICY, seed=seed).result == "pass"
    assert passed <= binom.ppf(0.999, 120, 0.05)


def test_ordinary_records_play_no_part() -> None:
    claims, exposed, strength = claimed(np.random.default_rng(0), (0, 1, 2))
    loud = {k: np.where(strength == 0, 100.0 * exposed, v) for k, v in claims.items()}
    assert canary_control(claims, exposed, strength, POLICY, seed=1) == canary_control(
        loud, exposed, strength, POLICY, seed=1
    )


def test_without_a_finished_attack_it_is_not_run() -> None:
    _, exposed, strength = claimed(np.random.default_rng(0), (0, 1, 2))
    assert canary_control({}, exposed, strength, POLICY, seed=1).result == "not run"
