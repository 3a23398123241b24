"""Released rows that repeat a person's."""

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from leakpro_sdv.copies import attack
from singled import adult, coded, mixed, numbers, with_rows

from leakpro_core.games.copies import CopiesChallenge
from leakpro_core.testing.conformance import PlainRun


def claims(released, auxiliary=None):
    given = CopiesChallenge(synthetic=released, auxiliary=auxiliary)
    answer = attack(given, None, PlainRun(seed=0, scratch=Path()))
    np.testing.assert_array_equal(answer.rows, np.arange(len(released)))
    assert np.isfinite(answer.claims).all()
    return answer.claims


def test_a_row_that_others_would_hold_by_chance_is_less_sure():
    common, rare = claims(coded(*["aa"] * 30, "bc"))[[0, -1]]
    assert rare > common


def test_rows_that_look_like_people_are_surer():
    released, people = (mixed(300, s, missing=0).only(["balance", "town"]) for s in (0, 1))
    people = evolve(people, values=(people.values[0], np.full(300, 2)))
    found, town = claims(released, people), released.values[1]
    assert found[town == 2].min() > found[town != 2].max()


def test_a_row_that_is_released_again_is_surer():
    values = np.random.default_rng(0).normal(size=50)
    found = claims(numbers(*values, values[4]))
    assert {4, 50} == set(np.flatnonzero(found == found.max()))


@pytest.mark.parametrize("released", [mixed(0), mixed(1), mixed(40), mixed(9).only(["number"])])
@pytest.mark.parametrize("beside", [None, mixed(30, 1)])
def test_every_row_is_claimed(released, beside):
    auxiliary = beside if beside is None else beside.only(released.names)
    assert len(released) == len(claims(released, auxiliary))


def test_claims_do_not_depend_on_the_order_of_rows():
    released, beside = mixed(80), mixed(50, 1)
    order = np.random.default_rng(0).permutation(80)
    np.testing.assert_allclose(
        claims(with_rows(released, *order), beside), claims(released, beside)[order]
    )


def test_the_surest_tenth_of_a_release_is_its_copies():
    tables = adult()
    known = {row.tobytes() for row in tables["original"].matrix()}
    copied = np.array([row.tobytes() in known for row in tables["leaky20"].matrix()])
    score = claims(tables["leaky20"], tables["control"].rows(np.arange(1600)))
    surest = np.argsort(-score)[: len(score) // 10]
    assert copied.mean() == pytest.approx(0.2)
    assert copied[surest].mean() > 0.9
