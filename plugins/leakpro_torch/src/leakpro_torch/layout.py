"""In which layout images and the weights of convolutions lie in memory."""

import torch
from attrs import evolve
from torch import nn

from leakpro_core.references import ImportPath
from leakpro_torch.fitting import Pupil, Task, steps
from leakpro_torch.learners import One
from leakpro_torch.modules import build, seeded

_TRIED = 4
"""Records of the step by which a layout is tried."""


def placed(model: nn.Module, task: Task) -> nn.Module:
    """Move a module to the task's device and layout."""
    model = model.to(task.device)
    return model.to(memory_format=torch.channels_last) if task.channels_last else model  # type: ignore[call-overload]


def laid_out(factory: ImportPath, task: Task, pupil: Pupil) -> Task:
    """Return the task, without channels_last where a module cannot be trained or asked in it.

    GPUs convolve fastest in it, but ``view`` of what a convolution returns is an error.
    """
    if not task.channels_last:
        return task
    few = evolve(pupil, rows=pupil.rows[:_TRIED])
    try:
        with seeded(pupil.seed):
            one = One(module=placed(build(factory), task).train())
            next(steps(one, task, [few]))
            with torch.no_grad():
                one.module.eval()(task.records[torch.from_numpy(few.rows).to(task.device)].float())
    except torch.OutOfMemoryError:
        raise
    except Exception:  # what else is wrong is said by training
        return evolve(task, channels_last=False)
    return task
