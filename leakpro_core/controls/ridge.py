"""Cross-fitted ridge regression of many targets on the same columns."""

import numpy as np
from attrs import frozen
from scipy.linalg import cho_factor, cho_solve

from leakpro_core.arrays import AnyArray, Ints, Singles


@frozen
class Fold:
    """A fold, prepared on the others.

    rows: int64, its own; squares: ``[p]``, the others' sum of squares by column;
    factor: Cholesky factor of the others' penalised Gram matrix.
    """

    rows: Ints
    squares: Singles
    factor: Singles


def prepared(columns: Singles, folds: Ints, penalty: float) -> list[Fold]:
    """Return what all targets share: one factorisation for each number in folds ``[n]``."""
    parts = [np.flatnonzero(folds == f) for f in np.unique(folds)]
    grams = [columns[part].T @ columns[part] for part in parts]
    whole = np.sum(grams, axis=0, dtype=np.float64)
    result = []
    for part, gram in zip(parts, grams, strict=True):
        others = (whole - gram).astype(np.float32)
        squares = np.diag(others).copy()
        others[np.diag_indices_from(others)] += np.float32(penalty)
        factor = cho_factor(others, overwrite_a=True, check_finite=False)[0]
        result.append(Fold(part, squares, np.asarray(factor, np.float32)))
    return result


def predicted(
    columns: Singles, targets: Singles, folds: list[Fold], *, standout: float = np.inf
) -> Singles:
    """Return out-of-fold predictions ``[n, c]``: one solution of each fold serves all targets.

    A ridge spreads its bets and all but misses a difference in one column alone, so the mean of
    the regressions on single columns is added, over those with a z-score above ``standout``.
    Predictions are centred within each fold: a fold whose arm is over-represented pulls the
    others' intercept the other way, which would read as anti-correlation.
    """
    moments = [columns[fold.rows].T @ targets[fold.rows] for fold in folds]
    whole = np.sum(moments, axis=0)
    spread = np.maximum(targets.std(axis=0), 1e-12)
    result = np.empty(targets.shape, np.float32)
    for fold, moment in zip(folds, moments, strict=True):
        others = whole - moment
        weights = cho_solve((fold.factor, False), others, check_finite=False)
        if np.isfinite(standout):
            squares = np.maximum(fold.squares, 1e-12)[:, None]
            chosen = np.abs(others) > standout * spread * np.sqrt(squares)
            weights += np.where(chosen, others / squares, 0.0) / np.maximum(1, chosen.sum(axis=0))
        values = columns[fold.rows] @ weights.astype(np.float32)
        result[fold.rows] = values - values.mean(axis=0)
    return result


def centred(bits: AnyArray) -> Singles:
    """Return bits ``[n, c]`` minus each column's mean."""
    values = bits.astype(np.float32)
    result: Singles = values - values.mean(axis=0)
    return result
