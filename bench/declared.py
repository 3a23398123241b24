"""How often is an update doubted that is declared rightly, and one that is declared wrongly?

Perceptrons with 32 inputs, 5, 10 and 100 classes, untrained and after 200 steps; batches of 1, 4,
16 and 64 records, of one class or of all alike; a gradient, and a delta of two epochs of SGD with
momentum .9 in steps of half of the batch. Writes results/declared.json. Under a minute.
"""

from itertools import product

import evidence
import numpy as np
import torch
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.declared import doubts
from torch import nn
from torch.nn.functional import cross_entropy

from leakpro_core.records import ClientUpdate, Disclosed
from leakpro_core.statistics import clopper_pearson

CODE = (
    "bench/declared.py",
    *(f"plugins/leakpro_fl/src/leakpro_fl/{n}.py" for n in ("client", "declared", "seen")),
)
SEEDS = 10
OTHER = {"gradient": "delta", "delta": "gradient"}


def network(classes: int, *, trained: bool, seed: int) -> nn.Module:
    """Return a perceptron; trained: to tell classes by their means."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, classes))
        optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
        for _ in range(200 if trained else 0):
            y = torch.randint(classes, (64,))
            optimiser.zero_grad()
            cross_entropy(module(records(y, classes)), y).backward()
            optimiser.step()
    return module.eval()


def records(y: torch.Tensor, classes: int) -> torch.Tensor:
    """Return records about the means of their classes."""
    means = torch.randn(classes, 32, generator=torch.Generator().manual_seed(1))
    return means[y] + torch.randn(len(y), 32)


def disclosed(kind: str, b: int | None, size: int) -> Disclosed:
    """Return what the client says."""
    how = {} if kind == "gradient" else {"momentum": 0.9, "epochs": 2, "batch_size": size}
    return Disclosed(kind=kind, examples=b, lr=0.05, mode="eval", reduction="mean", **how)


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    counts: dict[tuple[str, bool, str], list[int]] = {}
    settings = product((5, 10, 100), (False, True), (1, 4, 16, 64), (False, True), range(SEEDS))
    for classes, trained, b, one, seed in settings:
        module = network(classes, trained=trained, seed=seed)
        before, size = arrays_of(module), max(1, b // 2)
        rng = np.random.default_rng([seed, b])
        y = np.full(b, rng.integers(classes)) if one else rng.integers(0, classes, b)
        torch.manual_seed(seed)
        x = records(torch.from_numpy(y), classes).numpy()
        for kind in OTHER:
            client = TorchClient(module=module, disclosed=disclosed(kind, b, size))
            sent = ClientUpdate(before=before, values=client.update(before, x, y, seed))
            for known in (True, False):
                for said in OTHER:
                    how = disclosed(said, b if known else None, size)
                    doubted = bool(doubts(sent, how, (), "update"))
                    counts.setdefault((kind, known, said), []).append(doubted)
    rows = []
    for (kind, known, said), doubted in counts.items():
        limits = clopper_pearson(sum(doubted), len(doubted))
        rows.append(
            {
                "update": kind,
                "declared": said,
                "number of records disclosed": known,
                "updates": len(doubted),
                "doubted": sum(doubted),
                "share": round(sum(doubted) / len(doubted), 3),
                "interval": [round(limits.low, 3), round(limits.high, 3)],
            }
        )
        print(rows[-1], flush=True)
    print(evidence.write("declared", {"kinds": rows}, CODE))


if __name__ == "__main__":
    main()
