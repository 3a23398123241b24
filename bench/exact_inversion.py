"""Exact recovery of batches of CIFAR-10 from updates of a fully connected network, counted.

MLP 3072-200-200-10, untrained, a new one for each batch. An attack is right where every record of
the batch is there at more than 90 dB (float32) or 30 dB (updates that lost digits); a certificate
is wrong where a certified record is of no record at 30 dB. One thread.
Writes results/exact_inversion.json. About ten CPU minutes; needs shared/data. ``--batches N``: as
many of each kind, and writes nothing.
"""

import argparse
import io
import sys
import time
from pathlib import Path

import evidence
import numpy as np
import pyarrow.parquet as pq
import torch
from attrs import evolve
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.exact import ExactOptions, attack
from PIL import Image
from torch import nn

from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.records import Disclosed
from leakpro_core.testing.conformance import PlainRun

CODE = (
    "bench/exact_inversion.py",
    *(
        f"plugins/leakpro_fl/src/leakpro_fl/{name}.py"
        for name in ("certificate", "exact", "linear", "low_rank", "procedure", "seen", "spear")
    ),
)
DATA = evidence.ROOT.parent / "shared" / "data" / "cifar10-train.parquet"
MEAN = np.array([0.4915, 0.4823, 0.4468], np.float32)[:, None, None]
STD = np.array([0.247, 0.2435, 0.2616], np.float32)[:, None, None]
BATCHES = 20
FEW = 10
"""Batches of updates that lost digits, or of several local steps."""

PLAIN = (1, 4, 8, 10, 12, 16)
GRADIENT = {"kind": "gradient", "mode": "eval", "reduction": "mean"}
STEPS = {"kind": "delta", "mode": "eval", "reduction": "mean", "optimiser": "sgd", "lr": 0.01}
HARDER = {
    "noise of 1e-6": (4, GRADIENT | {"noise": 1e-6}),
    "half of the entries pruned": (4, GRADIENT | {"pruned": 0.5}),
    "nine tenths of the entries pruned": (4, GRADIENT | {"pruned": 0.9}),
    "2 local steps": (4, STEPS | {"epochs": 2}),
    "4 local steps": (4, STEPS | {"epochs": 4}),
    "batch size not disclosed": (8, GRADIENT),
}


def network(seed: int) -> nn.Module:
    """Return an untrained network."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(3072, 200),
            nn.ReLU(),
            nn.Linear(200, 200),
            nn.ReLU(),
            nn.Linear(200, 10),
        )


def images(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return normalised images float32 ``[n, 3, 32, 32]`` and labels int64."""
    table = pq.read_table(DATA).take(rows)
    raw = [np.asarray(Image.open(io.BytesIO(c.as_py())).convert("RGB")) for c in table["image"]]
    x = np.stack(raw).transpose(0, 3, 1, 2).astype(np.float32) / 255.0
    return (x - MEAN) / STD, table["label"].to_numpy().astype(np.int64)


def one(
    b: int, seed: int, disclosed: Disclosed, *, told: bool = True
) -> tuple[np.ndarray, InversionAnswer, float]:
    """Return the batch, the answer and its CPU seconds."""
    x, y = images(np.random.default_rng([5, b, seed]).choice(50_000, b, replace=False))
    module = network(1000 * b + seed)
    before = arrays_of(module)
    sent = TorchClient(module=module, disclosed=disclosed).update(before, x, y, seed)
    challenge = InversionChallenge(
        model=module,
        before=before,
        update=sent,
        disclosed=disclosed if told else evolve(disclosed, examples=None),
        shape=(3, 32, 32),
        classes=10,
        modality="image",
    )
    start = time.process_time()
    answer = attack(challenge, ExactOptions(), PlainRun(seed=seed, scratch=Path()))
    return x, answer, time.process_time() - start


def decibels(x: np.ndarray, answer: InversionAnswer) -> np.ndarray:
    """Return the PSNR of each reconstruction beside each record, ``[k, b]``, at most 140 dB."""
    if answer.records is None or not len(answer.records):
        return np.full((1, len(x)), -np.inf)
    apart = (answer.records[:, None] - x[None]) * STD
    error = (apart.astype(np.float64) ** 2).mean(axis=(2, 3, 4))
    return -10.0 * np.log10(np.maximum(error, 1e-14))


def row(b: int, disclosed: Disclosed, count: int, enough: float, *, told: bool = True):
    """Return the figures of ``count`` batches."""
    recovered = certified = wrong = records = 0
    seconds, least = [], []
    for seed in range(count):
        x, answer, spent = one(b, seed, disclosed, told=told)
        found = decibels(x, answer)
        best = found.max(axis=0)
        seconds.append(spent)
        least.append(best.min())
        recovered += bool((best > enough).all())
        records += int((best > enough).sum())
        certified += int(answer.certified.sum())
        wrong += int((found.max(axis=1)[: len(answer.certified)][answer.certified] <= 30).sum())
    return {
        "batch size": b,
        "batches": count,
        f"recovered above {enough:g} dB": recovered,
        "records recovered": f"{records} of {b * count}",
        "records certified": certified,
        "certified wrongly": wrong,
        "median of the least dB": round(float(np.median(least)), 1),
        "median CPU seconds": round(float(np.median(seconds)), 2),
        "most CPU seconds": round(float(np.max(seconds)), 1),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int)
    asked = parser.parse_args().batches
    if not DATA.exists():
        sys.exit(f"skipped: no {DATA.name} in {DATA.parent}")
    torch.set_num_threads(1)
    one(4, 99, Disclosed(**GRADIENT, examples=4))  # what is only done once
    rows = []

    def tell(name: str, found: dict[str, object]) -> None:
        rows.append({"update": name} | found)
        print(rows[-1], flush=True)

    for b in PLAIN:
        tell("gradient", row(b, Disclosed(**GRADIENT, examples=b), asked or BATCHES, 90.0))
    halves = Disclosed(**GRADIENT, examples=4, dtype="float16")
    tell("gradient in float16", row(4, halves, asked or BATCHES, 30.0))
    for name, (b, kind) in HARDER.items():
        disclosed = Disclosed(**kind, examples=b)
        told = name != "batch size not disclosed"
        tell(name, row(b, disclosed, asked or FEW, 30.0, told=told))
    if asked is None:
        print(evidence.write("exact_inversion", {"one_thread": rows}, CODE))


if __name__ == "__main__":
    main()
