"""Asking models about records and keeping signals, in record blocks, by one way for all models."""

from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Ints, Singles
from leakpro_core.errors import BadRecord, NotAFactory
from leakpro_core.inputs import first_unfinite
from leakpro_core.records import Signals
from leakpro_core.references import resolve
from leakpro_core.signals import check_scale, derive
from leakpro_core.spill import empty
from leakpro_core.view import Lens

_BLOCK = 4096
"""Records per query of a model."""

Query = Callable[[AnyArray], Singles]
"""Records ``[n, ...]`` -> outputs ``[models, n, classes]``."""


@frozen(kw_only=True)
class Wanted:
    """What is kept of every model: signals through lenses, and of shadows the weights."""

    lenses: tuple[Lens, ...]
    temperatures: tuple[float, ...]
    keep_outputs: bool
    keep_weights: bool = False


def observe(
    query: Query,
    models: int,
    records: AnyArray,
    labels: Ints,
    classes: int,
    lens: Lens,
    wanted: Wanted,
    *,
    what: Sequence[str],
    kind: str = "logits",
    fix: str = "",
) -> Signals:
    """Return the signals ``[models, n, queries]`` of ``models`` models on all records.

    kind: of the outputs; fix: what to do where they are of the other kind.
    """
    probes = resolve(lens.probes) if lens.probes else None
    named: dict[str, AnyArray] = {}
    for start in range(0, max(1, len(records)), _BLOCK):
        block = slice(start, min(len(records), start + _BLOCK))
        rows = np.asarray(records[block])
        asked = rows[:, None] if probes is None else probes(rows)
        answers = query(asked.reshape(-1, *asked.shape[2:]))
        _check_shape(answers, (models, asked.shape[0] * asked.shape[1]), classes, what[0])
        for name, model in zip(what, answers, strict=True):
            _check_finite(model, name, start, asked.shape[1])
            if start == 0:
                check_scale(model[:, None], f"outputs of {name}", kind, fix)
        shown, shown_kind = lens.show(answers, kind)
        for m, model in enumerate(shown.reshape(models, *asked.shape[:2], -1)):
            part = derive(
                model,
                labels[block],
                wanted.temperatures,
                kind=shown_kind,
                keep=wanted.keep_outputs,
                what=what[m],
            )
            for name, values in arrays_of(part).items():
                if name not in named:
                    named[name] = empty((models, len(records), *values.shape[1:]), values.dtype)
                named[name][m, block] = values
    return signals_of(named)


def arrays_of(signals: Signals) -> dict[str, AnyArray]:
    """Return the arrays of signals by name, as the store keeps them."""
    named: dict[str, AnyArray] = {"margin": signals.margin}
    named |= {f"{_LOG_P}{t}": values for t, values in signals.log_p.items()}
    if signals.outputs is not None:
        named["outputs"] = signals.outputs
    return named


def signals_of(named: dict[str, AnyArray]) -> Signals:
    """Return the signals whose arrays ``arrays_of`` named."""
    temperatures = [name.removeprefix(_LOG_P) for name in named if name.startswith(_LOG_P)]
    return Signals(
        margin=named["margin"],
        log_p={float(t): named[f"{_LOG_P}{t}"] for t in temperatures},
        outputs=named.get("outputs"),
    )


_LOG_P = "log_p@"


def _check_shape(answers: Singles, expected: tuple[int, int], classes: int, what: str) -> None:
    # A model may know classes that no record here has; fewer than the labels it may not.
    wide = answers.ndim == 3 and (
        answers.shape[2] >= classes or (classes == 2 and answers.shape[2] == 1)
    )
    if answers.shape[:2] != expected or not wide:
        raise NotAFactory(
            f"outputs of {what}",
            found=f"{' x '.join(map(str, answers.shape[1:]))} for {expected[1]} records",
            expected=f"{expected[1]} x {classes}, for the highest label is {classes - 1}",
            fix="Number the labels from 0, and give the model an output for each class "
            "(or one logit for two).",
        )


def _check_finite(answers: Singles, what: str, start: int, queries: int) -> None:
    # Before the lens: the likeliest label of NaN looks like any other.
    row = first_unfinite(answers)
    if row is not None:
        raise BadRecord(
            f"output of {what} for record {start + row // queries}",
            found="NaN or an infinite value",
            expected="finite numbers",
            fix="Mend the model or leave the record out.",
        )
