"""The validity controls of an audit of tables."""

import numpy as np
import pytest
import structlog
from attrs import evolve
from fake_tables import audit, plan, words

from leakpro_core import judge
from leakpro_core.offers import Access
from leakpro_core.plan import Adversary
from leakpro_core.records import TableRelease
from leakpro_core.tabular import trials
from leakpro_core.tabular.checks import after, before
from leakpro_core.tabular.play import TablePlayed, TableScene
from leakpro_core.tabular.trials import Tried, halved, null_control, plant, planted_control
from leakpro_core.tabular.weigh import Weighed
from leakpro_core.testing.tables import simulated_stage

QUIET = structlog.wrap_logger(structlog.ReturnLogger())


def release(stage) -> TableRelease:
    return TableRelease(synthetic=stage.released, original=stage.original, control=stage.control)


def found(controls, name):
    return next(c for c in controls if c.name.startswith(name))


class TestBefore:
    def test_arms_that_are_alike_break_nothing(self, tmp_path):
        checks = before(plan(tmp_path, "near"), release(simulated_stage(0)), 0, QUIET)
        assert checks.all_broken is None
        assert found(checks.controls, "blind").result == "pass"
        assert len(checks.blind) == 240
        assert np.isfinite(checks.blind).all()

    def test_arms_that_differ_by_themselves_break_everything(self, tmp_path):
        stage = simulated_stage(0, people=400)
        moved = (stage.control.values[0] + 3000.0, *stage.control.values[1:])
        shifted = evolve(stage, control=evolve(stage.control, values=moved))
        checks = before(plan(tmp_path, "near"), release(shifted), 0, QUIET)
        assert "differ by themselves" in checks.all_broken

    @pytest.mark.parametrize("rows", [(3, 1), (1, 2)])
    def test_arms_of_which_one_has_more_rows_a_person_break_everything(self, tmp_path, rows):
        # Whoever has more rows is met more often by luck: what an attack finds is no leak.
        stage = simulated_stage(0, people=400, leak=0.0)
        original, control = (
            arm.rows(np.repeat(np.arange(400), n))
            for arm, n in zip((stage.original, stage.control), rows, strict=True)
        )
        longer = release(evolve(stage, original=original, control=control))
        checks = before(plan(tmp_path, "near"), longer, 0, QUIET)
        assert "differ by how many rows" in checks.all_broken
        assert found(checks.controls, "rows per person").result == "fail"

    def test_of_people_with_a_row_each_no_rows_are_counted(self, tmp_path):
        checks = before(plan(tmp_path, "near"), release(simulated_stage(0)), 0, QUIET)
        assert "rows per person" not in [c.name for c in checks.controls]

    def test_of_people_who_are_all_alike_nobody_is_told_apart(self, tmp_path):
        checks = before(
            plan(tmp_path, "near"), release(simulated_stage(0, shape="equal")), 0, QUIET
        )
        blind = found(checks.controls, "blind")
        assert (blind.result, checks.blind) == ("not run", None)
        assert "alike" in blind.statement

    def test_a_blind_adversary_that_is_switched_off_is_said_to_be(self, tmp_path):
        off = plan(tmp_path, "near", more="[controls]\nblind = false\n")
        checks = before(off, release(simulated_stage(0)), 0, QUIET)
        assert found(checks.controls, "blind").statement == "The plan switched it off."


class TestStages:
    def test_half_of_the_control_stands_in_the_place_of_the_original(self):
        stage = simulated_stage(0)
        half = halved(stage, 1)
        both = [*half.original.subjects, *half.control.subjects]
        assert sorted(both) == sorted(stage.control.subjects)
        assert len(half.original) == len(half.control) == 60
        assert half.released is stage.released
        assert sum(half.tenth_original) + sum(half.tenth_control) == sum(stage.tenth_control)

    @pytest.mark.parametrize("share", [0.05, 0.2, 0.99])
    def test_planted_rows_are_of_the_original_and_the_others_as_they_were(self, share):
        stage = simulated_stage(0, leak=0.0)
        planted = plant(stage, share, 1)
        held = {row.tobytes() for row in stage.original.matrix()}
        own = [row.tobytes() in held for row in planted.released.matrix()]
        assert sum(own) == round(share * 120)
        kept = ~np.array(own)
        for mine, theirs in zip(planted.released.values, stage.released.values, strict=True):
            np.testing.assert_array_equal(mine[kept], theirs[kept])
        assert planted.original is stage.original

    def test_more_rows_than_people_are_planted_by_turns(self):
        stage = simulated_stage(0, people=30, leak=0.0)
        long = evolve(stage, released=stage.released.rows(np.resize(np.arange(30), 200)))
        planted = plant(long, 0.5, 0).released
        counts = [int((planted.values[0] == v).sum()) for v in stage.original.values[0]]
        assert sum(counts) == 100
        assert set(counts) == {3, 4}


