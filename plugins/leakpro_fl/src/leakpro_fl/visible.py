"""ReLU whose mask depends on its input, for whoever differentiates a gradient.

The derivative of ReLU is a step, and the step's own derivative is 0 almost everywhere: descent on
records whose *gradient* is to be matched does not see that moving a record switches units on and
off, and stops where it starts. Here outputs and first derivatives are exactly ReLU's; the
derivative of the mask alone is that of a ramp. So objectives keep their values, and their
minimum at the true records; only the direction of descent is another, as surrogate gradients of
spiking networks have it (Neftci, Mostafa, Zenke 2019).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

WIDTH = 1.0
"""Half of the width of the ramp, in mean sizes of the layer's inputs."""

_RELU = frozenset(
    {
        torch.relu,
        torch.relu_,
        Tensor.relu,
        Tensor.relu_,
        torch.nn.functional.relu,
        torch.nn.functional.relu_,
    }
)


class VisibleMasks(TorchFunctionMode):
    """Within it every ReLU that is called is one whose mask can be seen. met: how many were."""

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, or its like."""
        if func in _RELU:
            self.met += 1
            values = args[0] if args else (kwargs or {})["input"]
            return _Relu.apply(values)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        ctx.width = WIDTH * float(values.detach().abs().mean()) + 1e-12
        return values.clamp(min=0.0)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        masked: Tensor = _Masked.apply(above, values, ctx.width)  # type: ignore[no-untyped-call]
        return masked


class _Masked(torch.autograd.Function):
    """What goes down through the mask of ``values``; ``width`` is half of the ramp's."""

    @staticmethod
    def forward(ctx: Any, above: Tensor, values: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(above, values)
        ctx.width = width
        masked: Tensor = torch.ops.aten.threshold_backward(above, values, 0.0)
        return masked

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        above, values = ctx.saved_tensors
        width = ctx.width
        # Fused: the slope where the ramp is, 0 elsewhere.
        ramp = torch.ops.aten.hardtanh_backward(slope, values, -width, width)
        down = torch.ops.aten.threshold_backward(slope, values, 0.0)
        return down, ramp.mul_(above).mul_(0.5 / width), None
