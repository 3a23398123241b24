"""Augmentations of image batches, a few lines on tensors ``[n, C, H, W]``."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import pad


def augmented(
    images: torch.Tensor, names: Sequence[str], random: np.random.Generator
) -> torch.Tensor:
    """Return the float32 batch with each of "flip" and "crop" that is named, per image."""
    if "flip" in names:
        images = flip(images, random)
    if "crop" in names:
        images = crop(images, random)
    return images


def flip(images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Mirror each image left to right with probability 1/2."""
    mirrored = torch.from_numpy(random.random(len(images)) < 0.5)
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def crop(images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Shift each image by up to an eighth of its height and width over a reflected border."""
    n, channels, height, width = images.shape
    down, right = height // 8, width // 8
    padded = pad(images, (right, right, down, down), mode="reflect")
    rows = _window(n, down, height, random)[:, None, :, None]
    columns = _window(n, right, width, random)[:, None, None, :]
    return padded[
        torch.arange(n)[:, None, None, None], torch.arange(channels)[:, None, None], rows, columns
    ]


def _window(n: int, margin: int, size: int, random: np.random.Generator) -> torch.Tensor:
    starts = torch.from_numpy(random.integers(0, 2 * margin + 1, n))
    return starts[:, None] + torch.arange(size)
