"""Small models, batches and users' files that tests of the loaders share."""

import numpy as np
import torch
from torch import nn

MY_MODELS = """
import torch
from torch import nn


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))


def images():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)
    )


def part_frozen():
    module = mlp()
    module[0].requires_grad_(False)
    return module


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.last = nn.Embedding(20, 4), nn.Linear(4, 5)

    def forward(self, tokens):
        return self.last(self.embed(tokens).mean(1))


def text():
    return Text()


def tied():
    module = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Linear(6, 5))
    module[2].weight = module[0].weight
    return module


def dropping():
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 5))


def lazy():
    return nn.LazyLinear(5)


def a_number():
    return 7


def raises():
    return 1 / 0
"""


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))


def with_batch_norm() -> nn.Module:
    torch.manual_seed(0)
    # A bias before batch norm has a gradient of rounding errors, which Adam makes steps of.
    return nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))


def batch(n: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return records, float32 ``[n, 6]``, and labels, int64 ``[n]``."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 6)).astype(np.float32), rng.integers(0, 5, n)
