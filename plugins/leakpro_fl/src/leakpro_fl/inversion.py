"""Records by optimisation: until the update that they give is the one that was sent.

Zhu, Liu, Han 2019 and Geiping et al. 2020, both, since each wins on some networks; unlike there,
images are sought as sums of coarse and fine pictures (``priors``), by a distance relative to what
other records have (``objective``), with masks of ReLU that can be seen (``visible``). What is kept
is chosen by the residual alone.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from attrs import evolve, field, frozen, validators
from leakpro_torch.modules import threads
from torch import Tensor, nn

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_fl import batch_norm, labels
from leakpro_fl.objective import Objective, Update, objective_of, one_step, unrolled
from leakpro_fl.priors import prior_of
from leakpro_fl.procedure import Steps, order, own, state_of, steps_of
from leakpro_fl.search import Attempt, Method, Problem, search
from leakpro_fl.seen import Seen, seen
from leakpro_fl.visible import VisibleMasks

IMAGES = (
    Method(loss="cosine", optimiser="signed", variation=0.1, visible=True),
    Method(loss="cosine", optimiser="signed", variation=0.1, visible=True),
    Method(loss="distance", optimiser="signed", variation=0.1, visible=True),
    Method(loss="distance", optimiser="signed", variation=0.3, visible=True),
    Method(loss="distance", optimiser="l-bfgs", variation=0.01),
)
"""Of which all are tried."""

OTHERS = tuple(evolve(method, variation=0.0) for method in IMAGES)

_BLIND = 4
"""Guesses that know nothing of the update, by which distances are measured."""

_NOISE = 0.2
"""Deviation of a start from the centre, in spreads."""


@frozen(kw_only=True)
class InversionOptions:
    """``options`` of attack "inversion".

    iterations: evaluations of the gradient in all, trials of methods included, for a batch;
    restarts: starts of each method; device: where, such as "cpu" or "cuda".
    """

    iterations: int = field(default=1000, validator=validators.ge(20))
    restarts: int = field(default=1, validator=validators.ge(1))
    device: str = "cpu"


def attack(challenge: InversionChallenge, options: InversionOptions, run: Run) -> InversionAnswer:
    """Return as many reconstructions as the batch has records, with labels.

    Labels that the adversary does not know come from the last layer, or, where the update does not
    tell them, are sought with the records. A claim is minus the logarithm of the residual, the same
    for all: how far the update of the reconstructions is from the one that was sent, relative to
    that of made-up records. ``NotApplicable`` for texts, or where nothing tells how many records
    there were.
    """
    if challenge.modality == "text":
        raise NotApplicable("attack 'inversion'", found="texts", expected="images or numbers")
    with threads(1):
        observed = seen(challenge)
        b = labels.size_of(observed, challenge, seed=run.seed)
        known = _labels(observed, challenge, b, run.seed, options.device)
        problem = Problem(prior=prior_of(challenge, options.device), labels=known)
        rng = torch.Generator().manual_seed(run.seed)
        starts = list(_starts(challenge, observed, problem, b, options, rng))
        budget = options.iterations - _BLIND * len({id(a.objective) for a in starts})
        best = search(problem, starts, budget)
        with torch.no_grad():
            records = problem.prior.bounded(problem.records(best.parts)).cpu().numpy()
            said = problem.labels_of(best.parts)
    claim = -math.log(max(best.residual, 1e-12)) if math.isfinite(best.residual) else math.nan
    return InversionAnswer(
        records=records,
        labels=(said if known is not None else said.argmax(dim=1)).cpu().numpy(),
        claims=np.full(b, claim),
        certified=np.zeros(b, dtype=np.bool_),
        residual=best.residual,
        notes=notes_of(challenge, observed),
    )


def notes_of(challenge: InversionChallenge, observed: Seen) -> tuple[str, ...]:
    """Return what the attack has to assume of the client, as sentences."""
    disclosed, how = challenge.disclosed, steps_of(challenge.disclosed)
    if _is_gradient(challenge, observed):
        if observed.single:
            return ()
        return (
            "The learning rate is not known: gradient inversion takes an update of several steps "
            "for the direction of one gradient.",
        )
    each = (disclosed.examples or 0) // disclosed.clients
    size = each if how is None or how.batch_size is None else how.batch_size
    if size < each or disclosed.clients > 1:
        return (
            "Which records were together in a step is not known: each start of gradient inversion "
            "assumes an order, and the least residual is kept.",
        )
    return ()


def _labels(
    observed: Seen, challenge: InversionChallenge, b: int, seed: int, device: str
) -> Tensor | None:
    try:
        found = labels.labels_of(observed, challenge, b, seed=seed)
    except NotApplicable:
        return None
    return torch.from_numpy(np.array(found)).to(device)


def _starts(
    challenge: InversionChallenge,
    observed: Seen,
    problem: Problem,
    b: int,
    options: InversionOptions,
    rng: torch.Generator,
) -> Iterator[Attempt]:
    """Yield a start of every method, for every mode that is possible and every restart."""
    methods = IMAGES if problem.prior.levels else OTHERS
    for restart in range(options.restarts):
        for train in _modes(challenge):
            objective, met = _objective(
                challenge, observed, problem, b, options, rng, train, restart
            )
            for method in methods:
                method = evolve(method, visible=method.visible and met)
                parts = problem.prior.start(b, rng, _NOISE)
                if problem.labels is None:
                    parts.append(torch.zeros(b, challenge.classes, device=options.device))
                yield Attempt(method=method, objective=objective, parts=tuple(parts))


def _modes(challenge: InversionChallenge) -> tuple[bool, ...]:
    """Return whether layers were in training mode: both, where nothing tells."""
    mode = challenge.disclosed.mode
    if mode is not None:
        return (mode == "train",)
    before, after = buffers(challenge)
    trains = batch_norm.trains(before, after)
    if trains is not None:
        return (trains,)
    module = challenge.model
    differs = isinstance(module, nn.Module) and any(
        isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules()
    )
    return (False, True) if differs else (False,)


def buffers(challenge: InversionChallenge) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the buffers before and after, float64, by name; of these only what was sent."""
    before = state_of({n: challenge.before[n] for n in challenge.buffers}, torch.float64)
    sent = {n: v for n, v in challenge.update.items() if n in challenge.buffers}
    after = state_of(sent, torch.float64)
    if challenge.disclosed.kind == "delta":
        after = {n: v + before[n] for n, v in after.items()}
    return before, after


