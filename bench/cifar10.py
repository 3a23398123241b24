"""CIFAR-10 by a small residual network: 64 shadows on half of the records each, on one GPU.

Runs ``plans/cifar10.toml`` through the whole pipeline: outputs, scores and report included. Prints
wall time, the models' accuracy on the test set (the bar: 90% within 10 minutes on an H200-class
card) and TPR at FPR 0.1% of each attack beside published figures; writes results/cifar10.json.

``--shadows N``: one target and N shadows, where a GPU is lent for minutes only.
``--slice``: some hundred images, few small models, one epoch, on the CPU; writes nothing. It shows
that the script works and says nothing about time, accuracy or attacks.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import evidence
import numpy as np
import pandas as pd
import torch
from PIL import Image

from leakpro_core.statistics import roc

DATA = evidence.ROOT.parent / "shared" / "data"
PLANS = Path(__file__).parent / "plans"
CODE = (
    "bench/cifar10.py",
    "bench/plans/cifar10.toml",
    "bench/plans/resnet.py",
    "plugins/leakpro_torch/src/leakpro_torch/*.py",
)
PUBLISHED = {"lira": "0.059 to 0.070 with 16 shadows, wide ResNet, variance pooled"}
"""TPR at FPR 0.1% on CIFAR-10; per-record variance: 0.017 to 0.024."""

SMALLER = {
    "targets = 4": "targets = 1",
    "count = 64": "count = 6",
    "resnet:resnet": "resnet:small_resnet",
    'device = "cuda"': 'device = "cpu"',
    'precision = "bfloat16"': 'precision = "float32"',
    "epochs = 24": "epochs = 1",
    "warmup = 3": "warmup = 0",
    "batch_size = 256": "batch_size = 32",
}
"""What a slice changes in the plan."""


def main() -> None:
    """Run the audit, print its figures and write them unless they are of a slice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slice", action="store_true", help="a small one, on the CPU")
    parser.add_argument("--shadows", type=int, help="so many and one target, where time is short")
    asked = parser.parse_args()
    small = asked.slice
    if not (DATA / "cifar10-train.parquet").exists():
        sys.exit(f"skipped: no cifar10-train.parquet in {DATA}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, small=small, shadows=asked.shadows)
        command = [Path(sys.executable).with_name("leakpro"), "audit", folder / "cifar10.toml"]
        started = time.perf_counter()
        # Exit codes up to 2 are verdicts of a complete audit.
        if subprocess.run([*command, "--out", folder / "run"], check=False).returncode > 2:
            sys.exit("the audit failed")
        seconds = time.perf_counter() - started
        found = figures(folder / "run", len(np.load(folder / "test.npz")["y"]))
    for each in found["strength"]:
        print(each)
    if small:
        print(f"test accuracy of the slice {found['test accuracy']}")
        print("time and accuracy of the whole: not measured by a slice")
        return
    models = 68 if asked.shadows is None else asked.shadows + 1
    found |= {"models": models, "wall time in seconds": round(seconds)}
    found |= {"seconds a model": round(seconds / models, 1), "device": torch.cuda.get_device_name()}
    print(f"{seconds:.0f} s in all, test accuracy {found['test accuracy']}")
    print(evidence.write("cifar10", found, CODE))


def prepare(folder: Path, *, small: bool, shadows: int | None = None) -> None:
    """Write plan, model and images to ``folder``; shadows: how many, with one target."""
    plan = (PLANS / "cifar10.toml").read_text(encoding="utf-8")
    if small:
        for whole, part in SMALLER.items():
            if whole not in plan:
                raise ValueError(f"no {whole!r} in the plan")
            plan = plan.replace(whole, part)
    elif shadows is not None:
        plan = plan.replace("targets = 4", "targets = 1").replace(
            "count = 64", f"count = {shadows}"
        )
    (folder / "cifar10.toml").write_text(plan, encoding="utf-8")
    shutil.copy(PLANS / "resnet.py", folder)
    for name, most in (("train", 400), ("test", 100)):
        table = pd.read_parquet(DATA / f"cifar10-{name}.parquet")
        table = table.head(most) if small else table
        images = np.stack([decoded(content) for content in table["image"]])
        np.savez(folder / f"{name}.npz", x=images, y=table["label"].to_numpy(np.int64))


def decoded(content: bytes) -> np.ndarray:
    """Return a JPEG image as uint8 ``[3, 32, 32]``."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def figures(run: Path, held_out: int) -> dict[str, object]:
    """Return the mean over targets of AUC and TPR of each attack, and the models' accuracy."""
    return {
        "strength": [
            strength(path.stem, pd.read_parquet(path))
            for path in sorted((run / "evidence").glob("*.parquet"))
        ],
        "test accuracy": accuracy(run, held_out),
    }


def strength(attack: str, rounds: pd.DataFrame) -> dict[str, object]:
    """Return one row of the figures."""
    curves = [roc(t["claim"], t["arm"] == "exposed") for _, t in rounds.groupby("cluster")]
    # The highest TPR with at most floor(0.001 n) false positives.
    tpr = [c.tpr[np.searchsorted(c.fpr, 0.001 + 1e-12, side="right") - 1] for c in curves]
    auc = [np.trapezoid(c.tpr, c.fpr) for c in curves]
    return {
        "attack": attack,
        "AUC": round(float(np.mean(auc)), 4),
        "TPR at FPR 0.1%": round(float(np.mean(tpr)), 4),
        "targets": len(curves),
        "published": PUBLISHED.get(attack, ""),
    }


def accuracy(run: Path, held_out: int) -> str:
    """Return least, mean and most of the models' accuracy on the test set, the last records.

    A record is classified rightly where its margin is positive; no other signal ever is.
    """
    shares: list[float] = []
    for path in (run / "signals").glob("*.npy"):
        values = np.load(path, mmap_mode="r")[:, -held_out:, 0]  # [models, records, queries]
        if (values > 0).any():
            shares += list((values > 0).mean(1))
    return f"{min(shares):.3f} to {max(shares):.3f}, mean {np.mean(shares):.3f}"


if __name__ == "__main__":
    main()
