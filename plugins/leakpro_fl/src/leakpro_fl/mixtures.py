"""Which records, with which labels, add up to a gradient: once each is a candidate, it is linear.

The gradient of a mean loss is the mean of its records' gradients, so that the batch is found by
least squares with weights that are no less than 0, and each must be a multiple of ``1 / b``.
"""

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from attrs import field, frozen
from scipy.optimize import nnls
from torch import Tensor

from leakpro_core.arrays import Floats, Ints

_COORDINATES = 256
"""Of each tensor, by which gradients are compared before the whole is."""

_MOST_EXAMPLES = 64
"""Among which the number of records is looked for where it is not known."""


Places = dict[str, tuple[Tensor, float]]
"""Of each tensor, int64 indices ``[n]`` of its values, and by what those are multiplied."""


class Model(Protocol):
    """A model that records' gradients are taken of.

    sparse: a parameter that few records touch, an embedding of tokens, or None.
    """

    @property
    def classes(self) -> int: ...
    @property
    def sparse(self) -> str | None: ...

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the mean loss of a batch; y: int64 ``[n]``."""
        ...


@frozen(kw_only=True)
class Batch:
    """Records ``[b, ...]``, labels int64 ``[b]``, residual: relative distance of their gradient
    from the one that was sent.
    """

    records: Tensor = field(repr=False)
    labels: Tensor
    residual: float


def explained(
    model: Model,
    candidates: Tensor,
    update: Mapping[str, Tensor],
    *,
    labels: Ints | None,
    examples: int | None,
    least: int = 1,
    distinct: bool = False,
    scaled: bool,
    seed: int,
) -> Batch:
    """Return the batch of candidates ``[k, ...]`` whose gradient is nearest.

    labels: of the batch, where they are known; examples: their number, ``least`` or more where it
    is None; distinct: whether no candidate is there twice; scaled: whether the update's length is
    known.
    """
    classes = range(model.classes) if labels is None else sorted(set(labels.tolist()))
    places = coordinates(model, update, seed)
    columns = [
        sketch(model.gradient(row[None], torch.tensor([label])), places)
        for row in candidates
        for label in classes
    ]
    A, u = np.stack(columns, 1), sketch(update, places)
    # A record with labels as likely as the model says has gradient 0: without a word on their sum,
    # weights would not be unique.
    total, goal = (1.0, 1.0) if scaled else (1e-3, 0.0)
    weights = _weights(np.vstack([A, np.full(A.shape[1], total)]), np.append(u, goal))
    n = examples if examples is not None else _count(weights, least)
    owners = np.arange(A.shape[1]) // len(classes)
    distinct = distinct and len(candidates) >= n
    counts = _spread(weights, owners, n) if distinct else _rounded(weights, n)
    counts = _exchanged(A, u, counts, owners if distinct else None, scaled)
    taken = np.repeat(np.arange(len(counts)), counts)
    found = candidates[torch.from_numpy(owners[taken])]
    said = torch.from_numpy(np.array(classes)[taken % len(classes)])
    return Batch(
        records=found,
        labels=said,
        residual=residual(model.gradient(found, said), update, scaled),
    )


def _weights(A: Floats, u: Floats) -> Floats:
    """Return the weights, no less than 0, of least squares."""
    try:
        return np.asarray(nnls(A, u)[0])
    except RuntimeError:  # columns so alike that it goes round in circles
        square = A.T @ A
        ridge = 1e-6 * np.trace(square) / len(square) * np.eye(len(square))
        root = np.linalg.cholesky(square + ridge).T
        try:
            return np.asarray(nnls(root, np.linalg.solve(root.T, A.T @ u))[0])
        except RuntimeError:
            return np.maximum(A.T @ u, 0.0)


def residual(found: Mapping[str, Tensor], update: Mapping[str, Tensor], scaled: bool) -> float:
    """Return the relative distance of a gradient from the one sent, by direction if not scaled."""
    left = sum(float(((found[n].double() - v) ** 2).sum()) for n, v in update.items())
    size = sum(float((v**2).sum()) for v in update.values())
    if scaled:
        return float(np.sqrt(left / max(size, 1e-300)))
    own = sum(float((found[n].double() ** 2).sum()) for n in update)
    both = (size + own - left) / 2.0
    return float(np.sqrt(max(0.0, 1.0 - both * abs(both) / max(size * own, 1e-300))))


def coordinates(model: Model, update: Mapping[str, Tensor], seed: int) -> Places:
    """Return some coordinates of each tensor that was sent, and by what they are multiplied."""
    rng = np.random.default_rng(seed)
    size = math.sqrt(sum(float((v**2).sum()) for v in update.values()))
    places: Places = {}
    for name, value in update.items():
        there = torch.arange(value.numel())
        if name == model.sparse:
            there = value.flatten().nonzero()[:, 0]
        if len(there) > _COORDINATES:
            there = there[torch.from_numpy(rng.choice(len(there), _COORDINATES, replace=False))]
        # Tensors count alike, but for those that are 0 up to rounding.
        scale = max(float(value.norm()), 1e-3 * size) * (len(there) / value.numel()) ** 0.5
        places[name] = there, 1.0 / max(scale, 1e-300)
    return places


def sketch(values: Mapping[str, Tensor], places: Places) -> Floats:
    """Return the values at those places, multiplied, one after another, float64 ``[n]``."""
    parts = [values[n].flatten()[there].double() * scale for n, (there, scale) in places.items()]
    return torch.cat(parts).numpy()


def _count(weights: Floats, least: int) -> int:
    """Return the number of records that makes the weights nearest to multiples of one by it.

    Of ``least`` and more.
    """
    total = weights.sum()
    if total <= 0:
        return least
    shares = weights / total
    counts = np.arange(least, max(least, _MOST_EXAMPLES) + 1)
    off = np.abs(shares * counts[:, None] - np.round(shares * counts[:, None])).max(1)
    # The least that is near enough: every multiple of it is as near.
    near = np.flatnonzero(off < max(0.1, 2.0 * off.min()))
    return int(counts[near[0]])


def _rounded(weights: Floats, n: int) -> Ints:
    """Return counts that add up to n, by largest remainders."""
    total = weights.sum()
    exact = n * weights / total if total > 0 else np.full(len(weights), n / len(weights))
    counts: Ints = np.floor(exact).astype(np.int64)
    rest = np.argsort(counts - exact, kind="stable")
    counts[rest[: n - counts.sum()]] += 1
    return counts


def _spread(weights: Floats, owners: Ints, n: int) -> Ints:
    """Return counts that add up to n, of the heaviest columns, at most one of each owner."""
    counts = np.zeros(len(weights), dtype=np.int64)
    taken: set[int] = set()
    for column in np.argsort(-weights, kind="stable"):
        if owners[column] not in taken and len(taken) < n:
            taken.add(int(owners[column]))
            counts[column] = 1
    return counts


def _exchanged(A: Floats, u: Floats, counts: Ints, owners: Ints | None, scaled: bool) -> Ints:
    """Return counts that no exchange of one record for another brings nearer to the update.

    owners: int64 ``[columns]``, of which no two columns are taken, or None.
    """
    gram, onto, size = A.T @ A, A.T @ u, float(u @ u)
    n = counts.sum()

    def distance(linear: Floats, square: Floats) -> Floats:
        if scaled:
            return np.asarray(size - 2.0 * linear / n + square / n**2)
        return np.asarray(-linear / np.sqrt(np.maximum(square, 1e-300)))

    for _ in range(4 * int(n)):
        now = gram @ counts
        linear, square = np.asarray(onto @ counts), np.asarray(counts @ now)
        out = np.flatnonzero(counts)
        diagonal = np.diag(gram)
        squares = square - 2.0 * now[out, None] + 2.0 * now + diagonal[out, None] + diagonal
        squares -= 2.0 * gram[out]
        distances = distance(linear - onto[out, None] + onto, squares)
        if owners is not None:
            taken = np.isin(owners, owners[out]) & (owners != owners[out, None])
            distances = np.where(taken, np.inf, distances)
        best = np.unravel_index(int(distances.argmin()), distances.shape)
        if distances[best] >= distance(linear, square) - 1e-12 * size:
            break
        counts[out[best[0]]] -= 1
        counts[best[1]] += 1
    return counts
