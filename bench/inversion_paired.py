"""Inversion by optimisation against the published attack, on the same images, and after FedAvg.

Paired: 20 images of CIFAR-10's training file, one untrained ConvNetSmall of width 32 for each, one
gradient in evaluation mode, labels known, 1,000 iterations, three seeds. The published attack
(Geiping et al. 2020, section 4: cosine distance, signed Adam at .1 with steps of .1 after 3/8, 5/8
and 7/8, total variation, pixels within bounds) has the weight of the total variation that is best
for it in the mean over all images with the first seed; ours chooses by the residual alone. The
difference is the mean over images of the mean over seeds, with a t interval over images. Where the
framework ``breaching`` can be imported its own attack runs too, first seed.

Federated: four images, two epochs of SGD with momentum .9, in training mode; the residual of the
true records, of noisy ones, and what is recovered.

Blind: the mean colour. PSNR after the Hungarian method: a description.
Writes results/inversion_paired.json. About 45 CPU minutes: ``--workers``; ``--slice`` for a trial.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import multiprocessing
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing.pool import Pool
from pathlib import Path

import evidence
import numpy as np
import torch
from leakpro_fl.client import TorchClient
from leakpro_fl.inversion import InversionOptions, attack, update_of
from leakpro_fl.objective import objective_of
from leakpro_fl.seen import seen
from scipy.optimize import linear_sum_assignment
from scipy.stats import t as student
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Disclosed
from leakpro_core.testing.conformance import PlainRun

sys.path.insert(0, str(evidence.ROOT / "plugins" / "leakpro_fl" / "tests"))
from networks import ConvNetBN, ConvNetSmall, seeded

CODE = (
    "bench/inversion_paired.py",
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
FEDERATED = {
    "batch norm, one batch": (lambda: seeded(ConvNetBN, 8, seed=0), 4, 400),
    "batch norm, batches of two": (lambda: seeded(ConvNetBN, 8, seed=0), 2, 300),
    "no batch norm, one batch": (lambda: seeded(ConvNetSmall, 8, seed=0), 4, 1000),
}
"""Network, size of a step's batch, iterations."""


