"""Numbers that categories leave open, from the whole gradient.

The span of a first layer's gradient has as many dimensions as records. Where the records'
categories have fewer, as those of two people with the same ones do, numbers may move along the
rest. Where to is tried on a grid, and made exact by Gauss and Newton's method.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from attrs import evolve
from torch import Tensor

from leakpro_core.arrays import Ints
from leakpro_fl.mixtures import Batch, Model, coordinates, explained, residual, sketch
from leakpro_fl.rows import Rows

_FARTHEST, _APART = 4.0, 0.25
"""The grid, in units of the layer, which are about 1 in most networks: its end and its steps."""

_TRIED = 600
"""Records, labels counted, that a grid may have; it is made coarser, or left out."""

_ROUNDS = 4

_ENOUGH = 1e-5
"""Residual from which nothing is made better."""

_JITTER = 0.1
"""Of starts but the first, in units of the grid."""


def settled(
    model: Model,
    rows: Rows,
    update: Mapping[str, Tensor],
    *,
    labels: Ints | None,
    examples: int | None,
    scaled: bool,
    seed: int,
) -> Batch:
    """Return the batch of such rows, numbers moved, whose gradient is nearest. See ``explained``.

    Rows must have ``moves``.
    """

    def nearest(values: Tensor) -> Batch:
        return explained(
            model,
            values,
            update,
            labels=labels,
            examples=examples,
            least=rows.rank,
            scaled=scaled,
            seed=seed,
        )

    tried, apart = _grid(rows, model.classes), _APART
    best = nearest(tried)
    for turn in range(_ROUNDS):
        jitter = _JITTER if turn else 0.0
        moved = _refined(
            model, best, rows.moves, update, scaled=scaled, seed=seed + turn, jitter=jitter
        )
        best = min(best, moved, key=lambda each: each.residual)
        if best.residual < _ENOUGH:
            break
        # Once numbers are nearly right, other rows or labels may be the better ones.
        near = [best.records]
        for move in rows.moves:
            near += [best.records + share * apart * move for share in (-1.0, -0.5, 0.5, 1.0)]
        again = nearest(torch.cat([tried, *near]))
        best = min(best, again, key=lambda each: each.residual)
        apart *= 0.5
    return best


def _grid(rows: Rows, classes: int) -> Tensor:
    """Return the rows with their numbers moved to the points of a grid, ``[n, columns]``."""
    n, k = len(rows.values), len(rows.moves)
    most = int((_TRIED / (n * classes)) ** (1.0 / k))
    points = min(most, round(2 * _FARTHEST / _APART) + 1)
    if points < 3:
        return rows.values
    axis = torch.linspace(-_FARTHEST, _FARTHEST, points)
    shifts = torch.cartesian_prod(*[axis] * k).reshape(-1, k) @ rows.moves
    return (rows.values[:, None] + shifts).reshape(-1, rows.values.shape[1])


_STEP = 0.01
"""By which numbers are moved to see how the gradient does."""


def _refined(
    model: Model,
    batch: Batch,
    directions: Tensor,
    update: Mapping[str, Tensor],
    *,
    scaled: bool,
    seed: int,
    jitter: float = 0.1,
    steps: int = 20,
) -> Batch:
    """Return the batch moved along directions ``[k, columns]`` by Gauss and Newton's method.

    Each record moves by itself, from a random start near by, ``jitter`` away, so that the same one
    twice can part.
    """
    places = coordinates(model, update, seed)
    u = sketch(update, places)
    generator = torch.Generator().manual_seed(seed)
    b, k = len(batch.records), len(directions)
    best, least = batch, batch.residual
    x = batch.records + jitter * torch.randn(b, k, generator=generator) @ directions
    off = np.inf
    for _ in range(steps):
        own = [sketch(g, places) for g in _each(model, x, batch.labels)]
        found = np.mean(own, axis=0)
        times = 1.0 if scaled else float(found @ u / max(found @ found, 1e-300))
        columns = [
            (sketch(g, places) - own[i]) * (times / (_STEP * b))
            for direction in directions
            for i, g in enumerate(_each(model, x + _STEP * direction, batch.labels))
        ]
        moves = np.linalg.lstsq(np.stack(columns, 1), u - times * found, rcond=1e-6)[0]
        step = torch.from_numpy(moves.reshape(k, b).T.astype(np.float32)) @ directions
        tried = [(x + share * step) for share in (1.0, 0.5, 0.2, 0.05)]
        offs = [residual(model.gradient(each, batch.labels), update, scaled) for each in tried]
        if min(offs) >= off:
            break
        off = min(offs)
        x = tried[int(np.argmin(offs))]
        if off < least:
            best, least = evolve(batch, records=x, residual=off), off
    return best


def _each(model: Model, x: Tensor, y: Tensor) -> Iterator[dict[str, Tensor]]:
    for row, label in zip(x, y, strict=True):
        yield model.gradient(row[None], label[None])
