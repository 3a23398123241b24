"""Trainer "torch": a cohort of PyTorch classifiers, one after another in this process."""

import numpy as np
import torch
from attrs import frozen
from torch import nn

from leakpro_core.arrays import AnyArray, Ints, Singles
from leakpro_core.errors import BadValue, LeakProError, MissingKey, NotAFactory, TrainingFailed
from leakpro_core.protocols import Run
from leakpro_core.recipes import Recipe
from leakpro_core.records import TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath
from leakpro_torch.fitting import Task, fit
from leakpro_torch.modules import because, build, outputs, seeded, threads
from leakpro_torch.options import TrainerOptions

QUERY_BATCH = 1024


@frozen(kw_only=True)
class TorchCohort:
    """Trained modules in evaluation mode, in the order of the unit's models."""

    modules: tuple[nn.Module, ...]
    threads: int

    def query(self, records: AnyArray) -> Singles:
        """Return logits on ``records`` ``[n, ...]``, float32 ``[models, n, classes]``."""
        with threads(self.threads):
            return np.stack([outputs(module, records, QUERY_BATCH) for module in self.modules])


def train(data: TrainingSet, unit: TrainingUnit, run: Run) -> TorchCohort:
    """Train the unit's models.

    A model depends on its rows and its seed alone: initial weights, order, augmentation and
    dropout are drawn from the seed, whatever the other models of the unit or the process.
    ``TrainingFailed`` names the model and, where it diverged, the epoch.
    """
    options = unit.options
    assert isinstance(options, TrainerOptions)
    factory = options.factory or unit.architecture
    if factory is None:
        raise MissingKey(
            "[shadows] factory",
            found="none there, and none in [target] whose module returns logits",
            expected="the import path of a callable that builds a module which returns logits",
            fix='Set factory = "my_models:build" in [shadows].',
        )
    task = _task(data, options.recipe)
    modules = []
    with threads(options.threads):
        for number, rows, seed in zip(unit.models, unit.rows, unit.seeds, strict=True):
            modules.append(_model(factory, options, task, rows, seed, number))
            run.log.debug("model trained", model=number, records=len(rows))
    return TorchCohort(modules=tuple(modules), threads=options.threads)


def _task(data: TrainingSet, recipe: Recipe | None) -> Task:
    images = data.modality == "image" and data.records.ndim == 4
    if recipe is not None and recipe.augment and not images:
        raise BadValue(
            "[shadows] recipe.augment",
            found=f"{data.modality} records of shape {list(data.records.shape)}",
            expected="image records of shape [n, C, H, W]",
            fix="Leave augment out, or augment in a train function of your own.",
        )
    # Copies, since torch does not take read-only arrays. Bytes stay bytes until a batch is taken.
    records = np.array(data.records)
    if records.dtype != np.uint8:
        records = records.astype(np.float32, copy=False)
    return Task(
        records=torch.from_numpy(records),
        labels=torch.from_numpy(np.array(data.labels)),
        classes=data.classes,
    )


def _model(
    factory: ImportPath, options: TrainerOptions, task: Task, rows: Ints, seed: int, number: int
) -> nn.Module:
    chosen = torch.from_numpy(np.array(rows))
    with seeded(seed):
        model = build(factory)
        try:
            if options.train is None:
                fit(model, task, chosen, options.recipe or Recipe(), seed)
            else:
                model = _by_user(options.train, model, task, chosen, seed)
        except TrainingFailed as error:
            raise TrainingFailed(
                f"model {number}, {error.what}",
                found=error.found,
                expected=error.expected,
                fix=error.fix,
            ) from error
        except LeakProError:
            raise
        except Exception as error:
            raise TrainingFailed(f"model {number}", found=because(error)) from error
    return model.eval()


def _by_user(
    path: ImportPath, model: nn.Module, task: Task, rows: torch.Tensor, seed: int
) -> nn.Module:
    result = path.call(model, task.records[rows].float(), task.labels[rows], seed)
    if result is None:
        return model
    if not isinstance(result, nn.Module):
        raise NotAFactory(
            f"train function {path.ref!r}",
            found=f"it returned a value of type {type(result).__name__}",
            expected="the trained torch.nn.Module, or None where it was trained in place",
        )
    return result
