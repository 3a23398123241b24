"""CPU time of PyTorch shadows: cohorts as the trial chooses them, loops, and the plain loop.

Two multi-layer perceptrons, batch 128, Adam 1e-3: 50-128-20 on 2,000 rows, 40 epochs, 16 models;
104-256-256-2 on 10,000 rows, 30 epochs, of which 2 are run and scaled up, 8 models. The plain loop
is what anybody writes, with ``torch.optim.Adam`` as it is by default. All take turns in one
process, one thread; medians of 7 (5 for the second). The floor is the floating-point operations
of all matrix products, forwards and backwards, over the rate of a large float32 product in the
same turns. Imports are not counted.

And a small residual network, batch 128: what a step of one model takes as a stack of two, against
a loop, as the trial measures them by turns.
Writes results/speed_torch.json. About three minutes of CPU time.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import evidence
import numpy as np
import torch
from attrs import evolve, frozen
from leakpro_torch.options import TrainerOptions
from leakpro_torch.trainer import train
from leakpro_torch.trial import trial
from torch import nn
from torch.nn.functional import cross_entropy

from leakpro_core.recipes import Recipe
from leakpro_core.records import Choice, TrainingSet, TrainingUnit
from leakpro_core.references import ImportPath
from leakpro_core.testing.conformance import PlainRun

CODE = (
    "bench/speed_torch.py",
    "bench/plans/resnet.py",
    "plugins/leakpro_torch/src/leakpro_torch/*.py",
)
PLANS = Path(__file__).parent / "plans"
LOOP = Choice(method="loop", width=1)


@frozen(kw_only=True)
class Case:
    """A model, its data, the epochs that are run of ``epochs``, how many train at once."""

    sizes: tuple[int, ...]
    rows: int
    epochs: int
    run: int
    models: int
    turns: int

    @property
    def operations(self) -> int:
        """Floating-point operations of one model; the records need no gradient."""
        products = sum(a * b for a, b in pairwise(self.sizes))
        return (6 * products - 2 * self.sizes[0] * self.sizes[1]) * self.rows * self.epochs

    def build(self) -> nn.Module:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(self.sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def data(self) -> TrainingSet:
        random = np.random.default_rng(0)
        return TrainingSet(
            records=random.normal(size=(2 * self.rows, self.sizes[0])).astype(np.float32),
            labels=random.integers(0, self.sizes[-1], 2 * self.rows),
            classes=self.sizes[-1],
        )

    def unit(self, recipe: Recipe) -> TrainingUnit:
        random = np.random.default_rng(1)
        models = range(self.models)
        return TrainingUnit(
            models=tuple(models),
            rows=tuple(random.permutation(2 * self.rows)[: self.rows] for _ in models),
            seeds=tuple(models),
            options=TrainerOptions(recipe=recipe),
        )


CASES = {
    "mlp_50_128_20": Case(sizes=(50, 128, 20), rows=2000, epochs=40, run=40, models=16, turns=7),
    "mlp_104_256_256_2": Case(
        sizes=(104, 256, 256, 2), rows=10_000, epochs=30, run=2, models=8, turns=5
    ),
}


def main() -> None:
    torch.set_num_threads(1)
    figures: dict[str, object] = {}
    for name, case in CASES.items():
        figures[name] = compare(case, name)
        print(name, figures[name])
    figures["small_residual_network"] = convolutions()
    print(figures["small_residual_network"])
    print(evidence.write("speed_torch", figures, CODE))


def compare(case: Case, name: str) -> dict[str, object]:
    """Return the figures of a perceptron; everything takes turns."""
    data, recipe = case.data(), Recipe(epochs=case.run, batch_size=128, lr=1e-3)
    with tempfile.TemporaryDirectory() as folder:
        run = PlainRun(seed=0, scratch=Path(folder))
        code = (
            f"from speed_torch import CASES\n\n\ndef build():\n    return CASES[{name!r}].build()\n"
        )
        (Path(folder) / "bench_models.py").write_text(code)
        path = ImportPath("bench_models:build", Path(folder))
        unit = evolve(case.unit(recipe), architecture=path)
        started = time.process_time()
        choice = trial(data, unit, run).choice
        tried = time.process_time() - started
        one = evolve(unit, models=(0,), rows=unit.rows[:1], seeds=(0,), choice=LOOP)
        ways: dict[str, tuple[Callable[[], object], int]] = {
            "plain loop": (lambda: plain(case, data, unit.rows[0], recipe), 1),
            "loop": (lambda: train(data, one, run), 1),
            "as the trial chose": (
                lambda: train(data, evolve(unit, choice=choice), run),
                len(unit.models),
            ),
            "product": (product, 1),
        }
        taken = turns(ways, case.turns)
    each = {way: statistics.median(seconds) for way, seconds in taken.items()}
    scale = case.epochs / case.run
    floor = case.operations * each["product"] / (20 * 2 * 1024**3)
    rows = {
        way: {
            "CPU s a model": round(each[way] * scale, 3),
            "times as fast as the plain loop": round(each["plain loop"] / each[way], 2),
            "times the floor": round(each[way] * scale / floor, 2),
        }
        for way in ("plain loop", "loop", "as the trial chose")
    }
    return rows | {
        "the trial": {
            "CPU s a model": round(tried, 2),
            "choice": f"{choice.method}, {choice.width} models",
        },
        "floor": {"CPU s a model": round(floor, 3)},
    }


def turns(ways: dict[str, tuple[Callable[[], object], int]], count: int) -> dict[str, list[float]]:
    """Return CPU seconds per model of each way, turn by turn."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(count):
        for way, (call, models) in ways.items():
            started = time.process_time()
            call()
            taken[way].append((time.process_time() - started) / models)
    return taken


