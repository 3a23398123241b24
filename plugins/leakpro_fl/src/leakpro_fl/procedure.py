"""What a client does with its records, differentiably: one gradient, or steps of local training.

Clients that are simulated and attackers who unroll what a client did call the same functions.
"""

import copy
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from leakpro_core.arrays import AnyArray
from leakpro_core.records import Disclosed

State = Mapping[str, Tensor]
"""Parameters and buffers by name, in the model's order."""


@frozen(kw_only=True)
class Steps:
    """Steps of local training, as ``torch.optim`` takes them. batch_size None: all records."""

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    optimiser: str = "sgd"
    epochs: int = 1
    batch_size: int | None = None
    reduction: str = "mean"

    def count(self, examples: int) -> int:
        """Return the number of steps that a client with so many records takes."""
        size = examples if self.batch_size is None else self.batch_size
        return self.epochs * ceil(examples / size)


def steps_of(disclosed: Disclosed) -> Steps | None:
    """Return the local training that was disclosed; what is not said is what PyTorch has.

    None where the learning rate is not known.
    """
    if disclosed.lr is None:
        return None
    return Steps(
        lr=disclosed.lr,
        momentum=disclosed.momentum or 0.0,
        nesterov=bool(disclosed.nesterov),
        weight_decay=disclosed.weight_decay or 0.0,
        optimiser=disclosed.optimiser or "sgd",
        epochs=disclosed.epochs or 1,
        batch_size=disclosed.batch_size,
        reduction=disclosed.reduction or "mean",
    )


def state_of(
    before: Mapping[str, AnyArray], dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> dict[str, Tensor]:
    """Return tensors of a model's arrays; numbers with a fraction become ``dtype``."""
    state = {}
    for name, values in before.items():
        tensor = torch.from_numpy(np.array(values))
        state[name] = tensor.to(device, dtype if tensor.is_floating_point() else None)
    return state


def own(model: object, *, train: bool) -> nn.Module:
    """Return a copy of the model that may be changed, in training or evaluation mode.

    ``TypeError`` where it is no module of PyTorch.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model is a {type(model).__name__}, not a torch.nn.Module")
    return copy.deepcopy(model).requires_grad_(False).train(train)


def loss(module: nn.Module, state: State, x: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """Return the cross-entropy of a batch; y: int64 ``[n]`` or probabilities ``[n, classes]``.

    In training mode the statistics of batch norm in ``state`` are updated in place.
    """
    return cross_entropy(functional_call(module, dict(state), (x,)), y, reduction=reduction)


def gradient(
    module: nn.Module,
    state: State,
    x: Tensor,
    y: Tensor,
    names: Sequence[str],
    *,
    reduction: str = "mean",
    create_graph: bool = False,
) -> dict[str, Tensor]:
    """Return the loss's gradient by the named parameters; zeros where it depends on none of it."""
    there = {
        name: value if value.requires_grad else value.detach().requires_grad_()
        for name, value in state.items()
        if name in names
    }
    value = loss(module, {**state, **there}, x, y, reduction)
    found = torch.autograd.grad(
        value,
        [there[name] for name in names],
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(names, found, strict=True))


def order(n: int, how: Steps, seed: int | None) -> list[Tensor]:
    """Return the rows of each step, int64; seed None: the records in their order every epoch."""
    rng = None if seed is None else np.random.default_rng(seed)
    size = n if how.batch_size is None else how.batch_size
    rows = []
    for _ in range(how.epochs):
        each = np.arange(n) if rng is None else rng.permutation(n)
        rows += [torch.from_numpy(each[start : start + size]) for start in range(0, n, size)]
    return rows


def trained(
    module: nn.Module,
    state: State,
    x: Tensor,
    y: Tensor,
    names: Sequence[str],
    how: Steps,
    rows: Sequence[Tensor],
    *,
    create_graph: bool = False,
) -> dict[str, Tensor]:
    """Return the state after local training on ``rows`` of the records, buffers included.

    With ``create_graph`` it can be differentiated through by ``x`` and ``y``.
    """
    now = {name: value.clone() for name, value in state.items()}
    first = {name: torch.zeros_like(now[name]) for name in names}
    second = {name: torch.zeros_like(now[name]) for name in names}
    for step, chosen in enumerate(rows, 1):
        found = gradient(
            module,
            now,
            x[chosen],
            y[chosen],
            names,
            reduction=how.reduction,
            create_graph=create_graph,
        )
        for name in names:
            g = found[name] + how.weight_decay * now[name]
            if how.optimiser == "adam":
                first[name] = 0.9 * first[name] + 0.1 * g
                second[name] = 0.999 * second[name] + 0.001 * g * g
                # The bound keeps the root's derivative finite where a gradient is 0.
                size = (second[name] / (1 - 0.999**step)).clamp_min(1e-30).sqrt()
                moved = (first[name] / (1 - 0.9**step)) / (size + 1e-8)
            else:
                first[name] = how.momentum * first[name] + g
                moved = g + how.momentum * first[name] if how.nesterov else first[name]
            value = now[name] - how.lr * moved
            now[name] = value if create_graph else value.detach()
    return now
