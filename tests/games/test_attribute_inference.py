"""Attribute inference: guesses count within a tolerance, of the people who have a value."""

import math

import numpy as np
import pytest
from arms import AGE, COLUMNS, INCOME, WORK, draw, numbers, stage

from leakpro_core.errors import BadValue, UnknownName, WrongAnswer
from leakpro_core.games.attribute_inference import (
    AttributeAnswer,
    Secret,
    challenge,
    referee,
    together,
)
from leakpro_core.games.samples import TableStage
from leakpro_core.tabular.table import Table, from_matrix


def played(missing: float = 0.0, **more) -> TableStage:
    rng = np.random.default_rng(0)
    return stage(
        draw(40, rng, missing=missing),
        draw(30, rng, 40, missing=missing),
        draw(50, rng),
        draw(9, rng, 900),
        **more,
    )


def true(secret: Secret, off: float = 0.0) -> np.ndarray:
    return secret.truth[secret.order] + off


def answer(guesses: np.ndarray, claims: np.ndarray | None = None) -> AttributeAnswer:
    return AttributeAnswer(
        guesses=guesses, claims=np.zeros(len(guesses)) if claims is None else claims
    )


def test_the_secret_column_is_not_among_the_known_ones():
    drawn, secret = challenge(played(), "work", 0.05, seed=1)
    assert drawn.known.names == ("age", "income", "smokes")
    assert WORK == drawn.secret == secret.column
    assert drawn.synthetic.names == ("age", "income", "work", "smokes")
    assert drawn.auxiliary is not None
    assert drawn.synthetic.names == drawn.auxiliary.names
    np.testing.assert_array_equal(
        secret.people.table.values[1][secret.order], drawn.known.values[0]
    )


