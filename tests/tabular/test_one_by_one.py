"""Single people whom generators give away: an exact test of each, and what the report says."""

from types import SimpleNamespace

import numpy as np
import pytest
import structlog
from attrs import evolve
from fake_tables import audit
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from test_table_canaries import fitted

from leakpro_core import judge
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import TableStage
from leakpro_core.offers import Access, AttackOffer
from leakpro_core.plan import Adversary, ChosenAttack, Games, Policy
from leakpro_core.plugins import Offered
from leakpro_core.tabular.one_by_one import Budget, one_by_one
from leakpro_core.tabular.play import TableScene
from leakpro_core.tabular.table import Column, Kind, from_matrix

ALPHA = 0.01
PEOPLE = 60
OUTLIER = 7
VALUE = (Column(name="x", kind=Kind.NUMERIC),)


def people(first, values):
    return from_matrix(VALUE, np.asarray(values, float)[:, None], first + np.arange(len(values)))


def scene(pairs, seed=0, gives=True, single=False):
    """Return a scene of generators that release noise, and the outlier if fitted on it."""
    rng = np.random.default_rng(seed)
    arms = people(0, rng.normal(size=PEOPLE // 2)), people(500, rng.normal(size=PEOPLE // 2))
    half = rng.random((pairs, PEOPLE)) < 0.5
    on = np.stack([half, ~half], axis=1).reshape(2 * pairs, PEOPLE)
    outlier = arms[0].values[0][OUTLIER]
    released = []
    for inside in on[:, OUTLIER]:
        rows = rng.normal(size=20)
        rows[0] = outlier if inside and gives else rows[0]
        released.append(people(0, rows))
    stage = TableStage(
        released=released[0],
        original=arms[0],
        control=arms[1],
        tenth_original=np.zeros(PEOPLE // 2, bool),
        tenth_control=np.zeros(PEOPLE // 2, bool),
        shadows=tuple(released),
        trained_on=on,
        pair=np.arange(2 * pairs) if single else np.repeat(np.arange(pairs), 2),
    )
    return TableScene(
        stage=stage,
        adversary=Adversary(name="anyone", access=Access.SAMPLES),
        games=Games(),
        seed=3,
        log=structlog.wrap_logger(structlog.ReturnLogger()),
    )


def chosen(name, shadows=2):
    offer = AttackOffer(
        name=name,
        game="membership",
        access=Access.SAMPLES,
        shadows=shadows,
        ref=f"{__name__}:{name}",
        summary="For tests.",
        reference="none",
    )
    offered = Offered(offer=offer, plugin="tests", version="0")
    return ChosenAttack(label=name, offered=offered, options=None)


def played(name, pairs=12, alpha=ALPHA, first=(OUTLIER,), shadows=2, **made):
    """Play an attack; ``first`` are those most unlike others."""
    everybody = np.concatenate([np.arange(PEOPLE // 2), 500 + np.arange(PEOPLE // 2)])
    ranked = np.concatenate([first, np.setdiff1d(everybody, first)])
    return one_by_one(scene(pairs, **made), chosen(name, shadows), ranked, budget(alpha, shadows))


def budget(alpha=ALPHA, shadows=2):
    taught = -(-shadows // 2)
    return Budget(alpha=alpha, taught=taught, needed=16)


# Attacks.


def repeats(challenge, options, run):
    """Claim those whose value stands in the release."""
    there = np.isin(challenge.records.values[0], challenge.synthetic.values[0])
    return MembershipAnswer(claims=there.astype(float))


def guesses(challenge, options, run):
    """Claim by what the release looks like, which depends on nobody."""
    rows = challenge.synthetic.values[0]
    drawn = np.random.default_rng(int(abs(rows.sum()) * 1e9)).normal(size=len(challenge.records))
    return MembershipAnswer(claims=drawn)


def learner(challenge, options, run):
    """Claim by whether the release looks as those did that each person was in."""
    looks = np.stack([_look(table) for table in challenge.shadows])
    sides = np.where(challenge.trained_on, 1.0, -1.0).T
    return MembershipAnswer(claims=sides @ looks @ _look(challenge.synthetic))


def _look(table):
    """Return the rows of a release as one direction of many."""
    return table.values[0] - table.values[0].mean()


def silent(challenge, options, run):
    return MembershipAnswer(claims=np.full(len(challenge.records), np.nan))


def sure(challenge, options, run):
    return MembershipAnswer(claims=np.full(len(challenge.records), np.inf))


def peeks(challenge, options, run):
    """Guess; fail if a shadow that is shown is the release, or has no twin beside it."""
    rows = challenge.synthetic.values[0]
    assert not any(np.array_equal(rows, shadow.values[0]) for shadow in challenge.shadows)
    assert len(challenge.shadows) == len(challenge.pair) == len(challenge.trained_on)
    assert (np.bincount(challenge.pair)[np.unique(challenge.pair)] == 2).all()
    return guesses(challenge, options, run)


def breaks(challenge, options, run):
    raise RuntimeError("out of order")


class TestPlaying:
    def test_whom_every_pair_gives_away_is_told_right_each_time(self):
        found = played("repeats")
        assert found.people.tolist()[0] == OUTLIER
        assert found.right[0].tolist() == [True] * 11
        assert not found.right[1:].any()

    def test_the_first_pairs_only_teach(self):
        assert played("repeats", shadows=6).right.shape[1] == 9
        assert played("repeats", shadows=5).right.shape[1] == 9

    def test_as_many_people_are_tested_as_the_pairs_can_convict(self):
        assert [len(played("silent", pairs=1 + k).people) for k in (6, 7, 8, 9, 12)] == [
            0, 1, 2, 5, 6
        ]  # fmt: skip

    def test_too_few_pairs_are_told_with_how_many_it_takes(self):
        found = played("repeats", pairs=4)
        assert found.people.size == 0
        assert found.reason == "there are 8 shadow generators, and 16 are needed"
        assert played("repeats", pairs=8).people.size == 1

    def test_ties_and_abstentions_are_not_right(self):
        assert not played("silent").right.any()
        assert not played("sure").right.any()

    def test_an_attack_is_shown_only_the_pairs_before(self):
        assert played("peeks").reason == ""

    def test_a_failing_attack_is_said_to_fail(self):
        assert played("breaks").reason == "breaks failed: RuntimeError: out of order"

    def test_shadows_without_a_twin_are_not_used(self):
        assert played("repeats", single=True).people.size == 0

    def test_the_evidence_holds_a_round_for_each_person_and_twin(self):
        found = played("repeats")
        rounds = found.evidence
        assert len(rounds.claim) == 2 * 11 * len(found.people)
        mine = rounds.subject == OUTLIER
        assert (rounds.claim[mine] == rounds.exposed[mine]).all()
        assert np.unique(rounds.cluster).tolist() == list(range(1, 12))

    def test_the_seed_decides_everything(self):
        assert np.array_equal(played("guesses").right, played("guesses").right)

    def test_people_of_several_rows_are_told_by_the_mean_of_their_claims(self):
        one = scene(8)
        stage = one.stage
        doubled = evolve(
            stage,
            original=stage.original.rows(np.repeat(np.arange(PEOPLE // 2), 2)),
            tenth_original=np.zeros(PEOPLE, bool),
            trained_on=np.concatenate(
                [np.repeat(stage.trained_on[:, : PEOPLE // 2], 2, axis=1),
                 stage.trained_on[:, PEOPLE // 2 :]], axis=1
            ),
        )  # fmt: skip
        ranked = np.concatenate([[OUTLIER], np.arange(500, 530)])
        found = one_by_one(evolve(one, stage=doubled), chosen("repeats"), ranked, budget())
        assert found.right[0].all()

    def test_who_gives_nothing_away_is_told_right_once_in_two(self):
        right = np.concatenate([played("guesses", seed=s, gives=False).right for s in range(30)])
        low, high = binom.interval(0.999, right.size, 0.5)
        assert low <= right.sum() <= high

    def test_what_was_learned_from_pairs_before_does_not_tie_the_pairs_together(self):
        # Learned from all other pairs, all three are right far more often than once in eight:
        # a direction that fits one pair by chance fits the others by the same chance.
        ran = [
            played("learner", pairs=4, alpha=0.9, seed=s, gives=False, first=(s % 30,))
            for s in range(120)
        ]
        right = np.concatenate([found.right for found in ran])
        assert right.shape == (720, 3)
        low, high = binom.interval(0.999, 720, 1 / 8)
        assert low <= right.all(axis=1).sum() <= high


class TestBudget:
    @given(st.integers(1, 20), st.integers(1, 3), st.integers(1, 10), st.floats(0.51, 0.999))
    def test_as_many_shadows_as_are_needed_convict_one_person(
        self, most, adversaries, learn, level
    ):
        attack = chosen("repeats", learn)
        asked = SimpleNamespace(
            attacks=(attack,) * most,
            adversaries=("anyone",) * adversaries,
            policy=Policy(confidence=level),
        )
        found = Budget.of(asked, attack, adversaries)
        assert found.alpha * ((most + 2) * adversaries) == pytest.approx(1 - level)
        assert found.tested(found.needed // 2, 1000) >= 1
        assert found.tested(found.needed // 2 - 1, 1000) == 0

    def test_no_more_than_the_most_vulnerable_tenth_are_tested(self):
        assert budget().tested(60, 41) == 5


class TestJudging:
    def test_the_test_is_exact_and_over_all_people(self):
        right = np.zeros((6, 12), bool)
        right[2] = True
        found = judge.given_away(right, ALPHA, label="a", adversary="b")
        assert (found.tested, found.found, found.right, found.enough) == (6, 1, 12, 12)
        assert found.p_value == pytest.approx(6 / 2**12)

    def test_nobody_is_found_where_the_pairs_are_too_few(self):
        found = judge.given_away(np.ones((6, 5), bool), ALPHA, label="a", adversary="b")
        assert (found.found, found.enough) == (0, 6)

    def test_somebody_is_called_given_away_in_no_more_audits_than_alpha(self):
        rng = np.random.default_rng(0)
        calls = [
            judge.given_away(rng.random((30, 14)) < 0.5, 0.05, label="a", adversary="b").found > 0
            for _ in range(1000)
        ]
        exact = 1 - (1 - binom.sf(12, 14, 0.5)) ** 30
        assert np.mean(calls) == pytest.approx(exact, abs=0.006)
        assert exact < 0.05

    @pytest.mark.parametrize(
        ("pairs", "word"), [(12, "weak leak"), (60, "clear leak"), (200, "strong leak")]
    )
    def test_the_word_is_by_the_lower_bound_of_the_odds(self, pairs, word):
        found = judge.given_away(np.ones((6, pairs), bool), ALPHA, label="a", adversary="b")
        assert judge.person_finding(found).word.value == word

    def test_the_note_tells_how_likely_somebody_would_be_found(self):
        found = judge.given_away(np.zeros((6, 20), bool), ALPHA, label="a", adversary="b")
        assert judge.person_note(found) == (
            "One person at a time, of the 6 most unlike others: 0 told from luck, in at least "
            f"{found.enough} of 20 pairs of shadow generators fitted with and without the person; "
            "of people told right 95% of the time, 98% would be found"
        )


class TestAudit:
    """Generators that repeat rows of those that they were fitted on."""

    def audited(self, folder, shadows):
        more = fitted(0, shadows=shadows)
        return audit(folder, "near", target="targets = 1", more=more, shadows=2)

    def test_the_report_says_how_many_people_are_given_away(self, tmp_path):
        report = self.audited(tmp_path, 40)
        mine = {f.family: f for f in report.findings}[judge.ONE]
        assert mine.word.value == "weak leak"
        assert mine.statement.startswith(
            "A leak was found. Of the 24 people who are most unlike others,"
        )
        assert report.exit_code == 1
        assert report.attacks[0].detected
        assert report.attacks[0].p_value <= 0.05
        note = next(n for n in report.attacks[0].notes if n.startswith("One person at a time"))
        assert "of the 24 most unlike others" in note
        assert (tmp_path / "run" / "evidence" / "near-one-by-one.parquet").exists()

    def test_too_few_shadow_generators_are_told(self, tmp_path):
        report = self.audited(tmp_path, 6)
        assert judge.ONE not in {f.family for f in report.findings}
        assert [n for n in report.attacks[0].notes if n.startswith("One person")] == [
            "One person at a time: not told, for there are 6 shadow generators, and 14 are needed"
        ]

    def test_an_attack_that_fails_at_it_leaves_the_audit_incomplete(self, tmp_path):
        more = fitted(0, shadows=40)
        report = audit(tmp_path, "near_with_all", target="targets = 1", more=more, shadows=2)
        said = "one person at a time, near-with-all failed: RuntimeError: too few to learn from"
        assert said in report.statement
        assert report.exit_code == 3
