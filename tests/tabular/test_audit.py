"""Whole audits of released tables by attacks that behave, and by some that do not."""

import numpy as np
import pytest
from attrs import evolve
from fake_tables import Options as Simulated
from fake_tables import audit, load, plan, plugins, words, written

from leakpro_core.audit import run
from leakpro_core.errors import BadValue, NotApplicable, UnknownName
from leakpro_core.report import LEAKS
from leakpro_core.tabular.audit import fingerprint

LEAKING = {word.value for word in LEAKS}
FAILING = {
    "sulks": "RuntimeError: no mood for attacking",
    "other_type": "TypeError: the attack returned MembershipAnswer, not a CopiesAnswer",
    "infinite": "answer of attack 'infinite': found an infinite claim at 0",
    "one_short": "answer of attack 'one-short': found claims of shape (239,), expected (240,)",
    "a_row_that_is_not": "found released row 120, expected one from 0 to 119",
    "fails_blind": "RuntimeError: nothing beside the release",
}


def test_a_leak_is_found(tmp_path):
    report = audit(tmp_path, "every_row", "near")
    assert words(report)["copies"] in LEAKING
    assert words(report)["membership"] in LEAKING
    assert report.exit_code == 1
    copies = next(a for a in report.attacks if a.game == "copies")
    whole = next(p for p in copies.success if p.facet == "exact")
    assert whole.excess.low < 0.5 < whole.excess.high
    assert whole.blind.value == 0.0


def test_no_leak_is_not(tmp_path):
    report = audit(tmp_path, "every_row", "near", target="leak = 0.0")
    assert not LEAKING & set(words(report).values())
    assert report.exit_code != 1


@pytest.mark.parametrize("attack", FAILING)
def test_an_attack_that_fails_is_told_and_never_no_leak(tmp_path, attack):
    report = audit(tmp_path, attack, target="leak = 0.0")
    (result,) = report.attacks
    assert result.status == "failed"
    assert FAILING[attack] in result.reason
    assert set(words(report).values()) == {"not tested"}
    assert (report.status, report.exit_code) == ("incomplete", 3)


def test_one_that_fails_stops_no_other_and_leaves_its_game_open(tmp_path):
    report = audit(tmp_path, "every_row", "sulks", target="leak = 0.0\npeople = 200")
    assert [a.status for a in report.attacks] == ["finished", "failed"]
    assert words(report)["copies"] != "not found"
    assert report.exit_code == 3


def test_the_machine_out_of_memory_is_no_failure_of_the_attack(tmp_path):
    with pytest.raises(MemoryError):
        audit(tmp_path, "no_memory")
    assert not (tmp_path / "run" / "report.json").exists()


def test_what_cannot_be_played_is_an_error_where_it_is_named(tmp_path):
    with pytest.raises(NotApplicable, match="found a table, expected another"):
        audit(tmp_path, "refuses")


def test_an_attack_that_says_nothing_about_anybody_finds_nothing(tmp_path):
    report = audit(tmp_path, "says_nothing", "every_row")
    silent = report.attacks[0]
    assert (silent.status, silent.made, silent.detected) == ("finished", 0, False)


def test_an_attack_that_needs_auxiliary_rows_is_not_played_without(tmp_path):
    report = audit(tmp_path, "fails_blind", needs={"auxiliary"})
    (result,) = report.attacks
    assert result.status == "finished"
    assert all(p.blind is None for p in result.success)


def test_the_same_plan_gives_the_same_evidence_and_a_finished_run_is_read_back(tmp_path):
    audit(tmp_path, "near", "nearest_row")
    audit(tmp_path, "near", "nearest_row", out="other")
    assert written(tmp_path / "run") == written(tmp_path / "other")
    before = (tmp_path / "run" / "report.json").read_bytes()
    audit(tmp_path, "near", "nearest_row")
    assert before == (tmp_path / "run" / "report.json").read_bytes()


