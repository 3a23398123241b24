"""Membership from updates: is a record's gradient part of what the client sent?

An update is a sum of its records' gradients. The inner product of a record's gradient with it,
which Nasr, Shokri, Houmansadr (2019) and Andrew et al. (2024) look at, drowns in what the records
have in common. So it is taken in the metric in which other records are noise (``explained``), as
for the mean of many records (Dwork et al. 2015; Azize and Basu 2024).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from attrs import field, frozen, validators
from leakpro_torch.modules import threads
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from leakpro_core.arrays import Floats
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.update_membership import UpdateMembershipChallenge
from leakpro_core.protocols import Run
from leakpro_core.records import ClientUpdate, Disclosed
from leakpro_fl.explained import basis, cosines, explained
from leakpro_fl.per_record import Layout, gradients, layout_of
from leakpro_fl.pool import ENOUGH, Pool, combined, pool_of
from leakpro_fl.procedure import gradient, own, state_of
from leakpro_fl.seen import read

_CLASSES = 30
"""Classes whose mean gradients are taken out, at most."""


@frozen(kw_only=True)
class AlignmentOptions:
    """Options of ``alignment``.

    explain: whose gradients explain the rest of an update: those of the other "candidates", of whom
    some are in it, or of "auxiliary" records: weaker, but a record's alignment then does not depend
    on who else is asked about.
    explainers: how many at most. loss: whether it counts too, where there are auxiliary records,
    how far the client's training lowered a record's loss.
    last: of the model's parameters only so many tensors, from the last; all unless given.
    coordinates: how many to look at of parameters that are no linear layer's, drawn at random.
    calibrate: auxiliary records to calibrate on, at most; block: records at a time.
    """

    explain: Literal["candidates", "auxiliary"] = "candidates"
    explainers: int = field(default=1500, validator=validators.ge(10))
    loss: bool = True
    last: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    coordinates: int = field(default=16384, validator=validators.ge(1))
    calibrate: int = field(default=1000, validator=validators.ge(1))
    block: int = field(default=128, validator=validators.ge(1))


def attack(
    challenge: UpdateMembershipChallenge, options: AlignmentOptions, run: Run
) -> MembershipAnswer:
    """Claim how far a record stands out in the updates of all rounds, in standard deviations.

    Of each round: the record's gradient's inner product with the update, in the metric in which
    other records' are noise, over its standard deviation. It is standardised by class on auxiliary
    records, and summed over rounds: with equal effects and equal correlations no other weights
    separate better. To it comes, standardised likewise, the sum of the drops of a record's loss
    from the global model to the client's (``combined``).
    """
    if not isinstance(challenge.model, nn.Module):
        raise NotApplicable(
            "attack 'alignment'",
            found=f"a {type(challenge.model).__name__}",
            expected="a torch.nn.Module",
        )
    module = own(challenge.model, train=False)
    pool = pool_of(
        challenge,
        module,
        explain=options.explain,
        explainers=options.explainers,
        calibrate=options.calibrate,
        seed=run.seed,
    )
    rounds = [each for each in challenge.rounds if _finite(each)]
    if not rounds:
        raise NotApplicable(
            "attack 'alignment'", found="no update without NaN", expected="updates of rounds"
        )
    with threads(1):
        layout: Layout | None = None
        aligned, drops = [], []
        for each in rounds:
            path = path_of(each, challenge.disclosed)
            sent = read(each, challenge.disclosed, _buffers(module)).gradient
            if layout is None:
                names = _names(module, sent, options.last)
                some = slice(0, options.block)
                layout = layout_of(
                    module,
                    path[0],
                    pool.x[some],
                    pool.y[some],
                    names,
                    coordinates=options.coordinates,
                    seed=run.seed,
                )
            aligned.append(scores(module, path, sent, pool, layout, block=options.block))
            if options.loss and len(path) > 1:
                before, after = (_losses(module, path[i], pool, options.block) for i in (0, -1))
                drops.append(before - after)
    return MembershipAnswer(claims=combined(aligned, drops, pool))


def path_of(update: ClientUpdate, disclosed: Disclosed) -> list[dict[str, Tensor]]:
    """Return the models that local training went through: before, half-way, after.

    Only the first where a gradient was sent: it is taken there.
    """
    before = state_of(update.before)
    if disclosed.kind == "gradient":
        return [before]
    path = [before]
    for share in (0.5, 1.0):
        now = dict(before)
        for name, values in state_of(update.values).items():
            old = before[name]
            if old.is_floating_point() and values.shape == old.shape:
                moved = values if disclosed.kind == "delta" else values - old
                now[name] = old + share * moved
        path.append(now)
    return path


def scores(
    module: nn.Module,
    path: Sequence[Mapping[str, Tensor]],
    sent: Mapping[str, Tensor],
    pool: Pool,
    layout: Layout,
    *,
    block: int,
) -> Floats:
    """Return of everybody in the pool how far the update leans to it, in standard deviations.

    path: models of local training, the global one first; sent: the update as a gradient by name.
    """
    each = gradients(module, path[0], pool.x, pool.y, layout, block=block)
    common = _drift(module, path, pool, layout, block)
    update = layout.flat(sent)
    update = update - common.T @ (common @ update)
    length = float(update.norm())
    if not length > 0:
        return np.zeros(len(pool.y))
    update = update / length
    if not len(pool.explain):
        return cosines(each, update, common)
    # A record that its own twin explains would never stand out.
    found = explained(each, update, common, pool.explain)
    return np.asarray(found[pool.twin.numpy()])


def _drift(
    module: nn.Module,
    path: Sequence[Mapping[str, Tensor]],
    pool: Pool,
    layout: Layout,
    block: int,
) -> Tensor:
    """Return how mean gradients, by class, change along local training, orthonormal ``[k, d]``.

    That much of an update of several steps is no sum of gradients at the global model, and the
    same whoever is in it. The mean gradients themselves stay: to take them out would make every
    record that explains the exact sum of the others.
    """
    changes = [torch.zeros(0, len(layout.flat(path[0])), dtype=torch.float64)]
    for group in _groups(pool):
        first, *later = (
            layout.flat(_mean_gradient(module, state, pool, group, layout, block)) for state in path
        )
        changes += [(each - first)[None] for each in later]
    return basis(torch.cat(changes))


def _groups(pool: Pool) -> list[Tensor]:
    """Return the rows that explain by class; classes of few records together."""
    everybody = pool.explain if len(pool.explain) else torch.arange(len(pool.y))
    labels, counts = np.unique(pool.y[everybody].numpy(), return_counts=True)
    order = labels[np.argsort(-counts, kind="stable")]
    large = [label for label in order[:_CLASSES] if counts[labels == label][0] >= ENOUGH]
    groups = [everybody[pool.y[everybody] == int(label)] for label in large]
    rest = everybody[~torch.isin(pool.y[everybody], torch.tensor(large, dtype=torch.int64))]
    return [*groups, rest] if len(rest) else groups


def _mean_gradient(
    module: nn.Module,
    state: Mapping[str, Tensor],
    pool: Pool,
    rows: Tensor,
    layout: Layout,
    block: int,
) -> dict[str, Tensor]:
    total = {name: torch.zeros(()) for name in layout.shapes}
    for part in torch.split(rows, 8 * block):
        found = gradient(
            module, state, pool.x[part], pool.y[part], list(layout.shapes), reduction="sum"
        )
        total = {name: total[name] + value / len(rows) for name, value in found.items()}
    return total


def _losses(module: nn.Module, state: Mapping[str, Tensor], pool: Pool, block: int) -> Floats:
    with torch.no_grad():
        parts = [
            cross_entropy(functional_call(module, dict(state), (x,)).double(), y, reduction="none")
            for x, y in zip(*(torch.split(v, 8 * block) for v in (pool.x, pool.y)), strict=True)
        ]
    found: Floats = torch.cat(parts).numpy()
    return found


def _names(module: nn.Module, sent: Mapping[str, Tensor], last: int | None) -> list[str]:
    """Return the parameters that were sent, the last so many of them."""
    names = [
        name
        for name, p in module.named_parameters()
        if name in sent and sent[name].shape == p.shape and bool(sent[name].any())
    ]
    if not names:
        raise NotApplicable(
            "attack 'alignment'",
            found="no parameter of the model in the update",
            expected="the gradient or the change of some",
        )
    return names if last is None else names[-last:]


def _buffers(module: nn.Module) -> tuple[str, ...]:
    return tuple(name for name, _ in module.named_buffers())


def _finite(update: ClientUpdate) -> bool:
    return all(bool(np.isfinite(v).all()) for v in update.values.values() if v.dtype.kind == "f")
