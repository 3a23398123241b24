"""Rounds of one client are one unit where they were made of the same records."""

import numpy as np

from leakpro_core.games.batches import Batch
from leakpro_core.updates.together import units


def batch(subject: int, values: list[float]) -> Batch:
    records = np.array(values, np.float32)[:, None]
    n = len(values)
    others = np.arange(100, 100 + 3 * n, dtype=np.float32)[:, None]
    return Batch(
        subject=subject,
        records=records,
        labels=np.zeros(n, np.int64),
        decoys=others,
        decoy_labels=np.zeros(3 * n, np.int64),
        control_labels=np.zeros(n, np.int64),
        near=np.zeros(n),
        decoy_near=np.zeros(n),
    )


def test_rounds_of_the_same_records_are_one_unit():
    rounds = [batch(0, [1, 2]), batch(1, [1, 2]), batch(2, [3, 4])]
    assert units(rounds) == {0: 0, 1: 0, 2: 2}


def test_rounds_that_share_one_record_are_one_unit_also_by_way_of_another():
    rounds = [batch(0, [1, 2]), batch(1, [3, 4]), batch(2, [2, 3]), batch(3, [9, 8])]
    assert units(rounds) == {0: 0, 1: 0, 2: 0, 3: 3}
