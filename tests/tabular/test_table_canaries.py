"""Canaries for tables: planted for the generators alone, found where these remember anybody."""

import fake_tables
import numpy as np
import pytest
import structlog
from attrs import evolve
from fake_tables import Cohort, Options, audit, load, plan
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from leakpro_core.errors import BadValue
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.outcome import Refereed
from leakpro_core.offers import Access
from leakpro_core.plan import Adversary
from leakpro_core.records import Evidence, TableRelease
from leakpro_core.tabular.canaries import (
    Canaries,
    apart,
    canary_control,
    check_canaries,
    looked_for,
    made_up,
    plant,
)
from leakpro_core.tabular.checks import Checks
from leakpro_core.tabular.generators import Generated
from leakpro_core.tabular.play import TablePlayed, TableScene
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix, stacked
from leakpro_core.testing.tables import simulated_stage

QUIET = structlog.wrap_logger(structlog.ReturnLogger())
NONE = Checks(controls=(), broken={}, unseen={})


def asked(tmp_path, count: int = 10, *attacks: str, more: str = ""):
    """Return a plan that asks for canaries."""
    return plan(tmp_path, *(attacks or ("near",)), more=f"[controls]\ncanaries = {count}\n{more}")


def release(**options) -> TableRelease:
    return load(Options(targets=1, **options), None).tables


def fitted(count: int, shadows: int = 2, trainer: str = "rows") -> str:
    """Return what a plan of generators that core fits says beside its target."""
    return (
        f'[shadows]\ntrainer = "{trainer}"\ncount = {shadows}\n[execution]\nworkers = 0\n'
        f"[controls]\ncanaries = {count}\nblind = false\n"
    )


def of_canaries(report):
    return [c for c in report.controls if c.name == "canaries"]


def people(table: Table) -> int:
    return len(np.unique(table.subjects))


def families(n: int, seed: int, first: int) -> Table:
    """Return people of several rows: two columns of their own, which agree, two of each row.

    Whoever has no value of their own has more rows than the others.
    """
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 6, n).astype(float)
    own[rng.random(n) < 0.2] = np.nan
    who = np.repeat(np.arange(n), rng.integers(1, 5, n) + 4 * np.isnan(own))
    each = rng.integers(0, 5, len(who)).astype(float)
    levels = tuple("abcdef")
    columns = (
        Column(name="age", kind=Kind.NUMERIC),
        Column(name="home", kind=Kind.CATEGORICAL, levels=levels),
        Column(name="dose", kind=Kind.NUMERIC),
        Column(name="ward", kind=Kind.CATEGORICAL, levels=levels),
    )
    return from_matrix(columns, np.column_stack([own[who], own[who], each, each]), first + who)


