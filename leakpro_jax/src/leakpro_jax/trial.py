"""The timed trial: which way of training a cohort is the faster one here, and how wide it may be.

The program that trains is compiled and run for a few steps: the models, the batches and the last,
smaller batch are those of the audit; only the number of whole batches is smaller.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from attrs import frozen

from leakpro_core.protocols import Run
from leakpro_core.recipes import batches
from leakpro_core.records import Choice, TrainingSet, TrainingUnit, Trial
from leakpro_jax.cohort import Group, gather, program, resident, schedule
from leakpro_jax.machine import cached, settled
from leakpro_jax.options import TrainerOptions
from leakpro_jax.steps import Data
from leakpro_jax.tracing import training
from leakpro_jax.trainer import check_augmented, factory_of

STEPS, MODELS = 4, 4
"""Whole batches of a trial; models of a trial that trains one after another."""
RUNS, ENOUGH = 20, 0.5
"""A program is run so often, or until it took that many seconds; the fastest run counts."""


CLEARLY = 1.1
"""By so much must vmap be faster: it takes more memory, and a trial is short."""


@frozen(kw_only=True)
class Timing:
    """What a method costs. step: seconds of one step of one model; compiling: seconds.

    memory: bytes of ``width`` models at their peak, beside the records.
    """

    method: str
    width: int
    step: float
    compiling: float
    memory: int


def trial(data: TrainingSet, unit: TrainingUnit, run: Run) -> Trial:
    """Time the methods that the options allow on the unit's models; choose method and width.

    Compilation is no part of a model's seconds, but the overhead of each unit. Errors as of
    ``train``.
    """
    options = unit.options
    assert isinstance(options, TrainerOptions)
    check_augmented(data, options.recipe)
    methods = ["map", "vmap"] if options.method == "auto" else [options.method]
    with (
        settled(options.device, options.threads, run.log, "[shadows]") as device,
        cached(options.cache, run.log),
        training(unit.models),
    ):
        records, room = resident(data, device), memory_of(device)
        found = [_timed(method, data, unit, records, room) for method in methods]
    for timing in found:
        run.log.debug("trial", method=timing.method, width=timing.width, seconds=timing.step)
    best = min(found, key=lambda timing: timing.step * (CLEARLY if timing.method == "vmap" else 1))
    longest = max(len(rows) for rows in unit.rows)
    steps = options.recipe.epochs * len(batches(longest, options.recipe.batch_size))
    return Trial(
        choice=Choice(
            method=best.method, width=best.width, device=options.device, threads=options.threads
        ),
        seconds=best.step * steps,
        overhead=best.compiling,
        memory=best.memory,
        notes=_notes(found, wanted(unit)),
    )


def wanted(unit: TrainingUnit) -> int:
    """Return the width that a cohort has where memory allows it."""
    assert isinstance(unit.options, TrainerOptions)
    return min(unit.options.width or len(unit.models), len(unit.models))


def memory_of(device: jax.Device) -> float:
    """Return the bytes that a cohort may take: most of a GPU's, a quarter of the machine's."""
    stats = device.memory_stats()  # None on a CPU
    if stats and "bytes_limit" in stats:
        return 0.8 * float(stats["bytes_limit"])
    return 0.25 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _timed(
    method: str, data: TrainingSet, unit: TrainingUnit, records: Data, room: float
) -> Timing:
    """Time a method at the widest that has room; a width that the options name is kept to."""
    assert isinstance(unit.options, TrainerOptions)
    width = wanted(unit)
    while True:
        # One after another, a model costs as much time whatever the width.
        group = _sample(data, unit, min(width, MODELS) if method == "map" else width)
        compiled, arguments, compiling = _compiled(method, group, data, unit.options, records)
        memory = _peak(compiled, records)
        if method == "map":
            sampled = len(group.seeds)
            each = 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(group.states)) // sampled
            fits = max(1, sampled + int((room - memory) // each))
            width = width if unit.options.width else min(width, fits)
            memory += (width - sampled) * each
        elif memory > room and width > 1 and not unit.options.width:
            width = max(1, min(width - 1, int(width * room / memory)))
            continue
        steps = len(batches(group.rows.shape[1], unit.options.recipe.batch_size))
        seconds = _fastest(compiled, *arguments)
        return Timing(
            method=method,
            width=width,
            step=seconds / (steps * len(group.seeds)),
            compiling=compiling,
            memory=memory,
        )


def _sample(data: TrainingSet, unit: TrainingUnit, width: int) -> Group:
    """Build the first models of the unit, with rows for a few whole batches and the last one."""
    assert isinstance(unit.options, TrainerOptions)
    size, n = unit.options.recipe.batch_size, min(len(rows) for rows in unit.rows)
    few = min(n, STEPS * size + n % size)
    return gather(
        factory_of(unit),
        unit.options.recipe,
        data,
        [rows[:few] for rows in unit.rows[:width]],
        unit.seeds[:width],
    )


def _compiled(
    method: str, group: Group, data: TrainingSet, options: TrainerOptions, records: Data
) -> tuple[Any, tuple[Any, ...], float]:
    """Return a compiled epoch, what to call it with, and the seconds that compiling took."""
    draws, pace = next(schedule(group, options.recipe, records))
    arguments = jax.device_put((group.states, draws, group.keys, pace, records))
    function = program(method, group.model, options.recipe, data.classes)
    started = time.perf_counter()
    compiled = jax.jit(function, donate_argnums=0).lower(*arguments).compile()
    return compiled, arguments, time.perf_counter() - started


def _peak(compiled: Any, records: Data) -> int:
    found = compiled.memory_analysis()
    whole = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    return max(0, int(whole - found.alias_size_in_bytes - records.records.nbytes))


def _fastest(compiled: Callable[..., Any], states: Any, *others: Any) -> float:
    """Return the seconds of the fastest run of an epoch."""
    taken: list[float] = []
    while len(taken) < RUNS and sum(taken) < ENOUGH:
        started = time.perf_counter()
        states, losses = compiled(states, *others)
        np.asarray(losses)
        taken.append(time.perf_counter() - started)
    return min(taken)


def _notes(found: list[Timing], width: int) -> tuple[str, ...]:
    return tuple(
        f"{timing.method}: {timing.width} models at once instead of {width}, for lack of memory."
        for timing in found
        if timing.width < width
    )
