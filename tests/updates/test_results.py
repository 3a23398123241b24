"""What is told of an attack beside its evidence: counts, looks, residuals."""

import numpy as np
import pytest
from fake_updates import Options, audit, load, plan
from scipy import stats

from leakpro_core.testing.runs import SilentLog
from leakpro_core.updates.audit import settle
from leakpro_core.updates.looks import mean_over_batches
from leakpro_core.updates.play import play, scene
from leakpro_core.updates.results import counted


def played(tmp_path, attack, **options):
    chosen = plan(tmp_path, attack)
    stage = settle(chosen, load(Options(**options), None))
    server = chosen.adversaries[0]
    one = scene(stage, server, blind=None, tenth=None, seed=1, log=SilentLog())
    return stage, play(one, chosen.attacks[0])


def test_different_records_are_counted_once(tmp_path):
    # 24 batches of one of 14 records: 10 are in two of them.
    stage, outcome = played(tmp_path, "exact", members=14)
    found = counted(stage, outcome.refereed)
    assert len(stage.items) == 24
    assert (found.hits, found.rounds, found.batches, found.control) == (24, 24, 24, 0)
    assert found.distinct == 14


def test_counts_are_those_of_records_that_some_reconstruction_is_near(tmp_path):
    stage, outcome = played(tmp_path, "guess", examples=3, shape=(1,), auxiliary=20)
    found = counted(stage, outcome.refereed)
    hits = control = 0
    for item in stage.items:
        batch, said = item.batch, outcome.answers[item.number].records
        for own, near in ((batch.records, batch.near), (batch.decoys[:3], batch.decoy_near)):
            apart = np.abs(said[:, None, 0] - own[None, :, 0]) / batch.scale[0]
            reached = int((apart.min(axis=0) < near).sum())
            hits, control = (
                (hits + reached, control) if own is batch.records else (hits, control + reached)
            )
    assert (found.hits, found.control) == (hits, control)
    assert found.rounds == 72
    assert hits > 0


def test_a_mean_over_batches_weighs_batches_alike_and_has_a_t_interval():
    values = [np.array([1.0, 3.0]), np.array([5.0]), np.array([np.nan, 2.0])]
    found = mean_over_batches(values, 0.95)
    low, high = stats.t.interval(0.95, 2, loc=3.0, scale=stats.sem([2.0, 5.0, 2.0]))
    assert (found.value, found.n) == (3.0, 3)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_batch_has_no_interval_and_none_no_mean():
    one = mean_over_batches([np.array([2.0, 4.0])], 0.95)
    assert (one.low, one.value, one.high, one.method) == (3.0, 3.0, 3.0, "one batch, no interval")
    assert mean_over_batches([np.array([np.nan])], 0.95) is None


def test_a_single_batch_is_described_by_all_of_its_records(tmp_path):
    report = audit(tmp_path, "guess", target="received = 1\nexamples = 6\nothers = 400")
    (attack,) = report.attacks
    (looks,) = attack.fidelity
    assert looks.name == "mean absolute error"
    assert looks.attack.n == 1
    page = (tmp_path / "run" / attack.exhibits).read_text()
    assert page.count("<details>") == 6
