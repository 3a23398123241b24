"""Other batches that are as like one as can be, and how far their gradients are from its own.

What a certificate needs: a record that could be another without the gradient moving by more than
rounding is not certain, however well the batch explains the update.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor

from leakpro_core.arrays import Floats
from leakpro_fl.mixtures import Batch, Model

_COORDINATES = 16_384
"""Of each tensor, that are compared where numbers may move."""

_NONE = 1e-12
"""Singular value, as a share of the largest, that is 0."""


@frozen(kw_only=True)
class _Gradients:
    """Gradients of a batch's records, one by one.

    places: int64 indices of each tensor's values that are compared, and by what those are
    multiplied.
    """

    model: Model
    batch: Batch
    places: Mapping[str, tuple[Tensor, float]] = field(repr=False)

    def summed(self, records: Tensor, labels: Tensor) -> Floats:
        """Return the sum of records' gradients over the number of the batch's, float64 ``[p]``."""
        found = self.model.gradient(records, labels)
        share = len(records) / len(self.batch.records)
        flat = [found[n].flatten()[at].double() * by for n, (at, by) in self.places.items()]
        return (share * torch.cat(flat)).numpy()


def least_effects(
    model: Model,
    batch: Batch,
    update: Mapping[str, Tensor],
    alike: Callable[[Tensor], Iterable[Tensor]],
    parts: Sequence[Sequence[int]],
    *,
    numbers: Sequence[int] = (),
    same: float = 0.0,
    most: int,
    scaled: bool,
    seed: int,
) -> Floats:
    """Return for each record how far the gradient moves at least if it is another, ``[b]``.

    As a share of its length, over other batches that are as like it as can be: ``alike`` gives a
    record's likes; then another label; then a part of it, by ``parts`` of the columns, or its
    label exchanged with another record (``most`` of each drawn). numbers: columns that may move
    besides, of all records at once, as suits best, to first order; one by ``same`` is another
    record. scaled: whether the gradient's length is known; if not, it may be any.
    """
    rng = np.random.default_rng(seed)
    own = _Gradients(model=model, batch=batch, places=_places(update, bool(numbers), rng))
    x, y = batch.records, batch.labels
    alone = [own.summed(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    whole = np.sum(alone, axis=0)
    moves = _moves(own, numbers, same)
    if not scaled:
        moves = np.column_stack([moves, whole])
    short = len(moves) < moves.shape[1]  # then some moves are not seen at all
    axes, sizes, turned = np.linalg.svd(moves, full_matrices=short)
    axes = axes[:, sizes > _NONE * sizes.max(initial=0.0)]
    sizes = np.append(sizes, np.zeros(len(turned) - len(sizes)))
    least = np.full(len(x), np.inf)
    if numbers:
        # Of all moves in which one number moves by ``same``, the one whose gradient moves least.
        spread = ((turned / np.maximum(sizes, 1e-100)[:, None]) ** 2).sum(0)
        by_row = spread[: len(x) * len(numbers)].reshape(len(x), len(numbers))
        least = 1.0 / np.sqrt(by_row.max(1))

    def moved(rows: list[int], others: Tensor, labels: Tensor) -> float:
        change = own.summed(others, labels) - sum(alone[i] for i in rows)
        return float(np.linalg.norm(change - axes @ (axes.T @ change)))

    for i in range(len(x)):
        for other in alike(x[i]):
            least[i] = min(least[i], moved([i], other[None], y[i : i + 1]))
        if model.classes > 1:
            least[i] = min(least[i], moved([i], x[i : i + 1], (y[i : i + 1] + 1) % model.classes))
    for i, j, others, labels in _crossed(batch, parts, same, most, rng):
        least[[i, j]] = np.minimum(least[[i, j]], moved([i, j], others, labels))
    return np.asarray(least / np.linalg.norm(whole))


def _places(
    update: Mapping[str, Tensor], some: bool, rng: np.random.Generator
) -> dict[str, tuple[Tensor, float]]:
    """Return all places of each tensor, or some of the larger ones, drawn."""
    found = {}
    for name, value in update.items():
        there, by = torch.arange(value.numel()), 1.0
        if some and len(there) > _COORDINATES:
            there = torch.from_numpy(rng.choice(len(there), _COORDINATES, replace=False))
            by = (value.numel() / _COORDINATES) ** 0.5
        found[name] = there, by
    return found


def _moves(own: _Gradients, numbers: Sequence[int], same: float) -> Floats:
    """Return how the gradient moves with each record's each number, ``[p, b * numbers]``."""
    x, y = own.batch.records, own.batch.labels
    columns = []
    for i in range(len(x)):
        for column in numbers:
            step = torch.zeros_like(x[i : i + 1])
            step[0, column] = same
            ahead, behind = (own.summed(x[i : i + 1] + s * step, y[i : i + 1]) for s in (1, -1))
            columns.append(0.5 * (ahead - behind))
    return np.stack(columns, 1) if columns else np.zeros((own.summed(x, y).size, 0))


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
