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
    """

    factory: ImportPath | None = None
    recipe: Recipe | None = None
    train: ImportPath | None = None
    threads: int = field(default=1, validator=validators.ge(1))

    def __attrs_post_init__(self) -> None:
        if self.recipe is not None and self.train is not None:
            raise ValueError("either a recipe or a train function, not both")