class TestPlanting:
    @given(seed=st.integers(0, 2**32 - 1), leave=st.booleans())
    @settings(max_examples=20, deadline=None)
    def test_values_and_numbers_of_rows_are_those_of_control_people(self, seed, leave):
        known = TableRelease(
            synthetic=None,
            original=families(30, seed, 0),
            control=families(20, seed + 1, 100),
            auxiliary=None if leave else families(10, seed + 2, 400),
        )
        drawn = made_up(known, 12, np.random.default_rng(seed))
        sizes = {len(r) for r in _by_person(known.control)}
        assert people(drawn) == 12
        assert {len(r) for r in _by_person(drawn)} <= sizes
        assert drawn.subjects.min() > max(known.original.subjects.max(), 119 if leave else 409)
        for mine, theirs in zip(drawn.values, known.control.values, strict=True):
            assert set(np.nan_to_num(mine, nan=-9)) <= set(np.nan_to_num(theirs, nan=-9))
        for rows in _by_person(drawn):
            assert len({row[:2].tobytes() for row in rows}) == 1

    def test_columns_are_drawn_each_on_its_own(self):
        known = TableRelease(
            synthetic=None, original=families(300, 1, 0), control=families(300, 2, 1000)
        )
        drawn = made_up(known, 2000, np.random.default_rng(0))
        for a, b in ((0, 1), (2, 3)):  # which always agree in the control, by chance 1 in 5 or 6
            agree = np.equal(*np.nan_to_num(drawn.matrix()[:, [a, b]], nan=-1).T).mean()
            assert 0.1 < agree < 0.3
        age, home = drawn.values[:2]
        # Of people, not of rows: whoever owns many rows counts once.
        first = np.unique(known.control.subjects, return_index=True)[1]
        wanted = np.isnan(known.control.values[0][first]).mean()
        one = np.unique(drawn.subjects, return_index=True)[1]
        assert abs(np.isnan(age[one]).mean() - wanted) < 0.04
        assert abs((home[one] < 0).mean() - wanted) < 0.04
        rows = [len(r) for r in _by_person(drawn)]
        assert abs(np.mean(rows) - len(known.control) / 300) < 0.2

    def test_coins_are_independent(self, tmp_path):
        chosen, known = asked(tmp_path, 10), release(people=120)
        inside = []
        for seed in range(150):
            canaries = plant(evolve(chosen, seed=seed), known)[1]
            assert people(canaries.inside) + people(canaries.outside) == 20
            inside.append(people(canaries.inside))
        # Binomial (20, 1/2): 10 on average, variance 5; halves would have none.
        assert 9.3 < np.mean(inside) < 10.7
        assert 3.5 < np.var(inside) < 6.8

    def test_they_stand_behind_the_people_and_as_many_rows_are_released(self, tmp_path):
        known = release(people=120)
        planted, canaries = plant(asked(tmp_path), known)
        for arm, own in (("original", canaries.inside), ("control", canaries.outside)):
            table, people_of = getattr(planted, arm), getattr(known, arm)
            np.testing.assert_array_equal(
                table.matrix(), np.concatenate([people_of.matrix(), own.matrix()])
            )
            assert not np.isin(
                own.subjects, stacked([known.original, known.control]).subjects
            ).any()
        assert planted.auxiliary is known.auxiliary
        assert planted.rows == 120
        assert plant(asked(tmp_path), evolve(known, rows=7))[0].rows == 7

    def test_nothing_is_planted_where_it_is_not_asked_for_or_cannot_be(self, tmp_path):
        known = release(people=120)
        assert plant(asked(tmp_path, 0), known) == (known, None)
        given_ = evolve(known, synthetic=known.original)
        assert plant(asked(tmp_path), given_) == (given_, None)

    def test_more_than_a_tenth_of_an_arm_is_refused(self, tmp_path):
        known = release(people=100)
        small = evolve(known, control=known.control.rows(np.arange(50)))
        check_canaries(asked(tmp_path, 5), small)
        with pytest.raises(BadValue, match=r"canaries: found 6.*50 people.*Set it to 5 or less"):
            check_canaries(asked(tmp_path, 6), small)
        check_canaries(asked(tmp_path, 6), evolve(small, synthetic=small.original))

    @given(n=st.lists(st.integers(0, 6), min_size=4, max_size=4), seed=st.integers(0, 99))
    @settings(max_examples=20, deadline=None)
    def test_they_are_taken_apart_row_by_row(self, n, seed):
        rng = np.random.default_rng(seed)
        blank = simulated_stage(0, people=30)
        arms = [blank.original.rows(np.arange(count)) for count in n]
        trained_on = rng.random((3, sum(n))) < 0.5
        parts = np.split(trained_on, np.cumsum(n)[:-1], axis=1)
        known = TableRelease(synthetic=None, original=arms[0], control=arms[2], rows=4)
        made = Generated(
            release=evolve(
                known,
                synthetic=blank.released,
                original=stacked(arms[:2]),
                control=stacked(arms[2:]),
                again=(blank.released,),
            ),
            synthetic=blank.released,
            trained_on=trained_on,
            pair=np.arange(3),
        )
        planted = Canaries(inside=arms[1], outside=arms[3], trained_on=trained_on[:0])
        ordinary, canaries = apart(made, known, planted)
        np.testing.assert_array_equal(ordinary.trained_on, np.hstack([parts[0], parts[2]]))
        np.testing.assert_array_equal(canaries.trained_on, np.hstack([parts[1], parts[3]]))
        assert ordinary.release == evolve(made.release, original=arms[0], control=arms[2])
        assert apart(made, known, None) == (made, None)


