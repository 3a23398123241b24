"""The demo of federated learning: scikit-learn's digits, and a small fully connected network."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def data() -> dict[str, NDArray[np.generic]]:
    """Return records ``x``, float32 [1797, 64], standardised, labels ``y``, the client's third."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    members = np.random.default_rng(0).random(len(digits.target)) < 1 / 3
    return {
        "x": ((digits.data - 4.9) / 6.0).astype(np.float32),
        "y": digits.target.astype(np.int64),
        "members": members,
    }


def mlp() -> "torch.nn.Module":
    """Return a fresh, untrained classifier: 64 inputs, 10 logits."""
    from torch import nn

    hidden = 200
    return nn.Sequential(
        nn.Linear(64, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )
