"""Gradients of single records: their inner products with each other and with an update.

A linear layer's gradient by one record is an outer product, so inner products of a million
coordinates cost as much as those of its inputs and outputs; other parameters' gradients are taken
record by record, and at so many coordinates as the budget allows.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from leakpro_fl.procedure import State, gradient

_COLUMNS = 2048


@frozen(kw_only=True)
class Layout:
    """Which coordinates of which parameters are looked at.

    shapes: of all parameters that are, by name; layer: the linear layer whose weight or bias a
    parameter is, where its gradients are outer products; chosen: int64, the coordinates of the
    others.
    """

    shapes: Mapping[str, tuple[int, ...]]
    layer: Mapping[str, str]
    chosen: Mapping[str, Tensor] = field(repr=False)

    def flat(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return named tensors as one vector, float64 ``[d]``."""
        parts = []
        for name in self.shapes:
            value = values[name].reshape(-1).double()
            parts.append(value[self.chosen[name]] if name in self.chosen else value)
        return torch.cat(parts)


@frozen(kw_only=True)
class Gradients:
    """Gradients of ``n`` records; inner products are float64.

    factors: of a linear layer by name, errors ``[n, out]`` and inputs ``[n, in]``, float64; values:
    of other parameters ``[n, coordinates]``, as the model has them.
    """

    n: int
    layout: Layout
    factors: Mapping[str, tuple[Tensor, Tensor]] = field(repr=False)
    values: Mapping[str, Tensor] = field(repr=False)

    def times(self, vectors: Tensor) -> Tensor:
        """Return inner products with vectors ``[k, d]``, ``[n, k]``."""
        total, start = torch.zeros(self.n, len(vectors), dtype=torch.float64), 0
        for name, shape in self.layout.shapes.items():
            chosen = self.layout.chosen.get(name)
            size = int(np.prod(shape)) if chosen is None else len(chosen)
            part = vectors[:, start : start + size]
            start += size
            if name not in self.layout.layer:
                total = total + _product(self.values[name], part)
                continue
            errors, inputs = self.factors[self.layout.layer[name]]
            if len(shape) == 1:
                total = total + errors @ part.T
            else:
                for k, vector in enumerate(part):
                    total[:, k] += ((errors @ vector.reshape(shape)) * inputs).sum(1)
        return total

    def gram(self, other: "Gradients") -> Tensor:
        """Return inner products with other records' gradients, ``[n, m]``."""
        total = torch.zeros((), dtype=torch.float64)
        for name, shape in self.layout.shapes.items():
            if name not in self.layout.layer:
                total = total + _product(self.values[name], other.values[name])
                continue
            (errors, inputs), (theirs, others) = (
                each.factors[self.layout.layer[name]] for each in (self, other)
            )
            both = errors @ theirs.T
            total = total + (both if len(shape) == 1 else both * (inputs @ others.T))
        return total

    def norms(self) -> Tensor:
        """Return squared lengths ``[n]``."""
        total = torch.zeros((), dtype=torch.float64)
        for name, shape in self.layout.shapes.items():
            if name not in self.layout.layer:
                total = total + self.values[name].double().square().sum(1)
                continue
            errors, inputs = self.factors[self.layout.layer[name]]
            length = errors.square().sum(1)
            total = total + (length if len(shape) == 1 else length * inputs.square().sum(1))
        return total

    def take(self, rows: Tensor) -> "Gradients":
        """Return the gradients of some records."""
        return Gradients(
            n=len(rows),
            layout=self.layout,
            factors={name: (e[rows], a[rows]) for name, (e, a) in self.factors.items()},
            values={name: v[rows] for name, v in self.values.items()},
        )

    def coordinates(self) -> int:
        """Return how many coordinates are not zero for all records."""
        count = 0
        for name, shape in self.layout.shapes.items():
            if name not in self.layout.layer:
                count += int(self.values[name].any(0).sum())
                continue
            errors, inputs = self.factors[self.layout.layer[name]]
            count += int(errors.any(0).sum()) * (1 if len(shape) == 1 else int(inputs.any(0).sum()))
        return count


def layout_of(
    module: nn.Module,
    state: State,
    x: Tensor,
    y: Tensor,
    names: Sequence[str],
    *,
    coordinates: int,
    seed: int,
) -> Layout:
    """Return the layout for the named parameters; x, y: a few records to try it with.

    coordinates: how many to look at of all parameters that are no linear layer's, drawn by seed.
    """
    layers = _linear(module)
    found = factors_of(module, state, x, y, layers)
    whole = gradient(module, state, x, y, names, reduction="sum")
    layer = {}
    for name in names:
        owner, _, kind = name.rpartition(".")
        if owner not in found or kind not in ("weight", "bias"):
            continue
        errors, inputs = found[owner]
        product = errors.T @ inputs if kind == "weight" else errors.sum(0)
        # A weight that is used elsewhere too, or changed on its way, is no outer product.
        if torch.allclose(product.to(whole[name]), whole[name], rtol=1e-3, atol=1e-6):
            layer[name] = owner
    rest = {name: state[name].numel() for name in names if name not in layer}
    share = min(1.0, coordinates / max(1, sum(rest.values())))
    rng = np.random.default_rng(seed)
    chosen = {
        name: torch.from_numpy(np.sort(rng.permutation(n)[: max(1, round(share * n))]))
        for name, n in rest.items()
    }
    shapes = {name: tuple(state[name].shape) for name in names}
    return Layout(shapes=shapes, layer=layer, chosen=chosen)


def gradients(
    module: nn.Module, state: State, x: Tensor, y: Tensor, layout: Layout, *, block: int
) -> Gradients:
    """Return the gradients of the loss by each record; block: records at a time."""
    parts = [
        _block(module, state, x[start : start + block], y[start : start + block], layout)
        for start in range(0, len(x), block)
    ]
    return Gradients(
        n=len(x),
        layout=layout,
        factors={
            name: (
                torch.cat([p.factors[name][0] for p in parts]),
                torch.cat([p.factors[name][1] for p in parts]),
            )
            for name in parts[0].factors
        },
        values={name: torch.cat([p.values[name] for p in parts]) for name in parts[0].values},
    )


def _block(module: nn.Module, state: State, x: Tensor, y: Tensor, layout: Layout) -> Gradients:
    wanted = set(layout.layer.values())
    factors = factors_of(
        module, state, x, y, {k: v for k, v in _linear(module).items() if k in wanted}
    )
    values = {}
    if layout.chosen:
        found = _each(module, state, x, y, list(layout.chosen))
        values = {
            name: found[name].reshape(len(x), -1)[:, chosen]
            for name, chosen in layout.chosen.items()
        }
    doubled = {
        name: (errors.double(), inputs.double()) for name, (errors, inputs) in factors.items()
    }
    return Gradients(n=len(x), layout=layout, factors=doubled, values=values)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a b'`` in float64, in parts, so that no copy of either is made whole."""
    total = torch.zeros((), dtype=torch.float64)
    for left, right in zip(torch.split(a, _COLUMNS, 1), torch.split(b, _COLUMNS, 1), strict=True):
        total = total + left.double() @ right.double().T
    return total


def _each(
    module: nn.Module, state: State, x: Tensor, y: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    """Return gradients by the named parameters ``[n, ...]``."""
    fixed = {name: value.detach() for name, value in state.items() if name not in names}

    def of_one(free: dict[str, Tensor], record: Tensor, label: Tensor) -> Tensor:
        outputs = functional_call(module, {**fixed, **free}, (record[None],))
        return cross_entropy(outputs, label[None])

    free = {name: state[name].detach() for name in names}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about layers that are mapped slowly
            found: dict[str, Tensor] = vmap(grad(of_one), in_dims=(None, 0, 0))(free, x, y)
    except RuntimeError:  # some layers cannot be mapped over records
        each = [gradient(module, state, r[None], k[None], names) for r, k in zip(x, y, strict=True)]
        found = {name: torch.stack([one[name] for one in each]) for name in names}
    return found


def _linear(module: nn.Module) -> dict[str, nn.Linear]:
    return {name: m for name, m in module.named_modules() if type(m) is nn.Linear}


def factors_of(
    module: nn.Module, state: State, x: Tensor, y: Tensor, layers: Mapping[str, nn.Linear]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return errors ``[n, out]`` and inputs ``[n, in]`` of layers that see a record as a row."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name, layer in layers.items():

        def note(_: nn.Module, given: tuple[Tensor, ...], out: Tensor, name: str = name) -> Tensor:
            shift = torch.zeros_like(out, requires_grad=True)
            seen[name] = (shift, given[0].detach())
            return out + shift

        handles.append(layer.register_forward_hook(note))
    try:
        outputs = functional_call(module, dict(state), (x,))
    finally:
        for handle in handles:
            handle.remove()
    rows = {name: pair for name, pair in seen.items() if pair[1].dim() == 2}
    if not rows:
        return {}
    value = cross_entropy(outputs, y, reduction="sum")
    found = torch.autograd.grad(
        value, [shift for shift, _ in rows.values()], allow_unused=True, materialize_grads=True
    )
    return {
        name: (errors, inputs)
        for (name, (_, inputs)), errors in zip(rows.items(), found, strict=True)
        if len(inputs) == len(x)
    }
