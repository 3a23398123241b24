"""Whole audits of membership from updates of several rounds."""

import pytest
from fake_updates import audit, words

from leakpro_core.errors import NotApplicable
from leakpro_core.report import LEAKS

LEAKING = {word.value for word in LEAKS}
FEW = "members = 60\nothers = 80\nauxiliary = 10\n"
UNCHECKED = "[controls]\nblind = false"


def test_members_whose_gradients_align_with_the_updates_are_found(tmp_path):
    wide = FEW + "rounds = 3\nshape = [200]"
    report = audit(tmp_path, "aligned", target=wide, more=UNCHECKED)
    assert words(report)["membership"] in LEAKING
    assert report.attacks[0].auc.low > 0.6


@pytest.mark.parametrize("attack", ["constant", "random"])
def test_claims_that_say_nothing_are_no_leak_of_membership(tmp_path, attack):
    report = audit(tmp_path, attack, target=FEW + "rounds = 2", more=UNCHECKED)
    assert words(report)["membership"] not in LEAKING


def test_updates_of_strangers_tell_of_no_member(tmp_path):
    strange = FEW + "received = 3\nexamples = 60\nstrangers = true\nshape = [200]"
    report = audit(tmp_path, "aligned", target=strange, more=UNCHECKED)
    assert words(report)["membership"] not in LEAKING


def test_members_who_differ_by_themselves_make_it_invalid(tmp_path):
    report = audit(tmp_path, "aligned", target=FEW + "rounds = 2\nshift = 1.0")
    assert words(report)["membership"] == "invalid"
    assert report.exit_code == 3


def test_without_rounds_membership_cannot_be_played(tmp_path):
    with pytest.raises(NotApplicable, match="it needs updates of rounds of training"):
        audit(tmp_path, "aligned")


def test_membership_that_was_not_asked_is_said_to_be_open(tmp_path):
    report = audit(tmp_path, "guess")
    assert "membership from updates" in [n.means for n in report.not_tested]
    assert any(n.means.startswith("a malicious server") for n in report.not_tested)
