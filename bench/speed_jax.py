"""CPU time of shadow training: a compiled JAX cohort against the plain PyTorch loop, one thread.

Two multilayer perceptrons, batch 128, Adam 1e-3, as torch.optim.Adam has it by default:
50-128-20 on 2,000 rows, 40 epochs, 16 models; 104-256-256-2 on 10,000 rows, 30 epochs, 8 models,
of which 3 epochs are run and scaled up. Torch and JAX take turns, each in a fresh process;
medians of 5. Torch trains 2 models a turn, since a loop costs as much for each.

Training is counted apart from what a process pays once: building and compiling, stated cold and
from the cache, and torch's first optimiser.
The floor is the floating-point operations of all matrix products, forwards and backwards, over the
rate of a large float32 product, measured in the JAX process before and after training.
AUC: of the loss, members against as many others, mean and standard deviation over the models.
Writes results/speed_jax.json. About three minutes of CPU time.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import evidence
import numpy as np
from attrs import evolve, frozen

from leakpro_core.recipes import Recipe
from leakpro_core.records import TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath

CODE = ("bench/speed_jax.py", "leakpro_jax/src/leakpro_jax/*.py")
TURNS, TORCH_MODELS = 5, 2


@frozen(kw_only=True)
class Case:
    """One model and its data. run: epochs that are run, of ``epochs``."""

    sizes: tuple[int, ...]
    rows: int
    epochs: int
    run: int
    models: int

    @property
    def operations(self) -> float:
        """Floating-point operations of one model; the records need no gradient."""
        products = sum(a * b for a, b in pairwise(self.sizes))
        each = 6 * products - 2 * self.sizes[0] * self.sizes[1]
        return float(each * self.rows * self.epochs)


CASES = {
    "mlp_50_128_20": Case(sizes=(50, 128, 20), rows=2000, epochs=40, run=40, models=16),
    "mlp_104_256_256_2": Case(sizes=(104, 256, 256, 2), rows=10_000, epochs=30, run=3, models=8),
}
RECIPE = Recipe(optimiser="adam", lr=1e-3, batch_size=128)


def main() -> None:
    """Let both take turns at each case."""
    figures: dict[str, object] = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as cache:
            turns = [
                {kind: _process(kind, name, turn, cache) for kind in ("torch", "jax")}
                for turn in range(TURNS)
            ]
        figures[name] = _figures(case, turns)
        print(name, json.dumps(figures[name], indent=2))
    print(evidence.write("speed_jax", figures, CODE))


def _process(kind: str, name: str, turn: int, cache: str) -> dict[str, Any]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    run = subprocess.run(
        [sys.executable, __file__, kind, name, str(turn), cache],
        env={**os.environ, **threads},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def _figures(case: Case, turns: list[dict[str, dict[str, Any]]]) -> dict[str, object]:
    def median(kind: str, what: str) -> float:
        return statistics.median(turn[kind][what] for turn in turns)

    torch, jax = median("torch", "training"), median("jax", "training")
    floors = [case.operations / (turn["jax"]["rate"] * 1e9) for turn in turns]
    over = [turn["jax"]["training"] / floor for turn, floor in zip(turns, floors, strict=True)]
    aucs = {kind: [auc for turn in turns for auc in turn[kind]["auc"]] for kind in ("torch", "jax")}
    return {
        "torch loop, CPU s a model": round(torch, 3),
        "torch's first optimiser, CPU s": round(median("torch", "first optimiser"), 2),
        "JAX cohort, CPU s a model": round(jax, 4),
        "times as fast": round(torch / jax, 1),
        "times the floor": round(statistics.median(over), 2),
        "floor, CPU s a model": round(statistics.median(floors), 4),
        "matrix rate, GFLOP/s": round(median("jax", "rate"), 1),
        "methods chosen": sorted({turn["jax"]["method"] for turn in turns}),
        "building and compiling a cohort, CPU s": round(turns[0]["jax"]["compiling"], 2),
        "the same from the cache, CPU s": round(
            statistics.median(turn["jax"]["compiling"] for turn in turns[1:]), 2
        ),
        "AUC of the loss": {
            kind: f"{np.mean(values):.3f} ({np.std(values, ddof=1):.3f}, {len(values)} models)"
            for kind, values in aucs.items()
        },
    }


def data_of(case: Case) -> TrainingSet:
    """Return twice as many records as a model trains on, of a noisy linear rule."""
    random = np.random.default_rng(0)
    records = random.normal(size=(2 * case.rows, case.sizes[0])).astype(np.float32)
    scores = records @ random.normal(size=(case.sizes[0], case.sizes[-1]))
    noisy = scores + random.gumbel(size=scores.shape) * 3
    return TrainingSet(records=records, labels=noisy.argmax(1), classes=case.sizes[-1])


def rows_of(case: Case, seed: int) -> np.ndarray:
    """Return the members of one model."""
    return np.random.default_rng(seed).permutation(2 * case.rows)[: case.rows]


def auc(logits: np.ndarray, data: TrainingSet, rows: np.ndarray) -> float:
    """Return the AUC of the loss attack."""
    from sklearn.metrics import roc_auc_score

    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    members = np.isin(np.arange(len(data.labels)), rows)
    return float(roc_auc_score(members, log_p[np.arange(len(log_p)), data.labels]))


def with_torch(case: Case, seeds: list[int]) -> dict[str, object]:
    """Train models one after another, as anybody would write it."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    data = data_of(case)
    x, y = torch.from_numpy(data.records.copy()), torch.from_numpy(data.labels.copy())
    first, taken, aucs = _first_optimiser(), 0.0, []
    for seed in seeds:
        rows = torch.from_numpy(rows_of(case, seed))
        started = time.process_time()
        torch.manual_seed(seed)
        layers = [part for a, b in pairwise(case.sizes) for part in (nn.Linear(a, b), nn.ReLU())]
        model = nn.Sequential(*layers[:-1])
        optimiser = torch.optim.Adam(model.parameters(), lr=RECIPE.lr)
        for _ in range(case.run):
            order = rows[torch.randperm(len(rows))]
            for batch in order.split(RECIPE.batch_size):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                optimiser.step()
        taken += time.process_time() - started
        with torch.no_grad():
            aucs.append(auc(model(x).numpy(), data, rows.numpy()))
    each = taken / len(seeds) * case.epochs / case.run
    return {"training": each, "first optimiser": first, "auc": aucs}


