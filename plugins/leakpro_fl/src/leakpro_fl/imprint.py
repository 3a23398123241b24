"""Records read off the update of a malicious server's model.

Not an honest but curious server: the global model itself is the attack (``bins``). Each of its bins
gives the record that is alone in it, exactly (Fowl et al. 2022; Boenisch et al. 2023).
"""

from collections.abc import Sequence

import numpy as np
import torch
from attrs import field, frozen, validators
from leakpro_torch.modules import threads
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from leakpro_core.arrays import Floats, Ints
from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_fl.bins import Imprint, Kind, imprinted
from leakpro_fl.procedure import own, state_of
from leakpro_fl.seen import Seen, seen

__all__ = ["ImprintOptions", "attack", "imprinted"]

_CERTAIN = 0.01
"""Relative distance of what a record must leave in the update from what is there."""

_EQUAL = 1e-3
"""Relative distance of records that are the same."""

_EMPTY = 1e-5
"""Of the largest bias gradient, below which a bin holds nobody."""


@frozen(kw_only=True)
class ImprintOptions:
    """Options of ``imprint``. certain: largest relative residual that a certificate may have."""

    certain: float = field(default=_CERTAIN, validator=validators.gt(0.0))


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
        labels, residuals = _residuals(challenge, name, bins)
    records = bins.records.numpy()
    once = _distinct(records, residuals)
    residuals = residuals[once]
    return InversionAnswer(
        records=records[once].astype(np.float32).reshape(len(once), *challenge.shape),
        labels=labels[once],
        claims=-np.log(np.maximum(residuals, 1e-12)),
        certified=(residuals < options.certain) & observed.single,
    )


def _distinct(records: Floats, residuals: Floats) -> Ints:
    """Return rows of records that differ, of equal ones the surest: several traps hold one."""
    kept: list[int] = []
    for row in np.argsort(residuals, kind="stable"):
        far = np.linalg.norm(records[kept] - records[row], axis=1)
        if (far > _EQUAL * np.linalg.norm(records[row])).all():
            kept.append(int(row))
    return np.sort(np.array(kept, dtype=np.int64))


@frozen(kw_only=True)
class Bins:
    """The ``k`` bins that hold somebody.

    number: int64 ``[k]``, their rows; records: float64 ``[k, d]``, weighted means of whom they
    hold; bias: ``[k]``, the bias gradients that are theirs alone; own: ``[bins, bins]``, by which
    columns of the second layer's gradient (outer ``[d, bins]``) are added so that only records of
    a bin and of the next are left; pairs: whether there is a next; scale: what one record counts
    in the update, where it is known.
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


def _residuals(challenge: InversionChallenge, name: str, bins: Bins) -> tuple[Ints, Floats]:
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
