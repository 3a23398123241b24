"""What a plan can say to the loaders. Imports no torch, so a plan is checked without it."""

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import field, frozen, validators

from leakpro_core.records import Disclosed
from leakpro_core.references import ImportPath

Kind = Literal["gradient", "delta", "weights"]
Mode = Literal["train", "eval"]
Reduction = Literal["mean", "sum"]
Optimiser = Literal["sgd", "adam"]
Dtype = Literal["float16", "bfloat16", "float32", "float64"]
Groups = tuple[tuple[int, ...], ...]

SAID = tuple(attribute.name for attribute in attrs.fields(Disclosed))
"""The keys by which a plan or a sidecar says what a client disclosed."""


def _limited(name: str, default: Any = None) -> Any:
    """Return a field with the limits that ``Disclosed`` has."""
    return field(default=default, validator=attrs.fields_dict(Disclosed)[name].validator)


def _columns(instance: object, attribute: object, groups: Groups) -> None:
    flat = [column for group in groups for column in group]
    if any(column < 0 for column in flat) or len(set(flat)) < len(flat):
        raise ValueError("columns numbered from 0, each in one group")
    if any(len(group) < 2 for group in groups):
        raise ValueError("groups of at least two columns")


def _deviations(instance: object, attribute: object, std: tuple[float, ...] | None) -> None:
    if std is not None and not all(value > 0 for value in std):
        raise ValueError("numbers above 0")


OF_TRAINING = (
    *("optimiser", "momentum", "nesterov", "weight_decay", "epochs", "batch_size"),
    "shuffled",
)
"""What a gradient has nothing of."""


@frozen(kw_only=True)
class Procedure:
    """What a client did, as far as it is said.

    optimiser: of local training; lr: the learning rate; momentum, weight_decay: of the optimiser.
    nesterov: whether momentum is Nesterov's.
    epochs: of local training; batch_size: of its steps; shuffled: whether records are in a new
    order every epoch.
    mode: of layers like batch norm and dropout while the client trains.
    reduction: of the cross-entropy over a batch.
    mean, std: by which channels (images) or columns were normalised before the model saw them:
    record = (value - mean) / std; images are shown and compared in values from 0 to 1.
    clip: largest L2 norm, over all parameters, of a client's gradient or delta; clipped: false says
    that it has none, true that it has one, which need not be told; noise: standard
    deviation of the Gaussian noise that each client adds to every coordinate after that, as a
    multiple of clip (of 1 without clip).
    pruned: share of each tensor's coordinates, the smallest, that are set to 0; bits: to which each
    tensor is rounded, to the nearest of equally spaced levels around 0; dtype: of the numbers that
    are sent.
    groups: columns of tabular records that are one category each, one-hot: a list of lists of
    column numbers from 0.
    """

    optimiser: str | None = _limited("optimiser")
    lr: float | None = _limited("lr")
    momentum: float | None = _limited("momentum")
    nesterov: bool | None = None
    weight_decay: float | None = _limited("weight_decay")
    epochs: int | None = _limited("epochs")
    batch_size: int | None = _limited("batch_size")
    shuffled: bool | None = None
    mode: str | None = _limited("mode")
    reduction: str | None = _limited("reduction")
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = field(default=None, validator=_deviations)
    clip: float | None = _limited("clip")
    clipped: bool | None = None
    noise: float | None = _limited("noise")
    pruned: float | None = _limited("pruned")
    bits: int | None = _limited("bits")
    dtype: str | None = _limited("dtype")
    groups: Groups = field(default=(), validator=_columns)


