"""Whether models train and answer as a stack as they do by themselves."""

import numpy as np
import torch
from attrs import evolve, frozen

from leakpro_core.recipes import Recipe
from leakpro_core.references import ImportPath
from leakpro_torch.fitting import Pupil, Task, fit
from leakpro_torch.layout import placed
from leakpro_torch.learners import One, Tensors, Unstackable, nothing_drawn
from leakpro_torch.modules import answers, arithmetic, because, build, seeded
from leakpro_torch.trainer import learner_of, stack_of

_RECORDS, _BATCH = 8, 4
"""Records that a model learns from, and those of a step."""

_SHARE, _ROUNDING = 3e-3, 2e-5
"""Differences allowed: as a share of what training changed, below what a lost hook or another mask
of dropout makes; and as a share of what there was before, for gradients that are all rounding."""

_TRIES = 4
"""Times that models must disagree: rounding may take a ReLU or a maximum to its other side."""


@frozen(kw_only=True)
class _Trained:
    """Models after a few steps. state: by name, ``[models, ...]``; said: ``[models, n, ...]``."""

    state: Tensors
    said: torch.Tensor


def check_stack(factory: ImportPath, task: Task, pupils: list[Pupil]) -> None:
    """``Unstackable`` unless models train and answer as a stack as they do by themselves.

    They take a few steps of plain gradient descent on numbers of rows that differ. What hooks,
    counters, a change of mode and what forward passes keep make of a model shows only then, in
    its state and in its answers in evaluation mode.
    """
    found = None
    for attempt in range(_TRIES):
        found = _disagreement(factory, task, _others(pupils, attempt))
        if found is None:
            return
    raise Unstackable(f"stacked, {found} than by itself")


def _disagreement(factory: ImportPath, task: Task, pupils: list[Pupil]) -> str | None:
    """Return what models do otherwise as a stack, as part of a sentence; None: nothing."""
    brief, few = _short(task, pupils)
    with arithmetic("float32"):
        alone = _by_themselves(factory, brief, few)
        before, together = _together(factory, task, brief, few)
    for name, found in together.state.items():
        if not _alike(alone.state[name], found, before[name]):
            return f"it learns another {name}"
    if not _alike(alone.said, together.said, torch.zeros_like(alone.said)):
        return "it gives other outputs"
    return None


def _others(pupils: list[Pupil], attempt: int) -> list[Pupil]:
    """Return pupils with other seeds, and with other rows first."""
    shift = -attempt * _RECORDS
    return [evolve(p, seed=p.seed + attempt, rows=np.roll(p.rows, shift)) for p in pupils]


def _short(task: Task, pupils: list[Pupil]) -> tuple[Task, list[Pupil]]:
    """Return the task in few steps, and the pupils with few rows, in the order of their numbers."""
    most = min(_RECORDS, *(len(p.rows) for p in pupils))
    fewer = most - 1 if most > 2 and len(pupils) > 1 else most
    few = [evolve(p, rows=p.rows[: most if m else fewer]) for m, p in enumerate(pupils)]
    recipe = Recipe(
        optimiser="sgd",
        lr=0.1,
        clip=1.0,
        epochs=1,
        batch_size=_BATCH if most == _RECORDS else most,
        augment=task.recipe.augment,
    )
    return evolve(task, recipe=recipe, dtype="float32", watched=False), few


def _by_themselves(factory: ImportPath, task: Task, pupils: list[Pupil]) -> _Trained:
    states, said = [], []
    for pupil in pupils:
        with seeded(pupil.seed):
            one = One(module=placed(build(factory), task).train())
            fit(one, task, [pupil])
            with torch.no_grad():
                said.append(answers(one.module.eval(), _asked(task, pupils)))
        states.append(one.module.state_dict())
    state = {name: torch.stack([each[name] for each in states]) for name in states[0]}
    return _Trained(state=state, said=torch.stack(said))


def _together(
    factory: ImportPath, task: Task, brief: Task, pupils: list[Pupil]
) -> tuple[Tensors, _Trained]:
    """Return the state before training, and what the learner that ``task`` asks for comes to."""
    try:
        many = stack_of(factory, task, pupils)
        before = {name: tensor.clone() for name, tensor in many.state().items()}
        with nothing_drawn():
            fit(learner_of(many, task), brief, pupils)
            many.base.eval()
            with torch.no_grad():
                said = many.ask(_asked(task, pupils))
        return before, _Trained(state=many.state(), said=said)
    except (Unstackable, torch.OutOfMemoryError):
        raise
    except Exception as error:  # what is wrong with a model by itself was raised before
        raise Unstackable(f"stacked, it raises {because(error)}") from error


def _asked(task: Task, pupils: list[Pupil]) -> torch.Tensor:
    # A copy for each: a module may write to it.
    return task.records[torch.from_numpy(pupils[-1].rows).to(task.device)].float()


def _alike(one: torch.Tensor, two: torch.Tensor, before: torch.Tensor) -> bool:
    """Whether tensors ``[models, ...]`` are the same up to rounding, in the norm of each model."""
    if not one.shape == two.shape == before.shape:
        return False
    first, second, start = map(_numbers, (one, two, before))
    norm = torch.linalg.vector_norm
    allowed = _SHARE * norm(first - start, dim=1) + _ROUNDING * (1 + norm(start, dim=1))
    return bool((norm(second - first, dim=1) <= allowed).all())


def _numbers(tensor: torch.Tensor) -> torch.Tensor:
    """Return float64 ``[models, n]``; what diverged is zero, for it is so by itself too."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    flat = real.detach().cpu().double().reshape(len(tensor), -1)
    return flat.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
