"""What is told of an attack beside its evidence: counts, looks, residuals."""

import numpy as np
import pytest
from attrs import evolve
from fake_updates import Options, audit, load, plan
from scipy import stats

from leakpro_core.statistics import wilson
from leakpro_core.testing.runs import SilentLog
from leakpro_core.updates.audit import settle
from leakpro_core.updates.looks import SHARE, mean_over_batches, range_of
from leakpro_core.updates.play import play, scene
from leakpro_core.updates.results import counted, residual_of, true_of


def played(tmp_path, attack, more="", **options):
    chosen = plan(tmp_path, attack, more=more)
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


def test_a_mean_of_shares_stays_among_shares_and_has_the_score_interval():
    # A t interval is -.22 to .72 here, and has no width where all batches are alike.
    shares = [np.array([0.0]), np.array([1.0]), np.array([0.0]), np.array([0.0])]
    found, whole = mean_over_batches(shares, 0.95, SHARE), wilson(1, 4, 0.95)
    assert (found.low, found.high) == (pytest.approx(whole.low), pytest.approx(whole.high))
    alike = mean_over_batches([np.ones(3)] * 10, 0.95, SHARE)
    assert (alike.value, alike.high) == (1.0, 1.0)
    assert alike.low == pytest.approx(wilson(10, 10, 0.95).low)


def test_a_measure_of_two_bounds_stays_between_them():
    found = mean_over_batches([np.array([0.98]), np.array([0.2])], 0.95, range_of("SSIM"))
    assert -1.0 <= found.low < 0.59 < found.high <= 1.0
    assert range_of("columns right (share)") == SHARE
    assert range_of("minutes") == (-np.inf, np.inf)


def test_intervals_of_bounded_means_cover_what_they_should():
    rng = np.random.default_rng(0)
    for a, b in ((0.1, 0.4), (1.0, 1.0), (0.05, 2.0)):
        drawn = rng.beta(a, b, (1000, 10))
        each = [mean_over_batches(list(row[:, None]), 0.95, SHARE) for row in drawn]
        assert np.mean([e.low <= a / (a + b) <= e.high for e in each]) >= 0.94


def test_a_residual_is_not_below_nothing(tmp_path):
    _, outcome = played(tmp_path, "exact")
    told = [0.0, 0.0, 0.9]
    answers = [evolve(outcome.answers[0], residual=r) for r in told]
    found = residual_of(answers, 0.95)
    assert (found.low, found.value) == (0.0, pytest.approx(0.3))
    assert found.high > 1.0  # it may be longer than what was sent


def test_batches_are_counted_by_claims_of_one_facet(tmp_path):
    # Guesses of 3 of 4 classes are right about nearly every batch; what they name is chance.
    cards = '[[adversary]]\nname = "a"\naccess = "update"\nknows = ["batch size"]'
    report = audit(tmp_path, "guess", target="examples = 3", more=cards)
    _, outcome = played(tmp_path, "guess", more=cards, examples=3)
    e, facets = outcome.refereed.evidence, outcome.refereed.facets
    assert facets == ("identified", "recovered", "labels")
    hit = [{*e.cluster[e.exposed & (e.facet == f) & (e.hit == 1.0)].tolist()} for f in range(3)]
    assert true_of(outcome.refereed) == len(hit[0]) < len(hit[2])
    assert report.attacks[0].people < len(hit[2])


def test_notes_of_attacks_are_told_once_whether_or_not_a_batch_is_judged(tmp_path):
    for target in ("", "received = 2\ntruth = false"):
        report = audit(tmp_path, "notes", target=target, out=target[:1] or "run")
        assert report.attacks[0].notes == ("A note.", "Another.")


def test_notes_of_a_loader_are_told_once(tmp_path, monkeypatch):
    def noisy(options, run):
        return evolve(load(options, run), notes=("It was trusted.",) * 2)

    monkeypatch.setattr("fake_updates.load", noisy)
    assert audit(tmp_path, "guess").limits.count("It was trusted.") == 1
