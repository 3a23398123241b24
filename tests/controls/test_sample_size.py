"""What so many records can resolve."""

import numpy as np
import pytest

from leakpro_core.controls.sample_size import excludable, nonmembers_needed, sample_size_control
from leakpro_core.plan import Policy


def arms(members: int, nonmembers: int) -> np.ndarray:
    return np.arange(members + nonmembers) < members


@pytest.mark.parametrize(("fpr", "needed"), [(0.01, 437), (0.001, 4380), (0.0001, 43819)])
def test_nonmembers_needed_are_those_of_the_order_statistic(fpr: float, needed: int) -> None:
    assert needed == nonmembers_needed(fpr)


@pytest.mark.parametrize(("nonmembers", "result"), [(436, "warn"), (437, "pass")])
def test_one_record_too_few_warns(nonmembers: int, result: str) -> None:
    policy = Policy(tolerance={0.01: 0.1})
    assert result == sample_size_control(arms(2000, nonmembers), policy).result


def test_how_many_are_needed_is_said() -> None:
    control = sample_size_control(arms(1000, 1000), Policy())
    assert control.result == "warn"
    assert "4,380 non-members are needed for a lower limit at FPR 0.001" in control.statement


def test_a_tolerance_that_could_never_be_excluded_warns() -> None:
    control = sample_size_control(arms(500, 500), Policy(tolerance={0.01: 0.012}))
    assert "could hardly be excluded" in control.statement


def test_where_all_members_are_tested_fewer_exclude_as_much() -> None:
    every = sample_size_control(arms(50, 5000), Policy(), sampled=False)
    assert every.result == "pass"
    assert sample_size_control(arms(50, 5000), Policy()).result == "warn"


def test_more_records_exclude_more() -> None:
    bounds = [excludable(0.01, n, n) for n in (100, 1000, 10_000, 100_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] > 0.01
