"""Trainer "jax": cohorts of JAX classifiers, an epoch of all models in one program."""

from collections.abc import Iterator

import jax
import numpy as np

from leakpro_core.errors import BadValue, MissingKey
from leakpro_core.protocols import Run
from leakpro_core.recipes import Recipe
from leakpro_core.records import TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath
from leakpro_jax.cohort import JaxCohort, cohort, fit, gather, program, resident
from leakpro_jax.machine import cached, settled
from leakpro_jax.options import TrainerOptions
from leakpro_jax.tracing import check_alike, training


def train(data: TrainingSet, unit: TrainingUnit, run: Run) -> JaxCohort:
    """Train the unit's models as ``unit.choice`` says.

    A model depends on its rows and its seed: initial weights, order, augmentation and dropout are
    drawn from the seed, whatever the other models of the unit.
    ``TrainingFailed`` names the model and, where it diverged, the epoch; or where it raised.
    """
    options, choice = unit.options, unit.choice
    assert isinstance(options, TrainerOptions)
    factory, recipe = factory_of(unit), options.recipe
    check_augmented(data, recipe)
    parts, order, firsts = [], [], []
    with (
        settled(choice.device, choice.threads, run.log, "[shadows]") as device,
        cached(options.cache, run.log),
    ):
        records = resident(data, device)
        for places in alike(unit):
            numbers = [unit.models[p] for p in places]
            seeds, rows = [unit.seeds[p] for p in places], [unit.rows[p] for p in places]
            with training(numbers):
                group = gather(factory, recipe, data, rows, seeds)
                # Groups are one cohort afterwards, whose models are asked by one program.
                firsts.append(group.model)
                check_alike([firsts[0], firsts[-1]], factory, (2, *records.records.shape[1:]))
                one_epoch = program(choice.method, group.model, recipe, data.classes)
                compiled = jax.jit(one_epoch, donate_argnums=0)
                parts.append(fit(group, compiled, recipe, records, numbers))
            order += places
            run.log.debug("models trained", models=numbers, records=len(rows[0]))
        back = np.argsort(order)
        arrays = jax.tree.map(lambda *a: jax.numpy.concatenate(a)[back], *parts)
        return cohort(group.model, arrays, choice, run.log)


def alike(unit: TrainingUnit) -> Iterator[list[int]]:
    """Yield the places of models with equally many rows, at most the choice's width at once."""
    lengths = [len(rows) for rows in unit.rows]
    for length in dict.fromkeys(lengths):
        places = [p for p, n in enumerate(lengths) if n == length]
        for start in range(0, len(places), unit.choice.width):
            yield places[start : start + unit.choice.width]


def factory_of(unit: TrainingUnit) -> ImportPath:
    """Return what models are built from: the options' factory, else the target's."""
    assert isinstance(unit.options, TrainerOptions)
    factory = unit.options.factory or unit.architecture
    if factory is None:
        raise MissingKey(
            "[shadows] factory",
            found="none there, and none in [target] whose model returns logits",
            expected="the import path of a callable build(key) of a model that returns logits",
            fix='Set factory = "my_models:build" in [shadows].',
        )
    return factory


def check_augmented(data: TrainingSet, recipe: Recipe) -> None:
    """``BadValue`` where the recipe augments what is not images."""
    if recipe.augment and not (data.modality == "image" and data.records.ndim == 4):
        raise BadValue(
            "[shadows] recipe.augment",
            found=f"{data.modality} records of shape {list(data.records.shape)}",
            expected="image records of shape [n, C, H, W]",
            fix="Leave augment out.",
        )
