"""Synthesizers fitted on tables, and tables sampled from them; all from one seed."""

from typing import Any

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import Ints
from leakpro_core.errors import BadRecord, BadValue, LeakProError, TrainingFailed
from leakpro_core.seeds import spawn
from leakpro_core.tabular.table import Table, stacked
from leakpro_sdv.frames import KEY, Layout, layout_of, missing
from leakpro_sdv.library import because, check_installed, quiet, seeded
from leakpro_sdv.recipe import GeneratorOptions, column, untrained

_EMPTY_ROUNDS = 20
"""Times that PAR may be asked for sequences and return none."""


@frozen(kw_only=True)
class Fitted:
    """A fitted synthesizer. ``length``: rows per sequence on average, None: rows are no sequences.

    what: what it is called in errors.
    """

    synthesizer: Any = field(repr=False)
    layout: Layout = field(repr=False)
    length: float | None
    what: str

    def sample(self, rows: int, seed: int, threads: int = 1) -> Table:
        """Return ``rows`` rows: the same for the same seed, in whatever process.

        subjects: the number of the row, or of the sequence; the last sequence may be cut short.
        ``TrainingFailed`` where SDV fails.
        """
        try:
            with seeded(spawn(seed, "sample"), threads):
                reseed(self.synthesizer, spawn(seed, "sample"))
                if self.length is None:
                    return self._rows(rows)
                return self._sequences(rows, self.length)
        except LeakProError:
            raise
        except Exception as error:
            raise failed(self.what, "sampled", self.layout.translated(because(error))) from error

    def _rows(self, rows: int) -> Table:
        with quiet():
            frame = self.synthesizer.sample(num_rows=rows)["table"]
        if len(frame) != rows:
            raise failed(self.what, "sampled", f"{len(frame)} rows instead of {rows}")
        return self.layout.table(frame, np.arange(rows))

    def _sequences(self, rows: int, length: float) -> Table:
        parts: list[Table] = []
        found, people, empty = 0, 0, 0
        while found < rows:
            count = max(1, int((rows - found) / length))
            with quiet():
                frame = self.synthesizer.sample_sequences(num_sequences=count)["table"]
            empty = 0 if len(frame) else empty + 1
            if empty == _EMPTY_ROUNDS:
                raise failed(self.what, "sampled", "only empty sequences")
            whose = in_order(frame[KEY].to_numpy()) + people
            parts.append(self.layout.table(frame, whose))
            found, people = found + len(frame), people + count
        return stacked(parts).rows(np.arange(rows))


def fit(
    options: GeneratorOptions, table: Table, seed: int, *, at: str, what: str, threads: int = 1
) -> Fitted:
    """Return a synthesizer fitted on a table; ``seed`` is all that its randomness depends on.

    A Gaussian copula has none: it is the same for the same rows. at: the options' table of the
    plan; what: whose fitting it is, for errors. ``TrainingFailed`` where SDV fails.
    """
    check_installed()
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
    return Fitted(synthesizer=synthesizer, layout=layout, length=length, what=what)


def reseed(synthesizer: Any, seed: int) -> None:
    """Let sampling start from ``seed``.

    SDV samples from one fixed seed after every fit, so that another release would be the same rows.
    """
    for number, part in enumerate(_parts(synthesizer)):
        own = spawn(seed, "part", number)
        if hasattr(part, "_set_random_state") and part._model is not None:
            part._set_random_state(own)
        transformers = part._data_processor._hyper_transformer.field_transformers
        for name, transformer in sorted(transformers.items(), key=lambda item: str(item[0])):
            if transformer is not None:
                state = np.random.RandomState(spawn(own, str(name)))
                transformer.set_random_state(state, "reverse_transform")
    if hasattr(synthesizer, "_numpy_seed"):
        synthesizer._numpy_seed = spawn(seed, "tables")


def in_order(keys: Any) -> Ints:
    """Return keys numbered from 0 in the order in which they first occur, int64 ``[n]``."""
    _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    numbered: Ints = ranks[codes]
    return numbered


def failed(what: str, step: str, reason: str) -> TrainingFailed:
    """Return the error of a synthesizer that could not be fitted or sampled."""
    return TrainingFailed(f"{what} could not be {step}", found=reason)


def _parts(synthesizer: Any) -> list[Any]:
    """Return the synthesizers of single tables that one consists of."""
    tables = getattr(synthesizer, "_table_synthesizers", None)
    if tables is not None:
        return [tables[name] for name in sorted(tables)]
    context = getattr(synthesizer, "_context_synthesizer", None)
    return [synthesizer] if context is None else [synthesizer, context]


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