def _by_person(table: Table):
    rows = np.nan_to_num(table.matrix(), nan=-9)
    return [rows[table.subjects == who] for who in np.unique(table.subjects)]


class TestControl:
    def found(self, chosen, seed: int, *, copied: bool):
        """Return the control where what is released are the canaries inside, or strangers."""
        chosen = evolve(chosen, seed=seed)
        stage = simulated_stage(seed, leak=0.0)
        known = TableRelease(synthetic=None, original=stage.original, control=stage.control)
        canaries = plant(chosen, known)[1]
        if copied:
            rows = np.resize(np.arange(len(canaries.inside)), 60)
            stage = evolve(stage, released=stacked([stage.released, canaries.inside.rows(rows)]))
        scene = TableScene(
            stage=stage,
            adversary=Adversary(access=Access.SAMPLES, knows=("candidate records",)),
            games=chosen.games,
            seed=0,
            log=QUIET,
        )
        (control,) = looked_for(chosen, NONE, [scene], canaries, seed, QUIET).controls
        return control, people(canaries.inside)

    def test_a_generator_that_copies_gives_them_away(self, tmp_path):
        control, inside = self.found(asked(tmp_path, 10), 0, copied=True)
        assert (control.result, control.estimate.value, control.estimate.n) == ("pass", 1.0, 20)
        assert control.estimate.low > 0.5
        assert control.estimate.method.startswith("AUC of near; ")
        assert f"{inside} of the {inside} inside are flagged" in control.statement
        assert "The generator remembers people who are like nobody else" in control.statement

    def test_of_one_that_releases_strangers_they_are_found_one_time_in_twenty(self, tmp_path):
        chosen = asked(tmp_path, 10)
        controls = [self.found(chosen, seed, copied=False)[0] for seed in range(60)]
        holds = [c.estimate.low <= 0.5 <= c.estimate.high for c in controls]
        # Binomial (60, .05) is above 7 in one case of a hundred.
        assert sum(c.result == "pass" for c in controls) <= 7
        assert sum(holds) >= 60 - 9
        assert {c.result for c in controls} <= {"pass", "warn"}
        quiet = next(c for c in controls if c.result == "warn")
        assert quiet.statement.startswith("No attack tells which of 20 made-up people")
        assert "or this test does not show it" in quiet.statement
        assert "would have been found in four cases out of five" in quiet.sensitivity


# By hand


def planted(inside: int, outside: int, rows: int = 1) -> Canaries:
    each = simulated_stage(0, people=60).original
    table = each.rows(np.arange(rows * (inside + outside)) % 60)
    who = np.repeat(np.arange(inside + outside), rows)
    table = evolve(table, subjects=who)
    return Canaries(
        inside=table.rows(who < inside),
        outside=table.rows(who >= inside),
        trained_on=np.zeros((0, len(table)), np.bool_),
    )


def claimed(chosen, canaries: Canaries, *claims) -> list[TablePlayed]:
    """Return what attacks would have said of each row."""
    who = np.concatenate([canaries.inside.subjects, canaries.outside.subjects])
    n = len(who)
    blank = np.full(n, np.nan)
    played = []
    for number, values in enumerate(claims):
        evidence = Evidence(
            subject=who,
            cluster=np.zeros(n, np.int64),
            exposed=np.arange(n) < len(canaries.inside),
            claim=np.array(values, np.float64),
            hit=blank,
            blind_claim=blank,
            blind_hit=blank,
            null_p=blank,
        )
        refereed = Refereed(evidence=evidence, facets=("",), asked=n, made=n)
        attack = evolve(chosen.attacks[0], label=f"number {number}")
        played.append(TablePlayed(attack=attack, adversary=ADVERSARY, refereed=refereed))
    return played


ADVERSARY = Adversary(access=Access.SAMPLES)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    return asked(tmp_path_factory.mktemp("plan"), 10)


