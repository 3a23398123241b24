"""Inversion by optimisation against a peer's attack: the same images, iterations and one thread.

20 images of CIFAR-10's training file, one untrained ConvNetSmall of width 32 for each, one gradient
in evaluation mode, labels known, 1,000 iterations, three seeds. The peer's attack (``peer``) has
the weight of the total variation that is best for it in the mean over all images with the first
seed; ours chooses by the residual alone. The difference is the mean over images of the mean over
seeds, with a t interval over images. Blind: the mean colour. PSNR: a description.
Writes results/inversion_paired.json. About an hour of CPU time: ``--workers``; ``--slice N`` for a
trial on two images with 1/N of the iterations, which writes nothing.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import evidence
import numpy as np
import pyarrow.parquet as pq
import torch
from cifar10 import DATA, decoded
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.inversion import InversionOptions, attack
from peer import installed, peer
from scipy.optimize import linear_sum_assignment
from scipy.stats import t as student
from torch import nn

from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Disclosed
from leakpro_core.testing.conformance import PlainRun

sys.path.insert(0, str(evidence.ROOT / "plugins" / "leakpro_fl" / "tests"))
from networks import ConvNetSmall, seeded

CODE = (
    "bench/inversion_paired.py",
    "bench/peer.py",
    "plugins/leakpro_fl/tests/networks.py",
    *(
        f"plugins/leakpro_fl/src/leakpro_fl/{name}.py"
        for name in (
            *("batch_norm", "client", "inversion", "labels", "objective", "priors", "procedure"),
            *("search", "seen", "visible"),
        )
    ),
)
IMAGES, SEEDS, ITERATIONS = 20, (0, 1, 2), 1000
VARIATIONS = (1e-3, 3e-3)
MEAN, STD = (0.4915, 0.4823, 0.4468), (0.247, 0.2435, 0.2616)


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return CIFAR-10's first images, bytes ``[n, 32, 32, 3]``, and labels int64."""
    table = next(pq.ParquetFile(DATA / "cifar10-train.parquet").iter_batches(count))
    x = np.stack([decoded(content.as_py()).transpose(1, 2, 0) for content in table["image"]])
    return x, np.array(table["label"]).astype(np.int64)


def normalised(images: np.ndarray) -> np.ndarray:
    """Return bytes ``[n, 32, 32, 3]`` as the model sees them, float32 ``[n, 3, 32, 32]``."""
    return ((images / 255.0 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)


def challenge(
    module: nn.Module, images: np.ndarray, y: np.ndarray, disclosed: Disclosed
) -> InversionChallenge:
    """Return what an adversary gets who knows all but the records."""
    before = arrays_of(module)
    names = [name for name, _ in module.named_parameters()]
    client = TorchClient(module=module, disclosed=disclosed)
    return InversionChallenge(
        model=module,
        before=before,
        update=client.update(before, normalised(images), y, seed=0),
        disclosed=disclosed,
        labels=np.sort(y),
        buffers=tuple(name for name in before if name not in names),
        shape=(3, 32, 32),
        classes=10,
        modality="image",
    )


def decibels(records: np.ndarray, images: np.ndarray) -> float:
    """Return the mean PSNR in dB, matched by the Hungarian method."""
    shown = np.clip(records.transpose(0, 2, 3, 1) * STD + MEAN, 0.0, 1.0)
    error = ((shown[:, None] - images[None] / 255.0) ** 2).mean(axis=(2, 3, 4))
    return float((-10.0 * np.log10(error[linear_sum_assignment(error)])).mean())


def paired(job: tuple[str, int, int, int, float, np.ndarray, int]) -> dict[str, object]:
    """Return one attack's figures on one image."""
    who, image, seed, iterations, variation, pixels, label = job
    torch.set_num_threads(1)
    module = seeded(ConvNetSmall, 32, seed=image).eval()
    disclosed = Disclosed(kind="gradient", examples=1, mode="eval", mean=MEAN, std=STD)
    given = challenge(module, pixels[None], np.array([label]), disclosed)
    start, residual = time.process_time(), None
    if who == "ours":
        run = PlainRun(seed=seed, scratch=Path())
        answer = attack(given, InversionOptions(iterations=iterations), run)
        records, residual = answer.records, round(answer.residual, 4)
    else:
        records = peer(given, iterations, variation, seed)
    return {
        "who": who,
        "image": image,
        "seed": seed,
        "variation": variation,
        "psnr": decibels(records, pixels[None]),
        "blind": decibels(np.zeros((1, 3, 32, 32)), pixels[None]),
        "residual": residual,
        "ms": 1000.0 * (time.process_time() - start) / iterations,
    }


def spread(values: Iterable[float]) -> dict[str, object]:
    """Return mean, 95% t interval and number of values."""
    v = np.array(list(values))
    half = float(student.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)))
    low, high = round(float(v.mean()) - half, 2), round(float(v.mean()) + half, 2)
    return {"mean": round(float(v.mean()), 2), "low": low, "high": high, "n": len(v)}


