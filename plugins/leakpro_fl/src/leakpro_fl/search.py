"""Descent on guessed records, and the choice among its kinds by the residual alone.

Signed Adam (Geiping et al. 2020, section 4) and L-BFGS (Zhu, Liu, Han 2019, section 3). A budget
counts evaluations of the gradient, trials included, never time.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext, suppress

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from leakpro_fl.objective import Objective
from leakpro_fl.priors import Prior
from leakpro_fl.visible import VisibleMasks

STEPS = (0.2, 0.1, 0.1)
"""First step of signed Adam in trials and after, in spreads of the records, of each part."""

_LAST = 0.01
"""Share of the first step that the last one has."""

_AVERAGED = 0.2
"""Share of the iterates, the last ones, of which the mean is a guess too."""

_BOUNDS = 3.0
"""Weight of the mean squared distance from the bounds."""

_SHARES = (0.15, 0.25)
"""Of the budget: for trials of all starts, then of the best two; the best has the rest."""


@frozen(kw_only=True)
class Method:
    """How records are sought.

    loss: "distance" or "cosine", relative to a blind guess's; optimiser: "signed" (Adam of the
    gradient's signs) or "l-bfgs"; variation: weight of the total variation; visible: whether masks
    of ReLU can be seen in every other step.

    Descent that always sees masks finds low residuals far from the records, in deep networks above
    all; descent that never does stalls early. Step by step in turn finds lower residuals than
    either, and nearer records.
    """

    loss: str
    optimiser: str
    variation: float
    visible: bool = False


@frozen(kw_only=True)
class Attempt:
    """Guesses so far. parts: of the prior, then the logits of labels where those are sought;
    residual: of the objective alone; spent: evaluations so far.
    """

    method: Method
    objective: Objective = field(repr=False)
    parts: tuple[Tensor, ...] = field(repr=False)
    residual: float = math.inf
    spent: int = 0


@frozen(kw_only=True)
class Problem:
    """What is sought. labels: int64 ``[b]``, or None: probabilities are sought with the records."""

    prior: Prior
    labels: Tensor | None = field(repr=False)

    def records(self, parts: Sequence[Tensor]) -> Tensor:
        """Return records ``[b, ...]``, which may lie outside the bounds."""
        return self.prior.records(parts if self.labels is not None else parts[:-1])

    def labels_of(self, parts: Sequence[Tensor]) -> Tensor:
        """Return labels int64 ``[b]`` or probabilities ``[b, classes]``."""
        return parts[-1].softmax(dim=1) if self.labels is None else self.labels

    def loss(
        self, attempt: Attempt, parts: Sequence[Tensor], *, visible: bool = False
    ) -> tuple[float, list[Tensor]]:
        """Return the regularised objective, and its derivatives by all parts.

        visible: whether the derivatives see the masks of ReLU.
        """
        free = [part.detach().requires_grad_() for part in parts]
        x = self.records(free)
        with VisibleMasks() if visible else nullcontext():
            made = attempt.objective.update(x, self.labels_of(free), True)
        value, slopes = attempt.objective.loss(attempt.method.loss, made)
        prior = attempt.method.variation * self.prior.variation(x)
        prior = prior + _BOUNDS * self.prior.outside(x)
        # What does not depend on the guesses, as a prior without bounds, has no derivative.
        pairs = zip([*made, prior], [*slopes, torch.ones_like(prior)], strict=True)
        moving = [(what, slope) for what, slope in pairs if what.requires_grad]
        found = torch.autograd.grad(
            [what for what, _ in moving],
            free,
            [slope for _, slope in moving],
            materialize_grads=True,
            allow_unused=True,
        )
        return value + float(prior.detach()), list(found)

    def residual(self, objective: Objective, parts: Sequence[Tensor]) -> float:
        """Return the residual of the guesses, within the bounds."""
        with torch.no_grad():
            x = self.prior.bounded(self.records(parts))
            y = self.labels_of(parts)
        found = objective.residual(x, y)
        return found if math.isfinite(found) else math.inf


def search(problem: Problem, starts: Sequence[Attempt], budget: int) -> Attempt:
    """Return the attempt of the least residual after at most ``budget`` evaluations in all.

    All starts have a short trial; the best two go on; then the better one alone, and where it
    stalls those after it.
    """
    left, ranked, chosen = budget, list(starts), list(starts)
    for share, step in zip(_SHARES, STEPS, strict=False):
        each = int(share * budget) // max(1, len(chosen))
        tried = [descend(problem, attempt, each, step) for attempt in chosen]
        left -= sum(n.spent - o.spent for n, o in zip(tried, chosen, strict=True))
        others = [attempt for attempt in ranked if all(attempt is not c for c in chosen)]
        ranked = sorted([*tried, *others], key=lambda attempt: attempt.residual)
        chosen = ranked[:2]
    best = ranked[0]
    for attempt in ranked:
        found = descend(problem, attempt, left, STEPS[-1])
        left -= found.spent - attempt.spent
        best = min(best, found, key=lambda each: each.residual)
    return best


def descend(problem: Problem, attempt: Attempt, evaluations: int, step: float) -> Attempt:
    """Return the attempt after so many more evaluations; never one of a larger residual.

    step: the first of signed Adam, in spreads.
    """
    if evaluations < 3:
        return attempt
    if attempt.method.optimiser == "l-bfgs":
        found, spent = _l_bfgs(problem, attempt, evaluations - 2)
    else:
        found, spent = _signed(problem, attempt, evaluations - 2, step)
    best = evolve(attempt, spent=attempt.spent + spent + len(found))
    for parts in found:
        residual = problem.residual(attempt.objective, parts)
        if residual < best.residual:
            best = evolve(best, parts=tuple(parts), residual=residual)
    return best


def _signed(
    problem: Problem, attempt: Attempt, evaluations: int, first: float
) -> tuple[list[list[Tensor]], int]:
    """Return the last guesses and the mean of the late ones, and how many evaluations it took.

    Adam of signs is momentum of signs: the mean square of signs is 1.
    """
    parts = [part.clone() for part in attempt.parts]
    moving = [torch.zeros_like(part) for part in parts]
    total, averaged = [torch.zeros_like(part) for part in parts], 0
    for t in range(evaluations):
        done = t / evaluations
        step = first * (_LAST + (1.0 - _LAST) * 0.5 * (1.0 + math.cos(math.pi * done)))
        visible = attempt.method.visible and t % 2 == 0
        value, slopes = problem.loss(attempt, parts, visible=visible)
        if not math.isfinite(value):
            return [], t + 1
        for part, slope, speed in zip(parts, slopes, moving, strict=True):
            speed.mul_(0.9).add_(slope.sign(), alpha=0.1)
            part.sub_(speed, alpha=step / (1.0 - 0.9 ** (t + 1)))
        if done >= 1.0 - _AVERAGED:
            averaged += 1
            for whole, part in zip(total, parts, strict=True):
                whole.add_(part)
    return [parts, [whole / max(1, averaged) for whole in total]], evaluations


def _l_bfgs(problem: Problem, attempt: Attempt, evaluations: int) -> tuple[list[list[Tensor]], int]:
    """Return the last guesses, and how many evaluations it took: fewer where it stalls."""
    parts = [part.clone().requires_grad_() for part in attempt.parts]
    optimiser = torch.optim.LBFGS(
        parts,
        max_iter=evaluations,
        max_eval=evaluations,
        history_size=50,
        tolerance_change=1e-12,
        tolerance_grad=0.0,
        line_search_fn="strong_wolfe",
    )
    counted = _Counted(problem, attempt, parts, evaluations)
    with suppress(_Spent):
        optimiser.step(counted)  # type: ignore[no-untyped-call]
    return [counted.best], counted.count


class _Spent(Exception):
    """The line search has used up all evaluations."""


class _Counted:
    """A closure that counts, keeps the parts of the least value, and ends on time."""

    def __init__(self, problem: Problem, attempt: Attempt, parts: list[Tensor], most: int) -> None:
        self.problem, self.attempt, self.parts, self.most = problem, attempt, parts, most
        self.count, self.least = 0, math.inf
        self.best = [part.detach().clone() for part in parts]

    def __call__(self) -> Tensor:
        if self.count >= self.most:
            raise _Spent
        self.count += 1
        value, slopes = self.problem.loss(self.attempt, self.parts)
        for part, slope in zip(self.parts, slopes, strict=True):
            part.grad = slope
        if value < self.least:
            self.least = value
            self.best = [part.detach().clone() for part in self.parts]
        return torch.tensor(value)
