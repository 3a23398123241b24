"""Inversion by optimisation on three networks, as many iterations as published figures had.

``reference/gradients.npz``: a convolutional network, one with batch norm (both one image), and
LeNet with sigmoids (four). Labels are known, evaluation mode, one thread; what is chosen is chosen
by the residual. Published: a peer's best of several weights of the total variation, on another
machine. Where the peer is installed (``peer``), it runs in between with the weight that was its
best, as many iterations, for its CPU time on this machine. The floor is a double backward pass of
torch alone. Blind: the image in its mean colour of the data.
Writes results/inversion.json. About six CPU minutes; needs shared/reference.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import evidence
import numpy as np
import torch
from leakpro_fl.inversion import InversionOptions, attack
from leakpro_fl.procedure import own, state_of
from peer import installed, peer
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Disclosed
from leakpro_core.testing.conformance import PlainRun

sys.path.insert(0, str(evidence.ROOT / "plugins" / "leakpro_fl" / "tests"))
from networks import ConvNetBN, ConvNetSmall, LeNet

CODE = (
    "bench/inversion.py",
    "bench/peer.py",
    "plugins/leakpro_fl/tests/networks.py",
    *(
        f"plugins/leakpro_fl/src/leakpro_fl/{name}.py"
        for name in (
            *("batch_norm", "inversion", "labels", "objective", "priors", "procedure"),
            *("search", "seen", "visible"),
        )
    ),
)
REFERENCE = evidence.ROOT.parent / "shared" / "reference" / "gradients.npz"
CASES = {
    "convnetsmall32_b1": (lambda: ConvNetSmall(32), 1000, 19.24, 1e-3),
    "convnetbn16_b1": (lambda: ConvNetBN(16), 1000, 17.59, 0.2),
    "lenetzhu_b4": (LeNet, 2000, 14.90, 0.01),
}
"""Network, iterations, the peer's best PSNR in dB and the weight of the total variation there."""


def challenge(case: str, module: nn.Module) -> tuple[InversionChallenge, np.ndarray]:
    """Return what the adversary gets, and the true images in [0, 1]."""
    with np.load(REFERENCE) as z:
        state = {k.split("/", 2)[2]: z[k] for k in z.files if k.startswith(f"{case}/state/")}
        names = [name for name, _ in module.named_parameters()]
        update = {name: z[f"{case}/grad/{name}"] for name in names}
        y, true = z[f"{case}/labels"], z[f"{case}/images_uint8_nhwc"]
        mean, std = (tuple(z[f"{case}/{n}"].ravel().tolist()) for n in ("mean", "std"))
    order = list(module.state_dict())
    given = InversionChallenge(
        model=module,
        before={name: state[name] for name in order},
        update=update,
        disclosed=Disclosed(kind="gradient", examples=len(y), mode="eval", mean=mean, std=std),
        labels=np.sort(y.astype(np.int64)),
        buffers=tuple(name for name in order if name not in names),
        shape=(3, 32, 32),
        classes=10,
        modality="image",
    )
    return given, true.transpose(0, 3, 1, 2) / 255.0


def decibels(given: InversionChallenge, records: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the PSNR of each image, matched by the Hungarian method: a description."""
    mean, std = (
        np.array(v)[None, :, None, None] for v in (given.disclosed.mean, given.disclosed.std)
    )
    shown = np.clip(records * std + mean, 0.0, 1.0)
    error = ((shown[:, None] - true[None]) ** 2).mean(axis=(2, 3, 4))
    rows, columns = linear_sum_assignment(error)
    return -10.0 * np.log10(error[rows, columns])


def floor(given: InversionChallenge, module: nn.Module, times: int = 40) -> float:
    """Return CPU milliseconds of one gradient of a gradient's distance, by torch alone."""
    model = own(module, train=False)
    state = state_of(given.before)
    names = [n for n, _ in module.named_parameters()]
    there = [state[n].requires_grad_() for n in names]
    target = [torch.from_numpy(np.array(given.update[n])) for n in names]
    x = torch.randn(len(given.labels), 3, 32, 32, requires_grad=True)
    y = torch.from_numpy(np.array(given.labels))
    start = 0.0
    for i in range(times + 5):
        if i == 5:
            start = time.process_time()
        out = cross_entropy(functional_call(model, state, (x,)), y)
        found = torch.autograd.grad(out, there, create_graph=True)
        torch.autograd.grad(sum((a * b).sum() for a, b in zip(found, target, strict=True)), x)
    return 1000.0 * (time.process_time() - start) / times


def timed(what: Callable[[], np.ndarray], iterations: int) -> tuple[np.ndarray, float]:
    """Return what it returns, and CPU milliseconds an iteration."""
    start = time.process_time()
    found = what()
    return found, 1000.0 * (time.process_time() - start) / iterations


def measured(case: str) -> dict[str, object]:
    """Return the figures of one case."""
    make, iterations, published, variation = CASES[case]
    module = make()
    given, true = challenge(case, module)
    run = PlainRun(seed=0, scratch=Path())
    residuals = []

    def ours(count: int) -> np.ndarray:
        answer = attack(given, InversionOptions(iterations=count), run)
        residuals.append(round(float(answer.residual), 4))
        return answer.records

    half, _ = timed(lambda: ours(iterations // 2), iterations // 2)
    theirs = None
    if installed():
        theirs = timed(lambda: peer(given, iterations, variation, seed=0), iterations)
    whole, spent = timed(lambda: ours(iterations), iterations)
    plain = floor(given, module)
    flat = np.zeros((len(true), 3, 32, 32), np.float32)

    def mean(records: np.ndarray) -> float:
        return round(float(decibels(given, records, true).mean()), 2)

    row: dict[str, object] = {
        "case": case,
        "iterations": iterations,
        "PSNR (dB)": mean(whole),
        "PSNR (dB), half of the iterations": mean(half),
        "PSNR (dB), blind": mean(flat),
        "PSNR (dB), published": published,
        "residual": residuals[-1],
        "CPU ms an iteration": round(spent, 1),
        "floor, CPU ms": round(plain, 1),
        "ours / floor": round(spent / plain, 2),
    }
    if theirs is not None:
        row |= {
            "PSNR (dB), peer": mean(theirs[0]),
            "CPU ms an iteration, peer": round(theirs[1], 1),
            "ours / peer": round(spent / theirs[1], 2),
        }
    return row


def main() -> None:
    """Measure and write."""
    if not REFERENCE.exists():
        sys.exit(f"skipped: no {REFERENCE.name} in {REFERENCE.parent}")
    torch.set_num_threads(1)
    rows = []
    for case in CASES:
        rows.append(measured(case))
        print(rows[-1], flush=True)
    print(evidence.write("inversion", {"one_thread": rows}, CODE))


if __name__ == "__main__":
    main()
