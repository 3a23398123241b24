"""The most vulnerable tenth is chosen without the audited bits."""

import numpy as np

from leakpro_core.arrays import Bools, Floats
from leakpro_core.controls import vulnerable


def vulnerable_tenth(margin: Floats | None, inside: Bools | None, records: Floats | None) -> Bools:
    chosen = vulnerable.vulnerable_tenth(margin, inside, records)
    assert chosen is not None
    return chosen


def shadows(models: int = 8, n: int = 1000) -> tuple[np.random.Generator, Bools]:
    rng = np.random.default_rng(0)
    half = rng.random((models // 2, n)) < 0.5
    return rng, np.concatenate([half, ~half])


def test_records_whose_margin_rises_most_when_trained_on_are_chosen() -> None:
    rng, inside = shadows()
    exposed = np.arange(1000) < 100
    margin = rng.standard_normal((8, 1000)) + inside * np.where(exposed, 6.0, 0.5)
    np.testing.assert_array_equal(exposed, vulnerable_tenth(margin, inside, None))


def test_a_noisy_rise_counts_less_than_a_steady_one() -> None:
    rng, inside = shadows(32)
    noisy, steady = np.arange(1000) < 300, np.arange(1000) >= 900
    margin = rng.standard_normal((32, 1000)) * np.where(noisy, 8.0, 0.5) + inside * steady
    assert vulnerable_tenth(margin, inside, None)[steady].mean() > 0.75


def test_two_shadows_are_enough_to_choose() -> None:
    inside = np.array([[True, False] * 10, [False, True] * 10])
    margin = inside * np.arange(20.0)
    chosen = vulnerable_tenth(margin, inside, None)
    np.testing.assert_array_equal([18, 19], np.flatnonzero(chosen))


def test_without_both_sides_the_most_isolated_records_are_chosen() -> None:
    records = np.random.default_rng(0).standard_normal((200, 4))
    records[:20] *= 10
    margin, inside = np.zeros((4, 200)), np.zeros((4, 200), bool)
    chosen = vulnerable_tenth(margin, inside, records)
    assert chosen.sum() == 20
    assert chosen[:20].mean() >= 0.9


def test_without_shadows_or_records_nothing_is_chosen() -> None:
    assert vulnerable.vulnerable_tenth(None, None, None) is None


def test_ties_are_not_broken_by_position() -> None:
    # Files often list members first: a tenth from the top would be all members.
    chosen = vulnerable_tenth(None, None, np.zeros((1000, 2)))
    assert chosen.sum() == 100
    assert 20 < chosen[:500].sum() < 80


def test_there_is_at_least_one() -> None:
    assert vulnerable_tenth(None, None, np.arange(5.0)[:, None]).sum() == 1
