"""How a classifier is trained, in words that every training plugin reads alike.

A recipe means the same in every framework: the same batches, the same learning rate at each step.
"""

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import AnyArray

_SHARE = [validators.ge(0.0), validators.lt(1.0)]


@frozen(kw_only=True)
class Recipe:
    """How a classifier is trained: cross-entropy over mini-batches, shuffled every epoch.

    optimiser: as torch.optim and optax have it. epochs: passes over the records.
    batch_size: records a step. lr: peak learning rate. momentum: of sgd.
    weight_decay: decoupled in adamw, an L2 penalty else.
    schedule: "constant"; "cosine", to zero over all steps (Loshchilov & Hutter 2017); or "step", a
    tenth after one half and a hundredth after three quarters of the steps (He et al. 2016).
    label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
    warmup: epochs of linear increase before the schedule starts.
    clip: largest L2 norm of a step's gradient; None: no limit.
    augment: for images [n, C, H, W]: "flip" mirrors a record with probability 1/2, "crop" shifts it
    by up to an eighth of its height and width over a reflected border.
    """

    optimiser: Literal["sgd", "adam", "adamw"] = "adam"
    lr: float = field(default=1e-3, validator=validators.gt(0.0))
    momentum: float = field(default=0.0, validator=_SHARE)
    weight_decay: float = field(default=0.0, validator=validators.ge(0.0))
    epochs: int = field(default=20, validator=validators.ge(1))
    batch_size: int = field(default=64, validator=validators.ge(1))
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup: int = field(default=0, validator=validators.ge(0))
    label_smoothing: float = field(default=0.0, validator=_SHARE)
    clip: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    augment: tuple[Literal["flip", "crop"], ...] = ()

    def __attrs_post_init__(self) -> None:
        # The plan's parser puts "expected" before these sentences.
        if self.momentum and self.optimiser != "sgd":
            raise ValueError(f"no momentum with {self.optimiser}, it is an option of sgd")
        if self.warmup >= self.epochs:
            raise ValueError(f"a warmup shorter than the {self.epochs} epochs, not {self.warmup}")


def batches(n: int, size: int) -> list[tuple[int, int]]:
    """Return the batches of an epoch as (start, stop); every record is in one.

    A last batch of one record is joined to the batch before it: batch normalisation has no
    variance over a single record.
    """
    starts = list(range(0, n, size))
    if len(starts) > 1 and size > 1 and n % size == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n], strict=True))


def rate(schedule: str, step: int, warmup: int, steps: int) -> float:
    """Return the learning rate of a step as a share of its peak."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / (steps - warmup)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    if schedule == "step":
        return 0.01 if progress >= 0.75 else 0.1 if progress >= 0.5 else 1.0
    return 1.0


@frozen(kw_only=True, eq=False)
class Epoch:
    """What one model draws for one epoch, position by position of its order.

    order: int64 ``[n]``, a permutation of the model's records; flip: bool ``[n]``, which are
    mirrored; shift: int64 ``[n, 2]``, where the window of a record starts in its padded image, in
    rows and columns from 0 to twice an eighth of its size. None where the recipe does not ask.
    """

    order: AnyArray
    flip: AnyArray | None = None
    shift: AnyArray | None = None


def epochs(recipe: Recipe, n: int, seed: int, size: tuple[int, int] = (0, 0)) -> Iterator[Epoch]:
    """Yield the draws of each epoch of a model with ``n`` records, whatever trains beside it.

    seed: the model's own; size: height and width of its images, for "crop".
    """
    random = np.random.default_rng(seed)
    ends = [2 * (length // 8) + 1 for length in size]
    for _ in range(recipe.epochs):
        yield Epoch(
            order=random.permutation(n),
            flip=random.random(n) < 0.5 if "flip" in recipe.augment else None,
            shift=random.integers(0, ends, (n, 2)) if "crop" in recipe.augment else None,
        )
