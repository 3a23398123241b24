"""What holds for every membership attack on released tables, and the density that they share."""

import numpy as np
import pytest
from adult import (
    EVERY,
    OF_ROWS,
    TABLE_ONLY,
    challenge,
    claims,
    codes,
    gower,
    numbers,
    planted,
    separation,
)
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.scores import FLOOR, Near, Rows
from planted import mixed
from scipy.stats import rankdata

from leakpro_core.errors import NotApplicable
from leakpro_core.statistics.roc import auc
from leakpro_core.tabular.distance import Space
from leakpro_core.tabular.table import Table, from_matrix, stacked


def changed(drawn, change):
    """Change every table of a challenge alike."""
    return evolve(
        drawn,
        records=change(drawn.records),
        synthetic=change(drawn.synthetic),
        auxiliary=change(drawn.auxiliary),
        shadows=tuple(map(change, drawn.shadows)),
    )


@pytest.mark.parametrize("name", OF_ROWS)
def test_copies_of_members_are_found(name):
    drawn, members = planted(1, pairs=2)
    area, tpr = separation(claims(name, drawn), members)
    assert area > 0.58
    assert tpr > 0.25


@pytest.mark.parametrize("name", EVERY)
def test_a_release_independent_of_all_candidates_tells_nothing(name):
    drawn, members = planted(3, n=300, copied=0.0, pairs=2)
    found = auc(claims(name, drawn), members, confidence=0.99)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("name", OF_ROWS)
def test_missing_values_do_not_hide_copies(name):
    drawn, members = planted(4, missing=0.2, pairs=2)
    found = claims(name, drawn)
    assert np.isfinite(found).all()
    assert separation(found, members)[1] > 0.25


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_released_rows_does_not_matter(name):
    drawn, _ = planted(5, pairs=2)
    order = np.random.default_rng(0).permutation(len(drawn.synthetic))
    moved = evolve(drawn, synthetic=drawn.synthetic.rows(order))
    np.testing.assert_allclose(claims(name, drawn), claims(name, moved), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TABLE_ONLY)
def test_the_order_of_released_rows_does_not_matter_among_ties(name):
    rng = np.random.default_rng(6)
    people, released, known = (codes(rng.integers(0, 8, n)) for n in (50, 300, 70))
    order = rng.permutation(len(released))
    found = [claims(name, challenge(people, r, known)) for r in (released, released.rows(order))]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_names_of_levels_do_not_matter(name):
    drawn, _ = planted(7, pairs=2)

    def renamed(table: Table) -> Table:
        columns = tuple(evolve(c, levels=c.levels[::-1]) for c in table.columns)
        values = [
            v if c.measured else np.where(v < 0, v, len(c.levels) - 1 - v)
            for c, v in zip(columns, table.values, strict=True)
        ]
        return evolve(table, columns=columns, values=tuple(values))

    again = claims(name, changed(drawn, renamed))
    np.testing.assert_allclose(claims(name, drawn), again, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_units_of_numbers_do_not_matter(name):
    drawn, _ = planted(8, pairs=2)

    def rescaled(table: Table) -> Table:
        values = [
            32.0 * v - 1000.0 if c.measured else v
            for c, v in zip(table.columns, table.values, strict=True)
        ]
        return evolve(table, values=tuple(values))

    again = claims(name, changed(drawn, rescaled))
    np.testing.assert_allclose(claims(name, drawn), again, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_claims(name):
    drawn, _ = planted(9, pairs=2)
    np.testing.assert_array_equal(claims(name, drawn, seed=4), claims(name, drawn, seed=4))


def awkward():
    rng = np.random.default_rng(10)
    few, same = mixed(3, rng), mixed(1, rng).rows(np.zeros(40, int))
    same = evolve(same, subjects=np.arange(40))
    wide = [numbers(rng.normal(size=(n, 300))) for n in (30, 40, 20)]
    empty = [from_matrix(few.columns, np.full((n, len(few.columns)), np.nan)) for n in (5, 7, 3)]
    flat = [numbers(np.column_stack([np.ones(n), rng.normal(size=n)])) for n in (20, 30, 10)]
    return {
        "one released row": (mixed(20, rng), mixed(1, rng), mixed(20, rng)),
        "one candidate": (mixed(1, rng), mixed(20, rng), mixed(20, rng)),
        "fewer auxiliary rows than neighbours": (mixed(20, rng), mixed(20, rng), few),
        "all rows the same": (same, same, same),
        "300 columns": wide,
        "nothing but missing values": empty,
        "a constant column": flat,
        "infinite numbers": (numbers([[np.inf, 0.0], [1.0, -np.inf]]), *flat[1:]),
    }


@pytest.mark.parametrize("case", awkward())
@pytest.mark.parametrize("name", EVERY)
def test_claims_are_finite_on(name, case):
    people, released, known = awkward()[case]
    half = np.arange(len(people)) % 2 == 0
    shadows, on = (released,) * 4, np.array([half, ~half] * 2)
    found = claims(name, challenge(people, released, known, shadows, on))
    assert found.shape == (len(people),)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", EVERY)
def test_nothing_released_is_not_applicable(name):
    drawn, _ = planted(11, n=10, pairs=2)
    with pytest.raises(NotApplicable, match="released rows"):
        claims(name, evolve(drawn, synthetic=drawn.synthetic.rows(np.arange(0))))


@pytest.mark.parametrize("name", TABLE_ONLY[1:])
def test_no_auxiliary_rows_are_not_applicable(name):
    drawn, _ = planted(12, n=10)
    with pytest.raises(NotApplicable, match="auxiliary rows"):
        claims(name, evolve(drawn, auxiliary=None))
    with pytest.raises(NotApplicable, match="auxiliary rows"):
        claims(name, evolve(drawn, auxiliary=drawn.auxiliary.rows(np.arange(0))))


def test_the_density_sums_over_all_rows_of_a_small_table():
    rng = np.random.default_rng(13)
    queries, base = mixed(20, rng, 0.2), mixed(10, rng, 0.2)
    base = stacked([base, base.rows(np.array([2, 2, 5]))])
    space = Space.of(queries, base)
    near = Near.of(space.encode(queries), Rows.of(base, space), 32, 0)
    expected = np.log(((gower(queries, base) + FLOOR) ** -3.0).mean(axis=1))
    assert near.index.shape == (20, 10)
    np.testing.assert_allclose(near.log_density(3.0), expected, rtol=1e-4)


def test_rows_as_near_as_the_last_count_though_they_are_not_listed():
    queries, base = numbers([[0.0]]), numbers([[0.0], *[[1.0]] * 3, [1.0], [-1.0]])
    base = stacked([base, numbers([[0.5]])])
    space = Space.of(queries, base)
    near = Near.of(space.encode(queries), Rows.of(base, space), 3, 0)
    assert near.beyond.tolist() == [2.0]
    assert Near.of(space.encode(queries), Rows.of(base, space), 4, 0).beyond.tolist() == [1.0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_the_k_nearest_are_k_rows_and_ties_share_the_last_places(places, k):
    queries, base = numbers([[0.0]]), numbers([[float(i)] for i in range(len(places))])
    space = Space.of(queries, base)
    near = Near.of(space.encode(queries), Rows.of(base, space), 32, 0)
    tied = evolve(near, log_distance=np.array([sorted(places)], float))
    share = tied.first(k)[0]
    ranks = rankdata(tied.log_distance[0], "min")
    assert share.sum() == pytest.approx(min(k, len(places)))
    assert ((share > 0) == (ranks <= k)).all()
    assert all(len(set(share[ranks == r])) == 1 for r in ranks)
