"""Records that cross the boundary between core and plugins: numpy, paths and plain values only.

All are frozen and validated on construction; their arrays are made read-only.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from attrs import field, fields, frozen, validators

from leakpro_core.arrays import (
    AnyArray,
    Bools,
    Floats,
    Ints,
    Singles,
    array,
    frozen_array,
    same_length,
)
from leakpro_core.errors import BadArray, BadRecord
from leakpro_core.references import ImportPath
from leakpro_core.tabular.table import Column, Table


class Arm(StrEnum):
    """The two arms of a game."""

    EXPOSED = "exposed"
    CONTROL = "control"


@frozen(kw_only=True)
class Auxiliary:
    """Records from the same source that are certainly no members.

    records: ``[n, ...]`` or None; labels: int64 ``[n]``.
    """

    records: AnyArray | None = array(optional=True)
    labels: Ints = array(np.int64)

    def __attrs_post_init__(self) -> None:
        same_length(self, "labels", "records")


@frozen(kw_only=True)
class Population:
    """The records that the game is played on. ``members`` is read by core alone.

    records: ``[n, ...]`` or None where only outputs are known; labels: int64 ``[n]``;
    subjects: int64 ``[n]``, whose record it is (row number unless given);
    members: bool ``[n]``, None where core draws them; classes: number of classes.
    sampling: "all" (these are all members of the model), "random" (a random sample of them)
    or "other".
    """

    records: AnyArray | None = array(optional=True)
    labels: Ints = array(np.int64)
    subjects: Ints = array(np.int64)
    members: Bools | None = array(np.bool_, optional=True)
    classes: int
    modality: str = "tabular"
    sampling: str = field(default="other", validator=validators.in_(("all", "random", "other")))
    auxiliary: Auxiliary | None = None

    def __attrs_post_init__(self) -> None:
        same_length(self, "labels", "records", "subjects", "members")
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= self.classes))
        if outside.size:
            raise BadRecord(
                f"label of record {outside[0]}",
                found=str(self.labels[outside[0]]),
                expected=f"a class from 0 to {self.classes - 1}",
                fix="Number the classes from 0.",
            )


@frozen(kw_only=True)
class Target:
    """What was released.

    kind: model, update, table or generator; identity: SHA-256 (hex) of what was loaded;
    handle: opaque to core but for the small protocols (Queryable, Recorded, Weights, Native).
    outputs: "logits" or "probabilities", what ``query`` returns.
    architecture: import path that shadows can be built from.
    """

    kind: str
    identity: str
    handle: object = field(repr=False)
    outputs: str = field(default="logits", validator=validators.in_(("logits", "probabilities")))
    description: str = ""
    architecture: ImportPath | None = None
    parameters: int | None = None


@frozen(kw_only=True)
class ShadowPlan:
    """Who trains on what. Drawn by core; balanced, in complementary pairs.

    trained_on: bool ``[models, records]``; pair: int64 ``[models]``, twins share a number;
    target: bool ``[models]``, rows that are targets, the rest are shadows.
    """

    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)
    target: Bools = array(np.bool_)
    pool: str = field(default="candidates", validator=validators.in_(("candidates", "auxiliary")))

    def __attrs_post_init__(self) -> None:
        same_length(self, "trained_on", "pair", "target")


@frozen(kw_only=True)
class ShadowOutputs:
    """Shadows that the user already has: their outputs and who saw which record.

    outputs: float32 ``[models, n, queries, classes]``; trained_on: bool ``[models, n]``;
    auxiliary: float32 ``[models, n_auxiliary, queries, classes]`` or None.
    """

    outputs: Singles = array(np.float32)
    trained_on: Bools = array(np.bool_)
    auxiliary: Singles | None = array(np.float32, optional=True)


@frozen(kw_only=True)
class TableRelease:
    """A released table with the people behind it; all tables have the same columns.

    synthetic: the released rows, None where core trains the generator; original: the rows that it
    was made from, read by core alone; control: rows of the same source that it was not made from;
    auxiliary: rows that the adversary may know, of neither, None where there are none: then core
    sets a share of the control's people aside.
    again: releases of the same size by the same generator, other seeds; larger: one release by it
    of several times the rows, whose first rows are a smaller one.
    rows: how many rows a generator that core fits is to release, as many as the original has where
    None; only where synthetic is None.
    """

    synthetic: Table | None
    original: Table
    control: Table
    auxiliary: Table | None = None
    again: tuple[Table, ...] = ()
    larger: Table | None = None
    rows: int | None = None

    def __attrs_post_init__(self) -> None:
        columns = self.original.columns
        others = (self.synthetic, self.control, self.auxiliary, self.larger, *self.again)
        if any(other is not None and other.columns != columns for other in others):
            raise BadArray(
                "tables of a release", found="different columns", expected="the same in all"
            )


@frozen(kw_only=True)
class Fitting:
    """The options of a training unit that fits generators: what ``TrainingUnit.options`` holds.

    columns: of the records, which are ``Table.matrix`` of all people; subjects: int64 ``[n]``;
    rows: how many rows each generator is to release; options: the trainer's own; identity: a hash
    of levels and subjects, so that no unit is taken for one of other tables.
    The cohort's ``parameters()`` are the released rows: ``{"released": float64 [models, rows,
    columns]}``, as ``Table.matrix``, and ``{"owners": int64 [models, rows]}``, whose row it is.
    """

    columns: tuple[Column, ...]
    subjects: Ints = array(np.int64)
    rows: int
    options: object
    identity: str = ""


def named_arrays(value: Mapping[str, AnyArray]) -> Mapping[str, AnyArray]:
    """Return the arrays by name, read-only: an attrs converter."""
    convert = frozen_array(None)
    return MappingProxyType({str(k): convert(v) for k, v in value.items()})  # type: ignore[misc]


def _positive(instance: object, attribute: object, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ValueError("a finite number above 0")


def _share(instance: object, attribute: object, value: float | None) -> None:
    if value is not None and not 0.0 <= value < 1.0:
        raise ValueError("a number from 0 to below 1")


def _bits(instance: object, attribute: object, value: int | None) -> None:
    if value is not None and not 1 <= value <= 32:
        raise ValueError("a number of bits from 1 to 32")


@frozen(kw_only=True)
class Disclosed:
    """What a client disclosed of how its update came about; None: it did not say.

    kind: what was sent: the "gradient" of the loss, the "delta" (the weights after local training
    less those before) or the "weights" after it.
    examples: records of all clients together that the update was made of.
    clients: how many clients' updates were averaged into it, of equally many examples each.
    lr, momentum, nesterov, weight_decay, optimiser ("sgd", "adam"): of local training; epochs,
    batch_size: of it; steps follow from these and the examples of a client. shuffled: whether
    records are in a new order every epoch. A gradient is one step over all examples.
    mode: of layers like batch norm and dropout while the gradient was taken, "train" or "eval".
    reduction: of the cross-entropy over a batch, "mean" or "sum".
    mean, std: by which channels (images) or columns were normalised: record = (value - mean) / std.
    clip: largest L2 norm of a client's update; clipped: whether there is one, False where the
    client said that there is none; noise: standard deviation of the Gaussian noise that each client
    adds to every coordinate, as a multiple of clip (of 1 where there is none);
    pruned: share of each tensor's smallest coordinates that were set to 0; bits: of the
    quantisation of each tensor; dtype: in which numbers were sent.
    """

    kind: str = field(validator=validators.in_(("gradient", "delta", "weights")))
    examples: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    clients: int = field(default=1, validator=validators.ge(1))
    optimiser: str | None = field(
        default=None, validator=validators.optional(validators.in_(("sgd", "adam")))
    )
    lr: float | None = field(default=None, validator=_positive)
    momentum: float | None = field(default=None, validator=_share)
    nesterov: bool | None = None
    weight_decay: float | None = field(
        default=None, validator=validators.optional(validators.ge(0.0))
    )
    epochs: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    batch_size: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    shuffled: bool | None = None
    mode: str | None = field(
        default=None, validator=validators.optional(validators.in_(("train", "eval")))
    )
    reduction: str | None = field(
        default=None, validator=validators.optional(validators.in_(("mean", "sum")))
    )
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    clip: float | None = field(default=None, validator=_positive)
    clipped: bool | None = None
    noise: float | None = field(default=None, validator=validators.optional(validators.ge(0.0)))
    pruned: float | None = field(default=None, validator=_share)
    bits: int | None = field(default=None, validator=_bits)
    dtype: str | None = field(
        default=None,
        validator=validators.optional(
            validators.in_(("float16", "bfloat16", "float32", "float64"))
        ),
    )

    def __attrs_post_init__(self) -> None:
        if self.clipped is False and self.clip is not None:
            raise ValueError(f"no clip with clipped = false, not {self.clip:g}")


@frozen(kw_only=True)
class ClientUpdate:
    """One update that a server received, or that core let a client make.

    before: the global model by name, parameters and buffers, in the model's order; values: what
    was sent, by the same names, of which some may be missing (buffers; of a gradient always).
    records ``[b, ...]`` and labels int64 ``[b]``: what it was made of, read by core alone; None
    where the audit does not know them.
    """

    before: Mapping[str, AnyArray] = field(converter=named_arrays, eq=False, repr=False)
    values: Mapping[str, AnyArray] = field(converter=named_arrays, eq=False, repr=False)
    records: AnyArray | None = array(optional=True)
    labels: Ints | None = array(np.int64, optional=True)


@frozen(kw_only=True)
class UpdateRelease:
    """Updates of clients in federated learning. The target's handle is a ``Client``.

    updates: those that were received; none: core draws batches of the clients' records, which are
    the members of ``[data]``, and lets a client make an update of each.
    disclosed: what all clients disclosed, the worst case; a plan's adversaries may know less.
    before: the global model that simulated clients start from.
    rounds: of training that core plays with all members as one client's records, for membership
    from updates; where updates were received, these are the rounds, in order.
    buffers: names in ``before`` that are no parameters (statistics of batch norm).
    shape: of a record, where no ``[data]`` says it; classes likewise; groups: columns of tabular
    records that are one category each, one-hot.
    """

    updates: tuple[ClientUpdate, ...] = ()
    disclosed: Disclosed
    before: Mapping[str, AnyArray] = field(converter=named_arrays, eq=False, repr=False)
    rounds: int = field(default=0, validator=validators.ge(0))
    buffers: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    classes: int | None = None
    groups: tuple[tuple[int, ...], ...] = ()


@frozen(kw_only=True)
class Release:
    """What a target loader returns.

    target: None where core trains ``targets`` of them by the shadows' recipe.
    population: None where it is the plan's ``[data]`` table that describes it.
    tables: given where a table or a generator of tables is audited, and nothing else is then.
    updates: given where updates of federated clients are audited, beside a target.
    notes: sentences for the report (for instance that a trusted pickle was loaded).
    """

    target: Target | None
    population: Population | None = None
    shadows: ShadowOutputs | None = None
    targets: int = 0
    tables: TableRelease | None = None
    updates: UpdateRelease | None = None
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class TrainingSet:
    """The records that cohorts are trained on and queried with.

    records ``[n, ...]``, labels int64 ``[n]``. Who is a candidate and who is auxiliary is not said.
    """

    records: AnyArray = array()
    labels: Ints = array(np.int64)
    classes: int
    modality: str = "tabular"


@frozen(kw_only=True)
class Choice:
    """How cohorts are trained; in plan.json before the first unit, and kept to ever after.

    method: the trainer's own word, such as "loop" or "stack"; width: models per unit;
    device, dtype: where and in which arithmetic; threads: of one operation.
    The same choice, unit and data give the same models, on the same machine and versions.
    """

    method: str = "loop"
    width: int = field(default=4, validator=validators.ge(1))
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = field(default=1, validator=validators.ge(1))


def _measured(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


@frozen(kw_only=True)
class Trial:
    """What a trainer's timed trial found, on the machine that is to train.

    seconds: wall time that one whole model costs within a cohort of ``choice.width``, None (or
    NaN) where not measured; overhead: seconds once a unit (compilation, say); memory: bytes that a
    unit takes at its peak beside the records, 0 where not measured; notes: sentences for the log
    (what was not possible).
    """

    choice: Choice
    seconds: float | None = field(default=None, converter=_measured)
    overhead: float = 0.0
    memory: int = 0
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class TrainingUnit:
    """One cohort of models to train.

    models: their numbers; rows: for each model the int64 row numbers that it trains on;
    seeds: one per model, all that its randomness may depend on; options: the trainer's own.
    architecture: import path of the target's model, for options that do not name one.
    choice: how; a trial is handed the largest cohort that a unit may be, and makes the choice.
    """

    models: tuple[int, ...]
    rows: tuple[Ints, ...] = field(repr=False)
    seeds: tuple[int, ...]
    options: object
    architecture: ImportPath | None = None
    choice: Choice = field(factory=Choice)


def _readonly_map(value: Mapping[float, Singles]) -> Mapping[float, Singles]:
    convert = frozen_array(np.float32)
    return MappingProxyType({float(k): convert(v) for k, v in value.items()})  # type: ignore[misc]


@frozen(kw_only=True)
class Signals:
    """What core keeps of outputs; derived once, in float64, stored as float32.

    margin: logit of the true class minus the log-sum-exp of the other logits,
    ``[..., n, queries]`` with a leading models axis for shadows and none for one target.
    log_p: log-probability of the true class by softmax temperature, same shape.
    outputs: log-probabilities ``[..., n, queries, classes]`` if an attack asked for them.
    """

    margin: Singles = array(np.float32)
    log_p: Mapping[float, Singles] = field(converter=_readonly_map, eq=False, repr=False)
    outputs: Singles | None = array(np.float32, optional=True)


@frozen(kw_only=True)
class Evidence:
    """One attack's rounds, judged by nobody yet. All columns have one entry a round.

    subject: whose record; cluster: rounds that depend on each other (the target model here);
    exposed: bool, the arm; claim: how sure the adversary is (NaN: abstains);
    hit: whether the claim came true (NaN in detection games);
    blind_claim, blind_hit: the same of an adversary who never saw the release (NaN: none);
    null_p: chance of a hit by luck where it is known (NaN: not known).
    round: rounds of the same number are one claim tried on both arms, None: none is; facet: what
    of several things the round is about (which column, say), None: there is one.
    """

    subject: Ints = array(np.int64)
    cluster: Ints = array(np.int64)
    exposed: Bools = array(np.bool_)
    claim: Floats = array(np.float64)
    hit: Floats = array(np.float64)
    blind_claim: Floats = array(np.float64)
    blind_hit: Floats = array(np.float64)
    null_p: Floats = array(np.float64)
    round: Ints | None = array(np.int64, optional=True)
    facet: Ints | None = array(np.int64, optional=True)

    def __attrs_post_init__(self) -> None:
        same_length(self, *(f.name for f in fields(Evidence)))


@frozen(kw_only=True)
class Estimate:
    """A number that may stand in a report: never without interval, n and method."""

    value: float
    low: float
    high: float
    confidence: float
    n: int
    method: str
