"""Rows with one-hot groups, from the span of a first layer's gradient.

Where records go straight into a linear layer, rows of its weight's gradient are sums of records,
whatever the layers behind and however many steps were taken. Of all sums of ``b`` records few are
a category in every group, and those are the records and few others: groups are tried one after
another, and what is not in the span is dropped. The numbers follow from the categories. Needs as
many neurons as records, and a span that categories determine.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, nn

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_fl.linear import passed
from leakpro_fl.procedure import State
from leakpro_fl.transformer_span import Span, span_of

_PROBES = 24

_AFFINE = 1e-4
"""Relative error of an input of a layer that is a column of the records but for its scale."""

_MOST = 20_000
"""Beginnings of rows that are kept from one group to the next."""

_DEPENDENT = 1e-5
"""Singular value, as a share of the largest, of columns that depend on others."""


@frozen(kw_only=True)
class Layer:
    """A linear layer of the records. weight: name of its parameter ``[neurons, inputs]``.

    columns: int64 ``[k]``, of the records that it is given, in order; inputs: int64 ``[k]``, which
    of its inputs that is: ``scale * value + shift``, both float64 ``[k]``.
    """

    weight: str
    columns: Ints = field(repr=False)
    inputs: Ints = field(repr=False)
    scale: Floats = field(repr=False)
    shift: Floats = field(repr=False)


def layers_of(module: nn.Module, state: State, columns: int, seed: int) -> tuple[Layer, ...]:
    """Return the linear layers that are given columns of the records.

    Columns may be in another order, and normalised one by one.
    """
    x = torch.randn(_PROBES, columns, generator=torch.Generator().manual_seed(seed))
    went, _ = passed(module, state, x, seed=seed)
    found = []
    for name, (given, _) in went.items():
        if given.ndim == 2 and len(given) == _PROBES and f"{name}.weight" in state:
            layer = _matched(f"{name}.weight", x.double().numpy(), given.double().numpy())
            found += [layer] if len(layer.columns) else []
    return tuple(found)


def _matched(weight: str, x: Floats, given: Floats) -> Layer:
    """Return a layer with the columns that are one of its inputs, but for scale and shift."""
    own, theirs = x - x.mean(0), given - given.mean(0)
    lengths = np.linalg.norm(theirs, axis=0)
    alike = np.abs(own.T @ theirs) / np.maximum(lengths, 1e-300)
    inputs = np.argmax(alike, axis=1)
    scale = (own * theirs[:, inputs]).sum(0) / (own**2).sum(0)
    off = np.linalg.norm(theirs[:, inputs] - scale * own, axis=0)
    shift = given[:, inputs].mean(0) - scale * x.mean(0)
    # Without normalisation it is 0 up to rounding.
    shift[np.abs(shift) < _AFFINE * np.abs(scale)] = 0.0
    there = np.flatnonzero(off < _AFFINE * lengths[inputs])
    return Layer(
        weight=weight,
        columns=there,
        inputs=inputs[there],
        scale=scale[there],
        shift=shift[there],
    )


def present(layers: Sequence[Layer], gradients: Mapping[str, Tensor], columns: int) -> Bools:
    """Return which columns of the records may be other than 0 in some record, ``[columns]``."""
    there = np.ones(columns, dtype=np.bool_)
    for layer in layers:
        lengths = gradients[layer.weight].double().norm(dim=0).numpy()[layer.inputs]
        there[layer.columns] &= (lengths > 0) | (layer.shift != 0)
    return there


@frozen(kw_only=True)
class Rows:
    """Rows that a span allows, float32 ``[n, columns]``; one-hot in every group.

    moves: directions ``[k, columns]`` in which it allows their numbers to move, of length 1 in
    units of the layer: none, but where the rows' categories depend on each other, as those of two
    people with the same ones do. The numbers are then those nearest to the layer's 0.
    rank: of the span, which the batch has too.
    """

    values: Tensor = field(repr=False)
    moves: Tensor = field(repr=False)
    rank: int


def rows_of(
    layer: Layer,
    gradient: Tensor,
    groups: Sequence[Sequence[int]],
    most: int | None,
    tolerance: float,
) -> Rows | None:
    """Return the rows that the span allows; None where it says nothing.

    layer: that is given all columns; gradient: of its weight; most: the number of records, where
    it is known; tolerance: the distance of categories from the span that is rounding.
    """
    if not bool(gradient.any()):
        return None
    span = span_of(gradient.double(), most)
    if span.full:
        return None
    there = present([layer], {layer.weight: gradient}, len(layer.inputs))
    choices = [[c for c in group if there[c]] for group in groups]
    picks, weights, free = _picked(layer, span, groups, choices, tolerance)
    basis = span.basis.numpy()[:, layer.inputs]
    values, moves = weights @ basis - layer.shift, free @ basis
    grouped = sorted({column for group in groups for column in group})
    moves[:, grouped] = values[:, grouped] = 0.0
    if len(moves):
        moves = np.linalg.qr(moves.T)[0].T
        values -= (values @ moves.T) @ moves
    values, moves = values / layer.scale, moves / layer.scale
    for g in range(len(groups)):
        values[np.arange(len(values)), picks[:, g]] = 1.0
    return Rows(
        values=torch.from_numpy(values.astype(np.float32)),
        moves=torch.from_numpy(moves.astype(np.float32)),
        rank=len(span.basis),
    )


def _picked(
    layer: Layer,
    span: Span,
    groups: Sequence[Sequence[int]],
    choices: Sequence[Sequence[int]],
    tolerance: float,
) -> tuple[Ints, Floats, Floats]:
    """Return categories int64 ``[n, groups]``, by their columns, and weights of the basis
    ``[n, rank]``; and the weights ``[k, rank]`` that change no category.
    """
    basis = span.basis.numpy()[:, layer.inputs]
    picks = np.zeros((1, len(groups)), dtype=np.int64)
    target = np.zeros((1, 0))
    used: list[int] = []
    # Groups with many categories leave the fewest ways to go on.
    for g in sorted(range(len(groups)), key=lambda g: -len(choices[g])):
        n, options = len(picks), np.array(choices[g], dtype=np.int64)
        picks = np.repeat(picks, len(options), axis=0)
        picks[:, g] = np.tile(options, n)
        columns = np.array(groups[g])
        one = layer.shift[columns] + layer.scale[columns] * (options[:, None] == columns)
        target = np.hstack([np.repeat(target, len(options), axis=0), np.tile(one, (n, 1))])
        used += list(groups[g])
        axes, sizes, _ = np.linalg.svd(basis[:, used].T, full_matrices=False)
        axes = axes[:, sizes > _DEPENDENT * sizes[0]]
        off = np.linalg.norm(target - (target @ axes) @ axes.T, axis=1)
        off /= np.linalg.norm(target, axis=1)
        kept = np.argsort(off, kind="stable")[:_MOST]
        kept = kept[off[kept] < tolerance]
        picks, target = picks[kept], target[kept]
    left, sizes, right = np.linalg.svd(basis[:, used].T, full_matrices=False)
    rank = int((sizes > _DEPENDENT * sizes[0]).sum())
    weights = (target @ left[:, :rank] / sizes[:rank]) @ right[:rank]
    return picks, weights, right[rank:]
