"""Rows with one-hot groups from an update.

Where a linear layer is given the rows, from the span of its gradient, exactly (see ``rows``); else
by optimisation over relaxed groups, several starts put together (TabLeak, Vero et al. 2023).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from attrs import evolve, field, frozen, validators
from leakpro_torch.modules import threads
from torch import Tensor, nn

from leakpro_core.arrays import Ints
from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_fl import relaxed
from leakpro_fl.labels import labels_of, size_of
from leakpro_fl.mixtures import Batch, explained, least_effects, residual
from leakpro_fl.procedure import State, gradient, own, state_of
from leakpro_fl.rows import Layer, layers_of, present, rows_of
from leakpro_fl.seen import Seen, seen


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

ROUNDING = (1e-4, 1e-2, 0.1)
"""Distances of categories from the span that are tried, until the gradient is explained."""

SHIFT = 0.05
"""By how much, in units of the records, no number of a certified row can be wrong."""

_UNIQUE = 10.0
"""By what the gradient of other rows must be farther than that of the ones certified."""

_LEAST_EFFECT = 0.01
"""The same, as a share of the tolerance: a small step of one number in one row is seen little."""

_EXCHANGES = 48
"""Exchanges of parts, and of labels, between rows that a certificate needs to be tried."""

_MOST_ROWS = 400
"""Rows that a span may allow: more tell nothing."""

_SHARES = (0.5, 0.85, 1.0, 1.0)
"""Of all categories, the surest, that are fixed by then."""


@frozen(kw_only=True)
class _Model:
    """The model and the names that its gradient is compared by. See ``mixtures.Model``."""

    module: nn.Module = field(repr=False)
    state: State = field(repr=False)
    names: tuple[str, ...]
    update: Mapping[str, Tensor] = field(repr=False)
    classes: int
    scaled: bool

    @property
    def sparse(self) -> None:
        return None

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the mean loss of a batch."""
        return gradient(self.module, self.state, x, y, self.names)


def attack(challenge: InversionChallenge, options: OneHotOptions, run: Run) -> InversionAnswer:
    """Return rows that are one category in every group, and their labels.

    Claims are the larger the more starts agree on a row, and above 1 for rows from a span whose
    gradient is that of the update. Certified is what reproduces the update up to rounding while no
    other rows that are tried do: another category in any group, a number moved by ``SHIFT``, parts
    or labels exchanged with another row. Only where the update is one step.
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
        model = _model(challenge, observed, train=False)
        layers = _layers(challenge, model, run.seed)
        batch = _spanned(challenge, model, layers, run.seed)
        if challenge.disclosed.mode != "eval" and _normalised(model.module):
            model = _model(challenge, observed, train=True)
            batch = None if batch is None else _better(model, batch)
        # The gradient of several steps is that of no batch; the span is that of the rows all along.
        good = _GOOD if observed.single else _GOOD_OF_STEPS
        if batch is not None and batch.residual < good:
            return _from_span(challenge, observed, model, batch, run.seed)
        answer = _optimised(challenge, observed, model, layers, options, run.seed)
        if batch is not None and batch.residual <= answer.residual:
            return _from_span(challenge, observed, model, batch, run.seed)
    return answer


def _normalised(module: nn.Module) -> bool:
    """Whether a row's gradient depends on the other rows in training mode."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def _better(model: _Model, batch: Batch) -> Batch:
    """Return the batch with its residual in training mode, if that is the smaller."""
    found = residual(model.gradient(batch.records, batch.labels), model.update, model.scaled)
    return evolve(batch, residual=min(found, batch.residual))


_GOOD = 0.03
"""Residual of rows from a span below which nothing is optimised."""

_GOOD_OF_STEPS = 0.5

_REACHED = 1e-6
"""Squared residual of a start from which categories are taken to be right."""


def _model(challenge: InversionChallenge, observed: Seen, *, train: bool) -> _Model:
    module = own(challenge.model, train=train)
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.eval()  # what it drew is not known
    there = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    names = tuple(n for n, _ in module.named_parameters() if n in observed.gradient)
    return _Model(
        module=module,
        state={k: v for k, v in state_of(challenge.before).items() if k in there},
        names=names,
        update={name: observed.gradient[name] for name in names},
        classes=challenge.classes,
        scaled=observed.scaled and challenge.disclosed.clip is None,
    )


def _layers(challenge: InversionChallenge, model: _Model, seed: int) -> tuple[Layer, ...]:
    """Return the linear layers that are given columns of the rows, of which gradients were sent."""
    quiet = own(challenge.model, train=False)
    found = layers_of(quiet, model.state, challenge.shape[0], seed)
    return tuple(layer for layer in found if layer.weight in model.names)


def _spanned(
    challenge: InversionChallenge, model: _Model, layers: tuple[Layer, ...], seed: int
) -> Batch | None:
    """Return the batch of rows from the span that explains the update best, or None."""
    whole = [layer for layer in layers if len(layer.columns) == challenge.shape[0]]
    if not whole:
        return None
    layer = whole[0]
    examples = challenge.disclosed.examples
    if examples is None and challenge.labels is not None:
        examples = len(challenge.labels)
    best: Batch | None = None
    for rounding in ROUNDING:
        rows = rows_of(layer, model.update[layer.weight], challenge.groups, examples, rounding)
        if not 0 < len(rows) <= _MOST_ROWS or not bool(torch.isfinite(rows).all()):
            continue
        found = explained(
            model,
            rows,
            model.update,
            labels=challenge.labels,
            examples=examples,
            scaled=model.scaled,
            seed=seed,
        )
        if best is None or found.residual < best.residual:
            best = found
        if best.residual < _GOOD:
            break
    return best


def _from_span(
    challenge: InversionChallenge,
    observed: Seen,
    model: _Model,
    batch: Batch,
    seed: int,
) -> InversionAnswer:
    tolerance = TOLERANCE.get(challenge.disclosed.dtype or "", 1e-4)
    sure = np.zeros(len(batch.records), dtype=np.bool_)
    # With batch norm, rows cannot be changed one by one.
    alone = not (model.module.training and _normalised(model.module))
    if observed.single and alone and batch.residual < tolerance:
        grouped = {column for group in challenge.groups for column in group}
        numbers = [column for column in range(challenge.shape[0]) if column not in grouped]
        effects = least_effects(
            model,
            batch,
            model.update,
            lambda row: _alike(row, challenge.groups, numbers),
            [*challenge.groups, *([n] for n in numbers)],
            _EXCHANGES,
            seed,
            same=SHIFT,
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


def _alike(
    row: Tensor, groups: tuple[tuple[int, ...], ...], numbers: list[int]
) -> Iterator[Tensor]:
    """Yield rows with another category in one group, the next one, or one number moved a little."""
    for group in groups:
        columns = list(group)
        if len(columns) > 1:
            other = row.clone()
            other[columns] = row[columns].roll(1)
            yield other
    for column in numbers:
        for sign in (-1.0, 1.0):
            other = row.clone()
            other[column] += sign * SHIFT
            yield other


def _optimised(
    challenge: InversionChallenge,
    observed: Seen,
    model: _Model,
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
    model: _Model,
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
