"""Membership of a released table: candidates tell nothing but their rows."""

import math

import numpy as np
import pytest
from arms import draw, numbers, stage
from attrs import evolve

from leakpro_core.errors import WrongAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import TableStage, challenge, referee


def played(**more) -> TableStage:
    rng = np.random.default_rng(0)
    scene = stage(draw(40, rng), draw(30, rng, 40), draw(50, rng), draw(9, rng, 900), **more)
    half = rng.random((4, 70)) < 0.5
    return evolve(
        scene,
        shadows=tuple(draw(50, rng) for _ in range(4)),
        trained_on=half,
        pair=np.array([0, 0, 1, 1]),
    )


def test_candidates_hold_the_columns_that_attacks_are_given():
    drawn, secret = challenge(played(), seed=1)
    given = ("age", "income", "work", "smokes")
    assert drawn.auxiliary is not None
    for table in (drawn.records, drawn.synthetic, drawn.auxiliary, *drawn.shadows):
        assert given == table.names
    people = secret.people.table.only(given)
    for held, true in zip(drawn.records.values, people.values, strict=True):
        np.testing.assert_array_equal(true[secret.order], held)


def test_order_and_numbers_tell_nothing_of_the_arm():
    drawn, secret = challenge(played(), seed=1)
    assert sorted(drawn.ids) == sorted(drawn.records.subjects) == list(range(70))
    for numbers_ in (drawn.ids, drawn.records.subjects, np.arange(70)):
        assert abs(np.corrcoef(numbers_, secret.order)[0, 1]) < 0.35


def test_rows_of_a_person_stay_together_under_a_fresh_number():
    scene = stage(
        numbers(range(9), subjects=[i // 3 for i in range(9)]), numbers(range(2), subjects=[7, 8])
    )
    drawn, secret = challenge(scene, seed=1)
    real = secret.people.table.subjects[secret.order]
    assert len({*zip(real, drawn.records.subjects, strict=True)}) == 5
    assert len(set(drawn.records.subjects.tolist())) == 5


def test_shadows_know_the_candidates_in_their_order():
    scene = played()
    drawn, secret = challenge(scene, seed=1)
    np.testing.assert_array_equal(scene.trained_on[:, secret.order], drawn.trained_on)
    assert drawn.pair.tolist() == [0, 0, 1, 1]
    bare, _ = challenge(evolve(scene, shadows=(), trained_on=None, pair=None), seed=1)
    assert (bare.shadows, bare.trained_on.shape, bare.pair.shape) == ((), (0, 70), (0,))


def test_people_of_both_arms_are_drawn_up_to_five_times_the_rounds():
    scene = played(rounds=7)
    drawn, secret = challenge(scene, seed=1)
    rows = secret.people.rows
    assert (secret.people.exposed.sum(), (~secret.people.exposed).sum()) == (35, 30)
    assert sorted(set(rows.tolist())) == rows.tolist()
    np.testing.assert_array_equal(scene.trained_on[:, rows[secret.order]], drawn.trained_on)
    again, same = challenge(scene, seed=1)
    np.testing.assert_array_equal(secret.order, same.order)
    np.testing.assert_array_equal(drawn.records.subjects, again.records.subjects)


def test_claims_and_blind_claims_come_back_to_the_same_person():
    scene = played(rounds=7, tenth=(3, 44))
    _, secret = challenge(scene, seed=1)
    rows = secret.people.rows
    claims = rows[secret.order].astype(float)
    blind = np.arange(70) + 0.5
    result = referee(MembershipAnswer(claims=claims), secret, blind=blind, attack="x")
    evidence = result.evidence
    assert rows.tolist() == evidence.subject.tolist() == evidence.claim.tolist()
    np.testing.assert_array_equal(rows + 0.5, evidence.blind_claim)
    np.testing.assert_array_equal(rows < 40, evidence.exposed)
    np.testing.assert_array_equal(np.isin(rows, [3, 44]), result.tenth)
    assert np.isnan(evidence.hit).all()
    assert (evidence.round, evidence.facet) == (None, None)


def test_without_a_blind_adversary_there_are_no_blind_claims():
    _, secret = challenge(played(), seed=1)
    claims = np.where(secret.order < 5, math.nan, 1.0)
    result = referee(MembershipAnswer(claims=claims), secret, blind=None, attack="x")
    assert np.isnan(result.evidence.blind_claim).all()
    assert (result.asked, result.made) == (70, 65)


@pytest.mark.parametrize("claims", [np.zeros(69), np.zeros((70, 1)), np.full(70, np.inf)])
def test_an_answer_of_another_kind_is_refused(claims):
    _, secret = challenge(played(), seed=1)
    with pytest.raises(WrongAnswer, match="attack 'distance'"):
        referee(MembershipAnswer(claims=claims), secret, blind=None, attack="distance")