class TestFigures:
    @given(seed=st.integers(0, 10**6), rows=st.sampled_from([1, 3]))
    @settings(max_examples=10, deadline=None)
    def test_are_those_of_people_whose_claims_are_averaged(self, chosen, seed, rows):
        rng, canaries = np.random.default_rng(seed), planted(9, 12, rows)
        claims = rng.integers(0, 6, rows * 21).astype(float)
        claims[rng.random(len(claims)) < 0.2] = np.nan
        control = canary_control(chosen, claimed(chosen, canaries, claims), canaries, "x", 0)
        mean = [c[~np.isnan(c)].mean() if (~np.isnan(c)).any() else -1 for c in _split(claims, 21)]
        inside, outside = np.array(mean[:9]), np.array(mean[9:])
        wins = (inside[:, None] > outside).mean() + (inside[:, None] == outside).mean() / 2
        assert control.estimate.value == pytest.approx(wins)
        assert control.estimate.n == 21
        assert f" {(inside > outside.max()).sum()} of the 9 inside are flagged" in control.statement
        assert "luck would make it 0.7." in control.statement
        ranks = rankdata(mean)
        sums = [rng.permutation(ranks)[:9].sum() for _ in range(1000)]
        p = np.mean(np.array(sums) >= ranks[:9].sum())
        told = float(control.statement.split("p = ")[1][:5])
        assert told == pytest.approx(p, abs=0.06)

    def test_the_best_of_many_attacks_is_not_better_than_it_is(self, tmp_path):
        chosen, canaries = asked(tmp_path), planted(10, 10)
        rng, passed = np.random.default_rng(5), 0
        for seed in range(40):
            noise = rng.normal(size=(8, 20))
            played = claimed(chosen, canaries, *noise)
            passed += canary_control(chosen, played, canaries, "x", seed).result == "pass"
        assert passed <= 6
        good = np.arange(20.0)[::-1]
        control = canary_control(chosen, claimed(chosen, canaries, *noise, good), canaries, "x", 0)
        assert control.result == "pass"
        assert control.estimate.method.startswith("AUC of number 8; ")
        assert control.estimate.method.endswith("simultaneous over 9 attacks")
        assert (control.estimate.confidence, control.adversary) == (0.95, "x")
        alone = canary_control(chosen, claimed(chosen, canaries, good), canaries, "x", 0)
        assert alone.estimate.low > control.estimate.low
        # 1/2 and so many standard deviations, which are .132, as the normal says: 1.64 or, of nine
        # attacks, 2.54 for the level, .84 for the power.
        assert alone.sensitivity.startswith("An AUC of 0.83 would")
        assert control.sensitivity.startswith("An AUC of 0.95 would")

    def test_claims_that_are_all_alike_find_nobody(self, tmp_path):
        chosen, canaries = asked(tmp_path), planted(10, 10)
        for claims in (np.zeros(20), np.full(20, np.nan)):
            control = canary_control(chosen, claimed(chosen, canaries, claims), canaries, "x", 0)
            assert (control.result, control.estimate.value) == ("warn", 0.5)
            assert " 0 of the 10 inside are flagged" in control.statement
            assert control.sensitivity.startswith("They are too few, or too much alike")

    @pytest.mark.parametrize(("arms", "said"), [((3, 0), "into"), ((0, 3), "out of")])
    def test_coins_that_fall_on_one_side_tell_nothing(self, tmp_path, arms, said):
        chosen = asked(tmp_path)
        control = canary_control(chosen, [], planted(*arms), "x", 0)
        assert control.result == "not run"
        assert f"all of them {said} the training data" in control.statement


def _split(claims, people: int):
    return np.split(claims, people)