def weighed(*found: tuple[str, str, float]) -> Tried:
    return Tried(found=tuple(Weighed(label=a, family=f, p_value=p) for a, f, p in found))


class TestWords:
    @pytest.mark.parametrize(("p", "result"), [(0.2, "pass"), (0.03, "warn"), (0.005, "fail")])
    def test_a_known_null_breaks_what_finds_a_leak_in_it(self, tmp_path, p, result):
        tried = weighed(("near", judge.MAIN, p), ("rows", "copies", 0.9))
        control, broken = null_control(tried, ("membership", "copies"), plan(tmp_path), "x")
        assert control.result == result
        assert set(broken) == ({("x", judge.MAIN)} if result == "fail" else set())

    def test_a_planted_leak_that_a_family_misses_is_said(self, tmp_path):
        tried = weighed(("near", judge.MAIN, 0.001), ("near", judge.TENTH, 0.4), ("r", "copies", 1))
        families = ("membership", "copies")
        control, unseen = planted_control(tried, families, plan(tmp_path), "x", 0.2)
        assert control.result == "warn"
        assert set(unseen) == {("x", judge.TENTH), ("x", "copies")}
        assert control.statement.endswith(
            "found by near; nothing was seen by membership of the most vulnerable tenth and copies."
        )

    def test_an_attack_is_named_once_however_many_families_see_it(self, tmp_path):
        tried = weighed(("near", judge.MAIN, 0.001), ("near", judge.TENTH, 0.001))
        control, _ = planted_control(tried, ("membership",), plan(tmp_path), "x", 0.2)
        assert (control.result, control.statement[-14:]) == ("pass", "found by near.")


class TestAfter:
    def scene(self, tmp_path, chosen) -> TableScene:
        return TableScene(
            stage=simulated_stage(0, leak=0.0),
            adversary=Adversary(access=Access.SAMPLES),
            games=chosen.games,
            seed=0,
            log=QUIET,
        )

    def test_attacks_that_work_see_what_is_planted_and_nothing_in_the_null(self, tmp_path):
        chosen = plan(tmp_path, "every_row")
        chosen = evolve(chosen, games=evolve(chosen.games, secrets=("town",)))
        scene = self.scene(tmp_path, chosen)
        checks = before(chosen, release(scene.stage), 0, QUIET)
        checks = after(chosen, checks, [scene], [], 0, QUIET)
        assert found(checks.controls, "known null").result == "pass"
        assert found(checks.controls, "planted").result == "pass"
        assert (checks.broken, checks.unseen, checks.failed) == ({}, {}, ())

    def test_fewer_people_are_attacked_than_in_the_audit(self, tmp_path, monkeypatch):
        asked: list[int] = []

        def played(scene, attack):
            asked.append(scene.stage.rounds)
            return TablePlayed(attack=attack, adversary=scene.adversary, status="failed")

        monkeypatch.setattr(trials, "play", played)
        chosen = plan(tmp_path, "every_row", "near")
        scene = self.scene(tmp_path, chosen)
        for rounds in (2000, 50):
            many = evolve(scene, stage=evolve(scene.stage, rounds=rounds))
            trials.tried(chosen, many, halved, 0, QUIET)
        # Membership is asked of five times as many.
        assert asked == [1000, 400, 50, 50]


def test_no_leak_is_not_concluded_by_attacks_that_do_not_see_a_planted_one(tmp_path):
    report = audit(tmp_path, "says_nothing", target="leak = 0.0")
    assert words(report)["copies"] not in ("not found", "weak leak", "clear leak", "strong leak")
    assert report.exit_code == 3