def plain(case: Case, data: TrainingSet, rows: np.ndarray, recipe: Recipe) -> nn.Module:
    """Train one model as anybody would."""
    x, y = torch.from_numpy(data.records[rows]), torch.from_numpy(data.labels[rows])
    model = case.build()
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.lr)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(x))
        for batch in order.split(recipe.batch_size):
            optimiser.zero_grad()
            loss = cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimiser.step()
    return model


def product() -> None:
    """Multiply large matrices twenty times."""
    a = torch.ones(1024, 1024)
    for _ in range(20):
        a @ a


def convolutions() -> dict[str, object]:
    """Return how long a stack takes of a loop's time, and what the trial chooses."""
    random = np.random.default_rng(0)
    data = TrainingSet(
        records=random.integers(0, 256, (2000, 3, 32, 32)).astype(np.uint8),
        labels=random.integers(0, 10, 2000),
        classes=10,
        modality="image",
    )
    recipe = Recipe(optimiser="sgd", lr=0.1, momentum=0.9, batch_size=128, augment=("flip", "crop"))
    options = TrainerOptions(factory=ImportPath("resnet:small_resnet", PLANS), recipe=recipe)
    unit = TrainingUnit(
        models=tuple(range(8)),
        rows=tuple(random.permutation(2000)[:1000] for _ in range(8)),
        seeds=tuple(range(8)),
        options=options,
    )
    forced = evolve(unit, options=evolve(options, method="stack", width=2))
    looped = evolve(unit, options=evolve(options, method="loop"))
    with tempfile.TemporaryDirectory() as folder:
        run = PlainRun(seed=0, scratch=Path(folder))
        chosen = [trial(data, unit, run).choice.method for _ in range(3)]
        pairs = [
            [trial(data, each, run).seconds or 0.0 for each in (forced, looped)] for _ in range(5)
        ]
    return {
        "a stack's time over a loop's": round(statistics.median(s / one for s, one in pairs), 2),
        "chosen by three trials": ", ".join(chosen),
    }


if __name__ == "__main__":
    main()
