"""Linkability: the halves tell nothing of who is who, and ties share the credit."""

import math

import numpy as np
import pytest
from arms import draw, numbers, stage

from leakpro_core.errors import BadValue, UnknownName, WrongAnswer
from leakpro_core.games.linkability import (
    LinkabilityAnswer,
    LinkabilityChallenge,
    challenge,
    referee,
)
from leakpro_core.games.samples import TableStage

LEFT = ("age", "smokes")


def played(original: int = 40, control: int = 30, **more) -> TableStage:
    rng = np.random.default_rng(0)
    return stage(
        draw(original, rng), draw(control, rng, original), draw(50, rng), draw(9, rng, 900), **more
    )


def named(partner, mass=None, claims=None) -> LinkabilityAnswer:
    partner = np.array(partner)
    return LinkabilityAnswer(
        partner=partner,
        mass=np.ones(partner.shape) / partner.shape[1] if mass is None else mass,
        claims=np.zeros(len(partner)) if claims is None else claims,
    )


@pytest.mark.parametrize(("original", "control"), [(400, 60), (60, 400)])
def test_as_many_candidates_have_a_twin_in_either_arm_where_people_come_in_twins(original, control):
    # A twin among the candidates takes half of the credit, of both arms alike.
    who = np.arange(original + control)
    arms = [numbers(w // 2, w // 2, subjects=w) for w in (who[:original], who[original:])]
    people = challenge(stage(*arms, rounds=60), ["a"], seed=0)[1].people
    for exposed in (True, False):
        rows = people.table.values[0][people.exposed == exposed]
        assert np.unique(rows, return_counts=True)[1].tolist() == [2] * 30


def test_halves_hold_the_columns_that_attacks_are_given_and_no_other():
    drawn, _ = challenge(played(), LEFT, seed=1)
    assert drawn.left.names == LEFT
    assert drawn.right.names == ("income", "work")
    assert drawn.synthetic.names == ("age", "income", "work", "smokes")
    assert drawn.auxiliary is not None
    assert drawn.synthetic.names == drawn.auxiliary.names


def test_halves_are_shuffled_apart_and_their_numbers_tell_nothing():
    drawn, secret = challenge(played(), LEFT, seed=1)
    n = 70
    assert list(range(n)) == drawn.left.subjects.tolist() == drawn.right.subjects.tolist()
    for one, other in [
        (secret.left, secret.right),
        (secret.left, np.arange(n)),
        (secret.right, np.arange(n)),
    ]:
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.35
    table = secret.people.table
    np.testing.assert_array_equal(table.values[1][secret.left], drawn.left.values[0])
    np.testing.assert_array_equal(table.values[3][secret.right], drawn.right.values[1])


def test_both_arms_are_drawn_at_random_up_to_the_rounds():
    drawn, secret = challenge(played(rounds=20), LEFT, seed=1)
    assert (len(drawn.left), secret.people.exposed.sum()) == (40, 20)
    again, same = challenge(played(rounds=20), LEFT, seed=1)
    np.testing.assert_array_equal(secret.people.rows, same.people.rows)
    np.testing.assert_array_equal(drawn.left.values[0], again.left.values[0])
    other = challenge(played(rounds=20), LEFT, seed=2)[1]
    assert secret.people.rows.tolist() != other.people.rows.tolist()


def test_the_truth_hits_and_comes_back_in_the_order_of_the_people():
    scene = played(tenth=(3, 44))
    _, secret = challenge(scene, LEFT, seed=1)
    truth = np.argsort(secret.right)[secret.left]
    result = referee(
        named(truth[:, None], claims=secret.left.astype(float)), secret, None, attack="x"
    )
    evidence = result.evidence
    assert list(range(70)) == evidence.subject.tolist() == evidence.claim.tolist()
    assert evidence.exposed.tolist() == [True] * 40 + [False] * 30
    assert evidence.hit.all()
    np.testing.assert_allclose(1 / 70, evidence.null_p)
    assert np.flatnonzero(result.tenth).tolist() == [3, 44]
    assert np.isnan(evidence.blind_hit).all()
    assert (result.asked, result.made, result.facets) == (70, 70, ("",))


def test_ties_share_the_credit():
    scene = stage(numbers([1, 2, 3], [5, 5, 5]), numbers([4], [5], subjects=[3]))
    _, secret = challenge(scene, ["a"], seed=0)
    # All right halves are the same: whoever names all of them gets what luck gives.
    tied = named(np.tile(np.arange(4), (4, 1)))
    np.testing.assert_allclose(0.25, referee(tied, secret, None, attack="x").evidence.hit)


def test_twins_in_the_right_half_are_different_people():
    scene = stage(numbers([1, 2], [5, 5]), numbers([3, 4], [6, 7], subjects=[2, 3]))
    _, secret = challenge(scene, ["a"], seed=0)
    truth = np.argsort(secret.right)[secret.left]
    twin = np.argsort(secret.right)[np.array([1, 0, 2, 3])[secret.left]]
    both = np.stack([truth, twin], axis=1)
    apart = truth != twin
    partner = np.where(apart[:, None], both, np.stack([truth, np.full(4, -1)], axis=1))
    mass = np.where(apart[:, None], [0.25, 0.75], [1.0, 0.0])
    hit = referee(named(partner, mass), secret, None, attack="x").evidence.hit
    assert hit.tolist() == [0.25, 0.25, 1, 1]


def test_rows_of_the_same_person_are_the_same_person():
    scene = stage(
        numbers([1, 2, 3], [1, 2, 3], subjects=[9, 9, 8]), numbers([4], [4], subjects=[1])
    )
    _, secret = challenge(scene, ["a"], seed=0)
    back = np.argsort(secret.right)
    swapped = back[np.array([1, 0, 2, 3])[secret.left]]
    evidence = referee(named(swapped[:, None]), secret, None, attack="x").evidence
    assert evidence.hit.tolist() == [1, 1, 1, 1]
    assert evidence.null_p.tolist() == [0.5, 0.5, 0.25, 0.25]


def test_guessing_hits_as_often_as_luck_in_both_arms_whatever_their_sizes():
    _, secret = challenge(played(200, 40, rounds=500), LEFT, seed=3)
    rng = np.random.default_rng(0)
    hits = np.mean(
        [
            referee(named(rng.permutation(240)[:, None]), secret, None, attack="x").evidence.hit
            for _ in range(400)
        ],
        axis=0,
    )
    exposed, luck = secret.people.exposed, 1 / 240
    assert abs(hits[exposed].mean() - luck) < 4 * math.sqrt(luck / (400 * 200))
    assert abs(hits[~exposed].mean() - luck) < 4 * math.sqrt(luck / (400 * 40))


def test_the_blind_adversary_is_compared_on_the_same_person():
    scene = played()
    _, secret = challenge(scene, LEFT, seed=1)
    truth = np.argsort(secret.right)[secret.left]
    odd = secret.left % 2 == 1
    blind = named(
        np.where(odd, truth, -1)[:, None], claims=np.where(odd, secret.left + 0.5, math.nan)
    )
    wrong = named(np.full((70, 1), -1))
    evidence = referee(wrong, secret, blind, attack="x").evidence
    assert not evidence.hit.any()
    assert evidence.blind_hit.tolist() == [0.0, 1.0] * 35
    np.testing.assert_array_equal(np.arange(1, 70, 2) + 0.5, evidence.blind_claim[1::2])
    assert np.isnan(evidence.blind_claim[::2]).all()


def test_a_blind_adversary_of_the_same_seed_meets_the_same_people():
    scene = played()
    released, secret = challenge(scene, LEFT, seed=1)
    other = stage(scene.original, scene.control, scene.auxiliary)
    blind, same = challenge(other, LEFT, seed=1)
    np.testing.assert_array_equal(secret.left, same.left)
    np.testing.assert_array_equal(secret.right, same.right)
    np.testing.assert_array_equal(released.left.values[0], blind.left.values[0])


def test_whoever_abstains_hits_nothing_and_has_not_made_a_claim():
    _, secret = challenge(played(), LEFT, seed=1)
    truth = np.argsort(secret.right)[secret.left]
    claims = np.where(secret.left < 10, math.nan, 1.0)
    result = referee(named(truth[:, None], claims=claims), secret, None, attack="x")
    assert result.evidence.hit.tolist() == [0] * 10 + [1] * 60
    assert (result.asked, result.made) == (70, 60)


def test_exhibits_show_both_halves_of_the_surest():
    scene = played()
    _, secret = challenge(scene, LEFT, seed=1)
    truth = np.argsort(secret.right)[secret.left]
    result = referee(
        named(truth[:, None], claims=secret.left.astype(float)), secret, None, attack="x"
    )
    assert list(range(39, 19, -1)) == [e.subject for e in result.exhibits]
    first, shown = result.exhibits[0], dict(scene.original.shown(39))
    assert scene.original.shown(39) == first.truth
    assert (
        f"age {shown['age']}, smokes {shown['smokes']} is the person with "
        f"income {shown['income']}, work {shown['work']}"
    ) == first.claim


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (named(np.zeros((3, 1))), r"claims of shape \(3,\)"),
        (named(np.zeros((4, 1)), np.ones((4, 2))), r"shape \(4, 2\)"),
        (
            LinkabilityAnswer(partner=[0, 1, 2, 3], mass=[1, 1, 1, 1], claims=np.zeros(4)),
            "partners of",
        ),
        (named([[0], [1], [4], [0]]), "partner 4 of row 2"),
        (named([[0], [1], [0], [-2]]), "partner -2 of row 3"),
        (named([[0, 1], [1, 1], [0, 2], [0, 3]]), "partner 1 twice in row 1"),
        (named([[0, 1]] * 4, [[0.5, 0.6]] + [[0, 0]] * 3), "masses of row 0 that sum to 1.1"),
        (named([[0, 1]] * 4, [[0, 0]] + [[-0.1, 0]] * 3), "masses of row 1"),
        (named([[0, 1]] * 4, [[0, 0]] + [[math.nan, 0]] * 3), "masses of row 1"),
        (named([[0]] * 4, claims=[0, 0, math.inf, 0]), "infinite claim at 2"),
    ],
)
def test_an_answer_of_another_kind_is_refused(answer, why):
    scene = stage(numbers([1, 2], [1, 2]), numbers([3, 4], [3, 4], subjects=[2, 3]))
    _, secret = challenge(scene, ["a"], seed=0)
    with pytest.raises(WrongAnswer, match=f"attack 'x'.*{why}"):
        referee(answer, secret, None, attack="x")
    fine = named([[-1, -1]] * 4, [[0.3, 0.7 + 1e-10]] * 4)
    with pytest.raises(WrongAnswer, match=f"attack 'x, blind'.*{why}"):
        referee(fine, secret, answer, attack="x")


@pytest.mark.parametrize(
    ("left", "error", "why"),
    [
        (["number"], BadValue, "'number', which is identifier"),
        (["note"], BadValue, "'note', which is text"),
        (["agee"], UnknownName, "'age'"),
        ([], BadValue, "0 and 4 columns"),
        (["age", "income", "work", "smokes"], BadValue, "4 and 0 columns"),
    ],
)
def test_halves_that_cannot_be_are_refused(left, error, why):
    with pytest.raises(error, match=why):
        challenge(played(), left, seed=0)


def test_a_challenge_holds_nothing_else():
    assert {"left", "right", "synthetic", "auxiliary"} == set(LinkabilityChallenge.__slots__) - {
        "__weakref__"
    }
