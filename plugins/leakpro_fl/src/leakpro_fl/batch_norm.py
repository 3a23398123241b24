"""Statistics of a client's batches, from batch norm's buffers before and after (Yin et al. 2021).

A step in training mode moves ``running <- (1 - m) running + m batch``, with the unbiased variance;
so what was sent tells the mean over steps of the batches' means and variances, later steps weighing
more, but for rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

State = Mapping[str, Tensor]


@frozen(kw_only=True)
class Told:
    """What buffers tell. layers: names; means, variances: float64 ``[channels]``, one a layer;
    weights: of the steps, first to last, sum 1.
    """

    layers: tuple[str, ...]
    means: tuple[Tensor, ...] = field(repr=False)
    variances: tuple[Tensor, ...] = field(repr=False)
    weights: tuple[float, ...]


def told(module: nn.Module, before: State, after: State, steps: int) -> Told | None:
    """Return what buffers after ``steps`` steps tell; None where none were sent, or none moved.

    before, after: buffers by name, float64.
    """
    layers, means, variances, weights = [], [], [], (1.0 / steps,) * steps
    for name, layer in _layers(module):
        mean, variance = f"{name}.running_mean", f"{name}.running_var"
        if mean not in after or variance not in after or mean not in before:
            continue
        if torch.equal(before[mean], after[mean]):
            continue
        already = before.get(f"{name}.num_batches_tracked", torch.zeros(()))
        weights, kept, moved = _weights(layer.momentum, float(already), steps)
        layers.append(name)
        means.append((after[mean] - kept * before[mean]) / moved)
        variances.append((after[variance] - kept * before[variance]) / moved)
    if not layers:
        return None
    return Told(
        layers=tuple(layers), means=tuple(means), variances=tuple(variances), weights=weights
    )


def steps_told(before: State, after: State) -> int | None:
    """Return how many steps were taken in training mode, as batch norm counted; None: not said."""
    for name, count in after.items():
        if name.endswith("num_batches_tracked") and name in before:
            return round(float(count - before[name]))
    return None


def trains(before: State, after: State) -> bool | None:
    """Whether the buffers that were sent were moved by training mode; None: none were sent."""
    names = [n for n in after if n.endswith(("running_mean", "running_var")) and n in before]
    return any(not torch.equal(before[n], after[n]) for n in names) if names else None


def _weights(
    momentum: float | None, already: float, steps: int
) -> tuple[tuple[float, ...], float, float]:
    """Return how much each step counts, the share that stays of before, and how much all move."""
    if momentum is None:  # the mean over all batches since training began
        return (1.0 / steps,) * steps, already / (already + steps), steps / (already + steps)
    kept = (1.0 - momentum) ** steps
    moved = 1.0 - kept
    each = tuple(momentum * (1.0 - momentum) ** (steps - 1 - t) / moved for t in range(steps))
    return each, kept, moved


def _layers(module: nn.Module) -> list[tuple[str, _BatchNorm]]:
    return [
        (name, layer)
        for name, layer in module.named_modules()
        if isinstance(layer, _BatchNorm) and layer.track_running_stats
    ]


class Watch:
    """Sees what enters batch norm of a module, differentiably. The module is changed: hooks."""

    def __init__(self, module: nn.Module, layers: Sequence[str]) -> None:
        self._seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
        for name in layers:
            module.get_submodule(name).register_forward_pre_hook(self._hook(name))

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def look(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            x = inputs[0]
            over = [0, *range(2, x.dim())]
            self._seen[name].append((x.mean(dim=over), x.var(dim=over)))

        return look

    def taken(self, weights: Sequence[float]) -> list[Tensor]:
        """Return mean and variance of every layer, over the steps since last asked, and forget."""
        found = []
        for name, each in self._seen.items():
            for part in range(2):
                found.append(
                    sum((w * e[part] for w, e in zip(weights, each, strict=True)), torch.zeros(()))
                )
            self._seen[name] = []
        return found
