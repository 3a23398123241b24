"""Which records, with which labels, add up to a gradient: once each is a candidate, it is linear.

The gradient of a mean loss is the mean of its records' gradients, so that the batch is found by
least squares with weights that are no less than 0, and each must be a multiple of ``1 / b``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
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
    scaled: bool,
    seed: int,
) -> Batch:
    """Return the batch of candidates ``[k, ...]`` whose gradient is nearest.

    labels: of the batch, where they are known; examples: their number, ``least`` or more where it
    is None; scaled: whether the update's length is known.
    """
    classes = range(model.classes) if labels is None else sorted(set(labels.tolist()))
    places = _coordinates(model, update, seed)
    columns = [
        _sketch(model.gradient(row[None], torch.tensor([label])), places)
        for row in candidates
        for label in classes
    ]
    A, u = np.stack(columns, 1), _sketch(update, places)
    # A record with labels as likely as the model says has gradient 0: without a word on their sum,
    # weights would not be unique.
    total, goal = (1.0, 1.0) if scaled else (1e-3, 0.0)
    weights = nnls(np.vstack([A, np.full(A.shape[1], total)]), np.append(u, goal))[0]
    n = examples if examples is not None else _count(weights, least)
    counts = _exchanged(A, u, _rounded(weights, n), scaled)
    chosen = np.repeat(np.arange(len(counts)), counts)
    found = candidates[torch.from_numpy(chosen // len(classes))]
    said = torch.from_numpy(np.array(classes)[chosen % len(classes)])
    return Batch(
        records=found,
        labels=said,
        residual=residual(model.gradient(found, said), update, scaled),
    )


def residual(found: Mapping[str, Tensor], update: Mapping[str, Tensor], scaled: bool) -> float:
    """Return the relative distance of a gradient from the one sent, by direction if not scaled."""
    left = sum(float(((found[n].double() - v) ** 2).sum()) for n, v in update.items())
    size = sum(float((v**2).sum()) for v in update.values())
    if scaled:
        return float(np.sqrt(left / max(size, 1e-300)))
    own = sum(float((found[n].double() ** 2).sum()) for n in update)
    both = (size + own - left) / 2.0
    return float(np.sqrt(max(0.0, 1.0 - both * abs(both) / max(size * own, 1e-300))))


def _coordinates(
    model: Model, update: Mapping[str, Tensor], seed: int
) -> dict[str, tuple[Tensor, float]]:
    """Return some coordinates of each tensor that was sent, and by what they are multiplied."""
    rng = np.random.default_rng(seed)
    size = math.sqrt(sum(float((v**2).sum()) for v in update.values()))
    places = {}
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


def _sketch(values: Mapping[str, Tensor], places: Mapping[str, tuple[Tensor, float]]) -> Floats:
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


def _exchanged(A: Floats, u: Floats, counts: Ints, scaled: bool) -> Ints:
    """Return counts that no exchange of one record for another brings nearer to the update."""
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
        best = np.unravel_index(int(distances.argmin()), distances.shape)
        if distances[best] >= distance(linear, square) - 1e-12 * size:
            break
        counts[out[best[0]]] -= 1
        counts[best[1]] += 1
    return counts


def least_effects(
    model: Model,
    batch: Batch,
    update: Mapping[str, Tensor],
    alike: Callable[[Tensor], Iterable[Tensor]],
    parts: Sequence[Sequence[int]],
    most: int,
    seed: int,
    same: float = 0.0,
) -> Floats:
    """Return for each record how far the gradient moves at least if it is another, ``[b]``.

    As a share of the update's length, over other batches that are as like it as can be: ``alike``
    gives a record's likes; then a part of it, by ``parts`` of the columns, or its label exchanged
    with another record (``most`` of each drawn). same: the difference of values that is none.
    """
    rng = np.random.default_rng(seed)
    size = math.sqrt(sum(float((v**2).sum()) for v in update.values()))
    b = len(batch.records)
    alone = [model.gradient(batch.records[i : i + 1], batch.labels[i : i + 1]) for i in range(b)]

    def moved(rows: list[int], others: Tensor, labels: Tensor) -> float:
        after = model.gradient(others, labels)
        square = 0.0
        for name, value in after.items():
            before = torch.stack([alone[i][name] for i in rows]).sum(0)
            square += float(((len(rows) * value - before).double() ** 2).sum())
        return math.sqrt(square) / b / size

    least = np.full(b, np.inf)
    for i in range(b):
        for other in alike(batch.records[i]):
            least[i] = min(least[i], moved([i], other[None], batch.labels[i : i + 1]))
    for i, j, others, labels in _crossed(batch, parts, same, most, rng):
        least[[i, j]] = np.minimum(least[[i, j]], moved([i, j], others, labels))
    return least


def _crossed(
    batch: Batch,
    parts: Sequence[Sequence[int]],
    same: float,
    most: int,
    rng: np.random.Generator,
) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Yield pairs of records that have exchanged a part or their labels, ``most`` of each."""
    pairs = list(combinations(range(len(batch.records)), 2))
    exchanges = []
    for i, j in pairs:
        other = (batch.records[i] - batch.records[j]).abs() > same
        there = [k for k, part in enumerate(parts) if bool(other[list(part)].any())]
        # Records that differ there only would be the same two again.
        if len(there) > 1 or batch.labels[i] != batch.labels[j]:
            exchanges += [(i, j, k) for k in there]
    for row in rng.permutation(len(exchanges))[:most]:
        i, j, k = exchanges[row]
        records, part = batch.records[[i, j]].clone(), list(parts[k])
        records[:, part] = records[:, part].flip(0)
        yield i, j, records, batch.labels[[i, j]]
    labels = [
        (i, j)
        for i, j in pairs
        if batch.labels[i] != batch.labels[j]
        and not torch.equal(batch.records[i], batch.records[j])
    ]
    for row in rng.permutation(len(labels))[:most]:
        i, j = labels[row]
        yield i, j, batch.records[[i, j]], batch.labels[[j, i]]
