"""Labels of batches of CIFAR-10 from updates of ConvNetSmall, counted.

A new untrained network for each batch, and one network trained for one epoch (SGD, learning rate
.05, momentum .9, batch 32, 5,000 images that are in no batch). The accuracy of a multiset is the
share of the batch's labels that is in it, of the larger of both sizes, and 0 where no size is told.
"4 steps" is one epoch of SGD, learning rate .01, in four steps. Writes results/labels.json. About
five CPU minutes; needs shared/data. ``--batches N``: as many of each kind, and writes nothing.
"""

import argparse
import sys
import time

import evidence
import numpy as np
import pyarrow.parquet as pq
import torch
from attrs import evolve
from cifar10 import DATA, decoded
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.labels import labels_of, size_of
from leakpro_fl.seen import seen
from torch import nn
from torch.nn.functional import cross_entropy

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Auxiliary, Disclosed

sys.path.insert(0, str(evidence.ROOT / "plugins" / "leakpro_fl" / "tests"))
from networks import ConvNetSmall, seeded

CODE = (
    "bench/labels.py",
    "plugins/leakpro_fl/tests/networks.py",
    *(
        f"plugins/leakpro_fl/src/leakpro_fl/{name}.py"
        for name in ("client", "labels", "linear", "procedure", "seen", "sizes")
    ),
)
TRAIN = DATA / "cifar10-train.parquet"
MEAN = np.array([0.4915, 0.4823, 0.4468], np.float32)[:, None, None]
STD = np.array([0.247, 0.2435, 0.2616], np.float32)[:, None, None]
WIDTH = 16
BATCHES = 20
SIZES = (4, 8, 16, 64)
TRAINED_ON = range(45_000, 50_000)
AUXILIARY = range(44_000, 44_080)

WHAT = ("gradient", "4 steps", "4 steps, learning rate not disclosed", "gradient, size unknown")


def images(rows: np.ndarray | range) -> tuple[np.ndarray, np.ndarray]:
    """Return normalised images float32 ``[n, 3, 32, 32]`` and labels int64."""
    table = pq.read_table(TRAIN).take(np.array(rows))
    x = np.stack([decoded(c.as_py()) for c in table["image"]]).astype(np.float32) / 255.0
    return (x - MEAN) / STD, table["label"].to_numpy().astype(np.int64)


def trained() -> tuple[nn.Module, float]:
    """Return the network after one epoch, and its accuracy on images of no batch."""
    module = seeded(ConvNetSmall, WIDTH, seed=0)
    x, y = map(torch.from_numpy, images(TRAINED_ON))
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    for part in torch.from_numpy(np.random.default_rng(0).permutation(len(x))).split(32):
        optimiser.zero_grad()
        cross_entropy(module(x[part]), y[part]).backward()
        optimiser.step()
    others, theirs = map(torch.from_numpy, images(range(43_000, 44_000)))
    with torch.no_grad():
        right = (module(others).argmax(1) == theirs).double().mean()
    return module.eval(), float(right)


def challenge(
    module: nn.Module, x: np.ndarray, y: np.ndarray, what: str, seed: int
) -> InversionChallenge:
    """Return what a server sees that knows as much as ``what`` says."""
    b = len(x)
    said = Disclosed(kind="gradient", mode="eval", examples=b)
    if what.startswith("4 steps"):
        said = Disclosed(kind="delta", mode="eval", examples=b, lr=0.01, batch_size=b // 4)
    before = arrays_of(module)
    sent = TorchClient(module=module, disclosed=said).update(before, x, y, seed)
    if "learning rate" in what:
        said = evolve(said, lr=None)
    if "size unknown" in what:
        said = evolve(said, examples=None)
    return InversionChallenge(
        model=module,
        before=before,
        update=sent,
        disclosed=said,
        shape=(3, 32, 32),
        classes=10,
        modality="image",
    )


def row(
    module: nn.Module | None, b: int, what: str, count: int, auxiliary: Auxiliary | None
) -> dict[str, object]:
    """Return the figures of ``count`` batches; module None: a new untrained network for each."""
    shares, sizes, seconds = [], [], []
    for seed in range(count):
        x, y = images(np.random.default_rng([7, b, seed]).choice(43_000, b, replace=False))
        network = seeded(ConvNetSmall, WIDTH, seed=100 * b + seed) if module is None else module
        given = evolve(challenge(network, x, y, what, seed), auxiliary=auxiliary)
        start = time.process_time()
        observed = seen(given)
        try:
            size = size_of(observed, given)
            found = labels_of(observed, given, size)
        except NotApplicable:
            size, found = 0, y[:0]
        seconds.append(time.process_time() - start)
        both = [np.bincount(labels, minlength=10) for labels in (found, y)]
        shares.append(np.minimum(*both).sum() / max(b, size))
        sizes.append(size)
    return {
        "batch size": b,
        "batches": count,
        "mean accuracy of the multiset": round(float(np.mean(shares)), 4),
        "least": round(float(np.min(shares)), 4),
        "batches all right": int(np.sum(np.array(shares) == 1.0)),
        "sizes right": sizes.count(b),
        "sizes not told": sizes.count(0),
        "median CPU seconds": round(float(np.median(seconds)), 2),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int)
    asked = parser.parse_args().batches
    if not TRAIN.exists():
        sys.exit(f"skipped: no {TRAIN.name} in {TRAIN.parent}")
    torch.set_num_threads(1)
    module, right = trained()
    spare = Auxiliary(records=images(AUXILIARY)[0], labels=images(AUXILIARY)[1])
    rows = []
    for name, network in (("untrained", None), ("one epoch", module)):
        for what in WHAT:
            for held in (None, spare) if network is not None and "," not in what else (None,):
                for b in SIZES:
                    found = row(network, b, what, asked or BATCHES, held)
                    told = {"network": name, "update": what, "auxiliary": held is not None}
                    rows.append(told | found)
                    print(rows[-1], flush=True)
    if asked is None:
        figures = {"accuracy after one epoch": round(right, 3), "one_thread": rows}
        print(evidence.write("labels", figures, CODE))


if __name__ == "__main__":
    main()
