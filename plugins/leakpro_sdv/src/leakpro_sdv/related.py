"""Two tables, the rows of one belonging to rows of the other, by SDV's hierarchical synthesizer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import Ints
from leakpro_core.errors import BadRecord
from leakpro_core.seeds import spawn
from leakpro_core.tabular.table import Table
from leakpro_sdv.fitting import failed, reseed
from leakpro_sdv.frames import KEY, Layout, layout_of, metadata
from leakpro_sdv.library import because, check_installed, quiet, seeded
from leakpro_sdv.recipe import synthesizer_class

PARENT, CHILD, OWNER = "parent", "child", "owner"
"""Names of both tables, and of the children's column that holds their parent's key."""


@frozen(kw_only=True)
class Related:
    """A fitted hierarchical synthesizer."""

    synthesizer: Any = field(repr=False)
    parent: Layout = field(repr=False)
    child: Layout = field(repr=False)
    what: str

    def sample(self, parents: int, seed: int) -> tuple[Table, Table]:
        """Return ``parents`` rows of the parent table and the children that they have.

        subjects: the number of the parent, in both. The same seed gives the same rows.
        """
        try:
            with seeded(spawn(seed, "sample")), quiet():
                reseed(self.synthesizer, spawn(seed, "sample"))
                sampled = self.synthesizer.sample(num_rows=parents, main_table_name=PARENT)
        except Exception as error:
            raise failed(self.what, "sampled", because(error)) from error
        parent, child = sampled[PARENT], sampled[CHILD]
        return (
            self.parent.table(parent, np.arange(len(parent))),
            self.child.table(child, _numbers(parent[KEY], child[OWNER])),
        )


def fit_related(parent: Table, child: Table, seed: int, *, what: str) -> Related:
    """Return SDV's HMA synthesizer fitted on two tables whose subjects say what belongs together.

    Every parent is a subject of its own, and every child's subject is a parent's: ``BadRecord``.
    """
    check_installed()
    check_related(parent, child)
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
        with seeded(spawn(seed, "fit")), quiet():
            synthesizer = synthesizer_class("HMA")(described, verbose=False)
            synthesizer.fit(frames)
    except Exception as error:
        raise failed(what, "fitted", because(error)) from error
    return Related(synthesizer=synthesizer, parent=layouts[PARENT], child=layouts[CHILD], what=what)


def check_related(parent: Table, child: Table) -> None:
    """Check that parents are distinct subjects and that every child belongs to one."""
    keys, counts = np.unique(parent.subjects, return_counts=True)
    if (counts > 1).any():
        raise BadRecord(
            "parent table",
            found=f"{int(counts.max())} rows with the same key",
            expected="a key of its own for every row",
        )
    orphans = np.flatnonzero(~np.isin(child.subjects, keys))
    if orphans.size:
        raise BadRecord(
            f"row {orphans[0]} of the child table",
            found="a key that no row of the parent table has",
            expected="the key of a parent",
        )


def _keyed(layout: Layout, key: str) -> Mapping[str, Mapping[str, str]]:
    return {**layout.described(), key: {"sdtype": "id"}}


def _numbers(keys: Any, owners: Any) -> Ints:
    """Return the positions in ``keys`` of each of ``owners``."""
    keys, owners = keys.to_numpy(), owners.to_numpy()
    order = np.argsort(keys)
    numbers: Ints = order[np.searchsorted(keys, owners, sorter=order)].astype(np.int64)
    return numbers
