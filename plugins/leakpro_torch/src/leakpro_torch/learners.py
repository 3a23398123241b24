"""One model, or many of one architecture stacked: what a training step needs of either."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.parameter import is_lazy

from leakpro_torch.draws import Draws
from leakpro_torch.modules import gpus_in_use

Tensors = dict[str, torch.Tensor]


@frozen(kw_only=True)
class Batch:
    """What models learn from in one step.

    records: ``[m, b, ...]``; keys: int32 ``[m, 2]``, what dropout is drawn from.
    loss: from outputs to mean losses, ``[m, b, ...]`` to ``[m]``, of one module ``[b, ...]`` to
    ``[]``. part: which models of a stack these are, None: all. mixed: whether the forward pass is
    in bfloat16 where that serves.
    """

    records: torch.Tensor
    keys: torch.Tensor
    loss: Callable[[Any], torch.Tensor]
    part: slice | None = None
    mixed: bool = False


class Unstackable(Exception):
    """Models cannot be trained as a stack; the message says why, as part of a sentence."""


@frozen(kw_only=True)
class One:
    """A module by itself, as a stack of one."""

    module: nn.Module

    def parameters(self) -> list[torch.Tensor]:
        """Return what is trained."""
        return [p for p in self.module.parameters() if p.requires_grad]

    def forward(self, records: torch.Tensor, keys: torch.Tensor, part: slice | None = None) -> Any:
        """Return the module's outputs ``[b, ...]`` on ``records`` ``[1, b, ...]``.

        keys: int32 ``[1, 2]``, what dropout is drawn from.
        """
        with Draws(keys[0]):
            return self.module(records[0])

    def learn(self, batch: Batch) -> torch.Tensor:
        """Add to the gradients; return the loss, ``[]``."""
        return _learn(self, batch)

    def clip(self, limit: float) -> None:
        """Scale the gradient down to an L2 norm of ``limit``."""
        nn.utils.clip_grad_norm_(self.module.parameters(), limit)


@frozen(kw_only=True)
class Many:
    """Models of one architecture. parameters, buffers: by name, ``[models, ...]``.

    base: one of the modules, of which only the structure and its mode are used.
    """

    base: nn.Module
    weights: Tensors = field(repr=False)
    buffers: Tensors = field(repr=False)

    @property
    def models(self) -> int:
        """How many there are."""
        return len(next(iter(self.weights.values())))

    def state(self) -> Tensors:
        """Return all models' parameters and buffers by the names of a state dict."""
        own = self.weights | self.buffers
        named = [*self.base.named_parameters(), *self.base.named_buffers()]
        names = {id(tensor): name for name, tensor in named}
        # A tensor that two modules share has two names in a state dict.
        each = self.base.state_dict(keep_vars=True).items()
        return {name: own[names[id(tensor)]].detach() for name, tensor in each}

    def parameters(self) -> list[torch.Tensor]:
        """Return what is trained, ``[models, ...]`` each."""
        return [p for p in self.weights.values() if p.requires_grad]

    def forward(self, records: torch.Tensor, keys: torch.Tensor, part: slice | None = None) -> Any:
        """Return outputs ``[m, b, ...]`` of models on ``[m, b, ...]`` each: all, or a ``part``.

        keys: int32 ``[m, 2]``, what each model's dropout is drawn from.
        """
        weights, buffers = self.weights, self.buffers
        if part is not None:
            weights, buffers = _part(weights, part), _part(buffers, part)
        return vmap(self._call, randomness="error")(weights, buffers, records, keys)

    def learn(self, batch: Batch) -> torch.Tensor:
        """Add to the gradients of the batch's models; return their losses ``[m]``."""
        return _learn(self, batch)

    def ask(self, records: torch.Tensor) -> Any:
        """Return outputs ``[models, n, ...]`` of all models on ``records`` ``[n, ...]``."""
        asked = vmap(self._ask, in_dims=(0, 0, None), randomness="error")
        return asked(self.weights, self.buffers, records)

    def _call(self, weights: Tensors, buffers: Tensors, records: Any, key: torch.Tensor) -> Any:
        with Draws(key, stacked=True):
            return functional_call(self.base, (weights, buffers), (records,))

    def _ask(self, weights: Tensors, buffers: Tensors, records: torch.Tensor) -> Any:
        return functional_call(self.base, (weights, buffers), (records,))

    def clip(self, limit: float) -> None:
        """Scale each model's gradient down to an L2 norm of ``limit``."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        flat = [g.reshape(len(g), -1) for g in gradients]
        norms = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(g, dim=1) for g in flat]), dim=0
        )
        factor = (limit / (norms + 1e-6)).clamp(max=1.0)  # as clip_grad_norm_
        for gradient in gradients:
            gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


def _learn(learner: One | Many, batch: Batch) -> torch.Tensor:
    context = torch.autocast(batch.records.device.type, torch.bfloat16) if batch.mixed else None
    with context or nullcontext():
        outputs = learner.forward(batch.records, batch.keys, batch.part)
    means = batch.loss(outputs)
    means.sum().backward()  # type: ignore[no-untyped-call]
    return means.detach()


def _part(tensors: Tensors, part: slice) -> Tensors:
    return {name: tensor[part] for name, tensor in tensors.items()}


def stacked(modules: Sequence[nn.Module]) -> Many:
    """Stack modules that differ in the values of their parameters and buffers alone.

    ``Unstackable`` where they differ in more: what is no parameter or buffer is the first one's.
    """
    first = [*modules[0].parameters(), *modules[0].buffers()]
    if any(map(is_lazy, first)):
        raise Unstackable("its parameters have no shape before it is called, it has lazy modules")
    for module in modules[1:]:
        _check_alike(modules[0], module)

    def stack(each: Sequence[Tensors]) -> Tensors:
        return {name: torch.stack([tensors[name].detach() for tensors in each]) for name in each[0]}

    weights = stack([dict(module.named_parameters()) for module in modules])
    for name, parameter in modules[0].named_parameters():
        weights[name].requires_grad_(parameter.requires_grad)
    return Many(
        base=modules[0],
        weights=weights,
        buffers=stack([dict(module.named_buffers()) for module in modules]),
    )


def _check_alike(first: nn.Module, other: nn.Module) -> None:
    if _described(first) != _described(other):
        raise Unstackable("its models differ in parameters, buffers or modules")
    pairs = zip(first.named_modules(), other.modules(), strict=True)
    for (name, one), two in pairs:
        own = {key for key in vars(one) if key not in vars(nn.Module())}
        for key in sorted(own | {key for key in vars(two) if key not in vars(nn.Module())}):
            if not _equal(vars(one).get(key), vars(two).get(key)):
                where = f"{name}.{key}".lstrip(".")
                raise Unstackable(f"{where} differs between models, but is no parameter or buffer")


def _described(module: nn.Module) -> list[object]:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return [
        # By name, since a factory may define its class anew each time.
        *[(name, type(each).__qualname__, each.training) for name, each in module.named_modules()],
        *[(name, tuple(t.shape), t.dtype, t.requires_grad) for name, t in tensors],
    ]


def _equal(one: object, two: object) -> bool:
    """Whether plain values and arrays are equal; of other objects only the class is compared."""
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and torch.equal(one, two)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, two)  # type: ignore[arg-type]
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_equal, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_equal(one[key], two[key]) for key in one)
    if isinstance(one, bool | int | float | complex | str | bytes):
        return one == two
    return True


@contextmanager
def nothing_drawn() -> Iterator[None]:
    """Raise ``Unstackable`` where what runs within draws from a global generator.

    One draw would serve all models of a stack, but each needs one from its own seed.
    """
    before = _states()
    yield
    if before != _states():
        raise Unstackable("its forward pass draws from a global random generator")


def _states() -> tuple[object, ...]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - a user's code may draw from it
    devices = [torch.get_rng_state()]
    if gpus_in_use():
        devices += torch.cuda.get_rng_state_all()
    return random.getstate(), repr(legacy), *(bytes(state.numpy()) for state in devices)
