"""What a client can check before it trains on a model that a server sent.

A server that changes the model so that updates give records away (Fowl et al. 2022; Boenisch et
al. 2023) leaves traces: rows of a layer that are the same but for their thresholds, or weights of
which exactly half are negative. And what it could read can be tried on the client's own batch.
Nothing found is no proof: a server may hide what it did (Garov et al. 2024).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from attrs import frozen
from leakpro_torch.modules import threads
from scipy.stats import beta, binom
from torch import Tensor, nn

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints
from leakpro_core.errors import BadArray
from leakpro_fl.client import as_inputs
from leakpro_fl.per_record import factors_of
from leakpro_fl.procedure import own, state_of

_FEW = 4
"""Rows that a pattern must have, at least."""

_MOST = 4096
"""Rows of a layer that are looked at."""

_ALIKE = 0.99
"""Cosine of two rows that are nearly the same but for their length."""

_SAME = 1e-6
"""Distance of two directions, or thresholds, that are the same but for rounding."""

_CHANCE = 1e-6
"""Of a false alarm, below which a pattern of half negative weights is none by chance."""

_FAR = 1e3
"""Times the median length, beyond which a row is out of scale."""

_PURE = 1e-3
"""Share of others in what a neuron says of a record, at most, for it to be read."""

_BATCH = 64


@frozen(kw_only=True)
class Suspicion:
    """One trace of a model that was made to give records away.

    kind: "collinear rows", "duplicate rows", "steps of thresholds", "half negative", "scale" or
    "readable"; layer: its name; share: of its rows that show it, of the batch's records for
    "readable"; said: a sentence.
    """

    kind: str
    layer: str
    share: float
    said: str


@frozen(kw_only=True)
class Readable:
    """How many of a batch's records could be read off, and of which layer.

    shuffled: how many if that layer's weights and biases were the same numbers in random order.
    """

    layer: str
    records: int
    read: int
    shuffled: int


def check(
    before: Mapping[str, AnyArray],
    module: nn.Module,
    *,
    records: AnyArray | None = None,
    labels: Ints | None = None,
    seed: int = 0,
) -> tuple[Suspicion, ...]:
    """Return what is suspicious about a global model, nothing where nothing is.

    before: the model that the server sent, by name; module: the client's own, which is not changed;
    records ``[b, ...]``, labels int64 ``[b]``: a batch of the client's (best of 64), to try what
    could be read of its gradient; without it, weights alone are looked at, but for those of the
    last layer, after which nothing fires.
    ``BadArray`` where ``before`` lacks the module's weights.
    """
    state = _state(before, module)
    found: list[Suspicion] = []
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [name for name, layer in module.named_modules() if isinstance(layer, kinds)]
    for name in layers[:-1]:
        weight = state[f"{name}.weight"].double().flatten(1)
        bias = state.get(f"{name}.bias")
        rows = np.linspace(0, len(weight) - 1, min(len(weight), _MOST)).astype(np.int64)
        some = weight[torch.from_numpy(rows)].numpy()
        found += _of_rows(name, some, None if bias is None else bias.double().numpy()[rows])
    if records is not None and labels is not None and len(records) > 1:
        for each in readable(before, module, records, labels, seed=seed):
            b = each.records
            # Small batches are read of ordinary wide layers too.
            if b >= _BATCH // 2 and each.read > b / 2 and each.read - each.shuffled > b / 4:
                found.append(
                    Suspicion(
                        kind="readable",
                        layer=each.layer,
                        share=each.read / b,
                        said=f"a server could read {each.read} of {b} records off layer "
                        f"{each.layer!r}; with its weights shuffled, {each.shuffled}",
                    )
                )
    return tuple(found)


def readable(
    before: Mapping[str, AnyArray],
    module: nn.Module,
    records: AnyArray,
    labels: Ints,
    *,
    seed: int = 0,
) -> tuple[Readable, ...]:
    """Return for every linear layer as wide as a record what could be read of the batch's gradient.

    A record is read where it alone moves a neuron, or the difference of two neighbours among rows
    that are the same but for their thresholds.
    """
    state, mine = _state(before, module), own(module, train=False)
    size = int(np.prod(records.shape[1:]))
    layers = {
        name: layer
        for name, layer in mine.named_modules()
        if type(layer) is nn.Linear and layer.in_features == size
    }
    x, y = as_inputs(mine, records), torch.from_numpy(np.array(labels, dtype=np.int64))
    rng = np.random.default_rng(seed)
    found = []
    with threads(1):
        for name in layers:
            one = {name: layers[name]}
            read = [
                _alone(factors_of(mine, each, x, y, one), name, each)
                for each in (state, _shuffled(state, name, rng))
            ]
            found.append(Readable(layer=name, records=len(x), read=read[0], shuffled=read[1]))
    return tuple(found)


def _state(before: Mapping[str, AnyArray], module: nn.Module) -> dict[str, Tensor]:
    lacking = [name for name, _ in module.named_parameters() if name not in before]
    if lacking:
        raise BadArray(
            "the model that the server sent",
            found=f"no {', '.join(lacking[:6])}",
            expected="all parameters of the module",
            fix="Pass the arrays by the names of module.state_dict().",
        )
    return state_of(before)


def _of_rows(layer: str, weight: Floats, bias: Floats | None) -> list[Suspicion]:
    """Return what is suspicious about rows ``[n, d]`` and their biases ``[n]``."""
    found = []
    length = np.linalg.norm(weight, axis=1)
    live = length > 1e-6 * (np.median(length) or 1.0)
    n, d = weight.shape

    def suspect(kind: str, count: int, said: str) -> None:
        found.append(Suspicion(kind=kind, layer=layer, share=count / n, said=said))

    parted, same = _partnered(
        weight[live] / length[live][:, None], None if bias is None else bias[live] / length[live]
    )
    if _many(int(parted.sum()), *weight[live].shape):
        suspect(
            "collinear rows",
            int(parted.sum()),
            f"{parted.sum()} of {n} rows of layer {layer!r} are the same as another but for length "
            "and threshold: together they sort records into bins",
        )
    if _many(int(same.sum()), *weight[live].shape):
        suspect(
            "duplicate rows",
            int(same.sum()),
            f"{same.sum()} of {n} rows of layer {layer!r} are the same as another, threshold and "
            "all",
        )
    if bias is not None and _steps(bias):
        suspect(
            "steps of thresholds",
            n,
            f"the {n} biases of layer {layer!r} rise by equal steps",
        )
    halved = _half_negative(weight)
    if halved:
        suspect(
            "half negative",
            halved,
            f"{halved} of {n} rows of layer {layer!r} have exactly half of their {d} weights "
            "negative: traps that fire for few records",
        )
    far = int((length > _FAR * np.median(length[live])).sum()) if live.any() else 0
    if far:
        suspect(
            "scale",
            far,
            f"{far} of {n} rows of layer {layer!r} are {_FAR:.0f} times longer than the median",
        )
    return found


def _many(count: int, n: int, d: int) -> bool:
    """Whether so many of ``n`` directions in ``d`` dimensions lie on another's line by design."""
    # The square of random directions' cosine is beta distributed.
    chance = float(beta.sf(_ALIKE**2, 0.5, (d - 1) / 2)) if d > 1 else 1.0
    return count >= max(_FEW, 10 * n * (n - 1) * chance)


