"""Synthesizers that SDV saved: pickles, which run code when they are opened."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
from attrs import field, frozen

from leakpro_core.errors import BadArray, BadValue, MissingFile, NotApplicable, UnsafeFile
from leakpro_core.seeds import spawn
from leakpro_core.tabular.entities import joined
from leakpro_core.wording import show
from leakpro_sdv.library import because, module, quiet, seeded
from leakpro_sdv.sampling import failed, reseed


@frozen(kw_only=True)
class Saved:
    """An opened synthesizer.

    identity: SHA-256 (hex) of the file; kind: its class, without "Synthesizer".
    """

    synthesizer: Any = field(repr=False)
    identity: str
    name: str
    kind: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that it models."""
        return tuple(self.synthesizer.get_metadata().tables)

    @property
    def sequence_key(self) -> str | None:
        """The column that says whose row it is; None where rows are no sequences."""
        if not hasattr(self.synthesizer, "sample_sequences"):
            return None
        key: str = self.synthesizer.get_metadata().tables[self.tables[0]].sequence_key
        return key

    def sample(self, count: int, seed: int, *, key: str | None, role: str) -> pa.Table:
        """Return rows as SDV makes them, of two tables joined; the same for the same seed.

        count: of rows; of sequences or of parents where there are such. key: what links two
        tables, here and in the people's; role: what the rows are, for errors.
        """
        try:
            with seeded(spawn(seed, "sample")), quiet():
                reseed(self.synthesizer, spawn(seed, "sample"))
                if self.sequence_key is not None:
                    frames = self.synthesizer.sample_sequences(num_sequences=count)
                elif len(self.tables) == 1:
                    frames = self.synthesizer.sample(num_rows=count)
                else:
                    parent = _relation(self)["parent_table_name"]
                    frames = self.synthesizer.sample(num_rows=count, main_table_name=parent)
        except Exception as error:
            raise failed(f"synthesizer {self.name}", "sampled", because(error)) from error
        if key is None or len(frames) == 1:
            return _arrow(frames[self.tables[0]], role)
        link = _relation(self)
        parent = frames[link["parent_table_name"]].rename(columns={link["parent_primary_key"]: key})
        child = frames[link["child_table_name"]].rename(columns={link["child_foreign_key"]: key})
        return joined(_arrow(parent, role), _arrow(child, role), key, role=role)


def check_trusted(path: Path, trust: bool) -> None:
    """Raise ``UnsafeFile`` unless the plan trusts the file; nothing of it is read."""
    if not trust:
        raise UnsafeFile(
            f"file {show(path)}",
            found="a synthesizer as SDV saves it: a pickle, which runs code when it is loaded",
            expected="rows that it sampled, as csv or parquet",
            fix='Audit those with loader = "table", or set trust = true if you trust whoever made '
            "the file.",
        )


def opened(path: Path) -> Saved:
    """Return the synthesizer that SDV 2.x saved; the caller has checked that it is trusted.

    Raises MissingFile, BadArray (no synthesizer) or BadValue (of SDV 1.x, or not fitted).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingFile(
            f"file {show(path)}", found=error.strerror or str(error), expected="a file to read"
        ) from None
    try:
        with quiet():
            # As SDV itself does, and from the bytes that are hashed.
            loaded = pickle.loads(content)  # noqa: S301
    except Exception as error:  # what a pickle raises has no limits
        raise _no_synthesizer(path, because(error)) from error
    bases = (
        module("sdv.single_table.base").BaseSynthesizer,
        module("sdv.multi_table.base").BaseMultiTableSynthesizer,
    )
    if not isinstance(loaded, bases):
        raise _no_synthesizer(path, f"an object of type {type(loaded).__name__}")
    about = loaded.get_info()
    version = str(about.get("fitted_sdv_version"))
    if not about["is_fit"] or version.partition(".")[0] != "2":
        raise BadValue(
            f"file {show(path)}",
            found=f"a synthesizer fitted by SDV {version}"
            if about["is_fit"]
            else "a synthesizer that is not fitted",
            expected="one that SDV 2.x fitted",
            fix='Fit and save it again, or audit its rows with loader = "table".',
        )
    return Saved(
        synthesizer=loaded,
        identity=hashlib.sha256(content).hexdigest(),
        name=path.name,
        kind=type(loaded).__name__.removesuffix("Synthesizer"),
    )


def check_fits(saved: Saved, subject: str | None, *, children: bool) -> None:
    """Check that the plan describes people as the synthesizer does: ``BadValue``."""
    key = saved.sequence_key
    if key is not None and key != subject:
        raise BadValue(
            "[target] subject",
            found="nothing" if subject is None else show(subject),
            expected=f"{show(key)}, by which {saved.name} tells sequences apart",
        )
    if (len(saved.tables) > 1) is not children:
        raise BadValue(
            "[target] children",
            found="children" if children else "none",
            expected=f"as {saved.name} has them, a synthesizer of {len(saved.tables)} table"
            + ("s" if len(saved.tables) > 1 else ""),
        )
    if children:
        _relation(saved)


def _relation(saved: Saved) -> dict[str, str]:
    """Return SDV's description of how the two tables are linked."""
    found: list[dict[str, str]] = saved.synthesizer.get_metadata().relationships
    if len(saved.tables) != 2 or len(found) != 1:
        raise NotApplicable(
            f"synthesizer {saved.name}",
            found=f"{len(saved.tables)} tables and {len(found)} links",
            expected="parents and one table of children",
            fix='Audit two of its tables at a time, with loader = "table".',
        )
    return found[0]


def _arrow(frame: Any, role: str) -> pa.Table:
    try:
        with quiet():  # pandas warns of names that are numbers
            return pa.Table.from_pandas(frame, preserve_index=False)
    except pa.ArrowException as error:
        # Its message names the column.
        raise BadArray(
            f"rows of {role}", found=because(error), expected="values of one type in each column"
        ) from error


def _no_synthesizer(path: Path, found: str) -> BadArray:
    return BadArray(
        f"file {show(path)}",
        found=found,
        expected="a synthesizer as SDV 2.x saves it",
        fix="Save it again with synthesizer.save(...).",
    )
