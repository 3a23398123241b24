"""Cross-fitted ridge regression of many targets on the same columns."""

import numpy as np
from attrs import frozen
from scipy.linalg import cho_factor, cho_solve

from leakpro_core.arrays import AnyArray, Ints, Singles


@frozen
class Fold:
    """A fold's rows, and the Cholesky factor of the other folds' penalised Gram matrix."""

    rows: Ints
    factor: Singles


def factorised(columns: Singles, folds: Ints, penalty: float) -> list[Fold]:
    """Return what all targets share: one factorisation for each number in folds ``[n]``."""
    parts = [np.flatnonzero(folds == f) for f in np.unique(folds)]
    grams = [columns[part].T @ columns[part] for part in parts]
    whole = np.sum(grams, axis=0, dtype=np.float64) + penalty * np.eye(columns.shape[1])
    return [
        Fold(part, _cholesky((whole - gram).astype(np.float32)))
        for part, gram in zip(parts, grams, strict=True)
    ]


def predicted(columns: Singles, targets: Singles, factors: list[Fold]) -> Singles:
    """Return out-of-fold predictions ``[n, c]``: one solution of each fold serves all targets.

    They are centred within each fold: a fold whose arm is over-represented pulls the others'
    intercept the other way, which would read as anti-correlation.
    """
    moments = [columns[fold.rows].T @ targets[fold.rows] for fold in factors]
    whole = np.sum(moments, axis=0)
    result = np.empty(targets.shape, np.float32)
    for fold, moment in zip(factors, moments, strict=True):
        weights = cho_solve((fold.factor, False), whole - moment, check_finite=False)
        values = columns[fold.rows] @ weights
        result[fold.rows] = values - values.mean(axis=0)
    return result


def _cholesky(gram: Singles) -> Singles:
    return np.asarray(cho_factor(gram, overwrite_a=True, check_finite=False)[0], np.float32)


def centred(bits: AnyArray) -> Singles:
    """Return bits ``[n, c]`` minus each column's mean."""
    values = bits.astype(np.float32)
    result: Singles = values - values.mean(axis=0)
    return result