def _partnered(unit: Floats, threshold: Floats | None) -> tuple[Bools, Bools]:
    """Return which directions lie on another's line at another threshold, and at the same.

    Neurons that training has drawn together differ in their thresholds by less than in their
    directions; bins differ by more, or they would not part records.
    """
    at = np.zeros(len(unit)) if threshold is None else threshold
    parted, same = (np.zeros(len(unit), dtype=np.bool_) for _ in range(2))
    for start in range(0, len(unit), 512):
        rows = slice(start, start + 512)
        cosines = unit[rows] @ unit.T
        apart = np.sqrt(np.maximum(1.0 - cosines**2, 0.0))
        gap = np.abs(at[rows, None] - np.sign(cosines) * at)
        alike = np.abs(cosines) > _ALIKE
        alike[np.arange(len(alike)), start + np.arange(len(alike))] = False
        parted[rows] = (alike & (gap > np.maximum(apart, _SAME))).any(axis=1)
        same[rows] = (alike & (apart <= _SAME) & (gap <= _SAME)).any(axis=1)
    return parted, same


def _steps(bias: Floats) -> bool:
    """Whether biases, sorted, rise by equal steps."""
    steps = np.diff(np.sort(bias))
    return (
        len(bias) >= 2 * _FEW
        and bool(steps.min() > 0)
        and float(np.ptp(steps)) < 1e-2 * float(steps.mean())
    )


def _half_negative(weight: Floats) -> int:
    """Return how many rows have exactly half negative weights; 0 where that may be chance."""
    n, d = weight.shape
    negative = (weight < 0).sum(axis=1)
    exact = (negative == d // 2) | (negative == d - d // 2)
    exact &= (weight != 0).all(axis=1)
    count = int(exact.sum())
    each = float(binom.pmf(d // 2, d, 0.5)) * (1 if d % 2 == 0 else 2)
    by_chance = float(binom.sf(count - 1, n, each))
    return count if n >= _FEW and by_chance < _CHANCE else 0


def _shuffled(
    state: Mapping[str, Tensor], name: str, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Return the state with one layer's weights, and its biases, in random order."""
    now = dict(state)
    for part in (f"{name}.weight", f"{name}.bias"):
        if part in now:
            order = torch.from_numpy(rng.permutation(now[part].numel()))
            now[part] = now[part].flatten()[order].view_as(now[part])
    return now


def _alone(
    factors: Mapping[str, tuple[Tensor, Tensor]], name: str, state: Mapping[str, Tensor]
) -> int:
    """Return how many records are alone in a neuron, or between two."""
    if name not in factors:
        return 0
    errors = factors[name][0].double()
    weight = state[f"{name}.weight"].double()
    length = weight.norm(dim=1).clamp_min(1e-30)
    bias = state.get(f"{name}.bias")
    sums = [errors]
    at = torch.zeros_like(length) if bias is None else bias.double() / length
    for line in _lines(weight / length[:, None], at):
        sums.append(errors[:, line[1:]] - errors[:, line[:-1]])
    every = torch.cat(sums, dim=1).abs()
    largest, who = every.max(dim=0)
    # What is left of others must be small, and more than rounding.
    alone = (every.sum(dim=0) - largest < _PURE * largest) & (largest > 1e-6 * every.max())
    return len(set(who[alone].tolist()))


def _lines(unit: Tensor, at: Tensor) -> Sequence[Tensor]:
    """Return groups of rows of the same direction, by rising thresholds."""
    left = torch.from_numpy(np.flatnonzero(_partnered(unit.numpy(), at.numpy())[0]))
    lines = []
    while len(left) > 1:
        same = unit[left] @ unit[left[0]] > _ALIKE
        if int(same.sum()) > 1:
            lines.append(left[same][torch.argsort(at[left[same]])])
        same[0] = True
        left = left[~same]
    return lines
