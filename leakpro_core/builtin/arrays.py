"""The arrays loader: recorded outputs of a model, and of shadow models, in one npz file."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import frozen

from leakpro_core import inputs, spill
from leakpro_core.arrays import AnyArray, Bools, Singles, array
from leakpro_core.errors import BadArray, BadRecord, MissingKey, UnknownKey, nearest
from leakpro_core.protocols import Run
from leakpro_core.records import Auxiliary, Population, Release, ShadowOutputs, Target
from leakpro_core.signals import check_scale
from leakpro_core.wording import show

REQUIRED = ("target_outputs", "labels", "members")
OPTIONAL = (
    "shadow_outputs",
    "trained_on",
    "records",
    "subjects",
    "auxiliary_outputs",
    "auxiliary_shadow_outputs",
    "auxiliary_labels",
    "auxiliary_records",
)
_TOGETHER = (
    ("shadow_outputs", ("trained_on",)),
    ("trained_on", ("shadow_outputs",)),
    ("auxiliary_outputs", ("auxiliary_labels",)),
    ("auxiliary_labels", ("auxiliary_outputs",)),
    ("auxiliary_shadow_outputs", ("shadow_outputs", "auxiliary_outputs")),
    ("auxiliary_records", ("records", "auxiliary_outputs")),
)

Arrays = Mapping[str, AnyArray]


@frozen(kw_only=True)
class ArraysOptions:
    """The ``[target]`` table with ``loader = "arrays"``.

    path: npz file with the arrays below; n records, q queries of each, C classes (or one column,
    a binary model's logit), K shadow models, m auxiliary records.
    outputs: what the model returns, "logits" or "probabilities".

    target_outputs ``[n, C]`` or ``[n, q, C]``; labels int ``[n]`` from 0; members bool ``[n]``.
    With shadows: shadow_outputs ``[K, n, C]`` or ``[K, n, q, C]``, trained_on bool ``[K, n]``.
    If at hand: records ``[n, ...]``, subjects ``[n]`` (whose record it is, integers or strings),
    and of records that are certainly no members auxiliary_outputs ``[m, C]`` or ``[m, q, C]``,
    auxiliary_labels ``[m]``, auxiliary_shadow_outputs ``[K, m, C]`` or ``[K, m, q, C]`` and
    auxiliary_records ``[m, ...]``.
    """

    path: Path
    outputs: Literal["logits", "probabilities"] = "logits"


@frozen(kw_only=True)
class RecordedOutputs:
    """The target's handle: outputs float32 ``[n, queries, classes]``; implements Recorded."""

    candidates: Singles = array(np.float32)
    auxiliary: Singles | None = array(np.float32, optional=True)

    def recorded(self, part: str) -> Singles | None:
        """Return outputs on "candidates" or "auxiliary" records."""
        return {"candidates": self.candidates, "auxiliary": self.auxiliary}[part]


def load(options: ArraysOptions, run: Run) -> Release:
    """Return the recorded target, its population and, where recorded, its shadows.

    Raises MissingFile, UnsafeFile, UnknownKey and MissingKey (arrays of other names), BadArray
    (shapes and types) or BadRecord (a record's output or label).
    """
    arrays = _read(options.path)
    target = _outputs(arrays["target_outputs"], "target_outputs", options.outputs)
    population, auxiliary = _population(arrays, target, options.outputs)
    shadows, notes = _shadows(arrays, population, target, options.outputs)
    with options.path.open("rb") as file:
        identity = hashlib.file_digest(file, "sha256").hexdigest()
    return Release(
        target=Target(
            kind="model",
            identity=identity,
            handle=RecordedOutputs(candidates=target, auxiliary=auxiliary),
            outputs=options.outputs,
            description=f"recorded outputs of {options.path.name}",
        ),
        population=population,
        shadows=shadows,
        notes=notes,
    )


def _read(path: Path) -> Arrays:
    names, known = inputs.npz_names(path), REQUIRED + OPTIONAL
    for name in names:
        if name not in known:
            raise UnknownKey(
                f"array {show(name)} of {show(path.name)}",
                found="an unknown name",
                fix=nearest(name, known),
            )
    needed = [(name, "in every file") for name in REQUIRED]
    for given, others in _TOGETHER:
        needed += [(other, f"where there is {given}") for other in others if given in names]
    for name, when in needed:
        if name not in names:
            raise MissingKey(
                f"array {show(name)} of {show(path.name)}",
                found="nothing",
                expected=f"the array {when}",
            )
    return inputs.read_npz(path, names)


def _population(arrays: Arrays, target: Singles, kind: str) -> tuple[Population, Singles | None]:
    n, columns = len(target), target.shape[-1]
    labels = inputs.labels(arrays["labels"], "labels")
    inputs.same_rows(labels, "labels", n, "target_outputs")
    members = inputs.flags(arrays["members"], "members", (n,))
    inputs.both_arms(members, "members")
    classes = max(2, columns)
    inputs.check_range(labels, "labels", classes)
    records = _records(arrays, "records", n)
    subjects = np.arange(n)
    if "subjects" in arrays:
        subjects = inputs.subjects(arrays["subjects"], "subjects")
        inputs.same_rows(subjects, "subjects", n, "labels")
    outputs, auxiliary = None, None
    if "auxiliary_outputs" in arrays:
        name = "auxiliary_outputs"
        outputs = _outputs(arrays[name], name, kind)
        _same_tail(outputs, name, target, "target_outputs")
        auxiliary = _auxiliary(arrays, len(outputs), classes)
    population = Population(
        records=records,
        labels=labels,
        subjects=subjects,
        members=members,
        classes=classes,
        auxiliary=auxiliary,
    )
    return population, outputs


def _auxiliary(arrays: Arrays, m: int, classes: int) -> Auxiliary:
    name = "auxiliary_labels"
    labels = inputs.labels(arrays[name], name)
    inputs.same_rows(labels, name, m, "auxiliary_outputs")
    inputs.check_range(labels, name, classes)
    records = _records(arrays, "auxiliary_records", m)
    if records is not None:
        inputs.same_form(records, "auxiliary_records", arrays["records"], "records")
    return Auxiliary(records=records, labels=labels)


def _records(arrays: Arrays, name: str, n: int) -> AnyArray | None:
    if name not in arrays:
        return None
    records = inputs.records(arrays[name], name)
    inputs.same_rows(records, name, n, name.replace("records", "labels"))
    return records


def _shadows(
    arrays: Arrays, population: Population, target: Singles, kind: str
) -> tuple[ShadowOutputs | None, tuple[str, ...]]:
    if "shadow_outputs" not in arrays or population.members is None:
        return None, ()
    name = "shadow_outputs"
    outputs = _outputs(arrays[name], name, kind, models=True)
    _same_tail(outputs, name, target, "target_outputs", axis=2)
    inputs.same_rows(outputs[0], f"{name} of each shadow", len(target), "target_outputs")
    trained_on = inputs.flags(arrays["trained_on"], "trained_on", outputs.shape[:2])
    auxiliary = None
    if "auxiliary_shadow_outputs" in arrays:
        name, other = "auxiliary_shadow_outputs", "auxiliary_outputs"
        auxiliary = _outputs(arrays[name], name, kind, models=True)
        _same_tail(auxiliary, name, target, "target_outputs", axis=2)
        expected = (len(outputs), len(arrays[other]))
        if auxiliary.shape[:2] != expected:
            raise BadArray(
                f"{name} and {other}",
                found=f"{auxiliary.shape[:2]} models and records",
                expected=f"{expected}, as in shadow_outputs and {other}",
            )
    keep, notes = _own_shadows(trained_on, population.members)
    if not keep.any():
        return None, notes
    if not keep.all():
        kept = np.flatnonzero(keep)
        outputs, trained_on = spill.chosen(outputs, kept), trained_on[keep]
        auxiliary = None if auxiliary is None else spill.chosen(auxiliary, kept)
    return ShadowOutputs(outputs=outputs, trained_on=trained_on, auxiliary=auxiliary), notes


def _own_shadows(trained_on: Bools, members: Bools) -> tuple[Bools, tuple[str, ...]]:
    """Return which shadows may be used: the target and its twin would give its members away."""
    same = (trained_on == members).all(axis=1)
    twin = (trained_on != members).all(axis=1)
    notes = tuple(
        f"Shadow {number} was left out: it was trained on exactly the target's "
        + ("members, as the target itself." if same[number] else "non-members, as its twin.")
        for number in np.flatnonzero(same | twin)
    )
    return ~(same | twin), notes


def _outputs(values: AnyArray, name: str, kind: str, *, models: bool = False) -> Singles:
    """Return float32 ``[n, queries, classes]``, with a leading axis of models for shadows."""
    lead = "K, " if models else ""
    if values.dtype.kind not in "iuf":
        raise BadArray(name, found=f"dtype {values.dtype}", expected="floating-point numbers")
    if values.ndim - models not in (2, 3) or values.size == 0:
        raise BadArray(
            name,
            found=f"shape {values.shape}",
            expected=f"shape [{lead}n, classes] or [{lead}n, queries, classes], not empty",
        )
    if values.ndim - models == 2:
        values = values[..., np.newaxis, :]
    outputs = _singles(values)
    for number, model in enumerate(outputs if models else [outputs]):
        what = f"{name} of shadow {number}" if models else name
        row = inputs.first_unfinite(model)
        if row is not None:
            raise BadRecord(
                f"{what}, record {row}",
                found="NaN or an infinite value",
                expected="finite numbers",
                fix="Mend the model or leave the record out.",
            )
        check_scale(model, what, kind)
    return outputs


def _singles(values: AnyArray) -> Singles:
    """Return float32: the values themselves, or a copy that lies in a file where it is large."""
    if values.dtype == np.float32:
        return values
    copy: Singles = spill.empty(values.shape, np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused later
        for place, one in zip(copy, values, strict=True):
            place[...] = one
    return copy


def _same_tail(values: Singles, name: str, other: Singles, other_name: str, axis: int = 1) -> None:
    """Check that queries and classes agree."""
    if values.shape[axis:] != other.shape[1:]:
        raise BadArray(
            f"{name} and {other_name}",
            found="{} x {} and {} x {} queries x classes".format(
                *values.shape[axis:], *other.shape[1:]
            ),
            expected="the same numbers in both",
        )
