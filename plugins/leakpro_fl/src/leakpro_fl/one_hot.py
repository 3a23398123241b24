"""Rows with one-hot groups from an update.

Where a linear layer is given the rows, from the span of its gradient, exactly (see ``rows``); else
by optimisation over relaxed groups, several starts put together (TabLeak, Vero et al. 2023).
"""

from collections.abc import Iterator

import numpy as np
import torch
from attrs import evolve, field, frozen, validators
from leakpro_torch.modules import threads
from torch import Tensor

from leakpro_core.arrays import Ints
from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_fl import relaxed
from leakpro_fl.alternatives import least_effects
from leakpro_fl.labels import labels_of, size_of
from leakpro_fl.mixtures import Batch, residual
from leakpro_fl.row_model import RowModel, layers_given, model_of, normalised
from leakpro_fl.rows import Layer, present
from leakpro_fl.seen import Seen, seen
from leakpro_fl.spanned import GOOD, spanned


@frozen(kw_only=True)
class OneHotOptions:
    """Options of attack "one-hot".

    restarts: starts of the optimisation; iterations: of each, by Adam;
    learning_rate: of Adam.
    """

    restarts: int = field(default=6, validator=validators.ge(1))
    iterations: int = field(default=600, validator=validators.ge(1))
    learning_rate: float = field(default=0.1, validator=validators.gt(0.0))


TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3}
"""Largest residual of a certificate, by the numbers that were sent; else ``1e-4``."""

SHIFT = 0.05
"""By how much, in units of the records, no number of a certified row can be wrong."""

_UNIQUE = 10.0
"""By what the gradient of other rows must be farther than that of the ones certified."""

_LEAST_EFFECT = 0.01
"""The same, as a share of the tolerance: a small step of one number in one row is seen little."""

_EXCHANGES = 48
"""Exchanges of parts, and of labels, between rows that a certificate needs to be tried."""

_SHARES = (0.5, 0.85, 1.0, 1.0)
"""Of all categories, the surest, that are fixed by then."""


def attack(challenge: InversionChallenge, options: OneHotOptions, run: Run) -> InversionAnswer:
    """Return rows that are one category in every group, and their labels.

    Claims are the larger the more starts agree on a row, and above 1 for rows from a span whose
    gradient is that of the update. Certified is what reproduces the update up to rounding while no
    other rows that are tried do: another category in any group, another label, a number moved by
    ``SHIFT``, parts or labels exchanged with another row, each while all numbers move as suits it.
    Only where the update is one step, and not where rounding would hide other rows.
    ``NotApplicable`` where records have no groups, or the number of records cannot be told.
    """
    if not challenge.groups or len(challenge.shape) != 1:
        raise NotApplicable(
            "attack 'one-hot'",
            found=f"records of shape {list(challenge.shape)}, {len(challenge.groups)} groups",
            expected="rows with groups of one-hot columns",
        )
    with threads(1):
        observed = seen(challenge)
        model = model_of(challenge, observed, train=False)
        layers = layers_given(challenge, model, run.seed)
        batch, determined = spanned(challenge, model, layers, run.seed)
        if challenge.disclosed.mode != "eval" and normalised(model.module):
            model = model_of(challenge, observed, train=True)
            batch = None if batch is None else _better(model, batch)
        # The gradient of several steps is that of no batch; the span is that of the rows all along.
        good = GOOD if observed.single else _GOOD_OF_STEPS
        if batch is not None and (determined or batch.residual < good):
            return _from_span(challenge, observed, model, batch, run.seed)
        answer = _optimised(challenge, observed, model, layers, options, run.seed)
        if batch is not None and batch.residual <= answer.residual:
            return _from_span(challenge, observed, model, batch, run.seed)
    return answer


def _better(model: RowModel, batch: Batch) -> Batch:
    """Return the batch with its residual in training mode, if that is the smaller."""
    found = residual(model.gradient(batch.records, batch.labels), model.update, model.scaled)
    return evolve(batch, residual=min(found, batch.residual))


_GOOD_OF_STEPS = 0.5

_REACHED = 1e-6
"""Squared residual of a start from which categories are taken to be right."""


