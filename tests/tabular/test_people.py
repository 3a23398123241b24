"""Who is in a release, who is not, and who lies far from everybody."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.errors import BadArray
from leakpro_core.records import TableRelease
from leakpro_core.tabular.people import most_vulnerable, objects, settle
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix
from leakpro_core.testing.tables import simulated_stage


def release(original: int = 20, control: int = 20, rows: int = 1, **more: object) -> TableRelease:
    """Return a release of people with some rows each."""
    numbers = Column(name="x", kind=Kind.NUMERIC)

    def people(n: int, first: int) -> Table:
        who = np.repeat(first + np.arange(n), rows)
        return from_matrix((numbers,), np.random.default_rng(first).normal(size=(len(who), 1)), who)

    tables = {
        "synthetic": people(10, 0),
        "original": people(original, 0),
        "control": people(control, original),
    }
    return TableRelease(**(tables | more))  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(
    people=st.integers(5, 60),
    rows=st.integers(1, 4),
    share=st.floats(0.0, 0.6),
    seed=st.integers(0, 99),
)
def test_people_set_aside_keep_all_their_rows(people, rows, share, seed):
    before = release(control=people, rows=rows)
    after = settle(before, share, seed)
    aside = int(share * people)
    if not aside:
        assert after == before
        return
    known, left = after.auxiliary, after.control
    assert len(np.unique(known.subjects)) == aside
    assert not np.intersect1d(known.subjects, left.subjects).size
    assert sorted([*known.values[0], *left.values[0]]) == sorted(before.control.values[0])
    assert after.original is before.original


def test_who_is_set_aside_is_drawn_by_the_seed():
    chosen = [settle(release(), 0.25, seed).auxiliary.subjects.tolist() for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_auxiliary_rows_that_are_given_stay():
    given_rows = release().synthetic
    before = release(auxiliary=given_rows)
    assert settle(before, 0.25, 0) is before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"original": 1}, "original: found one person"),
        ({"control": 1}, "control: found one person"),
    ],
)
def test_an_arm_of_one_person_is_no_arm(changed, said):
    with pytest.raises(BadArray, match=said):
        settle(release(**changed), 0.25, 0)


def test_arms_that_share_people_are_refused():
    one = release()
    with pytest.raises(BadArray, match="20 people in both"):
        settle(evolve(one, control=one.original), 0.0, 0)


def test_all_control_people_cannot_be_set_aside():
    with pytest.raises(BadArray, match="found 4 people, of whom 3 are set aside"):
        settle(release(control=4), 0.8, 0)


def test_identifiers_alone_are_no_table():
    stage = simulated_stage(0)
    tables = {
        name: getattr(stage, at).only(["number"])
        for name, at in (
            ("synthetic", "released"),
            ("original", "original"),
            ("control", "control"),
        )
    }
    with pytest.raises(BadArray, match="identifiers only"):
        settle(TableRelease(**tables), 0.25, 0)


class TestMostVulnerable:
    def test_are_a_tenth_of_all_people_with_all_their_rows(self):
        one = release(original=30, control=25, rows=3)
        flags = most_vulnerable(one.original, one.control, 0)
        who = np.concatenate([one.original.subjects, one.control.subjects])
        chosen = np.concatenate(flags)
        assert len(np.unique(who[chosen])) == 6
        assert set(who[chosen]).isdisjoint(who[~chosen])

    def test_are_those_who_lie_apart(self):
        one = release(original=30, control=30)
        far = one.original.values[0].copy()
        far[[3, 7]] = 100.0, -90.0
        original = evolve(one.original, values=(far,))
        assert most_vulnerable(original, one.control, 0)[0][[3, 7]].all()

    def test_a_persons_own_rows_are_no_neighbours(self):
        """Somebody with ten equal rows far from all others is as far as with one."""
        one = release(original=20, control=20)
        far = np.append(one.original.values[0], np.full(10, 50.0))
        who = np.append(one.original.subjects, np.full(10, 999))
        original = evolve(one.original, values=(far,), subjects=who)
        assert most_vulnerable(original, one.control, 0)[0][-10:].all()

    def test_of_equals_are_drawn_by_the_seed(self):
        numbers = Column(name="x", kind=Kind.NUMERIC)
        arms = [from_matrix((numbers,), np.zeros((20, 1)), f + np.arange(20)) for f in (0, 20)]
        drawn = [np.concatenate(most_vulnerable(*arms, seed)) for seed in (0, 0, 1)]
        assert [d.sum() for d in drawn] == [4, 4, 4]
        assert (drawn[0] == drawn[1]).all()
        assert (drawn[0] != drawn[2]).any()


class TestRowsForTheBlindAdversary:
    def test_are_levels_in_words_and_numbers_and_no_identifier(self):
        table = simulated_stage(0, shape="constant").original
        found = objects(table)
        assert found.shape == (len(table), 9)
        assert found[0, 0] == table.values[0][0]
        assert found[0, 3] == table.columns[3].levels[table.values[3][0]]
        assert found[0, -1] == ""

    @pytest.mark.parametrize("large", [2.0**62, 1e300])
    def test_huge_numbers_fit_single_precision_and_stay_apart(self, large):
        column = Column(name="x", kind=Kind.NUMERIC)
        values = np.array([-large, 0.0, large / 2, large, np.nan])
        found = objects(from_matrix((column,), values[:, None]))[:, 0].astype(np.float32)
        np.testing.assert_allclose(found, [0.0, 0.5, 0.75, 1.0, np.nan])

    def test_huge_numbers_that_are_near_each_other_stay_apart(self):
        column = Column(name="x", kind=Kind.NUMERIC)
        values = 2.0**62 + 1024.0 * np.arange(5)
        found = objects(from_matrix((column,), values[:, None]))[:, 0].astype(np.float32)
        assert len(np.unique(found)) == 5