def test_numbers_of_people_are_fresh_and_keep_their_rows_together():
    scene = stage(
        numbers(range(30), range(30), subjects=[i // 3 for i in range(30)]),
        numbers(range(30), range(30), subjects=[50 + i // 3 for i in range(30)]),
    )
    drawn, secret = challenge(scene, "b", 0.05, seed=1)
    real = secret.people.table.subjects[secret.order]
    fresh = drawn.known.subjects
    assert len(np.unique(fresh)) == len(np.unique(real)) == len({*zip(fresh, real, strict=True)})
    assert set(range(20)) == set(fresh.tolist())
    assert abs(np.corrcoef(fresh, real)[0, 1]) < 0.4


def test_the_same_seed_draws_the_same_people_for_every_column():
    scene = played(rounds=20)
    _, one = challenge(scene, "work", 0.05, seed=1)
    _, other = challenge(scene, "age", 0.05, seed=1)
    np.testing.assert_array_equal(one.people.rows, other.people.rows)
    np.testing.assert_array_equal(one.order, other.order)
    assert (one.people.exposed.sum(), (~one.people.exposed).sum()) == (20, 20)


def test_the_tolerance_is_a_share_of_the_middle_nine_tenths_of_both_arms():
    scene = played(missing=0.2)
    both = np.concatenate([scene.original.values[2], scene.control.values[2]])
    low, high = np.nanquantile(both, [0.05, 0.95])
    assert pytest.approx(0.1 * (high - low)) == challenge(scene, "income", 0.1, 0)[0].tolerance
    assert challenge(scene, "work", 0.1, 0)[0].tolerance == 0


def test_a_column_of_mostly_one_value_has_the_tolerance_of_its_other_values():
    others = list(range(100, 122))
    mostly = numbers([0] * 478 + others, range(500))
    other = numbers([0] * 10, range(10), subjects=list(range(500, 510)))
    drawn, _ = challenge(stage(mostly, other), "a", 0.1, seed=0)
    assert pytest.approx(0.1 * (119 - 102)) == drawn.tolerance


@pytest.mark.parametrize("big", [1e8, 1e200, 1e308])
def test_one_outlier_does_not_own_the_tolerance(big):
    for rare in ([5, 9], [5, 6, 7, 9]):
        values = [0] * 96 + rare
        mostly = stage(numbers(values, range(len(values))), numbers([0] * 10, range(10)))
        usual = challenge(mostly, "a", 0.1, seed=0)[0].tolerance
        values[-1] = big
        huge = stage(numbers(values, range(len(values))), numbers([0] * 10, range(10)))
        assert pytest.approx(usual) == challenge(huge, "a", 0.1, seed=0)[0].tolerance
        assert usual < 1


def test_huge_numbers_have_a_finite_tolerance_and_no_warning():
    ends = [1e308, -1e308] * 20
    scene = stage(numbers(ends, range(40)), numbers(ends, range(40), subjects=range(40, 80)))
    drawn, secret = challenge(scene, "a", 0.05, seed=0)
    assert pytest.approx(1e307) == drawn.tolerance
    assert challenge(scene, "a", 1.0, seed=0)[0].tolerance == 0
    assert referee(answer(true(secret)), secret, None, attack="x").evidence.hit.all()
    assert not referee(answer(-true(secret)), secret, None, attack="x").evidence.hit.any()


def test_without_two_values_a_guess_must_be_equal():
    constant = stage(numbers([3] * 5, range(5)), numbers([3] * 5, range(5), subjects=range(5, 10)))
    assert challenge(constant, "a", 0.1, seed=0)[0].tolerance == 0
    missing = stage(
        numbers([math.nan] * 5, range(5)), numbers([math.nan] * 5, range(5), subjects=range(5, 10))
    )
    drawn, secret = challenge(missing, "a", 0.1, seed=0)
    assert drawn.tolerance == 0
    assert len(referee(answer(np.zeros(10)), secret, None, attack="x").evidence.hit) == 0


def test_negative_guesses_hit_only_within_the_tolerance():
    scene = played()
    drawn, secret = challenge(scene, "income", 0.05, seed=1)
    assert (secret.truth < 0).sum() > 20
    for off, expected in [
        (0.0, 1),
        (0.99 * drawn.tolerance, 1),
        (-0.99 * drawn.tolerance, 1),
        (1.01 * drawn.tolerance, 0),
        (-1.01 * drawn.tolerance, 0),
        (-1000.0, 0),
    ]:
        hit = referee(answer(true(secret, off)), secret, None, attack="x").evidence.hit
        assert {expected} == set(hit.tolist())


def test_codes_hit_only_if_equal():
    _, secret = challenge(played(), "work", 0.05, seed=1)
    right = referee(answer(true(secret)), secret, None, attack="x").evidence.hit
    next_one = answer((true(secret) + 1) % 4)
    assert right.all()
    assert not referee(next_one, secret, None, attack="x").evidence.hit.any()


def test_rounds_come_in_the_order_of_the_people():
    scene = played(tenth=(3, 44))
    _, secret = challenge(scene, "age", 0.05, seed=1)
    claims = secret.order.astype(float)
    result = referee(answer(true(secret), claims), secret, None, attack="x")
    evidence = result.evidence
    assert list(range(70)) == evidence.subject.tolist() == evidence.claim.tolist()
    assert evidence.exposed.tolist() == [True] * 40 + [False] * 30
    assert np.flatnonzero(result.tenth).tolist() == [3, 44]
    assert np.isnan(evidence.null_p).all()
    assert np.isnan(evidence.blind_hit).all()
    assert (result.facets, result.asked, result.made) == (("age",), 70, 70)
    assert {0} == set(evidence.facet.tolist())


def test_whose_value_is_missing_is_left_out():
    scene = played(missing=0.3, tenth=tuple(range(70)))
    for name, values in [("age", 1), ("work", 3)]:
        _, secret = challenge(scene, name, 0.05, seed=1)
        table = [scene.original.values[values], scene.control.values[values]]
        there = np.concatenate([np.isfinite(v) if name == "age" else v >= 0 for v in table])
        guesses = np.nan_to_num(true(secret))
        result = referee(answer(guesses), secret, answer(guesses), attack="x")
        assert np.flatnonzero(there).tolist() == result.evidence.subject.tolist()
        assert there.sum() == result.asked == len(result.tenth) == result.evidence.hit.sum()
        assert result.evidence.blind_hit.all()


def test_whoever_abstains_hits_nothing_and_has_not_made_a_guess():
    _, secret = challenge(played(), "age", 0.05, seed=1)
    guesses, claims = true(secret), np.ones(70)
    guesses[secret.order < 10] = math.nan
    claims[secret.order >= 60] = math.nan
    result = referee(answer(guesses, claims), secret, None, attack="x")
    assert (result.asked, result.made) == (70, 50)
    silent = np.isnan(result.evidence.claim)
    assert silent.tolist() == [True] * 10 + [False] * 50 + [True] * 10
    np.testing.assert_array_equal(~silent, result.evidence.hit)


def test_the_blind_adversary_is_compared_on_the_same_person():
    scene = played()
    _, secret = challenge(scene, "age", 0.05, seed=1)
    odd = secret.order % 2 == 1
    blind = answer(np.where(odd, true(secret), 1e6), secret.order + 0.5)
    evidence = referee(answer(true(secret, 1e6)), secret, blind, attack="x").evidence
    assert not evidence.hit.any()
    assert evidence.blind_hit.tolist() == [0.0, 1.0] * 35
    np.testing.assert_array_equal(np.arange(70) + 0.5, evidence.blind_claim)


def test_a_guess_without_a_release_hits_both_arms_alike_whatever_their_sizes():
    rng = np.random.default_rng(5)
    excess = []
    for seed in range(40):
        scene = stage(draw(300, rng), draw(50, rng, 300), rounds=500)
        _, secret = challenge(scene, "work", 0.05, seed)
        evidence = referee(answer(np.full(350, 2.0)), secret, None, attack="x").evidence
        excess.append(evidence.hit[:300].mean() - evidence.hit[300:].mean())
    assert abs(np.mean(excess)) < 3 * np.std(excess) / math.sqrt(40)


def test_columns_come_together_as_facets():
    scene = played(missing=0.2)
    parts = []
    for k, name in enumerate(("age", "work", "smokes")):
        _, secret = challenge(scene, name, 0.05, seed=k)
        guesses = np.nan_to_num(true(secret))
        claims = secret.order + 100.0 * k
        parts.append(referee(answer(guesses, claims), secret, None, attack="x"))
    whole = together(parts)
    sizes = [len(p.evidence.hit) for p in parts]
    assert whole.facets == ("age", "work", "smokes")
    assert np.repeat([0, 1, 2], sizes).tolist() == whole.evidence.facet.tolist()
    expected = np.concatenate([p.evidence.subject for p in parts])
    np.testing.assert_array_equal(expected, whole.evidence.subject)
    assert sum(sizes) == whole.asked == whole.made == len(whole.tenth)
    assert whole.evidence.round is None
    sure = [e.sure for e in whole.exhibits]
    assert sorted(sure, reverse=True) == sure
    assert len(sure) == 20
    assert whole.exhibits[0].facet == "smokes"


def test_exhibits_are_the_surest_right_guesses():
    scene = played()
    _, secret = challenge(scene, "work", 0.05, seed=1)
    result = referee(answer(true(secret), secret.order + 0.0), secret, None, attack="x")
    assert list(range(39, 19, -1)) == [e.subject for e in result.exhibits]
    truth = scene.original.shown(39)
    assert (truth, f"work: {dict(truth)['work']}", "work") == (
        result.exhibits[0].truth,
        result.exhibits[0].claim,
        result.exhibits[0].facet,
    )


def test_exhibits_of_numbers_show_the_guess():
    people = from_matrix((AGE, INCOME), np.array([[30.0, 1], [40, 2], [50, 3]]))
    others = from_matrix((AGE, INCOME), np.array([[30.0, 1], [70, 2]]), np.array([3, 4]))
    _, secret = challenge(stage(people, others), "age", 0.1, seed=1)
    shown = referee(answer(true(secret, 1.0)), secret, None, attack="x").exhibits
    assert {"age: 31", "age: 41", "age: 51"} == {e.claim for e in shown}


@pytest.mark.parametrize(
    ("column", "given", "why"),
    [
        ("b", answer(np.zeros(3)), r"claims of shape \(3,\), expected \(4,\)"),
        ("b", answer(np.zeros(3), np.zeros(4)), r"guesses of shape \(3,\)"),
        ("b", answer(np.array([0, math.inf, 0, 0])), "guess inf of 'b' at 1"),
        ("b", answer(np.zeros(4), np.array([0, 0, 0, -math.inf])), "infinite claim at 3"),
        ("work", answer(np.array([0.0, 1, 2, 4])), "guess 4 of 'work' at 3.*codes from 0 to 3"),
        ("work", answer(np.array([0.0, -1, 2, 3])), "guess -1 of 'work' at 1"),
        ("work", answer(np.array([0.5, 1, 2, 3])), "guess 0.5 of 'work' at 0"),
    ],
)
def test_an_answer_of_another_kind_is_refused(column, given, why):
    def arm(first: int) -> Table:
        named = (*numbers([0], [0]).columns, WORK)
        return from_matrix(named, np.eye(2, 3), first + np.arange(2))

    _, secret = challenge(stage(arm(0), arm(2)), column, 0.05, seed=0)
    with pytest.raises(WrongAnswer, match=f"attack 'x'.*{why}"):
        referee(given, secret, None, attack="x")
    with pytest.raises(WrongAnswer, match=f"attack 'x, blind'.*{why}"):
        referee(answer(np.full(4, math.nan)), secret, given, attack="x")


@pytest.mark.parametrize(
    ("name", "error"), [("number", BadValue), ("note", BadValue), ("ag", UnknownName)]
)
def test_a_column_that_cannot_be_guessed_is_refused(name, error):
    assert {"number", "note"} < {column.name for column in COLUMNS}
    with pytest.raises(error, match=name):
        challenge(played(), name, 0.05, seed=0)
