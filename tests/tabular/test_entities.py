"""Linked tables become one: a child's rows with its parent's columns beside them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.errors import LeakProError
from leakpro_core.tabular.entities import joined
from leakpro_core.tabular.infer import tables


def linked(parents: Sequence[Any], children: Sequence[Any]) -> pa.Table:
    parent = pa.table({"key": parents, "age": list(range(len(parents)))})
    child = pa.table({"visit": [f"v{i}" for i in range(len(children))], "key": children})
    return joined(parent, child, "key", role="original")


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def test_children_stand_beside_their_parents_and_the_childless_stay() -> None:
    made = linked(["b", "a", "c"], ["a", "b", "a"])
    assert made.column_names == ["key", "age", "visit"]
    assert rows(made) == [("b", 0, "v1"), ("a", 1, "v0"), ("a", 1, "v2"), ("c", 2, None)]


def test_keys_are_equal_whatever_their_type() -> None:
    assert rows(linked(["7", "8"], [7.0])) == [("7", 0, "v0"), ("8", 1, None)]


def test_parents_may_all_be_childless() -> None:
    parent = pa.table({"key": [1, 2]})
    child = pa.table({"key": pa.array([], pa.int64()), "visit": pa.array([], pa.string())})
    assert rows(joined(parent, child, "key", role="original")) == [(1, None), (2, None)]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_row_is_there_once(data: st.DataObject) -> None:
    parents = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True))
    children = data.draw(st.lists(st.sampled_from(parents), max_size=8))
    expected = []
    for age, key in enumerate(parents):
        own: list[str | None] = [f"v{i}" for i, owner in enumerate(children) if owner == key]
        expected += [(key, age, visit) for visit in own or [None]]
    assert expected == rows(linked(parents, pa.array(children, pa.int64())))


def test_the_key_says_whose_row_it_is() -> None:
    raw = {"original": linked(["a", "b"], ["a", "a"]), "control": linked(["c"], ["c", "c"])}
    made = tables(raw, subject="key")
    assert made["original"].names == ("age", "visit")
    first, second, other = made["original"].subjects
    assert first == second != other
    assert len(set(made["control"].subjects)) == 1
    raw["control"] = linked(["b"], [])
    with pytest.raises(LeakProError, match="the same person in original and control"):
        tables(raw, subject="key")


@pytest.mark.parametrize(
    ("parents", "children", "message"),
    [
        (["a", "a"], [], 'column "key" of original: found two rows of key "a", expected each key'),
        (["a", None], [], 'column "key" of original, row 1: found no value, expected a key'),
        (["a"], ["a", "z"], 'column "key" of children of original, row 1: found "z", expected a '),
        (["a"], [None, "a"], 'column "key" of children of original, row 0: found no value'),
        ([1], ["a"], 'column "key" of children of original, row 0: found "a", expected a key'),
        (
            [1, 2],
            ["1", "2", "P1", "P2", "P3"],
            'column "key" of children of original, row 2: found "P1" there and such keys in '
            "2 of 4 other rows, expected a key of a row of original. Mend such rows",
        ),
    ],
)
def test_broken_links_are_errors(
    parents: Sequence[Any], children: Sequence[Any], message: str
) -> None:
    with pytest.raises(LeakProError) as raised:
        linked(parents, children)
    assert str(raised.value).startswith(message), str(raised.value)


def test_columns_of_one_name_are_an_error() -> None:
    parent, child = pa.table({"key": [1], "x": [1]}), pa.table({"key": [1], "x": [1]})
    with pytest.raises(LeakProError, match='column "x": found it in control and in its children'):
        joined(parent, child, "key", role="control")


def test_a_table_without_the_key_is_an_error() -> None:
    parent, child = pa.table({"key": [1]}), pa.table({"ky": [1]})
    with pytest.raises(LeakProError) as raised:
        joined(parent, child, "key", role="control")
    expected = (
        'table "children of control": found no column "key", expected the key that links parents '
        "and children, under one name in both. Call it \"key\" there too. Did you mean 'ky'?"
    )
    assert expected == str(raised.value)
