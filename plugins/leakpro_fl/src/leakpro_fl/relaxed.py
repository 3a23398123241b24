"""Rows by optimisation: one-hot groups relaxed to probabilities, several starts at once.

Vero et al. 2023 (TabLeak), sections 4.1 and 4.2. What is compared are gradients; nothing else of
the model matters, so that any architecture will do.
"""

from collections.abc import Sequence

import numpy as np
import torch
from attrs import evolve, field, frozen
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.func import grad, vmap

from leakpro_core.arrays import Floats
from leakpro_fl.procedure import State, loss

_LEAST = 1e-9
"""Squared residual at which a gradient in float32 is as good as reached."""

_HARD = 30.0
"""Logit of a category that is fixed, against 0 of the others."""

_LAST_RATE = 0.02
"""Learning rate at the end, as a share of that at the start."""

_ALIKE = 0.1
"""Largest difference of standardised numbers that are said to be the same."""


@frozen(kw_only=True)
class Problem:
    """What is known beside the rows.

    target: the gradient, float32, by parameter; scaled: whether its length is known;
    groups: columns that are one category each; low, high: float32 ``[columns]``, within which
    numbers are; there: bool ``[columns]``, categories that may be in the batch; y: float32
    ``[b, classes]``, the rows' labels one-hot, or None where they are looked for too.
    """

    module: nn.Module = field(repr=False)
    state: State = field(repr=False)
    target: State = field(repr=False)
    scaled: bool
    groups: tuple[tuple[int, ...], ...]
    low: Tensor = field(repr=False)
    high: Tensor = field(repr=False)
    there: Tensor = field(repr=False)
    rows: int
    classes: int
    y: Tensor | None = None

    @property
    def numbers(self) -> list[int]:
        """Return the columns that are in no group."""
        grouped = {column for group in self.groups for column in group}
        return [column for column in range(len(self.low)) if column not in grouped]


@frozen(kw_only=True)
class Drafts:
    """Starts: logits and numbers ``[starts, b, columns]``, label logits ``[starts, b, classes]``,
    and which of the former are fixed, bool.
    """

    z: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    fixed: Tensor = field(repr=False)


def records(problem: Problem, drafts: Drafts) -> tuple[Tensor, Tensor]:
    """Return rows ``[starts, b, columns]`` and labels as probabilities ``[starts, b, classes]``."""
    z = drafts.z
    masked = z.masked_fill(~problem.there, -torch.inf)
    x = z
    for group in problem.groups:
        columns = list(group)
        x = x.index_copy(2, torch.tensor(columns), masked[..., columns].softmax(-1))
    y = drafts.labels.softmax(-1) if problem.y is None else problem.y.expand(*z.shape[:2], -1)
    return x, y


def residuals(problem: Problem, x: Tensor, y: Tensor) -> Tensor:
    """Return squared relative distances of each start's gradient, ``[starts]``; tensors alike."""
    names = list(problem.target)
    found = _gradients(problem, x, y)
    size = max(float(v.norm()) for v in problem.target.values())
    scales = {n: max(float(problem.target[n].norm()), 1e-4 * size) for n in names}
    ours = torch.cat([found[n].flatten(1) / scales[n] for n in names], 1)
    theirs = torch.cat([problem.target[n].flatten() / scales[n] for n in names])
    if problem.scaled:
        return ((ours - theirs) ** 2).sum(1) / len(names)
    cosine: Tensor = (ours @ theirs) / (ours.norm(dim=1) * theirs.norm()).clamp(min=1e-12)
    return 1.0 - cosine * cosine.abs()


