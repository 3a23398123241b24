"""Linked tables: a child's rows with its parent's columns beside them, one wide table."""

import numpy as np
import pyarrow as pa

from leakpro_core.arrays import Ints
from leakpro_core.errors import BadRecord, DuplicateName, LeakProError, UnknownName, nearest
from leakpro_core.tabular import harmonise
from leakpro_core.tabular.table import Kind
from leakpro_core.wording import show


def joined(parent: pa.Table, child: pa.Table, key: str, *, role: str) -> pa.Table:
    """Return the child's rows, each with the columns of its parent, and the key once.

    Rows stand in the order of the parents, those of a parent in the child's order; a parent
    without children keeps one row, in which the child's columns are missing. Keys are equal as
    ``harmonise.column`` says: 7, 7.0 and "7" are one. The key then says whose row it is: hand it
    on as subject, so that a parent is split, attacked and counted as a whole.

    role: of both, for errors. Raises UnknownName (no such key), DuplicateName (columns of one
    name beside the key, which are not renamed; or two parents of one key) or BadRecord (a row
    without key or parent).
    """
    for what, table in ((role, parent), (f"children of {role}", child)):
        if key not in table.column_names:
            raise UnknownName(
                f"table {show(what)}",
                found=f"no column {show(key)}",
                expected="the key that links parents and children, under one name in both",
                fix=f"Call it {show(key)} there too. {nearest(key, table.column_names)}",
            )
    for name in child.column_names:
        if name != key and name in parent.column_names:
            raise DuplicateName(
                f"column {show(name)}",
                found=f"it in {role} and in its children",
                expected="other names beside the key",
                fix="Rename it in the children of all tables.",
            )
    owner = _owners(parent, child, key, role)
    barren = np.setdiff1d(np.arange(parent.num_rows), owner)
    owners = np.concatenate([owner, barren])
    order = np.argsort(owners, kind="stable")
    rows = np.concatenate([np.arange(child.num_rows), np.zeros(len(barren), np.int64)])[order]
    none = pa.array(rows, mask=order >= child.num_rows)
    wide = parent.take(pa.array(owners[order]))
    for name in child.column_names:
        if name != key:
            wide = wide.append_column(name, child.column(name).take(none))
    return wide


def _owners(parent: pa.Table, child: pa.Table, key: str, role: str) -> Ints:
    """Return the parent's row of each child, int64."""
    below = f"children of {role}"
    columns = {role: parent.column(key), below: child.column(key)}
    column, keys = harmonise.column(key, columns, Kind.IDENTIFIER)
    for what, numbers in keys.items():
        if (numbers < 0).any():
            raise _refused(key, what, int((numbers < 0).argmax()), "no value", "a key")
    first, counts = np.unique(keys[role], return_index=True, return_counts=True)[1:]
    if (counts > 1).any():
        twice = column.levels[keys[role][first[counts.argmax()]]]
        raise DuplicateName(
            f"column {show(key)} of {role}",
            found=f"two rows of key {show(twice)}",
            expected="each key once: its row is the parent's",
            fix="Leave one of them out, or move what differs to the children.",
        )
    row_of = np.full(len(column.levels), -1)
    row_of[keys[role]] = np.arange(parent.num_rows)
    owner: Ints = row_of[keys[below]]
    if (owner < 0).any():
        row, orphans = int((owner < 0).argmax()), int((owner < 0).sum())
        orphan = show(column.levels[keys[below][row]])
        if orphans > 1:
            orphan += f" there and such keys in {orphans - 1:,} of {len(owner) - 1:,} other rows"
        raise _refused(key, below, row, orphan, f"a key of a row of {role}")
    return owner


def _refused(key: str, what: str, row: int, found: str, expected: str) -> LeakProError:
    return BadRecord(
        f"column {show(key)} of {what}, row {row}",
        found=found,
        expected=expected,
        fix="Mend such rows or leave them out.",
    )
