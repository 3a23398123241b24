"""What a server sees, as the gradient of a batch: kind, sign and scale as they were declared."""

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor

from leakpro_core.arrays import AnyArray
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import ClientUpdate, Disclosed
from leakpro_fl.procedure import Steps, steps_of

_CLOSE = 0.95
"""Share of the clipping bound from which an update counts as clipped: rounding shortens it too."""


@frozen(kw_only=True)
class Seen:
    """An update as a gradient of the mean loss over all its records, float64, by parameter.

    single: whether it is the gradient at the global model, but for rounding and defences: one step
    from there; else it is the mean over steps, weighted by momentum, along the way.
    scaled: whether its length is that of a gradient; else only its direction is.
    buffers: the statistics of batch norm after it, float64, by name, whatever was sent of them.
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
    taken for the delta from those before. Weight decay, where it is disclosed, is taken out, unless
    clipping has hidden how much of the update it is.
    """
    how = None if disclosed.kind == "gradient" else steps_of(disclosed)
    values = {name: _double(v) for name, v in update.values.items() if name not in buffers}
    if disclosed.kind == "weights":
        values = {name: v - _double(update.before[name]) for name, v in values.items()}
    if disclosed.kind == "gradient":
        single, times = True, _of_sum(disclosed)
    else:
        single, times = _scale(disclosed, how)
    if _may_be_clipped(values, disclosed):
        times = None
    sign = 1.0 if disclosed.kind == "gradient" else -1.0
    found = {name: sign * (1.0 if times is None else times) * v for name, v in values.items()}
    if how is not None and times is not None and how.weight_decay:
        # Beside a sum over the records of a step, it is less by as much as the sum is more.
        decay = how.weight_decay / _summed(disclosed, how)
        # Parameters that are not trained do not decay either.
        found = {
            n: v - decay * _double(update.before[n]) if bool(v.any()) else v
            for n, v in found.items()
        }
    after = {n: _double(v) for n, v in update.values.items() if n in buffers}
    if disclosed.kind == "delta":
        after = {name: v + _double(update.before[name]) for name, v in after.items()}
    return Seen(gradient=found, single=single, scaled=times is not None, buffers=after)


def _own(disclosed: Disclosed) -> int | None:
    """Return the records of one client."""
    return None if disclosed.examples is None else disclosed.examples // disclosed.clients


def _of_sum(disclosed: Disclosed) -> float | None:
    """Return what makes a gradient, the mean over clients, one of the mean loss."""
    if disclosed.reduction != "sum":
        return 1.0
    own = _own(disclosed)
    return None if own is None else 1.0 / own


def _scale(disclosed: Disclosed, how: Steps | None) -> tuple[bool, float | None]:
    """Return whether a delta is one step, and what makes it a gradient of the mean loss."""
    own = _own(disclosed)
    if own is None:
        # All records in one step, however many they are.
        count = 1 if disclosed.epochs in (None, 1) and disclosed.batch_size is None else None
    else:
        per_step = Steps(lr=1.0, epochs=disclosed.epochs or 1, batch_size=disclosed.batch_size)
        count = per_step.count(own)
    if disclosed.optimiser not in (None, "sgd"):
        return False, None  # a step of Adam keeps little but the signs of its gradient
    single = count == 1
    if how is None or count is None:
        return single, None
    # How much each gradient moves the weights in all the steps that follow it.
    weights = [(1.0 - how.momentum ** (count - t)) / (1.0 - how.momentum) for t in range(count)]
    if how.nesterov:
        weights = [1.0 + how.momentum * w for w in weights]
    scale = 1.0 / (how.lr * float(np.sum(weights)))
    if how.reduction == "sum" and own is None:
        return single, None
    return single, scale / _summed(disclosed, how)


def _summed(disclosed: Disclosed, how: Steps) -> float:
    """Return how many records the losses of a step are summed over, on average; 1 of a mean."""
    own = _own(disclosed)
    if how.reduction == "mean" or own is None:
        return 1.0
    return own * how.epochs / how.count(own)


def _may_be_clipped(values: dict[str, Tensor], disclosed: Disclosed) -> bool:
    """Whether clipping may have shortened the update, by what is left of its length."""
    if disclosed.clip is None:
        return False
    if disclosed.clients > 1:
        return True
    square = sum(float(v.square().sum()) for v in values.values())
    if disclosed.noise:
        # What the noise adds, on average.
        size = sum(v.numel() for v in values.values())
        square = max(0.0, square - size * (disclosed.noise * disclosed.clip) ** 2)
    # The largest coordinates stay, so a pruned tensor has at least its share of the square.
    square /= 1.0 - (disclosed.pruned or 0.0)
    return square >= (_CLOSE * disclosed.clip) ** 2


def _double(values: AnyArray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
