"""The validity panel of audits of updates."""

import numpy as np
import pytest
from attrs import evolve
from fake_updates import Options, audit, load, plan

from leakpro_core.statistics import newcombe_difference
from leakpro_core.updates.audit import settle
from leakpro_core.updates.checks import (
    bounded,
    disclosure_control,
    exchange_control,
    flipped_p,
    size_control,
    yardstick_control,
)


def made(tmp_path, more="", **options):
    chosen = plan(tmp_path, "exact", more=more)
    return chosen, settle(chosen, load(Options(**options), None))


def test_flips_of_arms_are_those_of_all_signs():
    gaps = np.array([0.5, 0.2, -0.1, 0.4, 0.3, 0.6, 0.1, 0.25])
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 8)).reshape(8, -1).T
    exact = float((np.abs(signs @ gaps) >= gaps.sum() - 1e-9).mean())
    assert flipped_p(gaps, 0) == pytest.approx(exact, abs=0.01)
    assert flipped_p(np.zeros(8), 0) == 1.0


def test_a_useless_attack_is_bounded_as_the_judge_would_bound_it():
    assert bounded(0.1, 40, 0.95) == pytest.approx(newcombe_difference(4, 40, 4, 40).high)


@pytest.mark.parametrize(("batches", "others", "result"), [(60, 400, "pass"), (19, 400, "warn")])
def test_too_few_batches_warn(tmp_path, batches, others, result):
    more = f"[games]\nbatches = {batches}\ndecoys = 100"
    chosen, stage = made(tmp_path, more=more, others=others, classes=2)
    control = size_control(chosen, stage)
    assert control.result == result
    assert "0.99% of the time" in control.sensitivity
    assert "at most 10 more are nearest to a record of the client's batch than" in control.statement
    assert ("batches are enough" in control.statement) == (result == "warn")


def test_few_auxiliary_records_warn_that_recovered_is_measured_badly(tmp_path):
    _, stage = made(tmp_path)
    aside = stage.auxiliary
    few = evolve(aside, records=aside.records[:9], labels=aside.labels[:9])
    (control,) = yardstick_control(evolve(stage, auxiliary=few))
    assert (control.result, "only 9 auxiliary records" in control.statement) == ("warn", True)
    many = evolve(aside, records=aside.records.repeat(100, 0), labels=aside.labels.repeat(100))
    assert yardstick_control(evolve(stage, auxiliary=many)) == []
    assert yardstick_control(evolve(stage, auxiliary=None)) == []


def test_arms_that_are_drawn_alike_are_found_alike(tmp_path):
    chosen, stage = made(tmp_path, examples=2)
    assert exchange_control(chosen, stage, 0).result == "pass"


def test_clients_whose_records_lie_where_others_do_not_break_the_game(tmp_path):
    # Auxiliary records lie among the decoys, so that they name these.
    report = audit(tmp_path, "guess", target="examples = 2\nshift = 3.0")
    (finding,) = report.findings
    assert finding.word.value == "invalid"
    assert "differ by themselves" in finding.statement


def test_what_is_demonstrated_by_certificate_stands_whatever_the_arms_are(tmp_path):
    report = audit(tmp_path, "exact", target="shift = 3.0")
    (finding,) = report.findings
    assert finding.word.value == "extraction shown"


def test_few_batches_tell_nothing_of_the_arms(tmp_path):
    chosen, stage = made(tmp_path, received=2)
    assert exchange_control(chosen, stage, 0).result == "not run"


@pytest.mark.parametrize(("lie", "result"), [(False, "pass"), (True, "warn")])
def test_an_update_is_computed_again_by_what_was_disclosed(tmp_path, lie, result):
    _, stage = made(tmp_path, received=2, examples=4, lie=lie)
    control = disclosure_control(stage)
    assert control.result == result
    if lie:  # the sum is told where the mean was sent
        assert "relative residual 3," in control.statement


def test_noise_is_named_as_what_may_be_the_reason(tmp_path):
    _, stage = made(tmp_path, received=2, examples=4, noise=1.0)
    control = disclosure_control(stage)
    assert control.result == "warn"
    assert "Noise is drawn anew" in control.statement


def test_updates_that_core_makes_need_no_such_control(tmp_path):
    assert disclosure_control(made(tmp_path)[1]) is None
