"""What a client does to its update before it sends it: clip, noise, prune, round; in this order.

All by parameters' names, on gradients or on changes of weights, in the dtype that is given.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from leakpro_core.records import Disclosed
from leakpro_core.statistics import gdp_epsilon

Update = Mapping[str, Tensor]

DELTA = 1e-5
"""At which the epsilon of a release with noise is said."""

_DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def defended(update: Update, disclosed: Disclosed, rng: torch.Generator) -> dict[str, Tensor]:
    """Return one client's update as it leaves the client, but for the dtype.

    rng: of the noise, on the CPU.
    """
    found = dict(update)
    if disclosed.clip is not None:
        found = clipped(found, disclosed.clip)
    if disclosed.noise:
        scale = disclosed.noise * (disclosed.clip or 1.0)
        found = {name: v + scale * _normal(v, rng) for name, v in found.items()}
    if disclosed.pruned:
        found = {name: pruned(v, disclosed.pruned) for name, v in found.items()}
    if disclosed.bits is not None:
        found = {name: rounded(v, disclosed.bits) for name, v in found.items()}
    return found


def clipped(update: Update, bound: float) -> dict[str, Tensor]:
    """Return the update, scaled down to the L2 norm ``bound`` over all tensors if it is longer."""
    length = norm(update)
    share = min(1.0, bound / length) if length > 0 else 1.0
    return {name: share * v for name, v in update.items()}


def norm(update: Update) -> float:
    """Return the L2 norm over all tensors."""
    return math.sqrt(sum(float(v.double().square().sum()) for v in update.values()))


def pruned(values: Tensor, share: float) -> Tensor:
    """Return a tensor with ``floor(share * n)`` of its n coordinates, the smallest, set to 0.

    Of equal sizes the first in memory go first, so that exactly as many are 0 as was said.
    """
    count = math.floor(share * values.numel() + 1e-9)
    if count == 0:
        return values
    smallest = torch.sort(values.detach().abs().flatten(), stable=True).indices[:count]
    kept = values.flatten().clone()
    kept[smallest] = 0.0
    return kept.reshape(values.shape)


def rounded(values: Tensor, bits: int) -> Tensor:
    """Return a tensor, each coordinate at the nearest of ``2**bits - 1`` levels.

    They are equally spaced from minus the largest size to plus it, so that 0 stays 0. With 1 bit
    each coordinate is its sign times the mean size of those that are not 0 (Seide et al. 2014).
    """
    exact = values.double()
    if bits == 1:
        sizes = exact.abs()
        there = int((sizes > 0).sum())
        return (exact.sign() * (sizes.sum() / max(1, there))).to(values.dtype)
    largest = exact.abs().max() if exact.numel() else exact.new_zeros(())
    if float(largest) == 0.0:
        return values
    step = largest / (2 ** (bits - 1) - 1)
    nearest: Tensor = (exact / step).round() * step
    return nearest.to(values.dtype)


def sent(values: Tensor, dtype: str | None) -> Tensor:
    """Return numbers with a fraction rounded to ``dtype``; half precision comes back as float32.

    What is too large for it becomes its largest number.
    """
    if dtype is None or not values.is_floating_point():
        return values
    kind = _DTYPES[dtype]
    limit = torch.finfo(kind).max
    narrow = values.clamp(-limit, limit) if limit < torch.finfo(values.dtype).max else values
    return narrow.to(kind).to(kind if kind in (torch.float32, torch.float64) else torch.float32)


def said_of_noise(disclosed: Disclosed) -> tuple[str, ...]:
    """Return what noise and clipping protect by the theory, as sentences for the report.

    The Gaussian mechanism with sensitivity ``clip`` (one client added or removed) and standard
    deviation ``noise * clip`` is mu-Gaussian DP with mu = 1 / noise (Dong, Roth, Su 2022).
    """
    if not disclosed.noise:
        return ()
    if disclosed.clip is None:
        return (
            f"Noise of standard deviation {disclosed.noise:g} without clipping: no differential "
            "privacy follows, for nothing bounds what one client changes.",
        )
    said = (
        f"By clipping to {disclosed.clip:g} and noise of {disclosed.noise:g} times that, one "
        f"release has epsilon {_epsilon(1.0 / disclosed.noise)} at delta {DELTA:g} (Gaussian "
        "mechanism, one client added or removed); between any two sets of records of a client who "
        f"is known to take part, updates lie up to twice as far apart, and it is "
        f"{_epsilon(2.0 / disclosed.noise)}."
    )
    if disclosed.clients > 1:
        mu = 1.0 / (disclosed.noise * math.sqrt(disclosed.clients))
        said += (
            f" The mean over {disclosed.clients} clients, if a server sees nothing else of them, "
            f"has {_epsilon(mu)} and {_epsilon(2.0 * mu)}."
        )
    return (
        said,
        "That epsilon holds for one round: rounds add up, subsampling of clients is not counted, "
        "nor statistics of batch norm, which are sent without noise. Clipping bounds a client's "
        "whole update: no record has a smaller epsilon by it than the client has.",
    )


def _epsilon(mu: float) -> str:
    epsilon = gdp_epsilon(mu, DELTA)
    return f"{epsilon:.3g}" if epsilon < 1e4 else f"{epsilon:.1e}"


def _normal(like: Tensor, rng: torch.Generator) -> Tensor:
    # Drawn on the CPU, so that a device changes nothing of what is drawn.
    return torch.randn(like.shape, generator=rng, dtype=like.dtype).to(like.device)
