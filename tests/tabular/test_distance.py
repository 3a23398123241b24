"""Mixed-type distances and nearest rows, against a plain implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leakpro_core.arrays import Floats
from leakpro_core.errors import BadArray
from leakpro_core.tabular import blocks
from leakpro_core.tabular.distance import Neighbours, Space, nearest, nearest_distance
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix

SIZE = Column(name="size", kind=Kind.NUMERIC)
DAY = Column(name="day", kind=Kind.DATETIME)
WORK = Column(name="work", kind=Kind.CATEGORICAL, levels=("clerk", "cook", "nurse"))
NUMBER = Column(name="number", kind=Kind.IDENTIFIER, levels=("1", "2", "3"))
MIXED = (SIZE, DAY, WORK, NUMBER)

NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 4.0, 7.0, 8.0, np.nan, np.inf, -np.inf])
CODES = st.sampled_from([0.0, 1.0, 2.0, np.nan])
ENDS = from_matrix(MIXED, np.array([[0.0, 0.0, 0.0, 0.0], [8.0, 8.0, 0.0, 0.0]]))
"""The range of the numbers above: so that what should tie exactly does so in floats, too."""


@st.composite
def matrices(draw: st.DrawFn, most: int = 12) -> Floats:
    n = draw(st.integers(1, most))
    sides = [
        draw(hnp.arrays(np.float64, n, elements=NUMBERS if column.measured else CODES))
        for column in MIXED
    ]
    return np.column_stack(sides)


def plain(space: Space, queries: Table, base: Table) -> Floats:
    """Return all distances, written down as they are defined."""
    far = np.zeros((len(queries), len(base)))
    for column in space.columns:
        a = queries.only([column.name]).matrix()
        b = base.only([column.name]).matrix().T
        with np.errstate(invalid="ignore"):
            apart = np.where(a == b, 0.0, 1.0)
            if column.measured and len(known := space.values[column.name]) > 1:
                apart = np.fmin(np.abs(a - b) / (known[-1] - known[0]), 1.0)
                apart[a == b] = 0.0
        either, both = np.isnan(a) | np.isnan(b), np.isnan(a) & np.isnan(b)
        far += np.where(both, 0.0, np.where(either, 1.0, apart))
    return far / len(space.columns)


def found(queries: Table, base: Table, k: int, seed: int = 0, *ranges: Table) -> Neighbours:
    space = Space.of(queries, base, *ranges)
    return nearest(space.encode(queries), space.encode(base), k, seed=seed)


def numbers(*values: float, column: Column = SIZE) -> Table:
    return from_matrix((column,), np.array(values, float)[:, None])


@settings(max_examples=80, deadline=None)
@given(matrices(), matrices(), st.integers(1, 14), st.integers(0, 3))
def test_nearest_rows_are_those_of_the_plain_implementation(
    a: Floats, b: Floats, k: int, seed: int
) -> None:
    queries, base = from_matrix(MIXED, a), from_matrix(MIXED, b)
    far = plain(Space.of(queries, base, ENDS), queries, base)
    expected = np.sort(far, axis=1)[:, :k]
    actual = found(queries, base, k, seed, ENDS)
    np.testing.assert_allclose(actual.distance, expected, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(far, actual.index, 1), actual.distance, atol=1e-6)
    assert [len(set(row)) for row in actual.index.tolist()] == [expected.shape[1]] * len(a)
    np.testing.assert_array_equal(
        actual.ties, (far <= expected[:, -1:] + 1e-6).sum(axis=1), strict=True
    )


@settings(max_examples=40, deadline=None)
@given(matrices(), matrices())
def test_the_distance_alone_is_that_of_the_nearest_row(a: Floats, b: Floats) -> None:
    queries, base = from_matrix(MIXED, a), from_matrix(MIXED, b)
    space = Space.of(queries, base)
    actual = nearest_distance(space.encode(queries), space.encode(base))
    np.testing.assert_array_equal(found(queries, base, 1).distance[:, 0], actual)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, (6, 2), elements=st.floats(allow_nan=False)))
def test_only_equal_rows_are_at_distance_zero(values: Floats) -> None:
    table = from_matrix((SIZE, DAY), values)
    actual = found(table, table, len(table))
    zero = np.zeros((6, 6), bool)
    np.put_along_axis(zero, actual.index, actual.distance == 0, 1)
    equal = (values[:, None] == values[None, :]).all(axis=2)
    np.testing.assert_array_equal(zero, equal)


@pytest.mark.parametrize("block", [(1, 1), (2, 3), (3, 7), (16, 6144)])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_blocks_of_any_size_find_the_same(
    block: tuple[int, int], k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    values = rng.choice([0.0, 1.0, 2.0, np.nan], (60, 4))
    queries, base = from_matrix(MIXED, values[:20]), from_matrix(MIXED, values[20:])
    expected = found(queries, base, k)
    monkeypatch.setattr("leakpro_core.tabular.distance.QUERIES", block[0])
    monkeypatch.setattr(blocks, "_BASE", block[1])
    actual = found(queries, base, k)
    np.testing.assert_array_equal(actual.index, expected.index)
    np.testing.assert_array_equal(actual.distance, expected.distance)
    np.testing.assert_array_equal(actual.ties, expected.ties)


def test_many_rows_are_found_over_several_blocks() -> None:
    rng = np.random.default_rng(1)
    values = np.column_stack([rng.normal(size=(15_000, 2)), rng.integers(0, 3, (15_000, 2))])
    base = from_matrix(MIXED, values)
    queries = from_matrix(MIXED, np.add(values[:40], [0.01, 0, 0, 0]))
    far = plain(Space.of(queries, base), queries, base)
    actual = found(queries, base, 50)
    np.testing.assert_allclose(actual.distance, np.sort(far, axis=1)[:, :50], atol=1e-6)
    np.testing.assert_array_equal(actual.ties, 50)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        (np.nan, np.nan, 0.0),
        (np.nan, 3.0, 1.0),
        (0.0, np.nan, 1.0),
        (0.0, 10.0, 1.0),
        (2.0, 5.0, 0.3),
        (np.inf, np.inf, 0.0),
        (np.inf, 10.0, 1.0),
        (-np.inf, np.inf, 1.0),
        (-np.inf, np.nan, 1.0),
    ],
)
def test_missing_equals_missing_and_is_a_whole_range_from_any_value(
    a: float, b: float, distance: float
) -> None:
    space = Space.of(numbers(0, 10), numbers(a), numbers(b))
    actual = nearest_distance(space.encode(numbers(a)), space.encode(numbers(b)))
    np.testing.assert_allclose(actual, [distance], atol=1e-6)
    assert (distance == 0) == (actual[0] == 0)


@pytest.mark.parametrize(("a", "b", "distance"), [(np.nan, np.nan, 0), (np.nan, 1, 1), (2, 1, 1)])
def test_codes_are_equal_or_not(a: float, b: float, distance: float) -> None:
    space = Space.of(one := numbers(a, column=WORK), two := numbers(b, column=WORK))
    assert [distance] == nearest_distance(space.encode(one), space.encode(two)).tolist()


def test_more_levels_than_a_byte_holds_are_told_apart() -> None:
    many = Column(name="x", kind=Kind.CATEGORICAL, levels=tuple(map(str, range(70_000))))
    base = numbers(*range(0, 70_000, 256), column=many)
    assert list(range(len(base))) == found(base, base, 1).index[:, 0].tolist()
    np.testing.assert_array_equal(found(base, base, 2).distance[:, 1], 1.0)


def test_identifiers_are_not_compared() -> None:
    one = from_matrix((SIZE, NUMBER), np.array([[1.0, 0.0], [2.0, 1.0]]))
    two = from_matrix((SIZE, NUMBER), np.array([[1.0, 1.0], [2.0, 0.0]]))
    np.testing.assert_array_equal(found(one, two, 1).index[:, 0], [0, 1])
    np.testing.assert_array_equal(found(one, two, 1).distance[:, 0], [0.0, 0.0])


def test_one_outlier_does_not_make_the_others_equal() -> None:
    base = numbers(*range(100), 1e12)
    np.testing.assert_array_equal(found(base, base, 1).index[:, 0], np.arange(101))
    np.testing.assert_array_equal(found(base, base, 1).ties, 1)
    assert (found(base, base, 2).distance[:, 1] > 0).all()


def test_seconds_of_fifty_years_are_told_apart() -> None:
    base = numbers(0.0, 1.6e9, 1.6e9 - 1, 1.6e9 - 2, column=DAY)
    np.testing.assert_array_equal(found(base, base, 1).index[:, 0], np.arange(4))
    np.testing.assert_array_equal(found(base, base, 1).ties, 1)


def test_huge_numbers_have_a_range() -> None:
    table = numbers(-1.7e308, 0.0, 1.7e308)
    np.testing.assert_allclose(found(table, table, 3).distance[0], [0, 0.5, 1], atol=1e-6)


def test_equal_distances_to_both_sides_tie_exactly() -> None:
    # 1 / 73 is no whole number of steps; 40 - 1 and 40 + 1 are equally far all the same.
    base = numbers(17, 90, 39, 41)
    actual = found(numbers(40), base, 1)
    assert actual.ties[0] == 2


def test_ties_are_drawn_by_the_seed_and_not_by_the_order_of_the_base() -> None:
    base, query = numbers(*[0.0] * 400, 1.0), numbers(0.0)
    drawn = [found(query, base, 5, seed) for seed in range(60)]
    assert {400} == {int(one.ties[0]) for one in drawn}
    places = np.concatenate([one.index[0] for one in drawn])
    assert 160 < places.mean() < 240  # the mean of 300 draws of 0 to 399
    assert len(np.unique(places)) > 180
    np.testing.assert_array_equal(found(query, base, 5, 7).index, drawn[7].index)


@pytest.mark.parametrize("k", [1, 3])
def test_a_row_is_not_its_own_neighbour_where_told_so(k: int) -> None:
    table = numbers(0, 1, 3, 3, 8)
    space = Space.of(table)
    rows = space.encode(table)
    actual = nearest(rows, rows, k, seed=0, exclude_same_row=True)
    far = plain(space, table, table) + 9 * np.eye(5)
    np.testing.assert_allclose(actual.distance, np.sort(far, axis=1)[:, :k], atol=1e-6)
    assert not (actual.index == np.arange(5)[:, None]).any()
    alone = nearest_distance(rows, rows, exclude_same_row=True)
    np.testing.assert_allclose(alone, np.sort(far, axis=1)[:, 0], atol=1e-6)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    table = numbers(0, 1, 2)
    rows = Space.of(table).encode(table)
    assert nearest(rows, rows, 50, seed=0).index.shape == (3, 3)
    assert nearest(rows, rows, 50, seed=0, exclude_same_row=True).index.shape == (3, 2)
    assert nearest(rows, rows.rows(np.arange(0)), 5, seed=0).index.shape == (3, 0)


def test_a_subset_of_columns_is_compared_by_itself() -> None:
    base = from_matrix((SIZE, DAY), np.array([[0.0, 8.0], [8.0, 0.0]]))
    rows = Space.of(base).encode(base)
    only = nearest(rows.rows(np.array([0])), rows, 2, seed=0, columns=["size"])
    np.testing.assert_array_equal(only.index, [[0, 1]])
    np.testing.assert_allclose(only.distance, [[0, 1]])


def test_tables_of_some_columns_are_compared_in_theirs() -> None:
    base = from_matrix((SIZE, DAY), np.array([[0.0, 8.0], [8.0, 0.0]]))
    space = Space.of(base, half := base.only(["day"]))
    np.testing.assert_array_equal(
        nearest(space.encode(half), space.encode(base), 1, seed=0).index[:, 0], [0, 1]
    )


def test_no_row_is_infinitely_far() -> None:
    rows = Space.of(table := numbers(0, 1)).encode(table)
    np.testing.assert_array_equal(nearest_distance(rows, rows.rows(np.arange(0))), np.inf)


def test_an_offset_is_added_to_the_distance_of_each_row() -> None:
    base = numbers(0, 8, 2)
    rows = Space.of(base).encode(base)
    far = nearest(rows, rows, 3, seed=0, offset=np.array([0.5, 0.0, 0.25]))
    np.testing.assert_allclose(far.distance[0], [0.5, 0.5, 1.0])
    np.testing.assert_array_equal(far.index[2], [2, 0, 1])


def test_rows_are_chosen_by_number_or_by_mask() -> None:
    table = numbers(0, 1, 2)
    rows = Space.of(table).encode(table)
    assert (
        len(rows.rows(np.array([2, 0]))),
        len(rows.rows(np.array([True, False, True]))),
    ) == (2, 2)
    np.testing.assert_allclose(
        nearest_distance(rows.rows(np.array([2, 0])), rows.rows(np.array([0]))), [1, 0]
    )


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            (numbers(1.0), numbers(2.0, column=Column(name="size", kind=Kind.DATETIME))),
            "size",
        ),
        ((numbers(0, column=WORK), numbers(0, column=Column(name="work", kind=Kind.TEXT))), "work"),
    ],
)
def test_columns_that_differ_are_named(tables: tuple[Table, Table], message: str) -> None:
    with pytest.raises(BadArray, match=f"column '{message}' of tables that are compared"):
        Space.of(*tables)


def test_a_number_of_no_table_of_the_space_is_named() -> None:
    space = Space.of(numbers(0.0, 1.0))
    for strange in (0.5, 2.0):
        with pytest.raises(BadArray, match=f"'size'.*found {strange}"):
            space.encode(numbers(strange))
    with pytest.raises(BadArray, match="'size'"):
        Space.of(numbers(np.nan)).encode(numbers(1.0))


def test_two_spaces_are_not_compared() -> None:
    table = numbers(0.0, 1.0)
    with pytest.raises(BadArray, match="two spaces"):
        nearest_distance(Space.of(table).encode(table), Space.of(table).encode(table))


def test_a_column_that_a_table_lacks_is_named() -> None:
    table = from_matrix((SIZE, DAY), np.zeros((2, 2)))
    space = Space.of(table)
    with pytest.raises(BadArray, match="column 'day'"):
        nearest(space.encode(table), space.encode(table.only(["size"])), 1, seed=0)