def _first_optimiser() -> float:
    """Return the CPU seconds that a process's first optimiser takes: it imports torch's compiler.

    They are spent once, not for each model (docs/decisions/0028-speed-bars.md).
    """
    import torch

    started = time.process_time()
    parameter = torch.zeros(1, requires_grad=True)
    parameter.sum().backward()  # type: ignore[no-untyped-call]
    torch.optim.Adam([parameter]).step()
    return time.process_time() - started


def with_jax(case: Case, seeds: list[int], cache: Path) -> dict[str, object]:
    """Train a cohort by the trial's choice; compile first, so that it can be counted apart."""
    import jax
    from leakpro_jax.cohort import cohort, fit, gather, program, resident, schedule
    from leakpro_jax.machine import cached, settled
    from leakpro_jax.options import TrainerOptions
    from leakpro_jax.trial import trial

    from leakpro_core.testing.conformance import PlainRun

    data, recipe = data_of(case), evolve(RECIPE, epochs=case.run)
    factory = ImportPath(f"speed_jax:{_factory(case).__name__}", Path(__file__).parent)
    rows = tuple(rows_of(case, seed) for seed in seeds)
    unit = TrainingUnit(
        models=tuple(range(len(seeds))),
        rows=rows,
        seeds=tuple(seeds),
        options=TrainerOptions(factory=factory, recipe=recipe, cache=cache),
    )
    run = PlainRun(seed=0, scratch=cache)
    choice = trial(data, unit, run).choice
    with settled("cpu", 1, run.log, "") as device, cached(cache, run.log):
        records = resident(data, device)
        started = time.process_time()
        group = gather(factory, recipe, data, rows, seeds)
        draws, pace = next(schedule(group, recipe, records))
        arguments = (group.states, draws, group.keys, pace, records)
        function = program(choice.method, group.model, recipe, data.classes)
        compiled = jax.jit(function, donate_argnums=0).lower(*arguments).compile()
        compiling = time.process_time() - started
        before = matrix_rate()
        started = time.process_time()
        arrays = fit(group, compiled, recipe, records, unit.models)
        training = time.process_time() - started
        trained = cohort(group.model, arrays, choice, run.log)
        rate = (before + matrix_rate()) / 2
    logits = trained.query(data.records)
    return {
        "training": training / len(seeds) * case.epochs / case.run,
        "compiling": compiling,
        "rate": rate,
        "method": choice.method,
        "auc": [auc(each, data, own) for each, own in zip(logits, rows, strict=True)],
    }


def matrix_rate(size: int = 1024, times: int = 20) -> float:
    """Return the rate of a large float32 matrix product, in GFLOP/s."""
    import jax

    product = jax.jit(lambda a: a @ a)
    square = jax.random.normal(jax.random.key(0), (size, size))
    product(square).block_until_ready()
    started = time.process_time()
    for _ in range(times):
        product(square).block_until_ready()
    return 2 * size**3 * times / (time.process_time() - started) / 1e9


def mlp_50_128_20(key: Any) -> Any:
    import equinox as eqx

    return eqx.nn.MLP(50, 20, 128, 1, key=key)


def mlp_104_256_256_2(key: Any) -> Any:
    import equinox as eqx

    return eqx.nn.MLP(104, 2, 256, 2, key=key)


def _factory(case: Case) -> Callable[[Any], Any]:
    return mlp_50_128_20 if case is CASES["mlp_50_128_20"] else mlp_104_256_256_2


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kind, chosen, turn = sys.argv[1], CASES[sys.argv[2]], int(sys.argv[3])
        if kind == "torch":
            found = with_torch(chosen, [TORCH_MODELS * turn + i for i in range(TORCH_MODELS)])
        else:
            own = [chosen.models * turn + i for i in range(chosen.models)]
            found = with_jax(chosen, own, Path(sys.argv[4]))
        print(json.dumps(found))
    else:
        main()
