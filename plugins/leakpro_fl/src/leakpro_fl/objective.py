"""How far the update of guessed records is from the one that was sent.

The update of a guess is what the client would have sent for it: the gradient, or the change of the
weights by local training, unrolled, and batch norm's statistics where they were sent.

Which distance: most of a gradient is alike for all records, above all where biases rule deep
layers, so that plain distance and cosine see little of the records. Here a tensor's squared
distance counts relative to the square root of what records that know nothing of the update have,
and all together relative to theirs: 1 is as far as made-up records, 0 is the update itself.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from attrs import field, frozen
from torch import Tensor, nn

from leakpro_fl.batch_norm import Told, Watch
from leakpro_fl.procedure import State, Steps, gradient, trained

Update = Callable[[Tensor, Tensor, bool], list[Tensor]]
"""The update of records and labels, as tensors; with the graph to differentiate it, or without."""


@frozen(kw_only=True)
class Objective:
    """Compares updates.

    sent, weights: ``[d]``, the update that was sent, and how much the square of each coordinate's
    distance counts; scaled: whether its length is known, else only its direction counts; blind:
    mean cosine distance of records that know nothing of it; kept: bool ``[d]``, which coordinates
    say something, None: all do.
    """

    update: Update = field(repr=False)
    sent: Tensor = field(repr=False)
    weights: Tensor = field(repr=False)
    scaled: bool = True
    blind: float = 1.0
    kept: Tensor | None = field(default=None, repr=False)

    def loss(self, kind: str, made: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        """Return a loss of an update, relative to a blind guess's, and its derivatives by it.

        kind: the squared "distance", or the "cosine" distance. The derivatives are written out: to
        have them by automatic differentiation takes several more passes over all coordinates.
        """
        flat = _flat([t.detach() for t in made])
        value, slope = self._cosine(flat) if kind == "cosine" else self._squared(flat)
        parts = torch.split(slope, [t.numel() for t in made])
        return value, [p.view_as(t) for p, t in zip(parts, made, strict=True)]

    def residual(self, x: Tensor, y: Tensor) -> float:
        """Return the relative distance, 1 for a blind guess and 0 for the update that was sent."""
        made = self.update(x, y, False)
        return math.sqrt(max(0.0, self._squared(_flat([t.detach() for t in made]))[0]))

    def _squared(self, made: Tensor) -> tuple[float, Tensor]:
        if self.scaled:
            off = made - self.sent
            slope = self.weights * off
            return float(slope @ off), slope.mul_(2.0)
        # The length that fits best; it is unknown.
        weighted = self.weights * self.sent
        own = self.weights * made
        length = float(weighted @ made) / (float(own @ made) + 1e-30)
        off = length * made - self.sent
        slope = self.weights * off
        return float(slope @ off), slope.mul_(2.0 * length)

    def _cosine(self, made: Tensor) -> tuple[float, Tensor]:
        if self.kept is not None:
            made = made * self.kept
        ours, theirs = float(made.norm()) + 1e-30, float(self.sent.norm()) + 1e-30
        cosine = float(made @ self.sent) / (ours * theirs)
        slope = (cosine / (ours * ours * self.blind)) * made
        slope.sub_(self.sent, alpha=1.0 / (ours * theirs * self.blind))
        return (1.0 - cosine) / self.blind, slope


def objective_of(
    update: Update,
    sent: Sequence[Tensor],
    blind: Iterable[tuple[Tensor, Tensor]],
    *,
    scaled: bool,
    statistics: int = 0,
    pruned: bool = False,
) -> Objective:
    """Return the objective for an update.

    sent: tensors, in the order of ``update``; blind: records and labels that know nothing of it, at
    least one; statistics: how many of the last tensors are statistics of batch norm, which
    together count as much as all others; pruned: whether coordinates that are 0 were set to it,
    and say nothing.
    """
    guesses = [[t.detach() for t in update(x, y, False)] for x, y in blind]
    parts = len(sent) - statistics
    scales = [1.0] * len(sent) if scaled else _lengths(guesses, sent)
    far = torch.tensor(
        [
            [float((k * t - s).square().sum()) for t, s, k in zip(g, sent, scales, strict=True)]
            for g in guesses
        ],
        dtype=torch.float64,
    ).mean(0)
    # No part weighs more than ten thousand times as much as another by its square root.
    counts = 1.0 / (far + 1e-8 * far.max() + 1e-30)
    counts[:parts] = counts[:parts].sqrt()
    for group in (slice(0, parts), slice(parts, len(sent))):
        whole = float((counts[group] * far[group]).sum())
        counts[group] *= (0.5 if statistics else 1.0) / whole if whole > 0 else 0.0
    flat = _flat(sent)
    weights = torch.cat([c.expand(s.numel()) for c, s in zip(counts, sent, strict=True)])
    weights = weights.to(flat)
    kept = flat != 0 if pruned else None
    if kept is not None:
        weights = weights * kept
    cosines = [_cosine(_flat(g) if kept is None else _flat(g) * kept, flat) for g in guesses]
    return Objective(
        update=update,
        sent=flat,
        weights=weights,
        scaled=scaled,
        blind=max(1e-12, sum(cosines) / len(cosines)),
        kept=kept,
    )


def _lengths(guesses: Sequence[Sequence[Tensor]], sent: Sequence[Tensor]) -> list[float]:
    """Return what makes guesses as long as the update, one number for all tensors."""
    flat = _flat(sent)
    lengths = [float(flat.norm() / (_flat(g).norm() + 1e-30)) for g in guesses]
    return [sum(lengths) / len(lengths)] * len(sent)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


def _cosine(made: Tensor, sent: Tensor) -> float:
    return 1.0 - float(made @ sent) / (float(made.norm()) * float(sent.norm()) + 1e-30)


def one_step(
    module: nn.Module, state: State, names: Sequence[str], told: Told | None = None
) -> Update:
    """Return the gradient of the mean loss over all records, by the named parameters."""
    watch = None if told is None else Watch(module, told.layers)

    def update(x: Tensor, y: Tensor, graph: bool) -> list[Tensor]:
        found = gradient(module, _fresh(module, state), x, y, names, create_graph=graph)
        made = [found[name] for name in names]
        return made if watch is None else [*made, *watch.taken((1.0,))]

    return update


def unrolled(
    module: nn.Module,
    state: State,
    names: Sequence[str],
    how: Steps,
    rows: Sequence[Sequence[Tensor]],
    told: Told | None = None,
) -> Update:
    """Return the mean change of the named parameters by local training, and statistics.

    rows: of each client's steps, one sequence a client, all with as many steps.
    """
    watch = None if told is None else Watch(module, told.layers)
    weights = () if told is None else tuple(w / len(rows) for _ in rows for w in told.weights)
    every = [name for name, value in module.named_parameters() if name in state]

    def update(x: Tensor, y: Tensor, graph: bool) -> list[Tensor]:
        changes = []
        for steps in rows:
            after = trained(module, state, x, y, every, how, steps, create_graph=graph)
            changes.append([after[name] - state[name] for name in names])
        made = [torch.stack(each).mean(0) for each in zip(*changes, strict=True)]
        return made if watch is None else [*made, *watch.taken(weights)]

    return update


def _fresh(module: nn.Module, state: State) -> State:
    """Return the state with copies of what training mode changes in place."""
    if not module.training:
        return state
    parameters = dict(module.named_parameters())
    return {n: v if n in parameters else v.clone() for n, v in state.items()}
