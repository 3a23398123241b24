"""A malicious server's model: a layer in front of it sorts the records of a batch into bins.

It measures every record, and its neurons fire above rising thresholds, so that the gradients of two
neighbours differ by the records between their thresholds alone (Fowl, Geiping, Czaja, Goldblum,
Goldstein 2022, "Robbing the Fed"). With traps instead, neurons rarely fire, each for some record
(Boenisch et al. 2023).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn

from leakpro_core.arrays import Floats
from leakpro_core.errors import BadArray
from leakpro_core.records import Auxiliary
from leakpro_fl.procedure import own

Kind = Literal["cumulative", "sparse", "trap"]


class Imprint(nn.Module):
    """A layer that gives its input back, and a little of what its bins measured.

    bins: linear ``[bins, d]``; out: linear ``[d, bins]`` whose columns are all the same, so that
    the gradients of all bins that a record is in are too.
    """

    def __init__(self, size: int, bins: int, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.bins = nn.Linear(size, bins)
        self.fire: nn.Module = nn.Hardtanh(0.0, 1.0) if kind == "sparse" else nn.ReLU()
        self.out = nn.Linear(bins, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        measured: Tensor = self.out(self.fire(self.bins(flat)))
        return (flat + measured).view_as(x)


def imprinted(
    module: nn.Module,
    shape: Sequence[int],
    bins: int,
    seed: int,
    auxiliary: Auxiliary | None = None,
    kind: Kind = "cumulative",
    *,
    strength: float = 1.0,
) -> nn.Module:
    """Return the model with an imprint in front; the module itself stays as it is.

    shape: of a record, of real numbers; bins: more of them part more records. Thresholds are
    quantiles of the measure among auxiliary records, or those of a standard normal measure.
    kind: "cumulative" neurons fire above their threshold; "sparse" ones have a gradient in their
    bin only, which survives local training; "trap" neurons have random weights, half of them
    negative and larger, and rarely fire at all.
    strength: of all bins together on what the model is given. Small, and the model still works;
    large, and the gradients are not lost in the rounding of weights that are sent.
    ``BadArray`` where there are fewer than two bins.
    """
    if bins < 2:
        raise BadArray("bins of an imprint", found=str(bins), expected="at least 2")
    size = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    known = None
    if auxiliary is not None and auxiliary.records is not None and len(auxiliary.labels) > 1:
        known = np.asarray(auxiliary.records, np.float64).reshape(len(auxiliary.labels), -1)
    rows, biases = (_traps if kind == "trap" else _bins)(size, bins, known, rng)
    if kind == "sparse":  # from 0 to 1 between one threshold and the next
        widths = np.diff(-biases)
        widths = np.append(widths, widths[-1])[:, None]
        rows, biases = rows / widths, biases / widths[:, 0]
    with torch.random.fork_rng(devices=[]):  # whose first weights are overwritten
        layer = Imprint(size, bins, kind)
    column = rng.choice([-1.0, 1.0], size) * strength / bins
    with torch.no_grad():
        layer.bins.weight.copy_(torch.from_numpy(rows))
        layer.bins.bias.copy_(torch.from_numpy(biases))
        layer.out.weight.copy_(torch.from_numpy(np.repeat(column[:, None], bins, axis=1)))
    theirs = own(module, train=module.training).requires_grad_(True)
    return nn.Sequential(OrderedDict(imprint=layer, model=theirs))


def _bins(
    size: int, bins: int, known: Floats | None, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return equal rows ``[bins, size]`` and biases ``[bins]`` of rising thresholds."""
    direction = rng.normal(size=size) / np.sqrt(size)
    at = (np.arange(bins) + 0.5) / bins
    if known is None:
        thresholds = ndtri(at)
    else:
        thresholds = np.quantile(known @ direction, at)
        # Equal thresholds would part nobody.
        thresholds = thresholds + 1e-6 * np.arange(bins) * max(1e-6, float(np.ptp(thresholds)))
    return np.repeat(direction[None], bins, axis=0), -thresholds


def _traps(
    size: int, bins: int, known: Floats | None, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return rows, half of each negated and larger, that few records exceed the threshold of."""
    rows = np.empty((bins, size))
    half = size // 2
    for row in rows:
        values = np.abs(rng.normal(size=size - half)) / np.sqrt(size)
        row[rng.permutation(size)] = np.concatenate([-values, 0.95 * values[:half]])
    if known is None:
        return rows, np.zeros(bins)
    # Each fires for a few of a hundred records.
    return rows, -np.quantile(known @ rows.T, 0.98, axis=0)
