"""Inversion by optimisation after FedAvg: four images, two epochs, momentum .9, in training mode.

Beside what is recovered: the residual of the true records, which has to be the least, of noisy
ones, and of what was found. All in the order in which the records come: where the client shuffles,
that is not the order of its steps, which nobody but the client knows. Blind: the mean colour. PSNR
after the Hungarian method: a description.
Writes results/inversion_federated.json. About ten CPU minutes; needs shared/data.
"""

import argparse
import sys
import time
from pathlib import Path

import evidence
import numpy as np
import torch
from inversion_paired import DATA, MEAN, STD, challenge, decibels, normalised, pictures
from leakpro_fl.inversion import InversionOptions, attack, update_of
from leakpro_fl.objective import objective_of
from leakpro_fl.seen import seen
from networks import ConvNetBN, ConvNetSmall, seeded

from leakpro_core.records import Disclosed
from leakpro_core.testing.conformance import PlainRun

CODE = (
    "bench/inversion_federated.py",
    "plugins/leakpro_fl/tests/networks.py",
    *(
        f"plugins/leakpro_fl/src/leakpro_fl/{name}.py"
        for name in (
            *("batch_norm", "client", "inversion", "labels", "objective", "priors", "procedure"),
            *("search", "seen", "visible"),
        )
    ),
)
CASES = {
    "batch norm, batches of four": (lambda: seeded(ConvNetBN, 8, seed=0), 4, False, 400),
    "batch norm, batches of two": (lambda: seeded(ConvNetBN, 8, seed=0), 2, False, 300),
    "batch norm, batches of two, shuffled": (lambda: seeded(ConvNetBN, 8, seed=0), 2, True, 300),
    "no batch norm, batches of four": (lambda: seeded(ConvNetSmall, 8, seed=0), 4, False, 1000),
}
"""Network, size of a step's batch, whether records are shuffled for each epoch, iterations."""

SKIPPED = 20
"""Images of the file that other scripts use."""


def measured(name: str, iterations: int | None) -> dict[str, object]:
    """Return the figures of one case."""
    make, size, shuffled, usual = CASES[name]
    count = usual if iterations is None else iterations
    images, y = (each[SKIPPED:] for each in pictures(SKIPPED + 4))
    order = np.argsort(y, kind="stable")
    images, y = images[order], y[order]
    disclosed = Disclosed(
        kind="weights",
        examples=len(y),
        optimiser="sgd",
        lr=0.01,
        momentum=0.9,
        epochs=2,
        batch_size=size,
        shuffled=shuffled,
        mode="train",
        mean=MEAN,
        std=STD,
    )
    given = challenge(make(), images, y, disclosed)
    x, labels = torch.from_numpy(normalised(images)), torch.from_numpy(y)
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
    answer = attack(given, InversionOptions(iterations=count), run)
    return {
        "case": name,
        "iterations": count,
        "residual by noise added to the true records": noisy,
        "residual": round(answer.residual, 4),
        "PSNR (dB)": round(decibels(answer.records, images), 2),
        "PSNR (dB), blind": round(decibels(np.zeros(x.shape), images), 2),
        "CPU ms an iteration": round(1000.0 * (time.process_time() - start) / count, 1),
        "notes": list(answer.notes),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--iterations", type=int, help="for a trial, which writes nothing")
    given = parser.parse_args()
    if not DATA.exists():
        sys.exit("skipped: it takes shared/data")
    torch.set_num_threads(1)
    rows = []
    for name in CASES:
        rows.append(measured(name, given.iterations))
        print(rows[-1], flush=True)
    if given.iterations is None:
        print(evidence.write("inversion_federated", {"one_thread": rows}, CODE))


if __name__ == "__main__":
    main()
