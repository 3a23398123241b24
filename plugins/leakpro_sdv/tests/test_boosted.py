"""Attribute inference by boosted trees, played and refereed as core does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.boosted import BoostedOptions, attack
from planted import MIXED, adult, mixed, plain_run, rates, stage

from leakpro_core.arrays import Floats
from leakpro_core.games import attribute_inference
from leakpro_core.games.attribute_inference import AttributeAnswer, AttributeChallenge
from leakpro_core.records import Evidence
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix

PLACE = Column(name="place", kind=Kind.NUMERIC)
TOWN = Column(name="town", kind=Kind.CATEGORICAL, levels=tuple(map(str, range(400))))
WAGE = Column(name="wage", kind=Kind.NUMERIC)
WORK = Column(name="work", kind=Kind.CATEGORICAL, levels=tuple(map(str, range(60))))


def play(original: Table, control: Table, released: Table, column: str) -> Evidence:
    drawn, secret = attribute_inference.challenge(
        stage(original, control, released), column, 0.05, 0
    )
    answer = attack(drawn, BoostedOptions(), plain_run())
    return attribute_inference.referee(answer, secret, None, attack="boosted").evidence


def guess(
    known: Floats,
    released: Floats,
    secret: Column = WORK,
    tolerance: float = 0.0,
    options: BoostedOptions | None = None,
    columns: tuple[Column, ...] = (PLACE, TOWN),
) -> AttributeAnswer:
    """Return the answer for people of whom place and town are known."""
    challenge = AttributeChallenge(
        known=from_matrix(columns, known),
        secret=secret,
        tolerance=tolerance,
        synthetic=from_matrix((*columns, secret), released),
    )
    return attack(challenge, BoostedOptions() if options is None else options, plain_run())


def draw(n: int, seed: int = 0, towns: int = 3) -> Floats:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(size=n), rng.integers(0, towns, n)])


def test_a_code_that_two_columns_decide_together_is_learnt() -> None:
    known, released = draw(400, 1), draw(2000)
    rule = [((x[:, 0] > 0) ^ (x[:, 1] == 1)).astype(float) * 7 for x in (known, released)]
    answer = guess(known, np.column_stack([released, rule[1]]))
    assert (answer.guesses == rule[0]).mean() > 0.97
    assert answer.claims[answer.guesses == rule[0]].mean() > 0.9


def test_a_number_is_learnt_within_its_tolerance() -> None:
    known, released = draw(400, 1), draw(2000)
    rule = [10 * (x[:, 1] == 2) + np.where(x[:, 0] > 0, 1.0, 4.0) for x in (known, released)]
    noise = np.random.default_rng(2).uniform(-0.4, 0.4, 2000)
    answer = guess(known, np.column_stack([released, rule[1] + noise]), WAGE, tolerance=0.5)
    assert (np.abs(answer.guesses - rule[0]) <= 0.5).mean() > 0.97


def test_a_number_is_guessed_where_most_values_are_and_not_at_their_mean() -> None:
    wage = np.where(np.arange(900) % 3 == 0, 0.0, 100.0)
    answer = guess(draw(50, 1), np.column_stack([draw(900), wage]), WAGE, tolerance=5.0)
    assert (answer.guesses == 100).mean() > 0.9
    assert 0.5 < answer.claims.mean() < 0.9


def test_a_window_is_as_wide_as_the_tolerance_allows() -> None:
    # 40 is within 2 of all of 38 to 42; any other window has at most four of them.
    wage = np.repeat([38.0, 39, 40, 41, 42, 60], 20)
    answer = guess(draw(5), np.column_stack([draw(120), wage]), WAGE, tolerance=2.0)
    assert answer.guesses.tolist() == [40] * 5


def test_rare_values_do_not_make_the_guesses_worse_than_the_most_frequent() -> None:
    rng = np.random.default_rng(3)
    work = np.where(rng.random(3000) < 0.85, 0, rng.integers(1, 60, 3000))
    answer = guess(draw(300, 1), np.column_stack([draw(3000), work]))
    assert (answer.guesses == 0).mean() > 0.98


def test_one_value_is_guessed_for_everybody() -> None:
    answer = guess(draw(5), np.column_stack([draw(50), np.full(50, 3.0)]))
    assert answer.guesses.tolist() == [3] * 5
    assert answer.claims.tolist() == [1] * 5
    answer = guess(draw(5), np.column_stack([draw(50), np.linspace(0, 1, 50)]), WAGE)
    np.testing.assert_allclose(answer.claims, 1 / 50)


@pytest.mark.parametrize("rows", [0, 20])
def test_all_abstain_where_no_row_has_the_secret(rows: int) -> None:
    answer = guess(draw(4), np.column_stack([draw(rows), np.full(rows, np.nan)]))
    np.testing.assert_array_equal(answer.guesses, np.full(4, np.nan))
    np.testing.assert_array_equal(answer.claims, np.full(4, np.nan))


def test_missing_and_infinite_and_new_values_are_features_like_others() -> None:
    released = draw(900)
    released[:300, 0], released[300:600, 0] = np.nan, np.inf
    work = np.repeat([0.0, 1.0, 2.0], 300)
    known = np.array([[np.nan, 0], [np.inf, 1], [0.0, np.nan], [0.1, 399]])
    answer = guess(known, np.column_stack([released, work]))
    assert answer.guesses.tolist() == [0, 1, 2, 2]


def test_a_column_without_a_value_is_no_obstacle() -> None:
    released = draw(300)
    work = (released[:, 0] > 0).astype(float)
    released[:, 1] = np.nan
    known = np.array([[-1.0, np.nan], [1.0, 5]])
    assert guess(known, np.column_stack([released, work])).guesses.tolist() == [0, 1]


def test_more_levels_than_trees_tell_apart_are_no_obstacle() -> None:
    released = draw(4000, towns=400)
    work = (released[:, 1] < 200).astype(float)
    known = np.column_stack([np.zeros(400), np.arange(400.0)])
    answer = guess(known, np.column_stack([released, work]))
    assert (answer.guesses == (np.arange(400) < 200)).mean() > 0.6


def test_only_some_rows_are_learnt_from_where_there_are_many() -> None:
    work = (np.arange(500) % 2).astype(np.float64)[:, None]
    released = np.concatenate([draw(500), work], axis=1)
    few = guess(draw(60, 1), released, options=BoostedOptions(rows=50))
    assert (few.claims != guess(draw(60, 1), released).claims).any()


def test_the_same_seed_gives_the_same_answer() -> None:
    rng = np.random.default_rng(3)
    original, control = mixed(80, rng, 0.5), mixed(80, rng, 0.5, first=80)
    one, two = (play(original, control, original, "code 1") for _ in range(2))
    np.testing.assert_array_equal(one.hit, two.hit)
    np.testing.assert_array_equal(one.claim, two.claim)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
    st.integers(0, 60),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([column.name for column in MIXED]),
)
def test_answers_keep_the_rules_whatever_the_tables(
    seed: int, people: int, released: int, missing: float, column: str
) -> None:
    rng = np.random.default_rng(seed)
    original = mixed(people, rng, missing)
    control = mixed(people, rng, missing, first=people)
    evidence = play(original, control, mixed(released, rng, missing), column)
    claims = evidence.claim[~np.isnan(evidence.claim)]
    assert ((claims >= 0) & (claims <= 1)).all()


@pytest.mark.parametrize(("column", "at_least"), [("country", 0.88)])
def test_on_adult_guesses_are_no_worse_than_the_most_frequent_value(
    column: str, at_least: float
) -> None:
    original, control, leaky = adult("original", "control", "leaky20")
    exposed, unexposed = rates(play(original, control, leaky, column))
    assert unexposed > at_least
    assert exposed > at_least
