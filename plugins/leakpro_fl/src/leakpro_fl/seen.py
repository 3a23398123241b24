"""What a server sees, as the gradient of a batch: kind, sign and scale as they were declared."""

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor

from leakpro_core.arrays import AnyArray
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import ClientUpdate, Disclosed
from leakpro_fl.procedure import Steps, steps_of


@frozen(kw_only=True)
class Seen:
    """An update as a gradient of the mean loss over all its records, float64, by parameter.

    single: whether it is the gradient at the global model, but for rounding and defences: one step
    from there; else it is the mean over steps, weighted by momentum, along the way.
    scaled: whether its length is that of a gradient; else only its direction is.
    buffers: the statistics of batch norm that were sent, float64, by name.
    """

    gradient: dict[str, Tensor] = field(repr=False)
    single: bool
    scaled: bool
    buffers: dict[str, Tensor] = field(factory=dict, repr=False)


def seen(challenge: InversionChallenge) -> Seen:
    """Return what the adversary sees of the update."""
    update = ClientUpdate(before=challenge.before, values=challenge.update)
    return read(update, challenge.disclosed, challenge.buffers)


def read(update: ClientUpdate, disclosed: Disclosed, buffers: tuple[str, ...] = ()) -> Seen:
    """Return an update as a gradient.

    A delta has the opposite sign of the gradient and a scale of the learning rate; weights are
    taken for the delta from those before. Weight decay, where it is disclosed, is taken out.
    """
    how = None if disclosed.kind == "gradient" else steps_of(disclosed)
    single = True
    times: float | None = 1.0
    if disclosed.kind == "gradient":
        if disclosed.reduction == "sum":
            times = None if disclosed.examples is None else 1.0 / disclosed.examples
    else:
        single, times = _scale(disclosed, how)
    values = {name: _double(v) for name, v in update.values.items() if name not in buffers}
    if disclosed.kind == "weights":
        values = {name: v - _double(update.before[name]) for name, v in values.items()}
    sign = 1.0 if disclosed.kind == "gradient" else -1.0
    found = {name: sign * (times or 1.0) * v for name, v in values.items()}
    if how is not None and times is not None and how.weight_decay:
        found = {n: v - how.weight_decay * _double(update.before[n]) for n, v in found.items()}
    return Seen(
        gradient=found,
        single=single,
        scaled=times is not None,
        buffers={n: _double(v) for n, v in update.values.items() if n in buffers},
    )


def _scale(disclosed: Disclosed, how: Steps | None) -> tuple[bool, float | None]:
    """Return whether a delta is one step, and what makes it a gradient of the mean loss."""
    own = None if disclosed.examples is None else disclosed.examples // disclosed.clients
    one_epoch = disclosed.epochs in (None, 1)
    if own is None:
        count = 1 if one_epoch and disclosed.batch_size is None else None
    else:
        size = own if disclosed.batch_size is None else disclosed.batch_size
        count = (disclosed.epochs or 1) * -(-own // size)
    single = count == 1
    if how is None or how.optimiser != "sgd" or count is None:
        return single, None
    # How much each gradient moves the weights in all the steps that follow it.
    weights = [(1.0 - how.momentum ** (count - t)) / (1.0 - how.momentum) for t in range(count)]
    if how.nesterov:
        weights = [1.0 + how.momentum * w for w in weights]
    scale = 1.0 / (how.lr * float(np.sum(weights)))
    if how.reduction == "sum":
        scale /= own if how.batch_size is None and own is not None else (how.batch_size or 1)
    return single, scale


def _double(values: AnyArray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
