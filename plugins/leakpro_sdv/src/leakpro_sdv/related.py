"""Two tables, the rows of one belonging to rows of the other, by SDV's hierarchical synthesizer.

They come and go as one wide table (``leakpro_core.tabular.entities.joined``): a row per child,
beside it the columns of its parent, who is the subject.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from leakpro_core.arrays import Ints
from leakpro_core.errors import BadRecord, BadValue
from leakpro_core.seeds import spawn
from leakpro_core.tabular.table import Column, Table
from leakpro_sdv.frames import KEY, Layout, layout_of, metadata, missing
from leakpro_sdv.library import because, quiet, seeded
from leakpro_sdv.recipe import GeneratorOptions, synthesizer_class
from leakpro_sdv.sampling import failed, reseed, until

PARENT, CHILD, OWNER = "parent", "child", "owner"
"""Names of both tables, and of the children's column that holds their parent's key."""


@frozen(kw_only=True)
class Related:
    """A fitted hierarchical synthesizer.

    columns: of the wide table; length: rows of it per parent, on average.
    """

    synthesizer: Any = field(repr=False)
    columns: tuple[Column, ...] = field(repr=False)
    parent: Layout = field(repr=False)
    child: Layout = field(repr=False)
    length: float
    what: str

    def sample(self, rows: int, seed: int, threads: int = 1) -> Table:
        """Return rows of the wide table, as ``fitting.Generator`` says."""
        try:
            with seeded(spawn(seed, "sample"), threads):
                reseed(self.synthesizer, spawn(seed, "sample"))
                table = until(rows, self.length, self._families)
        except Exception as error:
            raise failed(self.what, "sampled", because(error)) from error
        if table is None:
            raise failed(self.what, "sampled", "no parents")
        return table

    def _families(self, count: int) -> Table:
        with quiet():
            sampled = self.synthesizer.sample(num_rows=count, main_table_name=PARENT)
        parent, child = sampled[PARENT], sampled[CHILD]
        return joined(
            self.columns,
            self.parent.table(parent, np.arange(len(parent))),
            self.child.table(child, _positions(parent[KEY], child[OWNER])),
        )


def fit_related(
    options: GeneratorOptions, table: Table, seed: int, *, at: str, what: str, threads: int
) -> Related:
    """Return SDV's HMA synthesizer fitted on the two tables that a wide one was joined from."""
    parent, child = apart(table, options.child_columns, at)
    layouts = {PARENT: layout_of(parent), CHILD: layout_of(child)}
    described = metadata(
        {
            PARENT: {"columns": _keyed(layouts[PARENT], KEY), "primary_key": KEY},
            CHILD: {"columns": _keyed(layouts[CHILD], OWNER)},
        },
        [
            {
                "parent_table_name": PARENT,
                "child_table_name": CHILD,
                "parent_primary_key": KEY,
                "child_foreign_key": OWNER,
            }
        ],
    )
    frames = {
        PARENT: layouts[PARENT].frame(parent).assign(**{KEY: np.array(parent.subjects)}),
        CHILD: layouts[CHILD].frame(child).assign(**{OWNER: np.array(child.subjects)}),
    }
    try:
        with seeded(spawn(seed, "fit"), threads), quiet():
            synthesizer = synthesizer_class("HMA")(described, verbose=False)
            synthesizer.fit(frames)
    except Exception as error:
        raise failed(what, "fitted", because(error)) from error
    return Related(
        synthesizer=synthesizer,
        columns=table.columns,
        parent=layouts[PARENT],
        child=layouts[CHILD],
        length=len(table) / len(parent),
        what=what,
    )


def apart(table: Table, child_columns: Sequence[str], at: str) -> tuple[Table, Table]:
    """Return the parents, each once, and the children of a wide table.

    A row whose child's columns are all missing is a parent without children. ``BadRecord`` where
    the columns of a parent differ between its rows, ``BadValue`` where a side has no columns.
    """
    theirs = [table.index(name) for name in child_columns]
    ours = [j for j in range(len(table.columns)) if j not in theirs]
    if not theirs or not ours:
        raise BadValue(
            f"{at} child_columns",
            found="all columns" if theirs else "no column",
            expected="the columns of the children, beside others of their parents",
        )
    _, first, whose = np.unique(table.subjects, return_index=True, return_inverse=True)
    for j in ours:
        values = np.nan_to_num(table.values[j], nan=np.inf)
        odd = np.flatnonzero(values != values[first][whose])
        if odd.size:
            raise BadRecord(
                f"column {table.columns[j].name!r}, row {odd[0]}",
                found="another value than in the first row of the same subject",
                expected="the columns of a parent to be the same in all its rows",
                fix=f"Name it in {at} child_columns.",
            )
    there = np.zeros(len(table), np.bool_)
    for j in theirs:
        there |= ~missing(table.columns[j], table.values[j])
    names = table.names
    parents = table.rows(first).only([names[j] for j in ours])
    return parents, table.rows(there).only([names[j] for j in theirs])


def joined(columns: tuple[Column, ...], parent: Table, child: Table) -> Table:
    """Return the wide table of both: the inverse of ``apart``, in the order of the parents.

    parent: subject i is row i; child: subjects are those numbers.
    """
    barren = np.setdiff1d(np.arange(len(parent)), child.subjects)
    owners = np.concatenate([child.subjects, barren])
    order = np.argsort(owners, kind="stable")
    whose = owners[order]
    values = []
    for column in columns:
        if column.name in parent.names:
            values.append(parent.values[parent.index(column.name)][whose])
            continue
        own = child.values[child.index(column.name)]
        none = np.full(len(barren), np.nan if column.measured else -1, own.dtype)
        values.append(np.concatenate([own, none])[order])
    return evolve(parent, columns=columns, values=tuple(values), subjects=whose)


def _keyed(layout: Layout, key: str) -> Mapping[str, Mapping[str, str]]:
    return {**layout.described(), key: {"sdtype": "id"}}


def _positions(keys: Any, owners: Any) -> Ints:
    """Return the positions in ``keys`` of each of ``owners``."""
    known, wanted = keys.to_numpy(), owners.to_numpy()
    order = np.argsort(known)
    found: Ints = order[np.searchsorted(known, wanted, sorter=order)].astype(np.int64)
    return found