def test_growth_and_spread_are_told_of_every_size(tmp_path):
    report = audit(tmp_path, "every_row", target="again = 1\nlarger = true")
    (result,) = report.attacks
    assert [p.rows for p in result.growth] == [30, 60, 120, 240]
    assert [p.label for p in result.spread] == ["this release", "release 2"]
    assert result.spread[0] == result.growth[2]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An audit of 29 columns."""
    return audit(tmp_path_factory.mktemp("wide"), "nearest_row", target="wide = 24\npeople = 60")


def test_of_many_columns_twenty_are_inferred_and_the_others_are_said_not_to_be(wide):
    (result,) = wide.attacks
    assert len({p.facet for p in result.success} - {""}) == 20
    (left,) = [n for n in wide.not_tested if "attribute inference" in n.means]
    assert left.means == "attribute inference of 9 columns"
    assert left.reason.startswith("20 of 29 columns were inferred")


def test_growth_of_attribute_inference_is_that_of_five_columns(wide):
    (result,) = wide.attacks
    assert "How the excess changes with the release" in result.notes[-1]
    assert [p.rows for p in result.growth] == [15, 30, 60]
    whole = next(p for p in result.success if p.facet == "" and p.coverage == "all claims")
    assert result.growth[-1].excess != whole.excess


def test_columns_that_are_named_are_inferred_all_however_many(tmp_path):
    names = [f"x{j}" for j in range(22)]
    more = f"[games]\nrounds = 20\nplanted = [0.2]\nsecrets = {names}".replace("'", '"')
    report = audit(tmp_path, "nearest_row", target="wide = 24\npeople = 40", more=more)
    (result,) = report.attacks
    assert len({p.facet for p in result.success} - {""}) == 22


@pytest.mark.parametrize(
    ("games", "error", "said"),
    [
        ('secrets = ["twon"]', UnknownName, r"\[games\] secrets: found \"twon\".*'town'"),
        ('secrets = ["number"]', BadValue, r"\[games\] secrets: found \"number\", an identifier"),
        ('left = ["twon"]', UnknownName, r"\[games\] left: found \"twon\""),
        ('left = ["number"]', BadValue, r"\[games\] left: found \"number\""),
        (
            'left = ["balance", "visits", "day", "town", "insured"]',
            BadValue,
            "every column",
        ),
    ],
)
def test_names_of_columns_are_checked_before_anything_is_played(tmp_path, games, error, said):
    with pytest.raises(error, match=said):
        audit(tmp_path, "every_row", more=f"[games]\n{games}\n")
    assert not list((tmp_path / "run" / "evidence").iterdir())


def test_people_are_counted_not_their_rows(tmp_path):
    data = audit(tmp_path, "every_row", target="each = 2").data
    assert (data.candidates, data.subjects) == (240, 120)
    assert (data.members, data.nonmembers) == (60, 60)


def test_evidence_of_several_adversaries_stands_apart(tmp_path):
    more = "".join(
        f'[[adversary]]\nname = "{name}"\naccess = "samples"\nknows = {knows}\n'
        for name, knows in (
            ("one", '["candidate records"]'),
            ("two", '["candidate records", "auxiliary population"]'),
        )
    )
    report = audit(tmp_path, "every_row", more=more)
    files = sorted(p.name for p in (tmp_path / "run" / "evidence").iterdir())
    assert files == ["every-row@one.parquet", "every-row@two.parquet"]
    blind = {a.adversary: a.success[0].blind for a in report.attacks}
    assert blind["one"] is None
    assert blind["two"] is not None


def test_the_fingerprint_changes_with_every_cell_and_every_person():
    release = load(Simulated(people=20), None).tables
    known = {fingerprint(release)}
    for name in ("synthetic", "original", "control", "auxiliary"):
        table = getattr(release, name)
        for j, values in enumerate(table.values):
            other = values.copy()
            other[-1] = 0 if other[-1] else 1
            changed = (*table.values[:j], other, *table.values[j + 1 :])
            known.add(fingerprint(evolve(release, **{name: evolve(table, values=changed)})))
        moved = table.subjects.copy()
        moved[-1] += 1000
        known.add(fingerprint(evolve(release, **{name: evolve(table, subjects=moved)})))
    known.add(fingerprint(evolve(release, auxiliary=None)))
    assert len(known) == 1 + 4 * 7 + 1


def test_a_plan_that_was_edited_does_not_go_on_in_the_same_folder(tmp_path):
    from leakpro_core.errors import RunFolderTaken

    audit(tmp_path, "every_row", target="people = 40")
    with pytest.raises(RunFolderTaken):
        run(plan(tmp_path, "every_row", target="people = 41"), plugins(), tmp_path / "run")


def test_all_attacks_are_taken_where_none_is_named(tmp_path):
    chosen = plan(tmp_path)
    assert len(chosen.attacks) == 13
    assert not any(attack.named for attack in chosen.attacks)
    np.testing.assert_equal(chosen.adversaries[0].access.value, "samples")
