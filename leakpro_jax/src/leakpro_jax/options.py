"""What a plan can say to this plugin. Imports no jax, so a plan is checked without it."""

from pathlib import Path
from typing import Literal

from attrs import field, frozen, validators

from leakpro_core.recipes import Recipe
from leakpro_core.references import ImportPath


@frozen(kw_only=True)
class LoaderOptions:
    """``[target]`` with ``loader = "jax"``.

    factory: import path of ``build(key)``, which returns an Equinox module, or parameters and a
    pure function ``apply(parameters, x)`` of them; shadows are built from it too where it gives
    logits.
    weights: safetensors or npz; a tensor's name is its path in the parameters, such as
    ``layers.0.weight``.
    outputs: what the model returns. device: where it runs, such as "cpu" or "gpu".
    batch_size: records per forward pass. threads: of XLA on the CPU.
    """

    weights: Path
    factory: ImportPath
    outputs: Literal["logits", "probabilities"] = "logits"
    device: str = "cpu"
    batch_size: int = field(default=1024, validator=validators.ge(1))
    threads: int = field(default=1, validator=validators.ge(1))


@frozen(kw_only=True)
class TrainerOptions:
    """``[shadows]`` with ``trainer = "jax"``.

    factory: import path of ``build(key)``, as in ``[target]``, of a model that returns logits; the
    target's own unless given.
    recipe: a table, see below; its defaults unless given.
    method: "map" trains the models of a cohort one after another and "vmap" all at once, in one
    compiled program; "auto": whichever a short timed trial finds faster.
    width: models of a cohort; as many as memory allows unless given.
    device: where they are trained, such as "cpu" or "gpu". threads: of XLA on the CPU.
    cache: private folder of compiled programs; one below the user's cache folder unless given.
    """

    factory: ImportPath | None = None
    recipe: Recipe = field(factory=Recipe)
    method: Literal["auto", "map", "vmap"] = "auto"
    width: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    device: str = "cpu"
    threads: int = field(default=1, validator=validators.ge(1))
    cache: Path | None = None
