"""Scores of all attacks as surprise on rows of known origin."""

import numpy as np
import pytest
from adult import adult_challenge, claims, numbers, planted, separation
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.panel import _halves, surprise
from leakpro_sdv.scores import FLOOR

from leakpro_core.errors import NotApplicable
from leakpro_core.statistics.roc import auc
from leakpro_core.tabular.table import stacked


def test_below_the_upper_tenth_surprise_is_the_logarithm_of_a_share():
    others = np.arange(100.0)
    found = surprise(np.array([-1.0, 0.0, 50.0, 89.0]), others)
    expected = -np.log(np.array([101, 101, 51, 12]) / 101)
    np.testing.assert_allclose(found, expected)


def test_surprise_goes_on_rising_above_all_others():
    others = np.random.default_rng(0).exponential(size=20_000)
    found = surprise(np.array([5.0, 20.0, 25.0]), others)
    assert found[0] == pytest.approx(5.0, abs=0.3)
    assert found[1] == pytest.approx(20.0, abs=1.5)
    assert found[2] > found[1] + 4.0


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=30),
    st.lists(st.floats(-20, 20), min_size=2, max_size=30),
)
@settings(max_examples=100, deadline=None)
def test_surprise_never_falls_as_scores_rise(others, scores):
    found = surprise(np.sort(scores), np.array(others))
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9).all()


def test_scores_of_which_all_others_tie_give_finite_surprise():
    found = surprise(np.array([-1.0, 0.0, 1.0]), np.zeros(50))
    assert np.isfinite(found).all()
    assert found[0] <= found[1] < found[2]


def test_no_person_is_in_both_halves():
    subjects = np.arange(90) // 3
    one, other = _halves(subjects, 0)
    assert not np.intersect1d(subjects[one], subjects[other]).size
    assert sorted([*one, *other]) == list(range(90))


def test_claims_are_the_surprises_of_four_attacks_over_both_halves():
    drawn, _ = planted(6, n=50)
    n, rows = len(drawn.records), drawn.auxiliary
    expected = np.zeros(n)
    first, second = _halves(rows.subjects, 0)
    for tested, known in ((first, second), (second, first)):
        asked = evolve(
            drawn,
            records=stacked([drawn.records, rows.rows(tested)]),
            auxiliary=rows.rows(known),
        )
        for name in ("distance", "neighbour-ratio", "domias", "gen-lra"):
            score = claims(name, asked)
            score = -np.log(FLOOR - score) if name == "distance" else score
            expected += surprise(score[:n], score[n:])
    # Ranges are those of all rows here, and of half the auxiliary ones above.
    assert np.corrcoef(expected, claims("panel", drawn))[0, 1] > 0.999


def test_a_single_auxiliary_person_is_too_few():
    drawn, _ = planted(0, n=10)
    one = evolve(drawn.auxiliary, subjects=np.zeros(10, int))
    with pytest.raises(NotApplicable, match="at least two"):
        claims("panel", evolve(drawn, auxiliary=one))


def test_copies_are_found_on_adult():
    drawn, members = adult_challenge("leaky20")
    area, tpr = separation(claims("panel", drawn), members)
    assert 0.58 < area < 0.61
    assert 0.19 < tpr < 0.22


def test_a_generator_that_copies_nothing_is_not_said_to_leak():
    drawn, members = adult_challenge("copula")
    found = auc(claims("panel", drawn), members, confidence=0.99)
    assert found.low < 0.5 < found.high


def test_a_candidate_is_scored_whoever_else_is_one():
    drawn, _ = planted(3)
    alone = evolve(drawn, records=drawn.records.rows(np.arange(100)), ids=np.arange(100))
    together = claims("panel", drawn)[:100]
    # Ranges of columns may change with the candidates, and little else.
    np.testing.assert_allclose(claims("panel", alone), together, rtol=0.1, atol=0.5)


def test_one_number_column_is_enough():
    rng = np.random.default_rng(5)
    people, fresh, known = (numbers(rng.normal(size=(n, 1))) for n in (200, 60, 100))
    drawn, _ = planted(0, n=100)
    released = stacked([people.rows(np.arange(40)), fresh])
    shown = evolve(drawn, records=people, synthetic=released, auxiliary=known)
    found = claims("panel", shown)
    assert np.median(found[:40]) > np.quantile(found[100:], 0.95)
