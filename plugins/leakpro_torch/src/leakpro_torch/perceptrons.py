"""Stacks of multi-layer perceptrons: their steps are written out, without autograd and ``vmap``.

Small models spend more time in those than in arithmetic, and in fetching fresh memory: here every
activation and gradient has its place, and a batch writes it anew.
"""

import torch
from attrs import field, frozen
from torch import nn

from leakpro_torch.draws import kept
from leakpro_torch.learners import Batch, Many


def is_perceptron(module: nn.Module) -> bool:
    """Whether ``module`` is a sequence of linear layers, ReLU, dropout and flattening of records.

    Exact types are asked for: a class of the user's may do anything else.
    """
    if type(module) is not nn.Sequential:
        return False
    # A layer may stand in several places: children() has it once.
    parameters = [id(p) for layer in module for p in layer.parameters()]
    return (
        len(set(parameters)) == len(parameters) > 0
        and all(p.dtype == torch.float32 for p in module.parameters())
        and all(map(_is_plain, module))
        and not any(map(_is_hooked, module.modules()))
    )


def _is_plain(layer: nn.Module) -> bool:
    if type(layer) is nn.Flatten:
        return (layer.start_dim, layer.end_dim) == (1, -1)
    return type(layer) in (nn.Linear, nn.ReLU, nn.Dropout, nn.Identity)


def _is_hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    return any(map(bool, (*hooks, module._backward_pre_hooks)))


@frozen(kw_only=True)
class Perceptrons:
    """Models of which ``is_perceptron`` is true. many: the same, as a stack of any modules."""

    many: Many
    _places: dict[object, torch.Tensor] = field(factory=dict, repr=False)

    def parameters(self) -> list[torch.Tensor]:
        """Return what is trained, ``[models, ...]`` each."""
        return self.many.parameters()

    def clip(self, limit: float) -> None:
        """Scale each model's gradient down to an L2 norm of ``limit``."""
        self.many.clip(limit)

    def learn(self, batch: Batch) -> torch.Tensor:
        """Set the gradients of the batch's models; return their losses ``[m]``."""
        with torch.no_grad():
            inputs, masks, outputs = self._forward(batch.records, batch.keys, batch.part)
        means = batch.loss(outputs.requires_grad_())
        (gradient,) = torch.autograd.grad(means.sum(), outputs)
        outputs.requires_grad_(False)  # its place is written anew
        with torch.no_grad():
            self._backward(gradient, inputs, masks, batch.part)
        return means.detach()

    def _forward(
        self, x: torch.Tensor, keys: torch.Tensor, part: slice | None
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]:
        """Return what each layer was given, dropout's masks and the outputs ``[m, b, classes]``."""
        inputs: dict[str, torch.Tensor] = {}
        masks: dict[str, torch.Tensor] = {}
        for name, layer in self.many.base._modules.items():
            if isinstance(layer, nn.Linear):
                inputs[name] = x
                x = self._linear(name, x, part)
            elif isinstance(layer, nn.ReLU):
                x = inputs[name] = x.relu_()  # its sign is all that is needed of it later
            elif isinstance(layer, nn.Flatten):
                inputs[name] = x
                x = x.flatten(2)
            elif isinstance(layer, nn.Dropout) and layer.p > 0:
                mask = kept(keys, len(masks) + 1, tuple(x.shape[1:]), layer.p).to(x.dtype)
                masks[name] = mask.mul_(1 / (1 - layer.p) if layer.p < 1 else 0.0)
                x = x.mul_(masks[name])
        return inputs, masks, x

    def _linear(self, name: str, x: torch.Tensor, part: slice | None) -> torch.Tensor:
        weight = _of(self.many.weights[f"{name}.weight"], part)
        bias = self.many.weights.get(f"{name}.bias")
        rows = x.reshape(len(x), -1, x.shape[-1])
        place = self._place((name, "outputs"), (*rows.shape[:2], weight.shape[1]), x)
        if bias is None:
            torch.bmm(rows, weight.transpose(1, 2), out=place)
        else:
            torch.baddbmm(_of(bias, part).unsqueeze(1), rows, weight.transpose(1, 2), out=place)
        return place.view(*x.shape[:-1], -1)

    def _backward(
        self,
        gradient: torch.Tensor,
        inputs: dict[str, torch.Tensor],
        masks: dict[str, torch.Tensor],
        part: slice | None,
    ) -> None:
        layers = list(self.many.base._modules.items())
        first = next(name for name, layer in layers if isinstance(layer, nn.Linear))
        for name, layer in reversed(layers):
            if isinstance(layer, nn.Linear):
                rows = inputs[name].reshape(len(gradient), -1, layer.in_features)
                above = gradient.reshape(*rows.shape[:2], -1)
                self._linear_gradients(name, rows, above, part)
                if name == first:
                    return  # records need none
                place = self._place((name, "gradient"), tuple(rows.shape), rows)
                torch.bmm(above, _of(self.many.weights[f"{name}.weight"], part), out=place)
                gradient = place.view(inputs[name].shape)
            elif isinstance(layer, nn.ReLU):
                slope = self._place((name, "slope"), tuple(gradient.shape), gradient)
                # As numbers: a product with bools takes eight times as long.
                gradient = gradient.mul_(torch.gt(inputs[name], 0, out=slope))
            elif isinstance(layer, nn.Flatten):
                gradient = gradient.view(inputs[name].shape)
            elif name in masks:
                gradient = gradient.mul_(masks[name])

    def _linear_gradients(
        self, name: str, rows: torch.Tensor, above: torch.Tensor, part: slice | None
    ) -> None:
        weight, bias = (self.many.weights.get(f"{name}.{kind}") for kind in ("weight", "bias"))
        for each in (weight, bias):
            if each is not None and each.requires_grad and each.grad is None:
                each.grad = self._place((name, each.ndim), tuple(each.shape), each.detach())
        if weight is not None and weight.grad is not None:
            torch.bmm(above.transpose(1, 2), rows, out=_of(weight.grad, part))
        if bias is not None and bias.grad is not None:
            torch.sum(above, 1, out=_of(bias.grad, part))

    def _place(self, key: object, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """Return memory that stays the same from one batch of a shape to the next."""
        found = self._places.get((key, shape))
        if found is None:
            found = self._places[key, shape] = like.new_empty(shape)
        return found


def _of(tensor: torch.Tensor, part: slice | None) -> torch.Tensor:
    return tensor if part is None else tensor[part]
