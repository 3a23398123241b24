"""Synthesizers fitted on tables, and tables sampled from them; all from one seed."""

from typing import Any, Protocol

import numpy as np
from attrs import field, frozen

from leakpro_core.errors import BadRecord, BadValue, LeakProError
from leakpro_core.seeds import spawn
from leakpro_core.tabular.table import Table
from leakpro_sdv.frames import KEY, Layout, layout_of, missing
from leakpro_sdv.library import because, check_installed, quiet, seeded
from leakpro_sdv.recipe import GeneratorOptions, column, untrained
from leakpro_sdv.related import fit_related
from leakpro_sdv.sampling import failed, in_order, reseed, until


class Generator(Protocol):
    """A fitted synthesizer."""

    def sample(self, rows: int, seed: int, threads: int = 1) -> Table:
        """Return ``rows`` rows: the same for the same seed, in whatever process.

        subjects: the number of the row; of the sequence, or of the parent, which is the last in the
        order and may be cut short. ``TrainingFailed`` where SDV fails.
        """
        ...


@frozen(kw_only=True)
class OfOneTable:
    """A fitted synthesizer of one table.

    length: rows per sequence on average, None: rows are no sequences; what: its name in errors.
    """

    synthesizer: Any = field(repr=False)
    layout: Layout = field(repr=False)
    length: float | None
    what: str

    def sample(self, rows: int, seed: int, threads: int = 1) -> Table:
        """Return sampled rows, as ``Generator`` says."""
        try:
            with seeded(spawn(seed, "sample"), threads):
                reseed(self.synthesizer, spawn(seed, "sample"))
                if self.length is None:
                    return self._rows(rows)
                table = until(rows, self.length, self._sequences)
        except LeakProError:
            raise
        except Exception as error:
            raise failed(self.what, "sampled", self.layout.translated(because(error))) from error
        if table is None:
            raise failed(self.what, "sampled", "only empty sequences")
        return table

    def _rows(self, rows: int) -> Table:
        with quiet():
            frame = self.synthesizer.sample(num_rows=rows)["table"]
        if len(frame) != rows:
            raise failed(self.what, "sampled", f"{len(frame)} rows instead of {rows}")
        return self.layout.table(frame, np.arange(rows))

    def _sequences(self, count: int) -> Table:
        with quiet():
            frame = self.synthesizer.sample_sequences(num_sequences=count)["table"]
        return self.layout.table(frame, in_order(frame[KEY].to_numpy()))


def fit(
    options: GeneratorOptions, table: Table, seed: int, *, at: str, what: str, threads: int = 1
) -> Generator:
    """Return a synthesizer fitted on a table; ``seed`` is all that its randomness depends on.

    A Gaussian copula has none: it is the same for the same rows. at: the options' table of the
    plan; what: whose fitting it is, for errors. ``ReferenceNotFound`` without SDV 2.x,
    ``TrainingFailed`` where SDV fails, and errors of options and rows that it cannot take.
    """
    check_installed()
    if options.synthesizer == "HMA":
        return fit_related(options, table, seed, at=at, what=what, threads=threads)
    layout = layout_of(table)
    sequences = options.synthesizer == "PAR"
    length = _sequence_length(table, options, layout, at) if sequences else None
    synthesizer = untrained(options, layout, at)
    frame = layout.frame(table)
    if sequences:
        frame.insert(0, KEY, in_order(table.subjects))
    try:
        with seeded(spawn(seed, "fit"), threads), quiet():
            synthesizer.fit({"table": frame})
    except Exception as error:
        raise failed(what, "fitted", layout.translated(because(error))) from error
    return OfOneTable(synthesizer=synthesizer, layout=layout, length=length, what=what)


def _sequence_length(table: Table, options: GeneratorOptions, layout: Layout, at: str) -> float:
    people = len(np.unique(table.subjects))
    if people == len(table):
        raise BadValue(
            f"{at} synthesizer",
            found=f"PAR for {people} people of one row each",
            expected="people with several rows: their sequences",
            fix="Name the column that says whose row it is as subject.",
        )
    if options.sequence_index is not None:
        column(layout, options.sequence_index, f"{at} sequence_index")
        j = table.index(options.sequence_index)
        if not table.columns[j].measured:
            raise BadValue(
                f"{at} sequence_index",
                found=f"column {options.sequence_index!r} of kind {table.columns[j].kind}",
                expected="a column of numbers or times",
            )
        holes = np.flatnonzero(missing(table.columns[j], table.values[j]))
        if holes.size:
            raise BadRecord(
                f"column {options.sequence_index!r}, row {holes[0]}",
                found="a missing value",
                expected="a place in the sequence for every row",
            )
    return len(table) / people
