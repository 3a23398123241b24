"""Which columns the games hide."""

import numpy as np
import pytest
from attrs import evolve
from fake_tables import wider

from leakpro_core.errors import BadValue, NotApplicable, UnknownName
from leakpro_core.plan import Games
from leakpro_core.tabular.secrets import FEW, MOST, few, halves, secrets, settled
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix
from leakpro_core.testing.tables import simulated_stage

STAGE = simulated_stage(0)
EVERY = ("balance", "visits", "day", "town", "insured")


def numbers(*columns: object) -> Table:
    named = tuple(Column(name=str(j), kind=Kind.NUMERIC) for j in range(len(columns)))
    return from_matrix(named, np.array(columns, float).T)


def test_every_column_that_varies_is_inferred_and_no_identifier():
    assert secrets(STAGE.original, STAGE.control, ()) == EVERY
    constant = simulated_stage(0, shape="constant")
    assert secrets(constant.original, constant.control, ()) == EVERY


def test_a_column_that_only_differs_between_the_arms_varies():
    assert secrets(numbers([1, 1], [1, 2]), numbers([2, 2], [1, 2]), ()) == ("0", "1")


def test_missing_values_alone_do_not_make_a_column_vary():
    known, missing = [1.0, 2.0], [np.nan, 3.0]
    assert secrets(numbers(known, missing), numbers(known, missing), ()) == ("0",)


def test_nothing_is_inferred_from_nothing():
    alone = numbers([1, 2, 3])
    assert secrets(alone, alone, ()) == secrets(alone, alone, ("0",)) == ()


def test_named_columns_are_inferred_once_each_in_that_order():
    assert secrets(STAGE.original, STAGE.control, ("town", "day", "town")) == ("town", "day")


def test_of_many_columns_some_are_drawn_by_the_seed_in_their_order():
    tables = [wider(t, 40) for t in (STAGE.original, STAGE.control)]
    drawn = [settled(Games(), *tables, seed).secrets for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    for names in drawn:
        assert len(set(names)) == MOST
        assert sorted(names, key=tables[0].names.index) == list(names)
    named = tuple(f"x{j}" for j in range(30))
    assert settled(Games(secrets=named), *tables, 1).secrets == named


def test_games_that_are_settled_are_settled():
    once = settled(Games(), STAGE.original, STAGE.control, 0)
    assert once.secrets == EVERY
    assert once == settled(once, STAGE.original, STAGE.control, 1)


@pytest.mark.parametrize(
    ("games", "error"),
    [
        ({"secrets": ("nobody",)}, UnknownName),
        ({"secrets": ("number",)}, BadValue),
        ({"secrets": ("same",)}, BadValue),
        ({"left": ("nobody",)}, UnknownName),
        ({"left": ("number",)}, BadValue),
        ({"left": (*EVERY, "same", "unset", "all", "none")}, BadValue),
    ],
)
def test_names_that_cannot_be_meant_are_refused(games, error):
    stage = simulated_stage(0, shape="constant")
    with pytest.raises(error, match=r"\[games\]"):
        settled(Games(**games), stage.original, stage.control, 0)


def test_few_are_those_that_tell_most():
    games = few(Games(secrets=EVERY), STAGE.original)
    assert games.secrets == EVERY  # five
    more = wider(STAGE.original, 3)
    names = few(Games(secrets=(*EVERY, "x0", "x1", "x2")), more).secrets
    assert len(names) == FEW
    assert "insured" not in names
    assert "town" not in names


def test_halves_are_disjoint_and_tell_about_as_much():
    left = halves(STAGE.original, ())
    assert 0 < len(left) < len(EVERY)
    assert set(left) < set(EVERY)
    assert halves(STAGE.original, ("town", "town")) == ("town",)


def test_halves_of_columns_that_tell_nothing_are_halves_all_the_same():
    assert halves(numbers([1, 1], [1, 1], [2, 2]), ()) == ("0", "2")


def test_one_column_has_no_halves():
    with pytest.raises(NotApplicable):
        halves(numbers([1, 2]), ())
    only = evolve(STAGE.original.only(["number", "town"]))
    with pytest.raises(NotApplicable):
        halves(only, ())
