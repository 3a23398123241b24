"""Loader "update": updates that a server received, and what was disclosed of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from attrs import evolve, frozen
from leakpro_torch.modules import answers, check_device, threads
from torch import nn

from leakpro_core import inputs
from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.errors import BadArray, BadValue
from leakpro_core.protocols import Run
from leakpro_core.records import ClientUpdate, Disclosed, Release, Target, UpdateRelease
from leakpro_core.wording import show
from leakpro_fl.client import LR, TorchClient, as_inputs, buffers_of
from leakpro_fl.declared import doubts
from leakpro_fl.defences import said_of_noise
from leakpro_fl.formats import read
from leakpro_fl.models import fitted, global_model
from leakpro_fl.options import ReceivedOptions
from leakpro_fl.sidecar import disclosed_by
from leakpro_fl.simulated import count, identity, said

Arrays = Mapping[str, AnyArray]


@frozen(kw_only=True)
class _Batch:
    records: AnyArray
    labels: Ints


def load(options: ReceivedOptions, run: Run) -> Release:
    """Return the received updates, each with the global model that it was made from.

    The target's identity is the SHA-256 of these and of what was disclosed; that of the client's
    records is no part of it. ``MissingFile``, ``UnsafeFile``, ``BadArray`` (what does not fit the
    model, is not finite, or no such file), ``MissingKey``, ``UnknownKey``, ``WrongType``,
    ``BadValue``, ``DuplicateName`` (a key here and in the sidecar), ``NotAFactory``.
    """
    disclosed = disclosed_by(options)
    module, models, notes = _models(options, run.seed)
    check_device(options.device, "[target] device")
    buffers = buffers_of(module)
    values, disclosed, more = _updates(options, module, disclosed)
    batches = _batches(options, disclosed)
    shape, classes = _form(options, module, batches)
    updates = tuple(
        ClientUpdate(before=models[number % len(models)], values=each)
        if not batches
        else ClientUpdate(
            before=models[number % len(models)],
            values=each,
            records=batches[number].records,
            labels=batches[number].labels,
        )
        for number, each in enumerate(values)
    )
    doubted = _doubts(options, updates, disclosed, buffers)
    for doubt in doubted:
        run.log.warning("doubtful update", why=doubt)
    notes = (*notes, *more, *doubted)
    handle = TorchClient(
        module=module,
        disclosed=disclosed,
        groups=options.groups,
        device=options.device,
        threads=options.threads,
    )
    hashed = {f"before {n}": each for n, each in enumerate(models)}
    hashed |= {f"update {n}": each for n, each in enumerate(values)}
    target = Target(
        kind="update",
        identity=identity(disclosed, hashed),
        handle=handle,
        description=f"what a server received of {type(module).__name__}: {said(disclosed)}, "
        f"{len(updates)} update{'s' * (len(updates) > 1)}",
        parameters=count(module),
    )
    release = UpdateRelease(
        updates=updates,
        disclosed=disclosed,
        before=models[0],
        rounds=len(updates) if len(updates) > 1 else 0,
        buffers=buffers,
        shape=shape,
        classes=classes,
        groups=options.groups,
    )
    return Release(
        target=target,
        updates=release,
        notes=tuple(dict.fromkeys((*notes, *said_of_noise(disclosed)))),
    )


def _doubts(
    options: ReceivedOptions,
    updates: tuple[ClientUpdate, ...],
    disclosed: Disclosed,
    buffers: tuple[str, ...],
) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    for path, update in zip(options.updates, updates, strict=True):
        notes += doubts(update, disclosed, buffers, f"Update {path.name}")
    if options.batch is not None and disclosed.kind != "gradient" and disclosed.lr is None:
        notes += (
            f"The learning rate was not disclosed: clients of the control arm train with {LR:g}.",
        )
    return notes


# The arrays.


def _models(
    options: ReceivedOptions, seed: int
) -> tuple[nn.Module, list[dict[str, AnyArray]], tuple[str, ...]]:
    """Return the module, with the first global model in it, all global models, and notes."""
    paths = options.befores or (options.before,)
    made = [
        global_model(options.factory, path, "global model", trust=options.trust, seed=seed)
        for path in paths
    ]
    notes = tuple(dict.fromkeys(note for _, _, notes in made for note in notes))
    return made[0][0], [before for _, before, _ in made], notes


def _updates(
    options: ReceivedOptions, module: nn.Module, disclosed: Disclosed
) -> tuple[list[dict[str, AnyArray]], Disclosed, tuple[str, ...]]:
    """Return the arrays of each update, what is disclosed with their dtype, and notes."""
    values, notes, halves = [], [], set()
    for path in options.updates:
        held = read(path, "update", trust=options.trust, home=options.factory.folder)
        arrays, more = fitted(
            held.arrays,
            module,
            f"update {path.name}",
            options.factory.ref,
            gradient=disclosed.kind == "gradient",
        )
        values.append(arrays)
        notes += [*held.notes, *more]
        halves.add(held.half)
    half = halves.pop() if len(halves) == 1 else None
    if half is not None and disclosed.dtype is None:
        disclosed = evolve(disclosed, dtype=half)
    return values, disclosed, tuple(dict.fromkeys(notes))


# What they were made of.


def _batches(options: ReceivedOptions, disclosed: Disclosed) -> tuple[_Batch, ...]:
    """Return the batch of each update; none where the plan names none."""
    if options.batch is None:
        return ()
    paths = options.batch if isinstance(options.batch, tuple) else (options.batch,)
    found = [_batch(path, options, disclosed) for path in paths]
    shapes = {batch.records.shape[1:] for batch in found}
    if len(shapes) > 1:
        raise BadArray(
            "[target] batch",
            found=f"records of shapes {' and '.join(map(str, sorted(shapes)))}",
            expected="one shape",
        )
    return tuple(found) * (len(options.updates) if len(found) == 1 else 1)


def _batch(path: Path, options: ReceivedOptions, disclosed: Disclosed) -> _Batch:
    what = f"batch {path.name}"
    names = inputs.npz_names(path)
    missing = [name for name in ("x", "y") if name not in names]
    if missing:
        raise BadArray(
            what,
            found=f"the arrays {', '.join(names) or 'of an empty file'}",
            expected="x, the records, and y, their labels",
            fix="Write it with numpy.savez(path, x=..., y=...).",
        )
    arrays = inputs.read_npz(path, ("x", "y"), least=2**63)
    records = inputs.records(arrays["x"], f"{what}, x")
    labels = inputs.labels(arrays["y"], f"{what}, y")
    inputs.same_rows(records, f"{what}, x", len(labels), f"{what}, y")
    if options.shape is not None and records.shape[1:] != options.shape:
        raise BadArray(
            f"{what}, x",
            found=f"records of shape {list(records.shape[1:])}",
            expected=f"{list(options.shape)}, as [target] shape says",
        )
    if disclosed.examples is not None and disclosed.examples != len(labels):
        raise BadArray(
            what,
            found=f"{len(labels)} records",
            expected=f"{disclosed.examples}, as many examples as were disclosed",
        )
    return _Batch(records=records, labels=labels)


def _form(
    options: ReceivedOptions, module: nn.Module, batches: tuple[_Batch, ...]
) -> tuple[tuple[int, ...] | None, int | None]:
    """Return the shape of a record and the number of classes, as far as they can be told.

    The model is asked for its outputs on the batch, or on zeros of the shape.
    """
    shape = batches[0].records.shape[1:] if batches else options.shape
    columns = None if shape is None or len(shape) != 1 else shape[0]
    outside = [c for g in options.groups for c in g if columns is not None and c >= columns]
    if outside or (shape is not None and options.groups and columns is None):
        raise BadValue(
            "[target] groups",
            found=f"column {outside[0]}" if outside else f"records of shape {list(shape or ())}",
            expected="rows" if columns is None else f"columns from 0 to {columns - 1}",
        )
    if shape is None:
        return None, options.classes
    asked = batches[0].records[:2] if batches else np.zeros((2, *shape), np.float32)
    module.eval()
    with torch.inference_mode(), threads(options.threads):
        tokens = asked.dtype.kind in "iu" or _wants_tokens(module, asked)
        given = as_inputs(module, asked.astype(np.int64) if tokens else asked)
        classes = int(answers(module, given).shape[-1])
    module.train()
    if options.classes is not None and options.classes != classes:
        raise BadValue(
            "[target] classes", found=show(options.classes), expected=f"the model's, {classes}"
        )
    for batch in batches:
        inputs.check_range(batch.labels, "batch, y", classes)
    return shape, classes


def _wants_tokens(module: nn.Module, asked: AnyArray) -> bool:
    first = next((m for m in module.modules() if not list(m.children())), None)
    return isinstance(first, nn.Embedding | nn.EmbeddingBag)
