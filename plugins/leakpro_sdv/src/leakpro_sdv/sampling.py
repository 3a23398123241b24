"""Drawing from fitted synthesizers of SDV: from a seed of ours, as many rows as asked."""

from collections.abc import Callable
from typing import Any

import numpy as np

from leakpro_core.arrays import Ints
from leakpro_core.errors import TrainingFailed
from leakpro_core.seeds import spawn
from leakpro_core.tabular.table import Table, stacked

_EMPTY_ROUNDS = 20
"""Times that a synthesizer may be asked for people and return no row."""


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


def until(rows: int, length: float, draw: Callable[[int], Table]) -> Table | None:
    """Return exactly ``rows`` rows of people of several rows each; the last may be cut short.

    length: rows per person, on average; draw: a number of people -> their rows, subjects from 0.
    None where no rows come.
    """
    parts: list[Table] = []
    found, people, empty = 0, 0, 0
    while found < rows:
        count = max(1, round((rows - found) / length))
        part = draw(count)
        empty = 0 if len(part) else empty + 1
        if empty == _EMPTY_ROUNDS:
            return None
        shifted = part.subjects + people
        parts.append(Table(columns=part.columns, values=part.values, subjects=shifted))
        found, people = found + len(part), people + count
    return stacked(parts).rows(np.arange(rows))


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
