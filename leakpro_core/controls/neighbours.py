"""Distances to nearest neighbours, in blocks."""

import numpy as np

from leakpro_core.arrays import AnyArray, Floats, Ints, Singles
from leakpro_core.controls.features import COMPONENTS, WIDE, components, numbers, standardised

BLOCK = 1000


def table(records: AnyArray, modality: str, seed: int) -> Singles:
    """Return records as comparable columns: standardised, wide ones by principal components.

    Components keep their own scale, since the later ones are mostly noise.
    """
    columns = numbers(records, modality)
    if columns.shape[1] <= WIDE:
        return standardised(columns)
    return components(columns, COMPONENTS, seed)


def nearest(
    columns: Singles, queries: Ints, base: Ints, *, count: int = 1, apart: float = -1.0
) -> Floats:
    """Return for each query row the mean Euclidean distance to its ``count`` nearest base rows.

    columns: ``[n, d]``; queries, base: row numbers; a row is not its own neighbour, and neither
    is one at a distance of at most ``apart``. Infinite where there are fewer neighbours.
    """
    found = np.full(len(queries), np.inf)
    if len(base) < count:
        return found
    norms = np.einsum("ij,ij->i", columns, columns)
    for start in range(0, len(queries), BLOCK):
        rows = queries[start : start + BLOCK]
        squares = norms[rows, None] + norms[base] - 2.0 * (columns[rows] @ columns[base].T)
        squares[rows[:, None] == base] = np.inf
        if apart >= 0.0:
            squares[squares <= apart**2] = np.inf
        least = np.partition(squares, count - 1, axis=1)[:, :count]
        found[start : start + BLOCK] = np.sqrt(np.maximum(least, 0.0)).mean(axis=1)
    return found
