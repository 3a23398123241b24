"""The model under audit. The plan names ``build`` by its import path."""

from torch import nn


def build() -> nn.Module:
    """Return a fresh, untrained classifier: 64 inputs, 10 logits."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