def _gradients(problem: Problem, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return the gradient of each start's batch, ``[starts, ...]`` by name."""
    rest = {n: v for n, v in problem.state.items() if n not in problem.target}
    at = {n: problem.state[n] for n in problem.target}

    def own(state: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        # Buffers are copied: in training mode, batch norm writes to its statistics.
        return loss(problem.module, {**{n: v.clone() for n, v in rest.items()}, **state}, x, y)

    try:
        found: dict[str, Tensor] = vmap(grad(own), in_dims=(None, 0, 0))(at, x, y)
    except RuntimeError:
        each = [grad(own)(at, *pair) for pair in zip(x, y, strict=True)]
        found = {n: torch.stack([g[n] for g in each]) for n in at}
    return found


def started(problem: Problem, starts: int, sample: Tensor | None, seed: int) -> Drafts:
    """Return random starts. sample: float32 ``[n, columns]``, rows that are like those looked for.

    Numbers and how frequent categories are come from the sample; without one, from nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (starts, problem.rows, len(problem.low))
    z = 0.5 * torch.randn(shape, generator=generator)
    if sample is not None and len(sample):
        drawn = torch.randint(len(sample), (starts, problem.rows), generator=generator)
        z[..., problem.numbers] = sample[drawn][..., problem.numbers]
        for group in problem.groups:
            z[..., list(group)] += (sample[:, list(group)].mean(0) + 0.01).log()
    labels = 0.1 * torch.randn(*shape[:2], problem.classes, generator=generator)
    return Drafts(z=z, labels=labels, fixed=torch.zeros(shape, dtype=torch.bool))


def descended(
    problem: Problem, drafts: Drafts, iterations: int, rate: float, enough: float = _LEAST
) -> tuple[Drafts, Tensor]:
    """Return the best that Adam passes from each start, and its squared residual ``[starts]``.

    enough: squared residual of any start at which it ends.
    """
    z = drafts.z.clone().requires_grad_()
    labels = drafts.labels.clone().requires_grad_()
    free = [z] if problem.y is not None else [z, labels]
    optimiser = torch.optim.Adam(free, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, max(1, iterations), _LAST_RATE * rate
    )
    best, least = drafts, torch.full((len(z),), torch.inf)
    for step in range(iterations + 1):
        now = evolve(drafts, z=torch.where(drafts.fixed, drafts.z, z), labels=labels)
        off = residuals(problem, *records(problem, now))
        better = off.detach() < least
        if bool(better.any()):
            best = _chosen(better, now, best)
            least = torch.where(better, off.detach(), least)
        if step == iterations or float(least.min()) < enough:
            break
        # The logarithm: smooth models have their gradient nearly right long before the rows are.
        slopes = torch.autograd.grad((off.clamp(min=0.0) + _LEAST).log().sum(), free)
        for part, slope in zip(free, slopes, strict=True):
            part.grad = slope
        optimiser.step()
        z.data.copy_(torch.minimum(torch.maximum(z.data, problem.low), problem.high))
        schedule.step()
    return best, least


def _chosen(which: Tensor, first: Drafts, second: Drafts) -> Drafts:
    """Return the first where ``which``, bool ``[starts]``, else the second."""
    mask = which[:, None, None]
    return Drafts(
        z=torch.where(mask, first.z.detach(), second.z),
        labels=torch.where(mask, first.labels.detach(), second.labels),
        fixed=torch.where(mask, first.fixed, second.fixed),
    )


def pooled(problem: Problem, drafts: Drafts, best: int) -> tuple[Drafts, Floats]:
    """Return one draft of all starts, and how consistent they are on each row, ``[b]``.

    Rows of each start are matched to those of the best. Categories are voted on, each vote by its
    probabilities and with the weight that its entropy leaves; numbers are medians.
    """
    x, _ = records(problem, drafts)
    matched, labels = [], []
    for start in range(len(x)):
        cost = torch.cdist(x[best], x[start])
        order = torch.from_numpy(linear_sum_assignment(cost.numpy())[1])
        if problem.y is not None:
            # Rows with other labels are not the same rows.
            other = (problem.y[:, None] != problem.y).any(-1)
            cost = cost + 1e6 * other
            order = torch.from_numpy(linear_sum_assignment(cost.numpy())[1])
        matched.append(x[start][order])
        labels.append(drafts.labels[start][order])
    each = torch.stack(matched)
    together = each.median(0).values
    same = [(each[..., [c]] - each[best][..., [c]]).abs() < _ALIKE for c in problem.numbers]
    for group in problem.groups:
        p = each[..., list(group)]
        entropy = -(p * p.clamp(min=1e-12).log()).sum(-1, keepdim=True)
        weight = (1.0 - entropy / np.log(max(2, len(group)))).clamp(min=1e-3)
        vote = (weight * p).sum(0) / weight.sum(0)
        together[:, list(group)] = vote.clamp(min=1e-4).log()
        same.append((p.argmax(-1) == p[best].argmax(-1))[..., None])
    draft = Drafts(
        z=together[None],
        labels=torch.stack(labels).mean(0)[None],
        fixed=torch.zeros_like(together, dtype=torch.bool)[None],
    )
    return draft, torch.cat(same, -1).double().mean((0, 2)).numpy()


def hardened(
    problem: Problem, draft: Drafts, shares: Sequence[float], iterations: int, rate: float
) -> tuple[Drafts, float]:
    """Return a draft whose categories are fixed, the surest first, as far as that does no harm.

    shares: of all categories, that are fixed by then; after each, the rest is optimised again, and
    it stays only if the squared residual is no worse. The last is of numbers alone.
    """
    off = float(residuals(problem, *records(problem, draft))[0])
    for share in shares:
        fixed = _fixed(problem, draft, share)
        moved, least = descended(problem, fixed, iterations, rate)
        if float(least[0]) > max(off, _LEAST):
            break
        draft, off = moved, float(least[0])
    return draft, off


def _fixed(problem: Problem, draft: Drafts, share: float) -> Drafts:
    """Return a draft in which the surest categories are fixed, a share of all."""
    x, _ = records(problem, draft)
    surest = torch.stack([x[0][:, list(group)].max(-1).values for group in problem.groups], -1)
    count = round(share * surest.numel())
    rank = surest.flatten().argsort(descending=True).argsort().view(surest.shape)
    z, fixed = draft.z.clone(), draft.fixed.clone()
    for g, group in enumerate(problem.groups):
        rows = (rank[:, g] < count).nonzero()[:, 0]
        columns = torch.tensor(group)
        chosen = columns[x[0][rows][:, columns].argmax(-1)]
        z[0, rows[:, None], columns] = 0.0
        z[0, rows, chosen] = _HARD
        fixed[0, rows[:, None], columns] = True
    return evolve(draft, z=z, fixed=fixed)