def _from_span(
    challenge: InversionChallenge,
    observed: Seen,
    model: RowModel,
    batch: Batch,
    seed: int,
) -> InversionAnswer:
    tolerance = TOLERANCE.get(challenge.disclosed.dtype or "", 1e-4)
    sure = np.zeros(len(batch.records), dtype=np.bool_)
    # With batch norm, rows cannot be changed one by one.
    alone = not (model.module.training and normalised(model.module))
    if observed.single and alone and batch.residual < tolerance:
        grouped = {column for group in challenge.groups for column in group}
        numbers = [column for column in range(challenge.shape[0]) if column not in grouped]
        effects = least_effects(
            model,
            batch,
            model.update,
            lambda row: _alike(row, challenge.groups),
            [*challenge.groups, *([n] for n in numbers)],
            numbers=numbers,
            same=SHIFT,
            most=_EXCHANGES,
            scaled=model.scaled,
            seed=seed,
        )
        sure = effects > max(_LEAST_EFFECT * tolerance, _UNIQUE * batch.residual) + batch.residual
    why = "" if observed.single else ": the update is not known to be one step"
    return InversionAnswer(
        records=batch.records.numpy(),
        labels=batch.labels.numpy(),
        claims=np.full(len(sure), -np.log10(batch.residual + 1e-12)) + sure,
        certified=sure,
        residual=batch.residual,
        notes=() if sure.all() else (f"{int((~sure).sum())} rows are not certified{why}.",),
    )


def _alike(row: Tensor, groups: tuple[tuple[int, ...], ...]) -> Iterator[Tensor]:
    """Yield rows with another category in one group, the next one."""
    for group in groups:
        columns = list(group)
        if len(columns) > 1:
            other = row.clone()
            other[columns] = row[columns].roll(1)
            yield other


def _optimised(
    challenge: InversionChallenge,
    observed: Seen,
    model: RowModel,
    layers: tuple[Layer, ...],
    options: OneHotOptions,
    seed: int,
) -> InversionAnswer:
    """Return rows of several starts put together, categories fixed as far as it does no harm."""
    problem = _problem(challenge, observed, model, layers, seed)
    starts = relaxed.started(problem, options.restarts, _sample(challenge), seed)
    drafts, off = relaxed.descended(
        problem, starts, options.iterations, options.learning_rate, _REACHED
    )
    best = int(off.argmin())
    together, consistent = relaxed.pooled(problem, drafts, best)
    alone = relaxed.Drafts(
        z=drafts.z[best][None], labels=drafts.labels[best][None], fixed=drafts.fixed[best][None]
    )
    more, rate = max(1, options.iterations // 6), 0.3 * options.learning_rate
    tried = [(alone, float(off[best]))]
    together, least = relaxed.descended(problem, together, more, rate)
    tried.append((together, float(least[0])))
    nearest, _ = min(tried, key=lambda each: each[1])
    tried.append(relaxed.hardened(problem, nearest, _SHARES, more, rate))
    # Of equals the later: its categories are fixed.
    chosen, _ = min(reversed(tried), key=lambda each: each[1])
    x, y = relaxed.records(problem, chosen)
    records, labels = x[0].detach(), y[0].argmax(-1)
    return InversionAnswer(
        records=records.numpy(),
        labels=labels.numpy(),
        claims=consistent,
        certified=np.zeros(problem.rows, dtype=np.bool_),
        residual=residual(model.gradient(records, labels), model.update, model.scaled),
    )


def _sample(challenge: InversionChallenge) -> Tensor | None:
    auxiliary = challenge.auxiliary
    if auxiliary is None or auxiliary.records is None or not len(auxiliary.records):
        return None
    return torch.from_numpy(np.array(auxiliary.records, dtype=np.float32))


def _problem(
    challenge: InversionChallenge,
    observed: Seen,
    model: RowModel,
    layers: tuple[Layer, ...],
    seed: int,
) -> relaxed.Problem:
    [columns] = challenge.shape
    b = size_of(observed, challenge, seed=seed)
    try:
        labels: Ints | None = labels_of(observed, challenge, b, seed=seed)
    except NotApplicable:
        labels = None  # looked for with the rows
    sample = _sample(challenge)
    low, high = torch.full((columns,), -torch.inf), torch.full((columns,), torch.inf)
    if sample is not None:
        numbers = sorted(set(range(columns)) - {c for group in challenge.groups for c in group})
        low[numbers], high[numbers] = sample[:, numbers].amin(0), sample[:, numbers].amax(0)
    there = present(layers, model.update, columns)
    for group in challenge.groups:
        # Where none is seen, nothing is.
        there[list(group)] |= not there[list(group)].any()
    one_hot = None
    if labels is not None:
        one_hot = torch.eye(challenge.classes)[torch.from_numpy(np.array(labels))]
    return relaxed.Problem(
        module=model.module,
        state=model.state,
        target={name: value.float() for name, value in model.update.items()},
        scaled=model.scaled,
        groups=challenge.groups,
        low=low,
        high=high,
        there=torch.from_numpy(there),
        rows=b,
        classes=challenge.classes,
        y=one_hot,
    )
