"""Shares of a release, on which growth is measured."""

import numpy as np

from leakpro_core.records import Estimate
from leakpro_core.tabular.audit import over_half, smaller
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix


def release(owners: list[int]) -> Table:
    column = Column(name="x", kind=Kind.NUMERIC)
    return from_matrix((column,), np.arange(float(len(owners)))[:, None], np.array(owners))


def test_shares_of_rows_lie_within_each_other_and_keep_their_order() -> None:
    shares = dict(smaller(release(list(range(40))), np.random.default_rng(0)))
    assert list(shares) == ["25% of the rows", "50% of the rows"]
    quarter, half = (set(table.values[0]) for table in shares.values())
    assert [len(quarter), len(half)] == [10, 20]
    assert quarter < half
    for table in shares.values():
        assert (np.diff(table.values[0]) > 0).all()


def test_sequences_and_families_are_drawn_whole() -> None:
    lengths = np.random.default_rng(1).integers(1, 9, 40)
    whole = release(np.repeat(np.arange(40), lengths).tolist())
    shares = dict(smaller(whole, np.random.default_rng(0)))
    assert list(shares) == ["25% of the subjects", "50% of the subjects"]
    for table, people in zip(shares.values(), (10, 20), strict=True):
        owners, rows = np.unique(table.subjects, return_counts=True)
        assert len(owners) == people
        assert rows.tolist() == lengths[owners].tolist()


def test_the_excess_of_a_detection_game_is_what_its_auc_is_above_one_half() -> None:
    area = Estimate(value=0.625, low=0.5, high=0.75, confidence=0.95, n=40, method="DeLong")
    found = over_half(area)
    assert (found.value, found.low, found.high) == (0.125, 0.0, 0.25)
    assert (found.n, found.method) == (40, "AUC above 1/2; DeLong")
