"""The batch of rows in the span of a first layer's gradient that explains an update best."""

from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_fl.mixtures import Batch, explained
from leakpro_fl.open_numbers import settled
from leakpro_fl.row_model import RowModel
from leakpro_fl.rows import Layer, Rows, rows_of

ROUNDING = (1e-4, 1e-2, 0.1)
"""Distances of categories from the span that are tried, until the gradient is explained."""

_MOST_ROWS = 400
"""Rows that a span may allow: more tell nothing."""

GOOD = 0.03
"""Residual of rows from a span below which nothing is optimised."""


def spanned(
    challenge: InversionChallenge, model: RowModel, layers: tuple[Layer, ...], seed: int
) -> tuple[Batch | None, bool]:
    """Return the batch of rows from the span that explains the update best, or None.

    And whether it can be no other rows.
    """
    whole = [layer for layer in layers if len(layer.columns) == challenge.shape[0]]
    if not whole:
        return None, False
    layer = whole[0]
    examples = challenge.disclosed.examples
    if examples is None and challenge.labels is not None:
        examples = len(challenge.labels)
    best: Batch | None = None
    for rounding in ROUNDING:
        weight = model.update[layer.weight]
        rows = rows_of(layer, weight, challenge.groups, examples, rounding)
        if rows is None or not 0 < len(rows.values) <= _MOST_ROWS:
            continue
        found = _nearest(challenge, model, rows, examples, seed)
        if len(rows.values) == rows.rank == examples and not len(rows.moves):
            return found, True
        if best is None or found.residual < best.residual:
            best = found
        if best.residual < GOOD:
            break
    return best, False


def _nearest(
    challenge: InversionChallenge, model: RowModel, rows: Rows, examples: int | None, seed: int
) -> Batch:
    """Return the batch of those rows that explains the update best."""
    if len(rows.moves):
        return settled(
            model,
            rows,
            model.update,
            labels=challenge.labels,
            examples=examples,
            scaled=model.scaled,
            seed=seed,
        )
    return explained(
        model,
        rows.values,
        model.update,
        labels=challenge.labels,
        examples=examples,
        least=rows.rank,
        # As many as the span has dimensions: the same one twice would leave one out.
        distinct=examples == rows.rank,
        scaled=model.scaled,
        seed=seed,
    )
