"""A Gaussian model of an update: gradients of known records with random weights, and noise.

In it the inner product of a record's gradient with the update, in the metric of the model's inverse
covariance, is the slope of the log-likelihood in that record's own weight at zero, and so the
locally most powerful test of whether the record is in the update.
"""

import numpy as np
import torch
from torch import Tensor

from leakpro_core.arrays import Floats
from leakpro_fl.per_record import Gradients

_TINY = 1e-12
"""Eigenvalues, of the largest, that are rounding errors."""

_ROUGH = 1e-10
"""Squared lengths, of the whole, that are rounding errors of float32."""


def explained(each: Gradients, update: Tensor, common: Tensor, rows: Tensor) -> Floats:
    """Return the test statistic of every record's weight in the update, float64 ``[n]``.

    The update is Gaussian: gradients of ``rows`` with independent weights of variance v, and noise
    of variance r v in each coordinate. A record that is among ``rows`` is left out of them for its
    own statistic (in closed form). common: orthonormal ``[k, d]``, directions taken out of
    everything; update: without them.
    """
    shared = each.times(common)
    dots = each.times(update[None])[:, 0]
    explainers = each.take(rows)
    to_rows = each.gram(explainers) - shared @ shared[rows].T
    kernel = to_rows[rows]
    kernel = (kernel + kernel.T) / 2
    size, vectors = torch.linalg.eigh(kernel)
    real = size > _TINY * size.max()
    size, vectors = size[real], vectors[:, real]
    along = vectors.T @ dots[rows]
    lengths = each.norms() - shared.square().sum(1)
    ratio, variance = likeliest(size, along, float(update @ update), each)
    # What explainers have no part in, and how much of the rest is taken for noise.
    parts = to_rows @ vectors
    beside = lengths - (parts.square() / size).sum(1)
    apart = beside > _ROUGH * lengths
    left = ratio / (size * (size + ratio))
    slope = torch.where(apart, dots - parts @ (along / size), 0.0) + parts @ (along * left)
    spread = torch.where(apart, beside, 0.0) + parts.square() @ left
    # A record that explains itself, without itself.
    kept = (vectors.square() * (size / (size + ratio))).sum(1)
    own = (1 - kept).clamp_min(_TINY) / ratio
    slope[rows] = vectors @ (along / (size + ratio)) / own
    spread[rows] = kept / own
    noise = ratio * variance
    told = (spread > 0) & (lengths > _ROUGH * each.norms())
    found: Floats = torch.where(told, slope / (spread * noise).sqrt(), 0.0).numpy()
    return found


def likeliest(size: Tensor, along: Tensor, total: float, each: Gradients) -> tuple[float, float]:
    """Return the ratio of noise to weights, and the weights' variance, of the likeliest.

    size ``[m]``: eigenvalues of the explainers' Gram matrix, above 0; along ``[m]``: its
    eigenvectors' inner products with those of the update; total: the update's squared length.
    """
    s, coordinates = size.numpy(), each.coordinates()
    if not len(s):
        return 1.0, total / max(1, coordinates)
    inside = np.square(along.numpy()) / s
    outside = total - float(inside.sum())
    beside = coordinates - len(s)
    if beside <= 0 or outside < _ROUGH * total:  # nothing that explainers could not explain
        beside, outside = 0, 0.0
    ratios = float(s.max()) * np.logspace(np.log10(_TINY), 1, 113)
    d = len(s) + beside
    variances = ((inside / (s + ratios[:, None])).sum(1) + outside / ratios) / d
    unlikely = d * np.log(variances) + np.log(s + ratios[:, None]).sum(1) + beside * np.log(ratios)
    best = int(np.argmin(unlikely))
    return float(ratios[best]), float(variances[best])


def cosines(each: Gradients, update: Tensor, common: Tensor) -> Floats:
    """Return cosines, where nobody's gradients explain anything."""
    left = (each.norms() - each.times(common).square().sum(1)).clamp_min(0).sqrt()
    found: Floats = (each.times(update[None])[:, 0] / left.clamp_min(1e-300)).numpy()
    return found


def basis(vectors: Tensor) -> Tensor:
    """Return orthonormal rows that span the given ones, but for rounding."""
    lengths = vectors.norm(dim=1)
    if not bool((lengths > 0).any()):
        return vectors[:0]
    vectors = vectors[lengths > 0] / lengths[lengths > 0][:, None]
    _, size, basis = torch.linalg.svd(vectors, full_matrices=False)
    found: Tensor = basis[size > 1e-5]
    return found
