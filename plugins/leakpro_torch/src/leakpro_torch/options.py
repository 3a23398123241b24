"""What a plan can say to this plugin. Imports no torch, so a plan is checked without it."""

from pathlib import Path
from typing import Literal

from attrs import field, frozen, validators

from leakpro_core.recipes import Recipe
from leakpro_core.references import ImportPath


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
class TrainerOptions:
    """``[shadows]`` with ``trainer = "torch"``.

    factory: import path of a callable without arguments that returns an untrained ``nn.Module``
    whose output is logits; the target's own unless given.
    recipe: a table, see below; its defaults unless given.
    train: import path of ``train(model, x, y, seed)``, which trains the model on float32 ``x``
    ``[n, ...]`` and int64 ``y`` ``[n]`` in place, or returns the trained one; instead of a recipe.
    threads: intra-operation threads of each process that trains.
    method: train models one after another ("loop"), or many of one architecture at once ("stack");
    "auto": whichever a short timed trial finds faster. A train function is called in a loop.
    width: models of a unit of work; None: as the trial finds.
    device: where models are trained and asked, such as "cpu" or "cuda".
    precision: of training; "tf32" is for GPUs, "bfloat16" is mixed precision. Models are asked in
    float32 in any case.
    """

    factory: ImportPath | None = None
    recipe: Recipe | None = None
    train: ImportPath | None = None
    threads: int = field(default=1, validator=validators.ge(1))
    method: Literal["auto", "loop", "stack"] = "auto"
    width: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    device: str = "cpu"
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"

    def __attrs_post_init__(self) -> None:
        if self.recipe is not None and self.train is not None:
            raise ValueError("either a recipe or a train function, not both")
        if self.train is not None and self.method == "stack":
            raise ValueError("a recipe with method 'stack': a train function trains one model")
