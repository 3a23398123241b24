"""How much memory training takes, by parameters and by what a forward pass keeps."""

import os
from pathlib import Path

import torch

from leakpro_core.recipes import Recipe
from leakpro_torch.fitting import Pupil, Task, steps
from leakpro_torch.learners import One

_SHARE = 0.25
"""Share of a machine's free memory that a unit may take: others are at work, and peaks above the
estimate are likely. Of a GPU's it may take twice that."""


def room(device: torch.device) -> int:
    """Return the bytes that a unit of models may take on a device."""
    if device.type == "cuda":
        return int(2 * _SHARE * torch.cuda.mem_get_info(device)[0])
    return int(_SHARE * _free())


def _free() -> int:
    meminfo = Path("/proc/meminfo")  # of Linux, which counts the file cache as free
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def per_model(one: One, task: Task, pupil: Pupil, batch_size: int) -> tuple[int, int]:
    """Return the bytes of a model's parameters, and those that its training takes beside them.

    One step is done in batches of the task's recipe, and counts for batches of ``batch_size``.
    """
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        next(steps(one, task, [pupil]))
    state = one.module.state_dict().values()
    own = sum(tensor.nbytes for tensor in state)
    trained = sum(p.nbytes for p in one.parameters())
    for parameter in one.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    kept.pop(task.records.untyped_storage().data_ptr(), None)
    # Kept for the backward pass, and as much again for gradients and what passes through.
    passing = 2 * sum(kept.values()) * batch_size // task.recipe.batch_size
    epoch = 28 * len(pupil.rows)  # order, flip and shift
    return own, trained * (1 + _copies(task.recipe)) + passing + epoch


def _copies(recipe: Recipe) -> int:
    """Return how many numbers an optimiser keeps for each parameter."""
    return (1 if recipe.momentum else 0) if recipe.optimiser == "sgd" else 2
