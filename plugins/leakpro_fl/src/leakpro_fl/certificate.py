"""Whether recovered records are what an update was made of, shown by the update alone.

Records are certified only where every condition holds, each with a margin:

1. The update has a rank, as many records were found, and no singular value is in doubt.
2. The rows in which a record's ReLU is off leave one direction only for it, and what the noise of
   the update does to that direction is small.
3. Every record counts once. One that counts twice may be the mean of two that look alike to the
   model, which give the same update.
4. The client's own procedure, run again on the records with their labels, gives every neuron's row
   of the first layer, where a wrong mask shows, and every other tensor that was sent.
5. The noise of the update leaves every record well determined.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn

from leakpro_core.arrays import AnyArray
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import ClientUpdate
from leakpro_fl.low_rank import SURE
from leakpro_fl.procedure import gradient, order, own, state_of, steps_of, trained
from leakpro_fl.seen import Seen, read

_TIMES = 5.0
"""How many times the noise an update may be away from the one that was sent."""

FLOAT32 = 2e-6
"""Relative noise of what is computed in float32, at least."""

_MOST = 0.02
"""Largest share of the update that noise may be where anything is certified."""

_GAPS = 0.05
"""Share of zeros in every matrix from which an update counts as pruned."""

_TURN = 0.05
"""Most that noise may turn a record's direction where it is certified."""

BLUR = 0.05
"""Largest standard deviation of a record's numbers by noise where it is certified."""


