"""Attribute inference from the nearest released rows, played and refereed as core does."""

from collections.abc import Sequence

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.nearest_rows import NearestRowsOptions, attack
from planted import MIXED, adult, mixed, plain_run, rates, shuffled, stage, surest

from leakpro_core.arrays import Floats
from leakpro_core.games import attribute_inference
from leakpro_core.games.attribute_inference import AttributeAnswer, AttributeChallenge
from leakpro_core.records import Evidence
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix

PLACE = Column(name="place", kind=Kind.NUMERIC)
WAGE = Column(name="wage", kind=Kind.NUMERIC)
WORK = Column(name="work", kind=Kind.CATEGORICAL, levels=("clerk", "cook", "nurse"))


def play(
    original: Table,
    control: Table,
    released: Table,
    column: str,
    neighbours: int = 5,
    rounds: int = 2000,
) -> Evidence:
    drawn, secret = attribute_inference.challenge(
        stage(original, control, released, rounds), column, 0.05, 0
    )
    answer = attack(drawn, NearestRowsOptions(neighbours=neighbours), plain_run())
    return attribute_inference.referee(answer, secret, None, attack="nearest-rows").evidence


def guess(
    place: float,
    released: Sequence[tuple[float, float]],
    secret: Column = WORK,
    neighbours: int = 3,
    tolerance: float = 0.0,
) -> AttributeAnswer:
    """Return the answer for one person of whom one number is known."""
    challenge = AttributeChallenge(
        known=from_matrix((PLACE,), np.array([[place]])),
        secret=secret,
        tolerance=tolerance,
        synthetic=from_matrix((PLACE, secret), np.array(released, float).reshape(-1, 2)),
    )
    return attack(challenge, NearestRowsOptions(neighbours=neighbours), plain_run())


@pytest.mark.parametrize("column", [column.name for column in MIXED])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_a_verbatim_copy_gives_every_column_away(column: str, missing: float) -> None:
    rng = np.random.default_rng(0)
    original, control = mixed(200, rng, missing), mixed(200, rng, missing, first=200)
    exposed, unexposed = rates(play(original, control, shuffled(original, rng), column))
    # Half of the values missing: a few people have as many values as not to be told apart.
    assert exposed > (0.85 if missing else 0.999)
    assert exposed - unexposed > 0.3


def test_a_release_of_other_people_gives_nothing_away_about_the_original() -> None:
    rng = np.random.default_rng(1)
    original, control = mixed(1000, rng), mixed(1000, rng, first=1000)
    exposed, unexposed = rates(play(original, control, mixed(1000, rng), "code 1"))
    assert abs(exposed - unexposed) < 0.05
    assert abs(unexposed - 1 / 3) < 0.05


def test_a_copy_decides_alone() -> None:
    answer = guess(1.0, [(1.0, 2), (1.01, 0), (1.02, 0), (9.0, 0)])
    assert answer.guesses.tolist() == [2]
    assert answer.claims.tolist() == [1]


def test_copies_that_disagree_share_the_claim() -> None:
    answer = guess(1.0, [(1.0, 2), (1.0, 2), (1.0, 1), (2.0, 1), (9.0, 1)], neighbours=1)
    assert answer.guesses.tolist() == [2]
    np.testing.assert_allclose(answer.claims, [2 / 3])


def test_nearer_rows_weigh_more() -> None:
    # Range 10: distances .1, .3 and .4; the votes weigh 1, 1/3 and 1/4.
    answer = guess(0.0, [(1.0, 0), (3.0, 1), (-4.0, 1), (6.0, 2)])
    assert answer.guesses.tolist() == [0]
    np.testing.assert_allclose(answer.claims, [1 / (1 + 1 / 3 + 1 / 4) * 0.9], rtol=1e-3)


def test_rows_that_are_too_far_have_no_vote() -> None:
    assert guess(0.0, [(1, 0), (2, 0), (3, 1), (3.1, 1), (3.2, 1)]).guesses.tolist() == [0]


def test_numbers_within_the_tolerance_vote_together() -> None:
    # All are at one distance: 10 and 11 together outvote 50, and 11 is near both 10 and 12.
    released = [(1.0, wage) for wage in (50, 50, 10, 11, 12)]
    answer = guess(0.0, released, secret=WAGE, tolerance=1.0)
    assert answer.guesses.tolist() == [11]
    np.testing.assert_allclose(answer.claims, [0])  # a whole range away
    assert guess(0.0, released, secret=WAGE).guesses.tolist() == [50]


def test_rows_that_lack_the_secret_have_no_vote() -> None:
    assert guess(1.0, [(1.0, np.nan), (2.0, 1), (9.0, 0)], neighbours=1).guesses.tolist() == [1]


