"""Augmentations of image batches ``[n, C, H, W]`` by draws that are given (``recipes.epochs``)."""

import torch
from torch.nn.functional import pad


def flip(images: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Return the images, those of bool ``mirrored`` ``[n]`` from left to right."""
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def crop(images: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Return windows of the images over a border of reflected pixels, an eighth of their size.

    starts: int64 ``[n, 2]``, the window's first row and column in the padded image.
    """
    height, width = images.shape[-2:]
    down, right = height // 8, width // 8
    padded = pad(images, (right, right, down, down), mode="reflect")
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view [n, C, rows, columns, H, W]
    each = torch.arange(len(images), device=images.device)
    return windows[each, :, starts[:, 0], starts[:, 1]]
