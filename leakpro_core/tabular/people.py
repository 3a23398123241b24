"""The people behind a released table: who is in it, who is not, who is most exposed."""

import numpy as np
from attrs import evolve

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints
from leakpro_core.errors import BadArray
from leakpro_core.records import TableRelease
from leakpro_core.seeds import generator
from leakpro_core.tabular.distance import Space, nearest
from leakpro_core.tabular.table import Kind, Table, stacked

NEIGHBOURS = 5
SAMPLE = 20_000
"""Rows that neighbours are looked for among, at most."""

LARGE = 1e15
"""Numbers beyond this are scaled for the blind adversary."""

MOST_OWN = 45
"""Rows of one person that are stepped over, at most."""


def settle(release: TableRelease, share: float, seed: int) -> TableRelease:
    """Return the release with a share of the control's people as auxiliary rows, where none are.

    ``BadArray`` where a person is in both arms, an arm holds fewer than two people, or all columns
    are identifiers.
    """
    if not told(release.original).columns:
        raise BadArray(
            "columns of original",
            found="identifiers only",
            expected="columns that say something of people",
            fix="State their kinds in [target] columns, if they do.",
        )
    for name, table in (("original", release.original), ("control", release.control)):
        if len(np.unique(table.subjects)) < 2:
            raise BadArray(
                f"[target] {name}",
                found="one person",
                expected="at least two, and hundreds to conclude anything",
            )
    both = np.intersect1d(release.original.subjects, release.control.subjects)
    if both.size:
        raise BadArray(
            "[target] original and control",
            found=f"{both.size} people in both",
            expected="control people who were not in the training data",
            fix="Split the rows by person.",
        )
    if release.auxiliary is not None or share == 0.0:
        return release
    people = np.unique(release.control.subjects)
    known = generator(seed, "auxiliary").permutation(people)[: int(share * len(people))]
    if not known.size:
        return release
    if len(people) - len(known) < 2:
        raise BadArray(
            "[target] control",
            found=f"{len(people)} people, of whom {len(known)} are set aside as auxiliary",
            expected="at least two that are left",
            fix="Lower [games] auxiliary_share, or give more control people.",
        )
    aside = np.isin(release.control.subjects, known)
    return evolve(
        release, control=release.control.rows(~aside), auxiliary=release.control.rows(aside)
    )


def most_vulnerable(original: Table, control: Table, seed: int) -> tuple[Bools, Bools]:
    """Return the tenth of the people who are most unlike others, by arm, bool ``[n]``."""
    people = by_exposure(original, control, seed)
    chosen = people[: tenth_of(len(people))]
    return np.isin(original.subjects, chosen), np.isin(control.subjects, chosen)


def tenth_of(people: int) -> int:
    """Return how many the most vulnerable tenth of so many people are."""
    return -(-people // 10)


def by_exposure(original: Table, control: Table, seed: int) -> Ints:
    """Return the subjects of both arms, int64 ``[people]``, those most unlike others first.

    A person's distance is the mean over its rows of the mean distance to the five nearest rows of
    other people, of both arms together (Meeus et al. 2023, section 4); looked for among at most
    20,000 rows. Those equally far come in random order.
    """
    everybody = stacked([original, control])
    drawn = generator(seed, "neighbours").permutation(len(everybody))[:SAMPLE]
    space = Space.of(everybody)
    base = everybody.rows(drawn)
    # A person's own rows are no neighbours, however many they are.
    own = min(MOST_OWN, int(np.bincount(_ranks(base.subjects)).max()))
    found = nearest(
        space.encode(everybody), space.encode(base), min(len(base), NEIGHBOURS + own), seed=seed
    )
    others = base.subjects[found.index] != everybody.subjects[:, None]
    # Whoever has fewer neighbours of others within reach than five is judged by those.
    kept = others & (np.cumsum(others, axis=1) <= NEIGHBOURS)
    far = np.where(kept, found.distance, 0.0).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    people, who = np.unique(everybody.subjects, return_inverse=True)
    mean = np.bincount(who, weights=far) / np.bincount(who)
    order = generator(seed, "equally far").permutation(len(mean))
    ranked: Ints = people[order[np.argsort(-mean[order], kind="stable")]]
    return ranked


def _ranks(subjects: AnyArray) -> AnyArray:
    return np.unique(subjects, return_inverse=True)[1]


def told(table: Table) -> Table:
    """Return all columns but identifiers, which tell arms apart and say nothing of a person."""
    return table.only([c.name for c in table.columns if c.kind is not Kind.IDENTIFIER])


def _moderate(values: Floats) -> Floats:
    """Return values that single precision can hold and tell apart: huge ones from 0 to 1."""
    there = values[np.isfinite(values)]
    low, high = (there.min(), there.max()) if there.size else (0.0, 0.0)
    if max(-low, high) <= LARGE:
        return values
    # Halves first: a difference of two large numbers may overflow.
    return (values / 2 - low / 2) / (max(high / 2 - low / 2, 1.0))


def objects(table: Table) -> AnyArray:
    """Return rows as objects ``[n, columns]``, levels in words, for the blind adversary.

    Without identifiers; of free text its length.
    """
    parts = []
    known = told(table)
    for column, values in zip(known.columns, known.values, strict=True):
        if column.measured:
            parts.append(_moderate(values).astype(object))
        elif column.kind is Kind.TEXT:
            lengths = np.array([*map(len, column.levels), -1], np.float64)
            parts.append(lengths[values].astype(object))
        else:
            levels = np.array([*column.levels, ""], dtype=object)
            parts.append(levels[values])
    return np.stack(parts, axis=1)