def normalised(images: np.ndarray) -> np.ndarray:
    """Return bytes ``[n, 32, 32, 3]`` as the model sees them, float32 ``[n, 3, 32, 32]``."""
    return ((images / 255.0 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)


def challenge(
    module: nn.Module, images: np.ndarray, y: np.ndarray, disclosed: Disclosed
) -> InversionChallenge:
    """Return what an adversary gets who knows all but the records."""
    before = {name: v.numpy().copy() for name, v in module.state_dict().items()}
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


def published(
    given: InversionChallenge, iterations: int, variation: float, seed: int
) -> np.ndarray:
    """Return what the published attack finds, float32 ``[b, 3, 32, 32]``."""
    model = given.model
    sent = [torch.from_numpy(np.array(given.update[n])) for n, _ in model.named_parameters()]
    length = sum(s.square().sum() for s in sent).sqrt()
    y, rng = torch.from_numpy(np.array(given.labels)), torch.Generator().manual_seed(seed)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    x = torch.randn(len(y), 3, 32, 32, generator=rng).requires_grad_()
    adam = torch.optim.Adam([x], lr=0.1)
    milestones = [round(iterations * share) for share in (3 / 8, 5 / 8, 7 / 8)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(adam, milestones, gamma=0.1)
    least, best = float("inf"), x.detach().clone()
    for _ in range(iterations):
        made = torch.autograd.grad(
            cross_entropy(model(x), y), list(model.parameters()), create_graph=True
        )
        along = sum((a * b).sum() for a, b in zip(made, sent, strict=True))
        cosine = along / (sum(a.square().sum() for a in made).sqrt() * length)
        value = 1.0 - cosine + variation * _variation(x)
        x.grad = torch.autograd.grad(value, x)[0].sign()
        adam.step()
        schedule.step()
        with torch.no_grad():
            x.copy_(torch.minimum(torch.maximum(x, -mean / std), (1.0 - mean) / std))
        if float(value.detach()) < least:
            least, best = float(value.detach()), x.detach().clone()
    return best.numpy()


def _variation(x: Tensor) -> Tensor:
    return (x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()


def framework(
    given: InversionChallenge, iterations: int, variation: float, seed: int
) -> np.ndarray:
    """Return what the framework's own preset finds, with that weight of the total variation."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import breaching
        from omegaconf import OmegaConf

        how = breaching.get_attack_config("invertinggradients")
    how.optim.max_iterations = iterations
    how.regularization.total_variation.scale = variation
    module, y = given.model, torch.from_numpy(np.array(given.labels))
    about = {"shape": [3, 32, 32], "mean": list(MEAN), "std": list(STD)}
    meta = OmegaConf.create(about | {"modality": "vision", "task": "classification"})
    torch.manual_seed(seed)
    device = {"dtype": torch.float, "device": torch.device("cpu")}
    attacker = breaching.attacks.prepare_attack(module, nn.CrossEntropyLoss(), how, device)
    payload = {
        "parameters": [p.detach().clone() for p in module.parameters()],
        "buffers": [b.clone() for b in module.buffers()],
        "metadata": meta,
    }
    said = {"num_data_points": len(y), "labels": y, "local_hyperparams": None}
    sent = [torch.from_numpy(np.array(given.update[n])) for n, _ in module.named_parameters()]
    shared = {"gradients": sent, "buffers": None, "metadata": said}
    return attacker.reconstruct([payload], [shared], {})[0]["data"].numpy()


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
        attacker = published if who == "published" else framework
        records = attacker(given, iterations, variation, seed)
    spent = 1000.0 * (time.process_time() - start) / iterations
    return {
        "who": who,
        "image": image,
        "seed": seed,
        "variation": variation,
        "psnr": decibels(records, pixels[None]),
        "blind": decibels(np.zeros((1, 3, 32, 32)), pixels[None]),
        "residual": residual,
        "ms": spent,
    }


def federated(job: tuple[str, np.ndarray, np.ndarray, int]) -> dict[str, object]:
    """Return the figures of one case of FedAvg."""
    name, pixels, y, share = job
    torch.set_num_threads(1)
    make, size, iterations = FEDERATED[name]
    iterations = max(20, iterations // share)
    disclosed = Disclosed(
        kind="weights",
        examples=len(y),
        optimiser="sgd",
        lr=0.01,
        momentum=0.9,
        epochs=2,
        batch_size=size,
        shuffled=size < len(y),
        mode="train",
        mean=MEAN,
        std=STD,
    )
    given = challenge(make(), pixels, y, disclosed)
    x, labels = torch.from_numpy(normalised(pixels)), torch.from_numpy(y)
    update, sent, statistics = update_of(given, seen(given), len(y), train=True)
    rng = torch.Generator().manual_seed(0)
    blind = [(torch.randn(x.shape, generator=rng), labels) for _ in range(4)]
    objective = objective_of(update, sent, blind, scaled=True, statistics=statistics)
    noisy = {
        str(noise): round(
            objective.residual(x + noise * torch.randn(x.shape, generator=rng), labels), 6
        )
        for noise in (0.0, 0.01, 0.1, 1.0)
    }
    start = time.process_time()
    run = PlainRun(seed=0, scratch=Path())
    answer = attack(given, InversionOptions(iterations=iterations), run)
    spent = 1000.0 * (time.process_time() - start) / iterations
    return {
        "case": name,
        "iterations": iterations,
        "residual by noise added to the true records, in their order": noisy,
        "residual": round(answer.residual, 4),
        "PSNR (dB)": round(decibels(answer.records, pixels), 2),
        "PSNR (dB), blind": round(decibels(np.zeros(x.shape), pixels), 2),
        "CPU ms an iteration": round(spent, 1),
        "notes": list(answer.notes),
    }


def pictures(file: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return images, bytes ``[n, 32, 32, 3]``, and labels: of a file, or CIFAR-10's first."""
    if file is not None:
        with np.load(file) as z:
            return z["x"], z["y"].astype(np.int64)
    import pyarrow.parquet as pq
    from cifar10 import DATA, decoded

    table = next(pq.ParquetFile(DATA / "cifar10-train.parquet").iter_batches(IMAGES + 4))
    x = np.stack([decoded(content.as_py()).transpose(1, 2, 0) for content in table["image"]])
    return x, np.array(table["label"]).astype(np.int64)


def spread(values: Iterable[float]) -> dict[str, object]:
    """Return mean, 95% t interval and number of values."""
    v = np.array(list(values))
    half = float(student.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)))
    low, high = round(float(v.mean()) - half, 2), round(float(v.mean()) + half, 2)
    return {"mean": round(float(v.mean()), 2), "low": low, "high": high, "n": len(v)}


def by_image(rows: list[dict], who: str, key: str = "psnr") -> dict[int, float]:
    """Return each image's mean over seeds, where it was finished."""
    mine = [row for row in rows if row["who"] == who]
    return {
        image: float(np.mean([row[key] for row in mine if row["image"] == image]))
        for image in {row["image"] for row in mine}
    }


def summary(rows: list[dict], variation: float) -> dict[str, object]:
    """Return the figures of all pairs."""
    kept = [r for r in rows if r["who"] != "published" or r["variation"] == variation]
    ours, theirs = by_image(kept, "ours"), by_image(kept, "published")
    own, blind = by_image(kept, "framework"), by_image(kept, "ours", "blind")
    both = sorted(ours.keys() & theirs.keys())
    figures: dict[str, object] = {
        "images": len(both),
        "seeds": len({r["seed"] for r in kept if r["who"] == "ours"}),
        "published attack's best total variation": variation,
        "PSNR (dB), ours": spread(ours[i] for i in both),
        "PSNR (dB), published": spread(theirs[i] for i in both),
        "PSNR (dB), blind": spread(blind[i] for i in both),
        "ours minus published (dB)": spread(ours[i] - theirs[i] for i in both),
        "images on which ours is ahead": sum(ours[i] > theirs[i] for i in both),
    }
    if own:
        first = by_image([r for r in kept if r["seed"] == SEEDS[0]], "ours")
        these = sorted(first.keys() & own.keys())
        figures["PSNR (dB), framework, first seed"] = spread(own[i] for i in these)
        figures["ours minus framework (dB), first seed"] = spread(first[i] - own[i] for i in these)
    for who in ("ours", "published", "framework"):
        spent = [r["ms"] for r in kept if r["who"] == who]
        if spent:
            figures[f"CPU ms an iteration, {who}, median"] = round(float(np.median(spent)), 1)
    return figures


def gathered(pool: Pool, what: Callable, jobs: list, ends: float) -> list:
    """Return the results of jobs that are finished in time."""
    found, results = [], pool.imap_unordered(what, jobs)
    for _ in jobs:
        try:
            found.append(results.next(timeout=max(0.1, ends - time.monotonic())))
        except multiprocessing.TimeoutError:
            break
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--slice", type=int, default=1, help="one image and 1/n of iterations")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--limit", type=float, default=1e6, help="seconds, then what is finished")
    parser.add_argument("--out", type=Path, help="a file for the figures instead of results")
    parser.add_argument("--device", default=platform.machine(), help="the machine, in words")
    given = parser.parse_args()
    x, y = pictures(given.images)
    several, count = given.slice, IMAGES if given.slice == 1 else 2
    ends = time.monotonic() + given.limit

    def jobs(who: str, seeds: Iterable[int], variations: Iterable[float]) -> list[tuple]:
        return [
            (who, i, seed, ITERATIONS // several, v, x[i], int(y[i]))
            for seed in seeds
            for v in variations
            for i in range(count)
        ]

    four = IMAGES + np.argsort(y[IMAGES : IMAGES + 4], kind="stable")
    with multiprocessing.get_context("fork").Pool(given.workers) as pool:
        locals_ = [(name, x[four], y[four], several) for name in FEDERATED]
        fed = [pool.apply_async(federated, (job,)) for job in locals_]
        own = importlib.util.find_spec("breaching") is not None
        rows = gathered(pool, paired, jobs("published", SEEDS[:1], VARIATIONS), ends)
        means = {v: np.mean([r["psnr"] for r in rows if r["variation"] == v]) for v in VARIATIONS}
        best = max(VARIATIONS, key=lambda v: means[v])
        rest = jobs("ours", SEEDS, (0.0,)) + jobs("published", SEEDS[1:], (best,))
        rest += jobs("framework", SEEDS[:1], (best,)) if own else []
        rows += gathered(pool, paired, rest, ends)
        figures: dict[str, object] = {"machine": given.device, "iterations": ITERATIONS // several}
        figures["paired"] = summary(rows, best)
        for each in fed:
            each.wait(max(0.0, min(ends - time.monotonic(), threading.TIMEOUT_MAX)))
        figures["federated"] = [each.get() for each in fed if each.ready()]
        pool.terminate()
    if given.out is None:
        print(evidence.write("inversion_paired", figures, CODE))
    else:
        given.out.write_text(json.dumps({"figures": figures, "rows": rows}, indent=1))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
