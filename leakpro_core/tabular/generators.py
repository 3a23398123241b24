"""Stage 2 on tables: targets that core fits, and shadow generators fitted on halves of the people.

A cohort of generators is trained like any other, by the same executor, trial, checksums and
resume; what is kept of it are its released rows, where a cohort of models keeps its weights.
"""

import hashlib

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.errors import BadArray, BadValue, MissingKey
from leakpro_core.observing import Wanted
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.records import Auxiliary, Fitting, Population, TableRelease
from leakpro_core.seeds import spawn
from leakpro_core.shadows import draw
from leakpro_core.store import Store
from leakpro_core.tabular.table import Table, from_matrix, stacked
from leakpro_core.training import Trained, course, train
from leakpro_core.work import Vetting

KEPT = Wanted(lenses=(), temperatures=(), keep_outputs=False, keep_weights=True)
"""Of generators, only what they released."""


@frozen(kw_only=True)
class Generated:
    """A release with what its generators, fitted by core, released.

    shadows: tables; trained_on: bool ``[models, n]`` over the rows of original, then control;
    pair: int64 ``[models]``, twins share a number.
    """

    release: TableRelease
    synthetic: Table
    shadows: tuple[Table, ...] = ()
    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)


def generate(
    plan: Plan,
    release: TableRelease,
    targets: int,
    store: Store,
    vetting: Vetting | None,
    log: Log,
) -> Generated:
    """Fit the targets on the original rows and the shadows on halves of all people.

    The first target is what is audited, the others show how much that depends on the seed.
    """
    check_fitting(plan, release)
    if plan.shadows is None:
        assert release.synthetic is not None
        n = len(release.original) + len(release.control)
        return Generated(
            release=release,
            synthetic=release.synthetic,
            trained_on=np.zeros((0, n), bool),
            pair=np.zeros(0, np.int64),
        )
    people = _population(release)
    design, shadow_rows = draw(
        people,
        targets=0,
        count=plan.shadows.count,
        pool=plan.shadows.pool,
        seed=spawn(plan.seed, "shadows"),
    )
    inside = np.arange(len(release.original))
    rows = [inside] * targets + shadow_rows
    released = release.rows or len(release.original)
    if release.synthetic is not None:
        released = len(release.synthetic)
    fitted = _fitted(plan, release, people, rows, released, store, vetting, log)
    tables = _tables(release, fitted)
    synthetic = tables[0] if release.synthetic is None else release.synthetic
    return Generated(
        release=evolve(release, synthetic=synthetic, again=(*release.again, *tables[1:targets])),
        synthetic=synthetic,
        shadows=tuple(tables[targets:]),
        trained_on=design.trained_on,
        pair=design.pair,
    )


def check_fitting(plan: Plan, release: TableRelease) -> None:
    """Check that the generators that the plan asks for can be fitted.

    ``MissingKey`` where nothing says by what, ``BadValue`` for a trainer of models, or for a pool
    of auxiliary rows where there are none.
    """
    shadows = plan.shadows
    if shadows is None and release.synthetic is None:
        raise MissingKey(
            "[shadows]",
            found="nothing",
            expected="a table with a trainer: the released rows are those of generators that "
            "it fits",
            fix='Add [shadows] with trainer = "sdv", or name the synthetic rows in [target].',
        )
    if shadows is None:
        return
    if shadows.offered.offer.kind != "generator":
        raise BadValue(
            "[shadows] trainer",
            found=f"{shadows.offered.offer.name!r}, which trains models",
            expected="one that fits generators of tables",
            fix='Set trainer = "sdv", or remove [shadows].',
        )
    if shadows.pool == "auxiliary" and release.auxiliary is None:
        raise BadValue(
            "[shadows] pool",
            found='"auxiliary", and no auxiliary rows',
            expected="rows to fit shadow generators on",
            fix='Name auxiliary in [target], or set pool = "candidates".',
        )


def _fitted(
    plan: Plan,
    release: TableRelease,
    people: Population,
    rows: list[Ints],
    released: int,
    store: Store,
    vetting: Vetting | None,
    log: Log,
) -> Trained:
    shadows = plan.shadows
    assert shadows is not None
    if not rows:
        return Trained(signals={}, weights={})
    everybody = [release.original, release.control]
    everybody += [] if release.auxiliary is None else [release.auxiliary]
    subjects = np.concatenate([t.subjects for t in everybody])
    levels = repr([c.levels for c in release.original.columns]).encode()
    options = Fitting(
        columns=release.original.columns,
        subjects=subjects,
        rows=released,
        options=shadows.options,
        identity=hashlib.sha256(levels + subjects.tobytes()).hexdigest(),
    )
    fitting = evolve(plan, shadows=evolve(shadows, options=options))
    with course(
        fitting, people, rows, KEPT, architecture=None, vetting=vetting, home=store.folder
    ) as planned:
        return train(planned, store, log)


def _tables(release: TableRelease, fitted: Trained) -> list[Table]:
    if not fitted.weights:
        return []
    rows, owners = (fitted.weights.get(name) for name in ("released", "owners"))
    width = len(release.original.columns)
    if rows is None or owners is None or rows.shape != (*owners.shape, width):
        raise BadArray(
            "rows that a generator released",
            found="none" if rows is None else f"shape {list(rows.shape)}",
            expected=f"released [models, rows, {width}] and owners [models, rows]",
            fix="Use a trainer of generators.",
        )
    columns = release.original.columns
    return [
        from_matrix(columns, m, o) for m, o in zip(_checked(release, rows), owners, strict=True)
    ]


def _checked(release: TableRelease, rows: Floats) -> Floats:
    """Return the rows, after a look at their codes."""
    for j, column in enumerate(release.original.columns):
        if column.measured:
            continue
        codes = rows[:, :, j]
        there = codes[~np.isnan(codes)]
        if there.size and not (np.isin(there, np.arange(len(column.levels))).all()):
            raise BadValue(
                f"column {column.name!r} that a generator released",
                found="a code that stands for no level",
                expected=f"codes from 0 to {len(column.levels) - 1}",
            )
    return rows


def _population(release: TableRelease) -> Population:
    """Return the people as records of numbers, so that they are drawn and trained on as any."""
    everybody = stacked([release.original, release.control])
    extra = release.auxiliary
    return Population(
        records=everybody.matrix(),
        labels=np.zeros(len(everybody), np.int64),
        subjects=everybody.subjects,
        members=np.arange(len(everybody)) < len(release.original),
        classes=1,
        auxiliary=None
        if extra is None
        else Auxiliary(records=extra.matrix(), labels=np.zeros(len(extra), np.int64)),
    )