def _is_gradient(challenge: InversionChallenge, observed: Seen) -> bool:
    """Whether the update is compared as one gradient, and not unrolled."""
    how = steps_of(challenge.disclosed)
    if challenge.disclosed.kind == "gradient" or how is None:
        return True
    return observed.single and how.optimiser == "sgd"


def _scaled(challenge: InversionChallenge, observed: Seen) -> bool:
    """Whether the update's length is known; clipping may have shortened it."""
    if challenge.disclosed.clip is not None:
        return False
    return observed.scaled or not _is_gradient(challenge, observed)


def _objective(
    challenge: InversionChallenge,
    observed: Seen,
    problem: Problem,
    b: int,
    options: InversionOptions,
    rng: torch.Generator,
    train: bool,
    restart: int,
) -> tuple[Objective, bool]:
    """Return the objective, and whether the model calls ReLU."""
    update, sent, statistics = update_of(
        challenge,
        observed,
        b,
        train=train,
        seed=restart and int(rng.initial_seed()) + restart,
        device=options.device,
    )
    with VisibleMasks() as masks:
        blind = [_guess(challenge, problem, b, options.device, rng) for _ in range(_BLIND)]
        objective = objective_of(
            update,
            sent,
            blind,
            scaled=_scaled(challenge, observed),
            statistics=statistics,
            pruned=bool(challenge.disclosed.pruned),
        )
    return objective, masks.met > 0


def update_of(
    challenge: InversionChallenge,
    observed: Seen,
    b: int,
    *,
    train: bool,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[Update, list[Tensor], int]:
    """Return what makes the update of records, the one that was sent, and how many of its tensors
    are statistics of batch norm.

    seed: of the order of records in local training; 0: as they come, in every epoch.
    """
    module = own(challenge.model, train=train).to(device)
    for layer in module.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.eval()  # which units were dropped is not known
    state = state_of(challenge.before, device=device)
    names = [name for name, _ in module.named_parameters() if name in observed.gradient]
    how = steps_of(challenge.disclosed)
    before, after = buffers(challenge)
    if how is None or _is_gradient(challenge, observed):
        told = batch_norm.told(module, before, after, 1) if train and observed.single else None
        update = one_step(module, state, names, told)
        sent = [observed.gradient[name] for name in names]
    else:
        rows = _rows(challenge, b, how, seed)
        told = batch_norm.told(module, before, after, len(rows[0])) if train else None
        update = unrolled(module, state, names, how, rows, told)
        sent = [_change(challenge, name) for name in names]
    if told is not None:
        sent += [t for each in zip(told.means, told.variances, strict=True) for t in each]
    return (
        update,
        [t.to(device, torch.float32) for t in sent],
        0 if told is None else 2 * len(told.layers),
    )


def _change(challenge: InversionChallenge, name: str) -> Tensor:
    sent = torch.from_numpy(np.array(challenge.update[name], dtype=np.float64))
    if challenge.disclosed.kind == "delta":
        return sent
    return sent - torch.from_numpy(np.array(challenge.before[name], dtype=np.float64))


def _rows(challenge: InversionChallenge, b: int, how: Steps, seed: int) -> list[list[Tensor]]:
    """Return the rows of each client's steps: each has as many records as the first."""
    every = torch.arange(b)
    if seed:
        every = torch.from_numpy(np.random.default_rng(seed).permutation(b))
    parts = [part for part in torch.tensor_split(every, challenge.disclosed.clients) if len(part)]
    return [[part[rows] for rows in order(len(part), how, seed or None)] for part in parts]


def _guess(
    challenge: InversionChallenge,
    problem: Problem,
    b: int,
    device: str,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return records that know nothing of the update: auxiliary ones, or made-up ones."""
    prior, auxiliary = problem.prior, challenge.auxiliary
    if auxiliary is not None and auxiliary.records is not None and len(auxiliary.records) >= b:
        chosen = torch.randperm(len(auxiliary.records), generator=rng)[:b].numpy()
        x = torch.from_numpy(np.array(auxiliary.records[chosen], dtype=np.float32)).to(device)
    else:
        x = prior.bounded(prior.records(prior.start(b, rng, 1.0)))
    if problem.labels is not None:
        return x, problem.labels
    return x, torch.full((b, challenge.classes), 1.0 / challenge.classes, device=device)
