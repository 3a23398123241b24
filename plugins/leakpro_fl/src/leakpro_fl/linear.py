"""The linear layers at both ends of a model, found by what they are given and what they give.

Never by name: a layer is the first if it is given the record itself, the last if the model gives
what it gives.
"""

from collections.abc import Mapping

import torch
from leakpro_torch.modules import seeded
from torch import Tensor, nn
from torch.func import functional_call

Passed = tuple[Tensor, Tensor]
"""What went into a layer and what came out of it."""


def passed(
    module: nn.Module, state: Mapping[str, Tensor], x: Tensor, *, seed: int = 0
) -> tuple[dict[str, Passed], Tensor]:
    """Return what went through each linear layer that is called once, by name, and the output.

    Without gradients. ``state`` stays as it is; what the module draws (dropout) follows from seed.
    """
    went: dict[str, list[Passed]] = {}

    def keep(name: str) -> object:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            went.setdefault(name, []).append((inputs[0], output))

        return hook

    hooks = [
        layer.register_forward_hook(keep(name))  # type: ignore[arg-type]
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    # In training mode, batch norm writes to its statistics.
    copied = {name: value.clone() for name, value in state.items()}
    try:
        with torch.no_grad(), seeded(seed):
            output = functional_call(module, copied, (x,))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: calls[0] for name, calls in went.items() if len(calls) == 1}, output


def last(module: nn.Module, state: Mapping[str, Tensor], x: Tensor) -> str | None:
    """Return the name of the linear layer whose output is the model's output; None: there is none.

    x: ``[n, ...]``, any records.
    """
    went, output = passed(module, state, x)
    for name, (_, out) in reversed(went.items()):
        if out.shape == output.shape and torch.equal(out, output):
            return name
    return None


def first(module: nn.Module, state: Mapping[str, Tensor], x: Tensor) -> str | None:
    """Return the name of the linear layer that is given the record, but for its shape.

    x: ``[n, ...]``, records of which no two numbers are equal. The first of several; None: there is
    no such layer.
    """
    went, _ = passed(module, state, x)
    flat = x.flatten(1)
    found = [
        name
        for name, (into, _) in went.items()
        if into.shape == flat.shape and torch.equal(into, flat)
    ]
    return found[0] if found else None


def slopes(
    module: nn.Module, state: Mapping[str, Tensor], x: Tensor, name: str
) -> tuple[Tensor, Tensor]:
    """Return probabilities ``[n, classes]`` and derivatives of logits by the outputs of a layer.

    The derivatives are ``[n, classes, m]``, of the named linear layer, for records ``[n, ...]``.
    """
    moved: list[Tensor] = []

    def shift(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        moved.append(torch.zeros_like(output, requires_grad=True))
        return output + moved[0]

    hook = module.get_submodule(name).register_forward_hook(shift)
    copied = {key: value.clone() for key, value in state.items()}
    try:
        with seeded(0):
            logits = functional_call(module, copied, (x,))
    finally:
        hook.remove()
    by_class = [
        torch.autograd.grad(each, moved[0], retain_graph=True)[0] for each in logits.sum(0).unbind()
    ]
    return logits.detach().softmax(1), torch.stack(by_class, dim=1)
