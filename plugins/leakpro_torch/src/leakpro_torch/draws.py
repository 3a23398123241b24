"""Dropout from a stream of each model's own, the same whether it is trained alone or in a stack.

A mask is a hash of the model's key for the step, the dropout's number within the forward pass and
the position, so it needs no generator: all models of a stack draw theirs in one go, on any device.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from leakpro_core.arrays import AnyArray

_ALPHA = -1.7580993408473766
"""What alpha dropout drops to: the lower limit of SELU (Klambauer et al. 2017)."""

_STRIDE, _NEXT = -1640531527, 1013904223  # odd: each position and each dropout has its own number


def keys(seed: int, steps: int, epoch: int) -> AnyArray:
    """Return the keys of an epoch's steps, int32 ``[steps, 2]``, from a model's seed."""
    random = np.random.default_rng([seed, 1, epoch])
    return random.integers(-(2**31), 2**31, (steps, 2), dtype=np.int32)


class Draws(TorchFunctionMode):
    """While it is entered, dropout of torch.nn.functional draws from ``key``.

    key: int32 ``[2]``, one per model; within ``vmap`` it may be batched. stacked: whether it is
    entered within ``vmap``, which has no rule for batch norm of bfloat16 with float32 statistics.
    What else is random stays as it is: drawn from torch's generator, and an error within ``vmap``.
    """

    def __init__(self, key: torch.Tensor, *, stacked: bool = False) -> None:
        super().__init__()
        self._key = key
        self._stacked = stacked
        self._drawn = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if self._stacked and func is functional.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        kind = _KINDS.get(func)
        if kind is None:
            return func(*args, **(kwargs or {}))
        return self._dropout(kind, *args, **(kwargs or {}))

    def _dropout(
        self,
        kind: tuple[int | None, bool],
        input: torch.Tensor,  # noqa: A002 - torch's name of the argument
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
        *,
        train: bool = True,
    ) -> torch.Tensor:
        if not (training and train) or p == 0:
            return input
        unbatched, alpha = kind
        self._drawn += 1
        keep = kept(self._key, self._drawn, _mask_shape(input, unbatched), p).to(input.dtype)
        if not alpha:
            scale = keep.mul_(1 / (1 - p) if p < 1 else 0.0)
            return input.mul_(scale) if inplace else input * scale
        a = 1 / math.sqrt((1 - p) * (1 + p * _ALPHA**2)) if p < 1 else 0.0
        shift = (1 - keep) * (a * _ALPHA) - a * _ALPHA * p
        scale = keep * a
        return input.mul_(scale).add_(shift) if inplace else input * scale + shift


def _batch_norm(input: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: A002
    if input.dtype is not torch.bfloat16:
        return functional.batch_norm(input, *args, **kwargs)
    return functional.batch_norm(input.float(), *args, **kwargs).to(input.dtype)


def kept(key: torch.Tensor, number: int, shape: tuple[int, ...], p: float) -> torch.Tensor:
    """Return a bool mask ``[..., *shape]``, true with probability 1 - p.

    key: int32 ``[..., 2]``; number: of the dropout within the forward pass, from 1.
    """
    count = torch.arange(math.prod(shape), dtype=torch.int32, device=key.device)
    x = _mixed(count.mul_(_STRIDE) + key[..., :1])
    x = _mixed(x.add_(key[..., 1:] + _signed(number * _NEXT)))
    # Integers are uniform over [-2**31, 2**31).
    least = min(round(p * 2**32) - 2**31, 2**31 - 1)
    return (x >= least).reshape(*key.shape[:-1], *shape)


def _mixed(x: torch.Tensor) -> torch.Tensor:
    """Scramble int32 numbers in place, one to one: rounds of xor, shift and multiply."""
    x ^= (x >> 16).bitwise_and_(0xFFFF)  # without the sign's copies
    x *= 0x7FEB352D
    x ^= (x >> 15).bitwise_and_(0x1FFFF)
    x *= -2073254261
    x ^= (x >> 16).bitwise_and_(0xFFFF)
    return x


def _signed(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def _mask_shape(values: torch.Tensor, unbatched: int | None) -> tuple[int, ...]:
    """Return the shape of a mask: every value's own, or one for each feature of each record.

    unbatched: dimensions of an input without a batch, where whole features are dropped.
    """
    shape = tuple(values.shape)
    if unbatched is None:
        return shape
    kept = 1 if values.ndim == unbatched else 2
    return shape[:kept] + (1,) * (values.ndim - kept)


# For each function: see ``_mask_shape``, and whether it is alpha dropout.
_KINDS: dict[Callable[..., Any], tuple[int | None, bool]] = {
    functional.dropout: (None, False),
    torch.dropout: (None, False),
    functional.dropout1d: (2, False),
    functional.dropout2d: (0, False),  # as torch has it: three dimensions are [n, C, L]
    functional.dropout3d: (4, False),
    torch.feature_dropout: (0, False),
    functional.alpha_dropout: (None, True),
    functional.feature_alpha_dropout: (0, True),
}
