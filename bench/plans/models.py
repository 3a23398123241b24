"""Models of the measured plans."""

from torch import nn


def location_mlp():
    """Return the classifier of Location-30: 446 binary features, 30 classes."""
    return nn.Sequential(nn.Linear(446, 128), nn.ReLU(), nn.Linear(128, 30))
