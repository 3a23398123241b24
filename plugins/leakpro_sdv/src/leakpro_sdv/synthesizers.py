"""Loader "sdv": a synthesizer of SDV 2.x, saved or fitted here, and the people behind it.

The safe way to hand over what a generator releases is rows, as csv or parquet, which the loader
"table" reads: SDV saves synthesizers as pickles only, and loading a pickle runs code in it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from attrs import evolve, field, frozen, validators

from leakpro_core.errors import UnknownName, nearest
from leakpro_core.files import sha256
from leakpro_core.protocols import Run
from leakpro_core.records import Release, TableRelease, Target
from leakpro_core.seeds import spawn
from leakpro_core.tables import read_table
from leakpro_core.tabular.entities import joined
from leakpro_core.tabular.infer import tables
from leakpro_core.tabular.table import Kind, Table
from leakpro_core.wording import show
from leakpro_sdv import saved
from leakpro_sdv.fitting import fit
from leakpro_sdv.frames import UNMODELLED
from leakpro_sdv.library import check_installed
from leakpro_sdv.recipe import GeneratorOptions, Parameter
from leakpro_sdv.tables import Children, TableOptions


@frozen(kw_only=True)
class SynthesizerOptions:
    """The ``[target]`` table with ``loader = "sdv"``.

    path: a synthesizer that SDV saved, together with trust = true.
    trust: whether the file may be opened: it is a pickle, and may run code while it is loaded.
    synthesizer: in the place of path, the name of one that is fitted on the original rows here.
    epochs, batch_size, sequence_index, context_columns, parameters: of that one, as in [shadows]
    with trainer = "sdv".
    original, control, auxiliary, subject, columns, ignore: as with loader = "table".
    children: linked tables, for HMA; subject: for PAR, whose sequence it is.
    rows: how many are released, as many as the original has where left out; of a saved PAR or HMA
    about as many.
    again: how many further releases of that size: of a saved synthesizer further samples, else of
    synthesizers fitted with other seeds.
    larger: if not 0, one more release by the first synthesizer, of this many times the rows.
    """

    path: Path | None = None
    trust: bool = False
    synthesizer: Literal["GaussianCopula", "CTGAN", "TVAE", "PAR", "HMA"] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    sequence_index: str | None = None
    context_columns: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(factory=dict)
    original: Path
    control: Path
    auxiliary: Path | None = None
    subject: str | None = None
    columns: Mapping[str, Kind] = field(factory=dict)
    ignore: tuple[str, ...] = ()
    children: Children | None = None
    rows: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    again: int = field(default=0, validator=validators.ge(0))
    larger: int = field(default=0, validator=validators.in_((0, *range(2, 101))))

    def __attrs_post_init__(self) -> None:
        if (self.path is None) is (self.synthesizer is None):
            raise ValueError("either path, a saved synthesizer, or the name of a synthesizer")
        fitting = (self.epochs, self.batch_size, self.sequence_index)
        if self.path is not None and (
            any(one is not None for one in fitting) or self.context_columns or self.parameters
        ):
            raise ValueError("no options of fitting beside path: that synthesizer is fitted")
        _recipe_of(self)  # refuses what does not go together
        if self.synthesizer == "PAR" and self.subject is None:
            raise ValueError("a subject for PAR, whose sequence it is")
        if self.synthesizer is not None and (
            (self.synthesizer == "HMA") is not (self.children is not None)
        ):
            raise ValueError("children with HMA, and with no other synthesizer")
        # People are described as for the loader "table", and checked by it.
        TableOptions(
            original=self.original,
            control=self.control,
            auxiliary=self.auxiliary,
            subject=self.subject,
            children=self.children,
            targets=1,
        )


def load(options: SynthesizerOptions, run: Run) -> Release:
    """Return the release of a synthesizer.

    Target.identity: SHA-256 of the saved file; else of the recipe, the original rows, the seed and
    SDV's version. Raises UnsafeFile (a saved one that is not trusted, before it is opened),
    ReferenceNotFound (no SDV 2.x), TrainingFailed (SDV fails) and what loader "table" raises; where
    sampled columns are not the original's, the error names the column.
    """
    if options.path is not None:
        saved.check_trusted(options.path, options.trust)
    version = check_installed()
    if options.path is not None:
        return _of_saved(options, options.path, run)
    return _of_fitted(options, version, run)


def _recipe_of(options: SynthesizerOptions, children: tuple[str, ...] = ()) -> GeneratorOptions:
    return GeneratorOptions(
        synthesizer=options.synthesizer or "GaussianCopula",
        epochs=options.epochs,
        batch_size=options.batch_size,
        sequence_index=options.sequence_index,
        context_columns=options.context_columns,
        child_columns=children,
        parameters=options.parameters,
    )


# People.


@frozen(kw_only=True)
class _People:
    """The people's rows as files hold them, joined where they are linked.

    subject: the column that says whose row it is; children: of the joined rows, the columns of the
    children, without those that are ignored.
    """

    raw: Mapping[str, pa.Table]
    subject: str | None
    children: tuple[str, ...] = ()


def _people(options: SynthesizerOptions) -> _People:
    files = _files(options)
    raw = {role: read_table(path) for role, path in files.items()}
    if options.children is None:
        return _People(raw=raw, subject=options.subject)
    key = options.children.key
    below = {role: read_table(path) for role, path in _files(options.children).items()}
    raw = {role: joined(raw[role], child, key, role=role) for role, child in below.items()}
    left_out = {key, *options.ignore}
    children = tuple(name for name in below["original"].column_names if name not in left_out)
    return _People(raw=raw, subject=key, children=children)


def _files(options: "SynthesizerOptions | Children") -> dict[str, Path]:
    files = {"original": options.original, "control": options.control}
    return files if options.auxiliary is None else files | {"auxiliary": options.auxiliary}


def _release(made: Mapping[str, Table], again: int) -> TableRelease:
    return TableRelease(
        synthetic=made["synthetic"],
        original=made["original"],
        control=made["control"],
        auxiliary=made.get("auxiliary"),
        again=tuple(made[f"again {i}"] for i in range(1, again + 1)),
        larger=made.get("larger"),
    )


def _roles(options: SynthesizerOptions) -> dict[str, int]:
    """Return what is sampled, and how many times the rows that is."""
    roles = {"synthetic": 1} | {f"again {i}": 1 for i in range(1, options.again + 1)}
    return roles | {"larger": options.larger} if options.larger else roles


# A saved synthesizer.


def _of_saved(options: SynthesizerOptions, path: Path, run: Run) -> Release:
    synthesizer = saved.opened(path)
    saved.check_fits(synthesizer, options.subject, children=options.children is not None)
    people = _people(options)
    raw, original = dict(people.raw), people.raw["original"]
    share = 1.0 if options.rows is None else options.rows / original.num_rows
    units = original.num_rows
    if people.subject is not None and (people.children or synthesizer.sequence_key is not None):
        units = _distinct(original, people.subject)
    for role, times in _roles(options).items():
        raw[role] = synthesizer.sample(
            max(1, round(units * share)) * times,
            spawn(run.seed, role),
            key=people.subject if options.children is not None else None,
            role=role,
        )
    made = tables(raw, schema=options.columns, subject=people.subject, ignore=options.ignore)
    return Release(
        target=Target(
            kind="generator",
            identity=synthesizer.identity,
            handle=None,
            description=f"{synthesizer.kind} of SDV, saved in {path.name}, and "
            f"{len(made['synthetic'])} rows of it",
        ),
        tables=_release(made, options.again),
        notes=(f"{path.name} was trusted: it could run code while it was loaded.",),
    )


def _distinct(table: pa.Table, name: str) -> int:
    if name not in table.column_names:
        raise UnknownName(
            "[target] subject",
            found=f"no column {show(name)} in original",
            expected="a column that says whose row it is",
            fix=nearest(name, table.column_names),
        )
    return len(pc.unique(table.column(name)))


# A synthesizer that is fitted here.


def _of_fitted(options: SynthesizerOptions, version: str, run: Run) -> Release:
    people = _people(options)
    made = tables(people.raw, schema=options.columns, subject=people.subject, ignore=options.ignore)
    made, notes = _modelled(made)
    known = made["original"].names
    children = tuple(name for name in people.children if name in known)
    recipe, original = _recipe_of(options, children), made["original"]
    rows = options.rows or len(original)
    for number, role in enumerate(["synthetic", *(f"again {i + 1}" for i in range(options.again))]):
        what, seed = f"synthesizer {number}", spawn(run.seed, role)
        generator = fit(recipe, original, seed, at="[target]", what=what)
        made[role] = generator.sample(rows, seed)
        if role == "synthetic" and options.larger:
            made["larger"] = generator.sample(rows * options.larger, spawn(run.seed, "larger"))
        run.log.info("synthesizer fitted", number=number, of=options.again + 1)
    said = f"{recipe.synthesizer} of SDV {version}, fitted on {len(original)} rows"
    return Release(
        target=Target(
            kind="generator",
            identity=_identity(options, recipe, version, run.seed),
            handle=None,
            description=f"{said}, and {rows} rows of it",
        ),
        tables=_release(made, options.again),
        notes=notes,
    )


def _modelled(made: Mapping[str, Table]) -> tuple[dict[str, Table], tuple[str, ...]]:
    """Return the tables without what no synthesizer models, and what that is."""
    columns = made["original"].columns
    out = [c.name for c in columns if c.kind in UNMODELLED]
    kept = [c.name for c in columns if c.kind not in UNMODELLED]
    notes = tuple(
        f"Column {show(name)} is left out: synthesizers model neither identifiers nor free text."
        for name in out
    )
    return {role: table.only(kept) for role, table in made.items()}, notes


def _identity(
    options: SynthesizerOptions, recipe: GeneratorOptions, version: str, seed: int
) -> str:
    files = (
        [options.original]
        if options.children is None
        else [
            options.original,
            options.children.original,
        ]
    )
    said = evolve(recipe, parameters=dict(sorted(recipe.parameters.items())))
    parts = [repr(said), f"sdv {version}", str(seed), repr(options.ignore), repr(options.columns)]
    return hashlib.sha256("\n".join([*parts, *map(sha256, files)]).encode()).hexdigest()
