"""A malicious server: a model that sorts the records of a batch into bins, and how they are read.

Not an honest but curious server: the global model itself is the attack. A layer in front of it
measures every record, and its neurons fire above rising thresholds, so that the gradients of two
neighbours differ by the records between their thresholds alone (Fowl, Geiping, Czaja, Goldblum,
Goldstein 2022, "Robbing the Fed"). With traps instead, neurons rarely fire, each for some record
(Boenisch et al. 2023).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from attrs import field, frozen
from leakpro_torch.modules import threads
from scipy.special import ndtri
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from leakpro_core.arrays import Floats, Ints
from leakpro_core.errors import BadArray, NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_core.records import Auxiliary
from leakpro_fl.procedure import own, state_of
from leakpro_fl.seen import Seen, seen

Kind = Literal["cumulative", "sparse", "trap"]

_CERTAIN = 0.01
"""Relative distance of what a record must leave in the update from what is there."""

_EMPTY = 1e-5
"""Of the largest bias gradient, below which a bin holds nobody."""


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


@frozen(kw_only=True)
class ImprintOptions:
    """Options of ``imprint``. certain: largest relative residual that a certificate may have."""

    certain: float = field(default=_CERTAIN)


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


def attack(challenge: InversionChallenge, options: ImprintOptions, run: Run) -> InversionAnswer:
    """Claim the records that bins of the model hold, one a bin.

    A record is certified where, with some label, it leaves in the update of the imprint what is
    there, in its own bin and, with its neighbour, in what reads the bins; a bin of several records
    holds a mixture, which does not. A claim is minus the log of the worse of these residuals.
    ``NotApplicable`` where the model has no imprint, or the update none of its gradients.
    """
    name, layer = _found(challenge.model)
    observed = seen(challenge)
    wanted = [f"{name}.{part}" for part in ("bins.weight", "bins.bias", "out.weight")]
    if any(each not in observed.gradient for each in wanted):
        raise NotApplicable(
            "attack 'imprint'",
            found="an update without the imprint's layers",
            expected=", ".join(wanted),
        )
    with threads(1):
        bins = _bins_of(layer.kind, challenge, observed, wanted)
        labels, residuals = _residuals(challenge, name, bins, options)
    return InversionAnswer(
        records=bins.records.float().numpy().reshape(len(labels), *challenge.shape),
        labels=labels,
        claims=-np.log(np.maximum(residuals, 1e-12)),
        certified=(residuals < options.certain) & observed.single,
    )


@frozen(kw_only=True)
class Bins:
    """The ``k`` bins that hold somebody.

    number: int64 ``[k]``, their rows; records: float64 ``[k, d]``, weighted means of whom they
    hold; bias: ``[k]``, the bias gradients that are theirs alone; own: ``[bins, bins]``, by which
    columns of the second layer's gradient (outer ``[d, bins]``) are added so that only records of
    a bin and of the next are left; pairs: whether there is a next.
    """

    number: Tensor = field(repr=False)
    records: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)
    own: Tensor = field(repr=False)
    outer: Tensor = field(repr=False)
    pairs: bool
    scale: float | None


def _found(model: object) -> tuple[str, Imprint]:
    """Return the imprint of a model and its name in it."""
    if isinstance(model, nn.Module):
        for name, module in model.named_modules():
            if isinstance(module, Imprint):
                return name, module
    raise NotApplicable(
        "attack 'imprint'",
        found="a model without an imprint",
        expected="one that a malicious server made with leakpro_fl.imprint:imprinted",
    )


def _bins_of(
    kind: Kind, challenge: InversionChallenge, observed: Seen, wanted: Sequence[str]
) -> Bins:
    weight, bias, outer = (observed.gradient[name] for name in wanted)
    n, eye = len(bias), torch.eye(len(bias), dtype=torch.float64)
    next_one = torch.zeros_like(eye)
    next_one[:-1, 1:] = torch.eye(n - 1, dtype=torch.float64)
    apart = eye - next_one if kind == "cumulative" else eye
    own = {"cumulative": eye, "sparse": eye - next_one, "trap": eye}[kind]
    if kind == "cumulative":  # h rises with slope 1 above a threshold: second differences are local
        thresholds = -state_of(challenge.before, torch.float64)[wanted[1]]
        widths = torch.cat([thresholds.diff(), thresholds.new_full((1,), torch.inf)])
        slopes = apart / widths[:, None]
        own = slopes - next_one @ slopes
        own[-1, -1] = 1.0
    alone = apart @ bias
    # Where nobody is, neighbours' gradients are the same but for rounding.
    number = torch.nonzero(alone.abs() > _EMPTY * bias.abs().max().clamp_min(1e-300))[:, 0]
    examples = challenge.disclosed.examples
    return Bins(
        number=number,
        records=(apart @ weight)[number] / alone[number][:, None],
        bias=alone[number],
        own=own,
        outer=outer,
        pairs=kind != "trap",
        scale=1.0 / examples if observed.scaled and examples is not None else None,
    )


def _residuals(
    challenge: InversionChallenge, name: str, bins: Bins, options: ImprintOptions
) -> tuple[Ints, Floats]:
    """Return the label of each record, int64 ``[k]``, and its residual, float64 ``[k]``."""
    k = len(bins.number)
    if not k:
        return np.zeros(0, np.int64), np.zeros(0)
    fired, pulls = _asked(challenge, name, bins)
    layer_out = state_of(challenge.before, torch.float64)[f"{name}.out.weight"][:, 0]
    biases = (pulls @ layer_out).T  # of every record and label
    scale = _scale(bins.bias, biases) if bins.scale is None else bins.scale
    off = (scale * biases - bins.bias[:, None]).abs() / bins.bias.abs()[:, None]
    own, best = off.min(dim=1)
    classes = _labels(challenge)
    pull = pulls[best, torch.arange(k)]
    left = scale * (fired @ bins.own.T)  # [k, bins]: with what weight each record is in each sum
    sums = bins.own @ bins.outer.T
    residual = torch.full((k,), torch.inf, dtype=torch.float64)
    place = {int(number): i for i, number in enumerate(bins.number)}
    for number, i in place.items():
        # With the next bin, and with the one before; one that holds several fits with neither.
        for first in (number, number - 1) if bins.pairs else (number,):
            if first < 0:
                continue
            there = [place[n] for n in (first, first + 1) if n in place] if bins.pairs else [i]
            predicted = left[there, first] @ pull[there]
            distance = (predicted - sums[first]).norm() / sums[first].norm().clamp_min(1e-300)
            residual[i] = torch.minimum(residual[i], distance)
    return np.asarray(classes[best.numpy()]), torch.maximum(own, residual).numpy()


def _asked(challenge: InversionChallenge, name: str, bins: Bins) -> tuple[Tensor, Tensor]:
    """Return what bins fire for each record ``[k, bins]``, and the gradients of its loss.

    By what the imprint gives back, with each label, float64 ``[labels, k, d]``.
    """
    module = own(challenge.model, train=False)
    layer = module.get_submodule(name)
    assert isinstance(layer, Imprint)
    state = state_of(challenge.before, torch.float64)
    kept: list[Tensor] = []

    def note(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        kept[:] = [torch.zeros_like(out, requires_grad=True)]
        return out + kept[0]

    handle = layer.register_forward_hook(note)
    records = bins.records.reshape(len(bins.records), *challenge.shape)
    pulls = []
    for label in _labels(challenge):
        outputs = functional_call(module, state, (records,))
        labels = torch.full((len(records),), int(label))
        total = cross_entropy(outputs, labels, reduction="sum")
        pulls.append(torch.autograd.grad(total, kept[0])[0].flatten(1))
    handle.remove()
    weight, bias = state[f"{name}.bins.weight"], state[f"{name}.bins.bias"]
    return layer.fire(bins.records @ weight.T + bias), torch.stack(pulls)


def _labels(challenge: InversionChallenge) -> Ints:
    """Return the labels that records may have."""
    if challenge.labels is not None:
        return np.unique(challenge.labels)
    return np.arange(challenge.classes)


def _scale(there: Tensor, biases: Tensor) -> float:
    """Return what one record counts in the update, where it is not known: most records agree."""
    ratios = (there[:, None] / biases).flatten()
    ratios = torch.sort(ratios[torch.isfinite(ratios) & (ratios > 0)])[0]
    if not len(ratios):
        return 1.0
    ends = torch.searchsorted(ratios, ratios * (1 + _CERTAIN))
    start = int(torch.argmax(ends - torch.arange(len(ratios))))
    return float(ratios[start : int(ends[start])].median())
