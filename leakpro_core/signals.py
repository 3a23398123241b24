"""Signals: what core keeps of a model's outputs, derived once, in record blocks.

Everything is computed in float64 log space; a float32 softmax saturates.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.special import logsumexp

from leakpro_core import spill
from leakpro_core.arrays import AnyArray, Floats, Ints, Singles
from leakpro_core.errors import BadArray, BadRecord
from leakpro_core.records import Signals

BLOCK = 65_536
"""Values (records x queries x classes) per block; keeps float64 copies small."""

_SUM_TOLERANCE = 0.01
"""How far from 1 the probabilities of a record may sum: those of float16 do by some 1e-3."""

_CHANCE = 50
"""So many logits of a binary model are hardly all from 0 to 1 by chance."""

_TINY = float(np.finfo(np.float32).tiny)


def check_scale(outputs: Singles, what: str, kind: str, fix: str = "") -> None:
    """Refuse outputs ``[n, queries, classes]`` that are not of their ``kind``.

    ``BadArray`` for probabilities where logits are expected, else ``BadRecord`` with the record.
    """
    n, single = len(outputs), outputs.shape[-1] == 1
    inside = bool(outputs.min() >= 0.0 and outputs.max() <= 1.0)
    if kind == "logits" and (not inside or (single and n < _CHANCE)):
        return
    sums = outputs.sum(axis=-1, dtype=np.float64)
    wrong = np.zeros(n, bool) if single else (np.abs(sums - 1.0) > _SUM_TOLERANCE).any(axis=1)
    if kind == "logits" and not wrong.any():
        raise BadArray(
            what,
            found="numbers from 0 to 1" + ("" if single else " that sum to 1 for each record"),
            expected="logits",
            fix=fix or 'If they are probabilities, set outputs = "probabilities" in [target].',
        )
    if kind == "probabilities":
        wrong |= ((outputs < 0.0) | (outputs > 1.0)).any(axis=(1, 2))
        if wrong.any():
            row = int(wrong.argmax())
            low, high = outputs[row].min(), outputs[row].max()
            total = "" if single else f" with the sum {sums[row].max():.3g}"
            raise BadRecord(
                f"{what}, record {row}",
                found=f"outputs from {low:.3g} to {high:.3g}{total}",
                expected="probabilities, from 0 to 1" + ("" if single else " and with the sum 1"),
                fix=fix or 'If they are logits, set outputs = "logits" in [target].',
            )


def derive(
    outputs: Singles,
    labels: Ints,
    temperatures: Iterable[float] = (1.0,),
    *,
    kind: str = "logits",
    keep: bool = False,
    what: str = "the model",
) -> Signals:
    """Return the signals of one model.

    outputs: ``[n, classes]`` or ``[n, queries, classes]``, logits or probabilities; one column is
    a binary model's single logit. labels: int64 ``[n]``. ``BadRecord`` names a record whose
    outputs are NaN or infinite.
    """
    n = len(outputs)
    cube = outputs.reshape(n, -1, outputs.shape[-1])
    queries = cube.shape[1]
    wanted = sorted({1.0, *map(float, temperatures)})
    margin = np.empty((n, queries), np.float32)
    log_p = {t: np.empty((n, queries), np.float32) for t in wanted}
    kept = np.empty((n, queries, max(2, cube.shape[2])), np.float32) if keep else None
    for block in _blocks(n, queries * max(2, cube.shape[2])):
        logits = _logits(cube[block], kind, block.start, what)
        rows = labels[block]
        margin[block] = _margin(logits, rows)
        for t in wanted:
            # log p = -log(1 + exp(-margin)): exact where a softmax would round to 1
            log_p[t][block] = -np.logaddexp(0.0, -_margin(logits / t, rows))
        if kept is not None:
            kept[block] = logits - logsumexp(logits, axis=-1, keepdims=True)
    return Signals(margin=margin, log_p=log_p, outputs=kept)


def stack(models: Iterable[Signals], count: int | None = None) -> Signals:
    """Return signals with a leading axis of models, at least one.

    count: how many there are, for an iterator: each is copied where it belongs (see ``spill``)
    and may be forgotten, so that no two are held at once.
    """
    if count is None:
        models = list(models)
        count = len(models)
    whole: list[AnyArray] = []
    for number, model in enumerate(models):
        arrays = _arrays(model)
        if not whole:
            whole = [spill.empty((count, *one.shape), one.dtype) for one in arrays]
        for copy, one in zip(whole, arrays, strict=True):
            copy[number] = one
    return _signals(model, whole)


def take(signals: Signals, rows: Ints | slice | int, *, axis: int = 0) -> Signals:
    """Return copies of the signals of ``rows`` along the records' (or the models') axis."""
    where = (slice(None),) * axis + (rows,)
    return _signals(signals, [_copy(one[where], one) for one in _arrays(signals)])


def of_model(signals: Signals, model: int) -> Signals:
    """Return views of the signals of one model, ``[n, queries]``."""
    return _signals(signals, [one[model] for one in _arrays(signals)])


def gather(signals: Signals, models: Ints, rows: spill.Order) -> Signals:
    """Return one copy of the signals of ``models`` on ``rows``, in these orders.

    signals: ``[models, n, queries]``, perhaps files larger than memory: they are read a model at
    a time, and a large copy lies in a file itself (see ``spill``).
    """
    return _signals(signals, [gathered(one, models, rows) for one in _arrays(signals)])


def gathered(values: AnyArray, models: Ints, rows: spill.Order) -> AnyArray:
    """Return one copy of ``values [models, n, ...]``, as ``gather`` does."""
    shape = (len(rows.second), *values.shape[2:])
    model_of = np.empty(shape, values.dtype)

    def each() -> Iterator[AnyArray]:
        for model in models:
            rows.copy(values[model], model_of)
            yield model_of

    return spill.filled((len(models), *shape), values.dtype, each())


def _copy(chosen: AnyArray, values: AnyArray) -> AnyArray:
    """Return ``chosen`` from ``values`` as a copy; numpy has made one where rows are numbered."""
    if not np.may_share_memory(chosen, values):
        return chosen
    copy = spill.empty(chosen.shape, chosen.dtype)
    copy[...] = chosen
    return copy


def _arrays(signals: Signals) -> list[AnyArray]:
    kept = [] if signals.outputs is None else [signals.outputs]
    return [signals.margin, *signals.log_p.values(), *kept]


def _signals(like: Signals, arrays: list[AnyArray]) -> Signals:
    """Return ``arrays``, in the order of ``_arrays``, under the names they have in ``like``."""
    kept = len(like.log_p) + 1
    return Signals(
        margin=arrays[0],
        log_p=dict(zip(like.log_p, arrays[1:kept], strict=True)),
        outputs=None if like.outputs is None else arrays[kept],
    )


def _blocks(n: int, width: int) -> Iterator[slice]:
    step = max(1, BLOCK // width)
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def _logits(block: Singles, kind: str, start: int, what: str) -> Floats:
    values = block.astype(np.float64)
    bad = ~np.isfinite(values).all(axis=(1, 2))
    if bad.any():
        raise BadRecord(
            f"output of {what} for record {start + int(np.flatnonzero(bad)[0])}",
            found="NaN or an infinite value",
            expected="finite numbers",
            fix="Mend the model or leave the record out.",
        )
    if kind == "probabilities":
        if values.shape[2] == 1:
            values = np.concatenate([1.0 - values, values], axis=2)
        return np.log(np.maximum(values, _TINY))
    if values.shape[2] == 1:
        return np.concatenate([np.zeros_like(values), values], axis=2)
    return values


def _margin(logits: Floats, labels: Ints) -> Floats:
    rows = np.arange(len(logits))
    true: Floats = logits[rows, :, labels]
    if logits.shape[2] == 2:
        return np.subtract(true, logits[rows, :, 1 - labels])
    others = logits.copy()
    others[rows, :, labels] = -np.inf
    top = others.max(axis=2, keepdims=True)
    np.subtract(others, top, out=others)
    np.exp(others, out=others)
    result: Floats = true - (top[:, :, 0] + np.log(others.sum(axis=2)))
    return result
