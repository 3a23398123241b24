"""Trained models: what a shadow trainer returns. Asked in float32 and evaluation mode."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from attrs import frozen
from torch import nn

from leakpro_core.arrays import AnyArray, Singles
from leakpro_core.errors import NotAFactory
from leakpro_torch.learners import Many
from leakpro_torch.modules import answers, arithmetic, as_floats, outputs, threads

QUERY_BATCH = 1024
"""Records per forward pass of one model."""

_AT_ONCE = 8192
"""Records times models per forward pass of a stack."""


@frozen(kw_only=True)
class TorchCohort:
    """Modules in evaluation mode, in the order of the unit's models."""

    modules: tuple[nn.Module, ...]
    device: str
    threads: int

    def query(self, records: AnyArray) -> Singles:
        """Return logits on ``records`` ``[n, ...]``, float32 ``[models, n, classes]``."""
        with threads(self.threads), arithmetic("float32"):
            each = [outputs(module, records, QUERY_BATCH, self.device) for module in self.modules]
        return np.stack(each)

    def parameters(self) -> Mapping[str, AnyArray]:
        """Return copies of parameters and buffers by name, ``[models, ...]``.

        ``NotAFactory`` where the models' own differ in names or shapes.
        """
        states = [module.state_dict() for module in self.modules]
        shapes = [{name: tuple(t.shape) for name, t in state.items()} for state in states]
        for shape in shapes[1:]:
            if shape != shapes[0]:
                raise NotAFactory(
                    "parameters of shadow models",
                    found="other names or shapes in one model than in another",
                    expected="models of one architecture",
                )
        return {
            name: np.stack([state[name].cpu().float().numpy() for state in states])
            for name in states[0]
        }


@frozen(kw_only=True)
class StackedCohort:
    """Stacks of models in evaluation mode.

    places: for each stack the positions of its models among the unit's.
    """

    stacks: tuple[Many, ...]
    places: tuple[tuple[int, ...], ...]
    device: str
    threads: int

    def query(self, records: AnyArray) -> Singles:
        """Return logits on ``records`` ``[n, ...]``, float32 ``[models, n, classes]``."""
        with threads(self.threads), arithmetic("float32"), torch.no_grad():
            return self._in_order([_ask(many, records, self.device) for many in self.stacks])

    def parameters(self) -> Mapping[str, AnyArray]:
        """Return copies of parameters and buffers by name, ``[models, ...]``."""
        states = [many.state() for many in self.stacks]
        return {
            name: self._in_order([state[name].cpu().float().numpy() for state in states])
            for name in states[0]
        }

    def _in_order(self, parts: Sequence[AnyArray]) -> AnyArray:
        places = np.concatenate([np.asarray(place) for place in self.places])
        together = np.empty_like(parts[0], shape=(len(places), *parts[0].shape[1:]))
        for place, part in zip(self.places, parts, strict=True):
            together[list(place)] = part
        return together


def _ask(many: Many, records: AnyArray, device: str) -> Singles:
    """Return a stack's outputs in blocks of records; smaller blocks where a GPU's memory ends."""
    block = max(1, _AT_ONCE // many.models)
    parts: list[Singles] = []
    start = 0
    while not parts or start < len(records):
        batch = as_floats(records[start : start + block])
        try:
            part = answers(many.ask, batch.to(device), many.models)
        except torch.OutOfMemoryError:
            if block == 1:
                raise
            torch.cuda.empty_cache()
            block //= 2
            continue
        parts.append(part.float().cpu().numpy())
        start += block
    return np.concatenate(parts, axis=1)
