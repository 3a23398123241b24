"""Whole audits of updates by attacks that behave, and by some that do not."""

import fake_updates
import pytest
from attrs import evolve
from fake_updates import audit, plan, plugins, words, written

from leakpro_core.audit import render, run
from leakpro_core.errors import BadArray, BadValue, MissingKey, NotAFactory
from leakpro_core.plan import ChosenShadows
from leakpro_core.report import LEAKS, from_json

LEAKING = {word.value for word in LEAKS}
INVERSION = "gradient-inversion"
NOISE = "noise = 5.0\n"
FAILING = {
    "no_number": "a residual of type NoneType",
    "listed_notes": "notes of type list",
    "sulks": "RuntimeError: no mood for attacking",
    "other_type": "TypeError: the attack returned MembershipAnswer, not a InversionAnswer",
    "other_shape": "answer of attack 'other-shape': found records of shape (1, 15)",
    "infinite": "answer of attack 'infinite': found an infinite claim at 0",
}


def finding(report, family=INVERSION):
    return next(f for f in report.findings if f.family == family)


def test_records_that_an_update_gives_away_are_extraction(tmp_path):
    report = audit(tmp_path, "exact")
    assert words(report) == {INVERSION: "extraction shown"}
    assert (report.status, report.exit_code) == ("complete", 1)
    assert (
        "with exact, 24 of 24 records of 24 batches (24 different records), against 0 of as many"
        in finding(report).statement
    )
    (exact,) = report.attacks
    assert (exact.certified.right, exact.certified.wrong, exact.people) == (24, 0, 24)
    assert exact.residual.value < 1e-6
    assert exact.fidelity[0].attack.high < 1e-6 < exact.fidelity[0].blind.low


def test_noise_leaves_no_leak_and_the_batches_that_are_needed_are_named(tmp_path):
    report = audit(tmp_path, "exact", target=NOISE)
    assert words(report) == {INVERSION: "inconclusive"}
    assert "batches would be needed" in finding(report).statement
    assert report.exit_code == 2


def test_enough_batches_of_which_noise_hides_the_records_are_not_found(tmp_path):
    many = "[games]\nbatches = 100\ndecoys = 100"
    report = audit(tmp_path, "exact", target=NOISE + "others = 1000", more=many)
    assert words(report) == {INVERSION: "not found"}
    assert "The update that exact's reconstructions give differs from" in finding(report).statement
    assert report.exit_code == 0


def test_a_wrong_formula_recovers_nothing_of_batches_of_several(tmp_path):
    report = audit(tmp_path, "exact", target="examples = 4")
    assert words(report)[INVERSION] in LEAKING - {"extraction shown"}
    assert report.attacks[0].certified is None


def test_without_the_batch_a_certificate_that_core_confirms_is_extraction(tmp_path):
    report = audit(tmp_path, "exact", target="received = 1\ntruth = false\nmembers = 20")
    assert words(report) == {INVERSION: "extraction shown"}
    assert "as demonstrated by certificate: exact certified 1 record of 1 batch" in (
        finding(report).statement
    )
    assert (report.status, report.exit_code) == ("complete", 1)
    assert report.attacks[0].certified.unjudged == 1


def test_without_the_batch_a_certificate_that_core_refutes_is_not_judged(tmp_path):
    report = audit(tmp_path, "boasts", target="received = 1\ntruth = false")
    assert words(report) == {INVERSION: "not tested"}
    said = finding(report).statement
    assert said.startswith("Not judged: the client's batch was not given.")
    assert "What boasts certified of batch 1 was not accepted" in said
    assert (report.status, report.exit_code) == ("incomplete", 3)


def test_without_batch_or_certificate_it_says_what_a_verdict_needs(tmp_path):
    report = audit(tmp_path, "guess", target="received = 2\ntruth = false")
    assert words(report) == {INVERSION: "not tested"}
    assert "A verdict needs the client's batch" in finding(report).statement
    assert report.exit_code == 3


def test_a_batch_without_others_to_compare_it_with_is_not_judged(tmp_path):
    report = audit(tmp_path, "guess", target="received = 1\nothers = 0\nauxiliary = 0")
    assert "no other records were given" in finding(report).statement
    assert words(report) == {INVERSION: "not tested"}


def test_certificates_that_the_batch_refutes_are_told_and_count_for_nothing(tmp_path):
    report = audit(tmp_path, "boasts")
    (attack,) = report.attacks
    assert (attack.certified.right, attack.certified.wrong) == (0, 24)
    assert any("WRONG" in note for note in attack.notes)
    assert words(report)[INVERSION] not in LEAKING
    (control,) = [c for c in report.controls if c.name == "certificates"]
    assert control.result == "fail"


def test_labels_are_claims_of_their_own(tmp_path):
    report = audit(
        tmp_path,
        "labels_only",
        more='[[adversary]]\nname = "a"\naccess = "update"\nknows = ["batch size"]',
    )
    assert words(report)[INVERSION] in LEAKING
    assert "a label is at least" in finding(report).statement
    assert report.attacks[0].fidelity == ()


def test_each_adversary_has_a_finding_of_its_own(tmp_path):
    cards = (
        '[[adversary]]\nname = "realist"\nlabel = "realistic"\naccess = "update"\nknows = []\n'
        '[[adversary]]\nname = "worst"\naccess = "update"\n'
    )
    report = audit(tmp_path, "exact", more=cards)
    assert [(f.adversary, f.word.value) for f in report.findings] == [
        ("realist", "extraction shown"),
        ("worst", "extraction shown"),
    ]
    assert report.adversaries[0].knows == ()


