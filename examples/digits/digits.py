"""The demo: scikit-learn's digits, a tenth of whose labels are wrong, and a small MLP."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

NOISE = 0.1


def data() -> dict[str, NDArray[np.generic]]:
    """Return records ``x``, float32 [1797, 64] in [0, 1], and labels ``y``, int64.

    A model that fits a wrong label has memorised that record.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    random = np.random.default_rng(0)
    labels = digits.target.astype(np.int64)
    wrong = random.random(len(labels)) < NOISE
    labels[wrong] = (labels[wrong] + random.integers(1, 10, wrong.sum())) % 10
    return {"x": (digits.data / 16).astype(np.float32), "y": labels}


def mlp() -> "torch.nn.Module":
    """Return a fresh, untrained classifier: 64 inputs, 10 logits."""
    from torch import nn

    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
