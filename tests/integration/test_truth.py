"""Whole audits of a known truth: slices of bench/evidence_audits.py, with fixed seeds."""

import numpy as np
import pytest
from evidence_audits import (
    ATTACKS,
    audit,
    easy_members,
    logits,
    null,
    plain_loss,
    plan,
    planted_leak,
    plugins,
    recorded,
)

from leakpro_core.plugins import PluginSet
from leakpro_core.report import Word


@pytest.fixture(scope="module")
def installed() -> PluginSet:
    return plugins()


def test_useless_attacks_are_rarely_given_a_leak_word(installed: PluginSet) -> None:
    """Fifteen audits: more than 3 alarms would refute 5% at three deviations."""
    found = [null(seed, installed, blind=False) for seed in range(15)]
    assert [len(ATTACKS)] * 15 == [o.attacks for o in found]
    assert sum(o.leak for o in found) <= 3
    assert sum(o.invalid for o in found) <= 4


def test_a_planted_leak_is_given_a_word(installed: PluginSet) -> None:
    assert planted_leak(0, installed).word == "weak leak"


def test_the_loss_of_an_overfitted_model_is_given_a_word(installed: PluginSet) -> None:
    found = plain_loss(0, installed)
    assert found.loss == pytest.approx(0.82, abs=0.02)
    assert found.word == "weak leak"


def test_members_chosen_by_easiness_make_the_audit_invalid(installed: PluginSet) -> None:
    found = easy_members(0, installed, 0.6)
    assert found.controls["placebo target"] == "fail"
    assert found.word == "invalid"


def test_without_a_placebo_a_blind_adversary_that_warns_leaves_no_weak_leak(
    installed: PluginSet,
) -> None:
    """Members are a little easier, as their records show; the target never saw any of them."""
    rng = np.random.default_rng([99, 0])
    n = 4000
    x = rng.normal(size=(n, 5)).astype(np.float32)
    order = np.argsort(-(0.14 * x[:, 0] + rng.logistic(size=n)))
    inside = np.zeros(n, bool)
    inside[order[: n // 2]] = True
    labels = rng.integers(0, 4, n)
    margin = 2.0 + x[:, 0] + 0.5 * rng.normal(size=n)
    arrays = {
        "target_outputs": logits(margin, labels, rng),
        "labels": labels,
        "members": inside,
        "records": x,
    }
    report = audit(plan(0, placebo=0), arrays, installed, ("loss",))
    found = {c.name: c.result for c in report.controls}
    assert (found["blind adversary"], found["placebo target"]) == ("warn", "not run")
    assert report.attacks[0].detected
    assert report.findings[0].word is Word.INVALID


def test_attacks_without_a_placebo_are_named(installed: PluginSet) -> None:
    """Six shadows are enough for ``stacked``; four are not, once a pair is held out."""
    arrays = recorded(0, 100, 100)
    for name in ("shadow_outputs", "trained_on", "auxiliary_shadow_outputs"):
        arrays[name] = arrays[name][:6]
    report = audit(plan(0, blind=False), arrays, installed, ("loss", "stacked"))
    said = next(c.statement for c in report.controls if c.name == "placebo target")
    assert "There was no placebo for stacked: too few shadows are left." in said
