"""What a plan can say to this plugin. Imports no torch, so a plan is checked without it."""

from pathlib import Path
from typing import Literal

from attrs import field, frozen, validators

from leakpro_core.references import ImportPath

_SHARE = [validators.ge(0.0), validators.lt(1.0)]


@frozen(kw_only=True)
class LoaderOptions:
    """``[target]`` with ``loader = "torch"``.

    factory: import path of a callable without arguments that returns the untrained ``nn.Module``;
    shadows are built from it too where it returns logits.
    weights: safetensors, or a state dict written by ``torch.save``. With trust also a pickled
    module or a ``torch.export`` file, which need no factory.
    trust: whether the weights file may run code while it is loaded.
    outputs: what the module returns. device: where it runs, such as "cpu" or "cuda".
    batch_size: records per forward pass. threads: intra-operation threads of a forward pass.
    """

    weights: Path
    factory: ImportPath | None = None
    trust: bool = False
    outputs: Literal["logits", "probabilities"] = "logits"
    device: str = "cpu"
    batch_size: int = field(default=1024, validator=validators.ge(1))
    threads: int = field(default=1, validator=validators.ge(1))


@frozen(kw_only=True)
class Recipe:
    """How a classifier is trained: cross-entropy over mini-batches, shuffled every epoch.

    optimiser: of torch.optim. epochs: passes over the records. batch_size: records a step.
    lr: peak learning rate. momentum: of sgd. weight_decay: decoupled in adamw, an L2 penalty else.
    schedule: "constant"; "cosine", to zero over all steps (Loshchilov & Hutter 2017); or "step", a
    tenth after one half and a hundredth after three quarters of the steps (He et al. 2016).
    label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
    warmup: epochs of linear increase before the schedule starts.
    clip: largest L2 norm of a step's gradient; None: no limit.
    augment: for images [n, C, H, W]: "flip" mirrors a record with probability 1/2, "crop" shifts it
    by up to an eighth of its height and width over a reflected border.
    """

    optimiser: Literal["sgd", "adam", "adamw"] = "adam"
    lr: float = field(default=1e-3, validator=validators.gt(0.0))
    momentum: float = field(default=0.0, validator=_SHARE)
    weight_decay: float = field(default=0.0, validator=validators.ge(0.0))
    epochs: int = field(default=20, validator=validators.ge(1))
    batch_size: int = field(default=64, validator=validators.ge(1))
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup: int = field(default=0, validator=validators.ge(0))
    label_smoothing: float = field(default=0.0, validator=_SHARE)
    clip: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    augment: tuple[Literal["flip", "crop"], ...] = ()

    def __attrs_post_init__(self) -> None:
        # The plan's parser puts "expected" before these sentences.
        if self.momentum and self.optimiser != "sgd":
            raise ValueError(f"no momentum with {self.optimiser}, it is an option of sgd")
        if self.warmup >= self.epochs:
            raise ValueError(f"a warmup shorter than the {self.epochs} epochs, not {self.warmup}")


@frozen(kw_only=True)
class TrainerOptions:
    """``[shadows]`` with ``trainer = "torch"``.

    factory: import path of a callable without arguments that returns an untrained ``nn.Module``
    whose output is logits; the target's own unless given.
    recipe: a table, see below; its defaults unless given.
    train: import path of ``train(model, x, y, seed)``, which trains the model on float32 ``x``
    ``[n, ...]`` and int64 ``y`` ``[n]`` in place, or returns the trained one; instead of a recipe.
    threads: intra-operation threads of each process that trains.
    """

    factory: ImportPath | None = None
    recipe: Recipe | None = None
    train: ImportPath | None = None
    threads: int = field(default=1, validator=validators.ge(1))

    def __attrs_post_init__(self) -> None:
        if self.recipe is not None and self.train is not None:
            raise ValueError("either a recipe or a train function, not both")