@frozen(kw_only=True)
class ClientOptions(Procedure):
    """``[target]`` with ``loader = "client"``: core lets a client make updates of its records.

    The defaults are those of a plain Flower client: it trains for an epoch with SGD and sends all
    of its weights.

    Of weights it is their change that is clipped, noised, pruned and rounded to bits. Statistics of
    batch norm are sent as they are, but for dtype.

    factory: import path of a callable without arguments that returns the untrained ``nn.Module``,
    whose outputs are logits; parameters that do not require a gradient are not trained.
    weights: the global model that clients start from, in any format that updates are read from;
    the factory's own initialisation, seeded by the plan, unless given.
    trust: whether the weights file may run code while it is loaded.
    kind: what a client sends, the gradient of one step over all examples, the change of its weights
    by local training, or the weights after it.
    examples: records behind one update, of all clients together; clients: how many clients' updates
    are averaged, of equally many examples each.
    rounds: of training that core plays for membership from updates; none unless given.
    device: where clients train, such as "cpu" or "cuda"; threads: intra-operation threads.
    """

    factory: ImportPath
    weights: Path | None = None
    trust: bool = False
    kind: Kind = "weights"
    examples: int = field(validator=validators.ge(1))
    clients: int = field(default=1, validator=validators.ge(1))
    optimiser: Optimiser = "sgd"
    lr: float = _limited("lr", 0.1)
    momentum: float = _limited("momentum", 0.9)
    nesterov: bool = False
    weight_decay: float = _limited("weight_decay", 0.0)
    epochs: int = _limited("epochs", 1)
    batch_size: int = _limited("batch_size", 32)
    shuffled: bool = True
    mode: Mode = "train"
    reduction: Reduction = "mean"
    dtype: Dtype = "float32"
    rounds: int = field(default=0, validator=validators.ge(0))
    device: str = "cpu"
    threads: int = field(default=1, validator=validators.ge(1))

    def __attrs_post_init__(self) -> None:
        if self.examples % self.clients:
            raise ValueError(
                f"examples that {self.clients} clients can share equally, not {self.examples}"
            )
        if self.kind == "gradient" and self.epochs > 1:
            raise ValueError('epochs = 1 with kind = "gradient", which is one step')
        if self.nesterov and not self.momentum:
            raise ValueError("momentum above 0 with nesterov = true")
        if self.clipped is False and self.clip is not None:
            raise ValueError(f"no clip with clipped = false, not {self.clip:g}")

    def disclosed(self) -> Disclosed:
        """Return all of it, which is what a worst-case adversary knows.

        A gradient is one step: of local training only the learning rate, the server's, is said.
        """
        said = {name: getattr(self, name) for name in SAID}
        if self.kind == "gradient":
            said |= dict.fromkeys(OF_TRAINING)
        return Disclosed(**said)


@frozen(kw_only=True)
class ReceivedOptions(Procedure):
    """``[target]`` with ``loader = "update"``: updates that a server received.

    What the client disclosed stands here or in the sidecar; what stands in neither is not known to
    any adversary, and the report says so. Files are read as safetensors, npz, a folder of npy
    files, or a state dict or list of tensors by ``torch.save``; arrays without names (a list, or
    arr_0, arr_1, ... of an npz) are taken in the model's order.

    factory: import path of a callable without arguments that returns the untrained ``nn.Module``,
    whose outputs are logits; parameters that do not require a gradient may be missing from updates.
    before: the global model that the updates were made from; befores: that of each update, in their
    order, where they differ: rounds of training.
    updates: one file or folder each; several are rounds, in order.
    sidecar: a JSON or TOML file with the keys kind, examples, clients, optimiser, lr, momentum,
    nesterov, weight_decay, epochs, batch_size, shuffled, mode, reduction, mean, std, clip, clipped,
    noise, pruned, bits and dtype, as here.
    kind: what was sent, a gradient of the loss, the weights after local training less those before
    ("delta"), or the weights after it; examples: records behind one update, of all clients.
    clients: how many clients' updates were averaged; one unless given.
    batch: npz files, one for all updates or one each, with the records ``x`` ``[n, ...]`` as the
    model saw them and their labels ``y`` that the updates were made of; only the referee reads
    them, and without them only what is certified can be called found.
    shape: of a record, where neither batch nor ``[data]`` says it; classes: how many, likewise.
    trust: whether files may run code while they are loaded.
    device: where simulated clients train, such as "cpu" or "cuda"; threads: intra-operation.
    """

    factory: ImportPath
    before: Path | None = None
    befores: tuple[Path, ...] = ()
    updates: tuple[Path, ...] = field(validator=validators.min_len(1))
    sidecar: Path | None = None
    kind: str | None = field(
        default=None,
        validator=validators.optional(validators.in_(("gradient", "delta", "weights"))),
    )
    examples: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    clients: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    batch: Path | tuple[Path, ...] | None = None
    shape: tuple[int, ...] | None = None
    classes: int | None = field(default=None, validator=validators.optional(validators.ge(2)))
    trust: bool = False
    device: str = "cpu"
    threads: int = field(default=1, validator=validators.ge(1))

    def __attrs_post_init__(self) -> None:
        if (self.before is None) is not bool(self.befores):
            raise ValueError("before, the global model, or befores, one of each update")
        if self.befores and len(self.befores) != len(self.updates):
            raise ValueError(
                f"as many befores as updates, not {len(self.befores)} and {len(self.updates)}"
            )
        if isinstance(self.batch, tuple) and len(self.batch) != len(self.updates):
            raise ValueError(
                f"one batch, or as many as updates, not {len(self.batch)} and {len(self.updates)}"
            )
        if self.shape is not None and not (self.shape and min(self.shape) > 0):
            raise ValueError("shape: numbers above 0")