@pytest.mark.parametrize("released", [[], [(1.0, np.nan)]])
def test_all_abstain_where_no_row_has_the_secret(released: Sequence[tuple[float, float]]) -> None:
    answer = guess(1.0, released)
    np.testing.assert_array_equal(answer.guesses, [np.nan])
    np.testing.assert_array_equal(answer.claims, [np.nan])


def test_ties_do_not_follow_the_order_of_the_release() -> None:
    """Rows of one half of 400 that tie say 0, of the other 1: as often either is guessed."""
    known = from_matrix((PLACE,), np.zeros((1, 1)))
    released = from_matrix((PLACE, WORK), np.repeat([[0.0, 0.0], [0.0, 1.0]], 200, axis=0))
    challenge = AttributeChallenge(known=known, secret=WORK, tolerance=0.0, synthetic=released)
    guesses = [
        attack(challenge, NearestRowsOptions(), plain_run(seed)).guesses[0] for seed in range(40)
    ]
    assert 8 <= sum(guesses) <= 32


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
    st.integers(0, 8),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([column.name for column in MIXED]),
    st.integers(1, 30),
)
def test_answers_keep_the_rules_whatever_the_tables(
    seed: int, people: int, released: int, missing: float, column: str, neighbours: int
) -> None:
    rng = np.random.default_rng(seed)
    original = mixed(people, rng, missing)
    control = mixed(people, rng, missing, first=people)
    evidence = play(original, control, mixed(released, rng, missing), column, neighbours)
    claims = evidence.claim[~np.isnan(evidence.claim)]
    assert ((claims >= 0) & (claims <= 1)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([0.0, 0.7]))
def test_guesses_are_those_of_a_plain_vote(seed: int, neighbours: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    known, released = rng.normal(size=(20, 1)), rng.normal(size=(12, 2))
    challenge = AttributeChallenge(
        known=from_matrix((PLACE,), known),
        secret=WAGE,
        tolerance=tolerance,
        synthetic=from_matrix((PLACE, WAGE), released),
    )
    answer = attack(challenge, NearestRowsOptions(neighbours=neighbours), plain_run())
    assert [voted(row[0], released, neighbours, tolerance) for row in known] == pytest.approx(
        answer.guesses.tolist()
    )


def voted(place: float, released: Floats, neighbours: int, tolerance: float) -> float:
    """Return what the nearest rows vote for."""
    order = np.argsort(np.abs(released[:, 0] - place))[:neighbours]
    weight = 1 / np.abs(released[order, 0] - place)
    votes = released[order, 1]
    support = [weight[np.abs(votes - vote) <= tolerance].sum() for vote in votes]
    return float(votes[int(np.argmax(np.round(np.array(support) / weight.sum(), 6)))])


def test_the_surest_guesses_are_about_copies() -> None:
    rng = np.random.default_rng(2)
    original, control = mixed(500, rng), mixed(500, rng, first=500)
    others = mixed(400, rng).matrix()
    released = from_matrix(MIXED, np.concatenate([original.matrix()[:100], others]))
    evidence = play(original, control, shuffled(released, rng), "code 1")
    assert evidence.hit[surest(evidence)].mean() > 0.99
    assert evidence.exposed[surest(evidence)].mean() > 0.99


def test_the_same_seed_gives_the_same_answer() -> None:
    rng = np.random.default_rng(3)
    original, control = mixed(80, rng, 0.5), mixed(80, rng, 0.5, first=80)
    one, two = (play(original, control, original, "code 1") for _ in range(2))
    np.testing.assert_array_equal(one.hit, two.hit)
    np.testing.assert_array_equal(one.claim, two.claim)


def test_the_order_of_the_columns_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    original, control, released = mixed(80, rng), mixed(80, rng, first=80), mixed(80, rng)
    drawn, _ = attribute_inference.challenge(stage(original, control, released), "day", 0.05, 0)
    turned = evolve(drawn, synthetic=drawn.synthetic.only(drawn.synthetic.names[::-1]))
    one, two = (attack(each, NearestRowsOptions(), plain_run()) for each in (drawn, turned))
    np.testing.assert_array_equal(one.guesses, two.guesses)
    np.testing.assert_array_equal(one.claims, two.claims)


@pytest.mark.parametrize(("column", "gain"), [("occupation", 0.11), ("age", 0.12), ("sex", 0.0)])
def test_on_adult_a_fifth_of_copies_shows_and_none_does_not(column: str, gain: float) -> None:
    original, control, leaky, copula = adult("original", "control", "leaky20", "copula")
    exposed, unexposed = rates(play(original, control, leaky, column))
    assert gain < exposed - unexposed < 0.22
    exposed, unexposed = rates(play(original, control, copula, column))
    assert abs(exposed - unexposed) < 0.03