@pytest.mark.parametrize("attack", FAILING)
def test_an_attack_that_fails_is_told_and_never_no_leak(tmp_path, attack):
    report = audit(tmp_path, attack)
    (result,) = report.attacks
    assert result.status == "failed"
    assert FAILING[attack] in result.reason
    assert words(report) == {INVERSION: "not tested"}
    assert (report.status, report.exit_code) == ("incomplete", 3)


def test_records_of_an_unknown_batch_that_are_no_numbers_are_a_wrong_answer(tmp_path):
    report = audit(tmp_path, "letters", target="received = 2\ntruth = false\nexamples = 3")
    assert [a.status for a in report.attacks] == ["failed"]
    assert "records of dtype <U" in report.attacks[0].reason


def test_one_that_fails_stops_no_other(tmp_path):
    report = audit(
        tmp_path,
        "exact",
        "sulks",
        more="[games]\nbatches = 100\ndecoys = 100",
        target=NOISE + "others = 1000",
    )
    assert [a.status for a in report.attacks] == ["finished", "failed"]
    assert words(report) == {INVERSION: "inconclusive"}
    assert report.exit_code == 3


def test_an_attack_that_applies_to_no_batch_is_told_and_stops_nothing(tmp_path):
    report = audit(tmp_path, "refuses", "exact")
    assert [a.status for a in report.attacks] == ["not applicable", "finished"]
    (why,) = [item.reason for item in report.not_tested if "refuses" in item.means]
    assert "found a linear model, expected another" in why
    assert report.status == "complete"


def test_an_audit_of_which_no_attack_applies_is_incomplete(tmp_path):
    report = audit(tmp_path, "refuses")
    assert (report.word.value, report.status, report.exit_code) == ("not tested", "incomplete", 3)


def test_one_that_applies_to_no_batch_takes_nothing_from_those_that_finished(tmp_path):
    report = audit(tmp_path, "exact", "refuses", more="[games]\nbatches = 24\ndecoys = 20")
    assert [a.status for a in report.attacks] == ["finished", "not applicable"]
    assert "found a linear model" in report.attacks[1].reason
    assert words(report) == {INVERSION: "extraction shown"}


def test_one_that_applies_to_one_adversary_only_is_told_and_stops_nothing(tmp_path):
    cards = "".join(
        f'[[adversary]]\nname = "{name}"\naccess = "update"\nknows = {knows}\n'
        for name, knows in (("blind", "[]"), ("knowing", '["labels"]'))
    )
    report = audit(tmp_path, "refuses_the_ignorant", more=cards)
    assert [a.status for a in report.attacks] == ["not applicable", "finished"]
    assert [f.adversary for f in report.findings] == ["knowing"]
    assert report.status == "incomplete"


def test_batches_that_an_attack_does_not_apply_to_are_misses(tmp_path):
    report = audit(tmp_path, "refuses_some")
    (result,) = report.attacks
    assert result.status == "finished"
    assert 0 < result.made < result.asked == 24
    assert any(note.startswith("It gave no answer for") for note in result.notes)


def test_seeds_give_the_same_evidence(tmp_path):
    for out in ("one", "two"):
        audit(tmp_path, "exact", "guess", out=out)
    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_another_seed_draws_other_batches(tmp_path):
    reports = [audit(tmp_path, "guess", out=str(seed), seed=seed) for seed in (1, 2)]
    assert reports[0].attacks[0].evidence != reports[1].attacks[0].evidence


def test_a_finished_run_is_read_back(tmp_path):
    audit(tmp_path, "guess")
    before = (tmp_path / "run" / "report.json").read_bytes()
    again = audit(tmp_path, "guess")
    assert before == (tmp_path / "run" / "report.json").read_bytes()
    assert again == from_json(before)


def test_the_terminal_tells_batches_and_certificates(tmp_path):
    chosen = plan(tmp_path, "exact", "guess")
    report = run(chosen, plugins(), tmp_path / "run")
    render(chosen, report, tmp_path / "run")
    said = " ".join((tmp_path / "run" / "report.txt").read_text().split())
    assert "exact: 24 of 24 claims made, true about 24 batches" in said
    assert "certified: 24 right, none wrong, 0 not judged" in said
    assert "mean absolute error" in said


def test_exhibits_stand_in_a_file_of_their_own(tmp_path):
    audit(tmp_path, "exact", target="shape = [4, 4]")
    page = tmp_path / "run" / "exhibits" / "exact.html"
    assert page.read_text().count("<details>") == 20
    assert page.stat().st_mode & 0o777 == 0o600
    report = (tmp_path / "run" / "report.json").read_text()
    assert "data:image" not in report


# What a plan or a loader cannot have.


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ("examples = 500", BadArray, "found 120 records of clients, expected at least 500"),
        ("members = 0", MissingKey, "found no records of clients"),
        ("others = 6", BadArray, "non-members of class"),
    ],
)
def test_records_that_are_missing_are_named(tmp_path, target, error, said):
    with pytest.raises(error, match=said):
        audit(tmp_path, "guess", target=target)


def test_shadow_models_are_refused(tmp_path):
    chosen = plan(tmp_path, "guess")
    shadows = ChosenShadows(offered=chosen.loader.offered, options=None)  # whatever trainer it is
    with pytest.raises(BadValue, match=r"\[shadows\]: found a trainer, expected none"):
        run(evolve(chosen, shadows=shadows), plugins(), tmp_path / "run")


def test_a_handle_that_is_no_client_is_named(tmp_path, monkeypatch):
    load = fake_updates.load

    def other(options, run):
        found = load(options, run)
        return evolve(found, target=evolve(found.target, handle=object()))

    monkeypatch.setattr(fake_updates, "load", other)
    with pytest.raises(NotAFactory, match="found a object, expected updates whose target"):
        audit(tmp_path, "guess")