def by_image(rows: list[dict], who: str, key: str = "psnr") -> np.ndarray:
    """Return each image's mean over seeds."""
    mine = [row for row in rows if row["who"] == who]
    images = sorted({row["image"] for row in mine})
    return np.array([np.mean([r[key] for r in mine if r["image"] == i]) for i in images])


def summary(rows: list[dict], variation: float) -> dict[str, object]:
    """Return the figures of all pairs."""
    kept = [r for r in rows if r["who"] == "ours" or r["variation"] == variation]
    ours, theirs = by_image(kept, "ours"), by_image(kept, "peer")
    milliseconds = {
        w: np.median([r["ms"] for r in kept if r["who"] == w]) for w in ("ours", "peer")
    }
    return {
        "images": len(ours),
        "seeds": len({r["seed"] for r in kept}),
        "peer's best total variation": variation,
        "PSNR (dB), ours": spread(ours),
        "PSNR (dB), peer": spread(theirs),
        "PSNR (dB), blind": spread(by_image(kept, "ours", "blind")),
        "ours minus peer (dB)": spread(ours - theirs),
        "images on which ours is ahead": int((ours > theirs).sum()),
        "CPU ms an iteration, ours": round(float(milliseconds["ours"]), 1),
        "CPU ms an iteration, peer": round(float(milliseconds["peer"]), 1),
        "each": [
            {k: round(v, 3) if k in ("psnr", "ms") else v for k, v in r.items()} for r in rows
        ],
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--slice", type=int, default=1)
    given = parser.parse_args()
    if not installed() or not DATA.exists():
        sys.exit("skipped: it takes the package breaching, and shared/data")
    count, iterations = (IMAGES, ITERATIONS) if given.slice == 1 else (2, ITERATIONS // given.slice)
    x, y = pictures(count)

    def jobs(who: str, seeds: Iterable[int], variations: Iterable[float]) -> list[tuple]:
        return [
            (who, i, seed, iterations, v, x[i], int(y[i]))
            for v in variations
            for i in range(count)
            for seed in seeds
        ]

    with multiprocessing.get_context("fork").Pool(given.workers, maxtasksperchild=1) as pool:
        rows = pool.map(paired, jobs("peer", SEEDS[:1], VARIATIONS), chunksize=1)
        means = {v: np.mean([r["psnr"] for r in rows if r["variation"] == v]) for v in VARIATIONS}
        best = max(VARIATIONS, key=lambda v: means[v])
        # One after the other, so that both have the machine as it is then.
        both = zip(jobs("ours", SEEDS, (0.0,)), jobs("peer", SEEDS, (best,)), strict=True)
        rest = [job for pair in both for job in pair if job[0] == "ours" or job[2] != SEEDS[0]]
        for row in pool.imap(paired, rest):
            rows.append(row)
            print({k: row[k] for k in ("who", "image", "seed", "psnr", "residual")}, flush=True)
    figures = {"iterations": iterations, **summary(rows, best)}
    if given.slice == 1:
        print(evidence.write("inversion_paired", figures, CODE))
    print(json.dumps({k: v for k, v in figures.items() if k != "each"}, indent=1))


if __name__ == "__main__":
    main()
