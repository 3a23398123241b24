"""Twins across the split are counted; many of them fail."""

import time

import numpy as np
import pytest

from leakpro_core.arrays import AnyArray, Bools, Ints
from leakpro_core.controls.duplicates import duplicate_control, groups
from leakpro_core.report import Control


def control(
    records: AnyArray, members: Bools, subjects: Ints | None = None, modality: str = "tabular"
) -> Control:
    people = np.arange(len(members)) if subjects is None else subjects
    return duplicate_control(records, members, people, modality=modality, seed=0)


def split(n: int = 1000) -> tuple[AnyArray, Bools]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 5)), np.arange(n) < n // 2


def test_different_records_pass() -> None:
    assert control(*split()).result == "pass"


def test_one_exact_copy_warns_and_is_counted() -> None:
    records, members = split()
    records[500] = records[0]
    found = control(records, members)
    assert found.result == "warn"
    assert found.statement.startswith("1 of 500 members have an exact copy")
    assert found.estimate is not None
    assert (found.estimate.value, found.estimate.n) == (1 / 500, 500)


def test_a_copy_on_the_same_side_passes() -> None:
    records, members = split()
    records[1] = records[0]
    assert control(records, members).result == "pass"


@pytest.mark.parametrize(("copies", "result"), [(50, "warn"), (51, "fail")])
def test_more_than_a_tenth_of_the_members_with_copies_fails(copies: int, result: str) -> None:
    records, members = split()
    records[500 : 500 + copies] = records[:copies]
    assert control(records, members).result == result


def test_a_near_copy_is_reported_and_does_not_warn() -> None:
    records, members = split()
    records[500] = records[0] + 1e-3
    found = control(records, members)
    assert (found.result, "1 of 500 members looked at have a near copy" in found.statement) == (
        "pass",
        True,
    )


def test_people_with_records_in_both_arms_are_counted() -> None:
    records, members = split()
    subjects = np.arange(1000)
    subjects[500] = 0
    found = control(records, members, subjects)
    assert (found.result, "1 people have records in both groups" in found.statement) == (
        "warn",
        True,
    )


@pytest.mark.parametrize(
    ("shared", "result"), [(0, "not run"), (1, "warn"), (50, "warn"), (51, "fail")]
)
def test_people_in_both_arms_are_seen_without_their_records(shared: int, result: str) -> None:
    """Among useless attacks such people gave 9 of 40 audits a leak word."""
    subjects = np.arange(1000)
    subjects[500 : 500 + shared] = np.arange(shared)
    found = duplicate_control(None, np.arange(1000) < 500, subjects, modality="tabular", seed=0)
    assert found.result == result
    assert "no records were given" in found.statement
    assert (f"{shared} people have records in both groups" in found.statement) is (shared > 0)


def test_equal_records_share_a_group_whatever_their_type() -> None:
    np.testing.assert_array_equal([0, 1, 0], groups(np.array([[0.0], [1.0], [-0.0]])))
    np.testing.assert_array_equal([0, 1, 0], groups(np.array([["a"], ["b"], ["a"]])))
    mixed = np.array([["a", 1], ["b", 1], ["a", 1]], dtype=object)
    np.testing.assert_array_equal([0, 1, 0], groups(mixed))


def test_copied_images_are_found() -> None:
    images = np.random.default_rng(0).random((200, 3, 16, 16), dtype=np.float32)
    images[100] = images[0]
    images[101] = images[1] + 1e-4
    statement = control(images, np.arange(200) < 100, modality="image").statement
    assert "1 of 100 members have an exact copy" in statement
    assert "1 of 100 members looked at have a near copy" in statement


def test_twenty_thousand_records_of_a_hundred_columns_take_seconds() -> None:
    rng = np.random.default_rng(0)
    records = rng.random((20_000, 100), dtype=np.float32)
    start = time.process_time()
    control(records, rng.random(20_000) < 0.5)
    assert time.process_time() - start < 10
