"""A network with batch norm, and scikit-learn's digits, of which each client has 64."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

CLIENTS, RECORDS = 2, 64


def network() -> nn.Module:
    """Return a fresh, untrained classifier: images [n, 1, 8, 8], 10 logits."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def client(number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the records of one client, [64, 1, 8, 8] in [0, 1], and their labels."""
    x, y = _digits()
    rows = slice(number * RECORDS, (number + 1) * RECORDS)
    return x[rows], y[rows]


def others() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the records that no client has, and their labels."""
    x, y = _digits()
    return x[CLIENTS * RECORDS :], y[CLIENTS * RECORDS :]


def _digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x = (digits.images[order, None] / 16).astype(np.float32)
    return x, digits.target[order].astype(np.int64)