@frozen(kw_only=True)
class Sender:
    """A client that sends what the observed one would, of records that are tried.

    dtype: in which it computes; weight, bias: names in the first layer.
    """

    module: nn.Module = field(repr=False)
    state: dict[str, Tensor] = field(repr=False)
    names: tuple[str, ...]
    challenge: InversionChallenge = field(repr=False)
    single: bool

    @classmethod
    def of(cls, challenge: InversionChallenge, observed: Seen, dtype: torch.dtype) -> "Sender":
        """Return it for a challenge."""
        module = own(challenge.model, train=challenge.disclosed.mode != "eval")
        parameters = {name for name, _ in module.named_parameters()}
        return cls(
            module=module.to(dtype),
            state=state_of(challenge.before, dtype),
            names=tuple(name for name in observed.gradient if name in parameters),
            challenge=challenge,
            single=observed.single,
        )

    @property
    def repeatable(self) -> bool:
        """Whether all of what the client did is known: one step, or steps over all its records."""
        if self.single:
            return True
        disclosed = self.challenge.disclosed
        how, examples = steps_of(disclosed), disclosed.examples
        if how is None or examples is None or disclosed.clients > 1:
            return False
        return how.batch_size is None or how.batch_size >= examples

    def update(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the update of records ``[n, ...]``, labels int64 ``[n]``, as a gradient."""
        x = x.to(next(iter(self.state.values())).dtype)
        state = {name: value.clone() for name, value in self.state.items()}
        if self.single:
            found = gradient(self.module, state, x, y, self.names)
            return {name: value.double() for name, value in found.items()}
        how = steps_of(self.challenge.disclosed)
        assert how is not None
        after = trained(self.module, state, x, y, self.names, how, order(len(x), how, None))
        moved: dict[str, AnyArray] = {
            name: (after[name].double() - self.state[name].double()).numpy() for name in self.names
        }
        told = evolve(
            self.challenge.disclosed, kind="delta", examples=len(x), clip=None, noise=None
        )
        before = {name: self.challenge.before[name] for name in self.names}
        return read(ClientUpdate(before=before, values=moved), told).gradient


@frozen(kw_only=True)
class Sent:
    """An update as it was sent, and how well it is known.

    known: bool tensors by name, whether an entry says what it was; others were set to 0, being
    among the smallest. weight, bias: names in the first layer; noise: float64 ``[m]``, standard
    deviation of an entry of its rows.
    """

    observed: Seen
    known: dict[str, Tensor] = field(repr=False)
    weight: str
    bias: str
    noise: Tensor = field(repr=False)


@frozen(kw_only=True)
class Match:
    """How well records give the update that was sent.

    residual: relative L2 distance over all that was sent; within: whether that is noise, in every
    tensor and every row of the first layer.
    """

    residual: float
    within: bool


def match(senders: Sequence[Sender], sent: Sent, x: Tensor, y: Tensor) -> Match:
    """Return the best match of what the senders would send of records ``[n, ...]``.

    Several, for a neuron at the edge of its ReLU is on or off by the arithmetic.
    """
    found = _match(senders[0].update(x, y), sent)
    for sender in senders[1:]:
        if not found.within and found.residual < _MOST:
            found = min(found, _match(sender.update(x, y), sent), key=_quality)
    return found


def _quality(each: Match) -> tuple[bool, float]:
    return not each.within, each.residual


def _match(again: Mapping[str, Tensor], sent: Sent) -> Match:
    there = {name: sent.observed.gradient[name] for name in again}
    off = _apart(again, sent)
    length = math.sqrt(sum(float(v.square().sum()) for v in there.values()))
    residual = math.sqrt(sum(float(v.square().sum()) for v in off.values())) / max(length, 1e-300)
    if not math.isfinite(residual):
        return Match(residual=math.inf, within=False)
    weight = there[sent.weight]
    absolute = float(sent.noise.square().mean().sqrt())
    relative = max(FLOAT32, absolute / max(float(weight.square().mean().sqrt()), 1e-300))
    allowed = {
        n: _TIMES * math.hypot(relative * float(v.norm()), absolute * math.sqrt(v.numel()))
        for n, v in there.items()
    }
    tensors = all(float(off[n].norm()) <= allowed[n] for n in there)
    low = math.hypot(*allowed.values()) <= _MOST * length
    rows = torch.hypot(off[sent.weight].norm(dim=1), off[sent.bias])
    sizes = weight.norm(dim=1)
    limits = sent.noise * math.sqrt(weight.shape[1]) + FLOAT32 * (sizes + 0.05 * sizes.max())
    return Match(
        residual=residual, within=tensors and low and bool((rows <= _TIMES * limits).all())
    )


def _apart(again: Mapping[str, Tensor], sent: Sent) -> dict[str, Tensor]:
    """Return the difference, entry by entry; of a pruned one, by how much it is too large."""
    there, times = sent.observed.gradient, 1.0
    if not sent.observed.scaled:
        both = sum(float((v * there[n]).sum()) for n, v in again.items())
        square = sum(float((v * sent.known[n]).square().sum()) for n, v in again.items())
        # A direction that is turned round is no match at any length.
        times = both / square if both > 0 else 0.0
    off = {}
    for name, value in again.items():
        known, ours = sent.known[name], times * value
        smallest = there[name].abs()[known].min() if bool(known.any()) else ours.new_zeros(())
        off[name] = torch.where(known, ours - there[name], (ours.abs() - smallest).clamp(min=0.0))
    return off


def determined(left: Tensor, noise: Tensor, q: Tensor, off: Tensor) -> bool:
    """Whether the rows where a record is off leave one direction for it, the noise included.

    left: ``[m, r]``, noise: ``[m]``, of its entries; q: ``[r]``, the direction; off: bool ``[m]``.
    """
    rank = left.shape[1]
    if rank == 1:
        return True
    length = left.norm(dim=1)
    heard = length > SURE * noise
    rows, triangle = torch.linalg.qr(left[heard] / length[heard, None])
    off = off[heard]
    if int(off.sum()) < rank:  # one more than the direction was found by
        return False
    least = torch.linalg.svdvals(rows[off])[rank - 2]
    unit = triangle @ q / (triangle @ q).norm()
    spread = (noise / length)[heard][off] * torch.linalg.solve(triangle, unit).norm()
    return bool(spread.norm() < _TURN * least)


def blurred(derivatives: Tensor, noise: Tensor, records: Tensor) -> Tensor:
    """Return the standard deviation of each record's numbers by noise, over how they vary, ``[r]``.

    derivatives: ``[m, r]``; noise: ``[m]``; records: ``[r, d]``.
    """
    inverse = torch.linalg.pinv(derivatives)
    spread = (inverse.square() @ noise.square()).sqrt()
    size = records.square().mean(dim=1).sqrt()
    blur: Tensor = spread * (1.0 + size) / records.std().clamp(min=1e-300)
    return blur


def known(challenge: InversionChallenge, observed: Seen) -> dict[str, Tensor]:
    """Return which entries of an update say what they were, bool by name.

    An entry of 0 of a pruned update does not. Where nothing is said of pruning, an image's update
    counts as pruned that has many zeros among others: no neuron's derivative by a pixel is 0.
    """
    pruned = challenge.disclosed.pruned
    if pruned is None and challenge.modality == "image":
        zeros = [
            float((v[v.abs().amax(dim=1) > 0] == 0).double().mean())
            for v in observed.gradient.values()
            if v.dim() == 2 and bool(v.any())
        ]
        pruned = max(zeros, default=0.0) if min(zeros, default=0.0) > _GAPS else None
    return {
        name: value != 0 if pruned else torch.ones_like(value, dtype=torch.bool)
        for name, value in observed.gradient.items()
    }