class TestAudits:
    def test_a_generator_that_repeats_rows_is_seen_to(self, tmp_path):
        report = audit(tmp_path, "near", target="targets = 1\npeople = 200", more=fitted(20))
        (control,) = of_canaries(report)
        assert (control.result, control.adversary) == ("pass", report.adversaries[0].name)
        assert control.estimate.n == 40
        assert control.estimate.low > 0.5
        assert (report.data.members, report.data.nonmembers) == (200, 200)

    def test_no_other_figure_counts_them(self, tmp_path, monkeypatch):
        def first_rows(data, unit, run):
            rows = np.stack([r[: unit.options.rows // 2] for r in unit.rows])
            rows = np.tile(rows, (1, 2))
            return Cohort({"released": data.records[rows], "owners": unit.options.subjects[rows]})

        # Canaries come after the people: this generator releases the same with them and without.
        monkeypatch.setattr(fake_tables, "train", first_rows)
        attacks, target = ("near", "every_row"), "targets = 2\npeople = 120"
        without, with_ = (
            audit(tmp_path, *attacks, out=f"run{n}", target=target, more=fitted(n)) for n in (0, 12)
        )
        assert len(of_canaries(with_)) == 1
        assert [c for c in with_.controls if c.name != "canaries"] == list(without.controls)
        assert without.attacks == with_.attacks
        assert (without.findings, without.data) == (with_.findings, with_.data)
        assert without.provenance.evidence_sha256 == with_.provenance.evidence_sha256

    def test_shadows_say_which_canaries_they_were_fitted_on(self, tmp_path, monkeypatch):
        seen = []

        def near(challenge, options, run):
            seen.append(challenge)
            return MembershipAnswer(claims=np.arange(len(challenge.ids)) / 7 % 1)

        monkeypatch.setattr(fake_tables, "near", near)
        report = audit(
            tmp_path, "near", target="targets = 1\npeople = 200", more=fitted(20, 4), shadows=4
        )
        assert len(of_canaries(report)) == 1
        (challenge,) = [c for c in seen if len(c.ids) == 40]
        assert challenge.trained_on.shape == (4, 40)
        np.testing.assert_array_equal(challenge.trained_on[::2], ~challenge.trained_on[1::2])
        repeated = 0
        for shadow, on in zip(challenge.shadows, challenge.trained_on, strict=True):
            released = {row.tobytes() for row in shadow.matrix()}
            held = np.array([row.tobytes() in released for row in challenge.records.matrix()])
            assert not (held & ~on).any()
            repeated += held.sum()
        assert repeated > 40  # of 80, about 63 in 100

    def test_every_adversary_has_a_control_of_its_own(self, tmp_path):
        more = fitted(10) + "".join(
            f'[[adversary]]\nname = "{name}"\naccess = "samples"\nknows = {knows}\n'
            for name, knows in (("knowing", '["candidate records"]'), ("ignorant", "[]"))
        )
        report = audit(tmp_path, "near", target="targets = 1\npeople = 120", more=more)
        results = {c.adversary: c for c in of_canaries(report)}
        assert results["knowing"].result != "not run"
        assert results["ignorant"].result == "not run"
        assert "No attack of the membership game" in results["ignorant"].statement

    def test_an_attack_that_fails_on_them_is_told(self, tmp_path, monkeypatch):
        near = fake_tables.near

        def sulks(challenge, options, run):
            if len(challenge.ids) == 20:
                raise RuntimeError("made-up people")
            return near(challenge, options, run)

        monkeypatch.setattr(fake_tables, "near", sulks)
        report = audit(tmp_path, "near", target="targets = 1\npeople = 120", more=fitted(10))
        assert of_canaries(report)[0].result == "not run"
        assert report.status == "incomplete"
        assert "attack near failed on canaries: RuntimeError: made-up people" in report.statement

    def test_a_table_that_is_released_has_no_room_for_them(self, tmp_path):
        report = audit(tmp_path, "near", more="[controls]\ncanaries = 500\nblind = false\n")
        (control,) = of_canaries(report)
        assert control.result == "not run"
        assert control.statement.startswith("Nothing can be planted in a table that is already")
        assert "targets in the place of synthetic" in control.statement

    def test_too_many_are_refused_before_anything_is_fitted(self, tmp_path):
        fake_tables.FITTED.clear()
        with pytest.raises(BadValue, match=r"\[controls\] canaries: found 13"):
            audit(tmp_path, "near", target="targets = 1\npeople = 120", more=fitted(13))
        assert fake_tables.FITTED == []
