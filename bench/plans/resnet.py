"""A small residual network of plain torch for images of 32 by 32 pixels, bytes from 0 to 255.

Eight convolutions with batch norm, two residual blocks: the shape that fast CIFAR-10 recipes have
used since 2018.
"""

import torch
from torch import nn
from torch.nn.functional import max_pool2d


def resnet() -> nn.Module:
    """Return the network at full width: 6.6 million parameters."""
    return ResNet(64)


def small_resnet() -> nn.Module:
    """Return the network at an eighth of the width, for machines without a GPU."""
    return ResNet(8)


def block(inputs: int, outputs: int) -> nn.Module:
    """Return a convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class ResNet(nn.Module):
    """Logits of ten classes for records ``[n, 3, 32, 32]``. width: of the first convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, width), block(width, 2 * width))
        self.first = nn.Sequential(block(2 * width, 2 * width), block(2 * width, 2 * width))
        self.middle = block(2 * width, 4 * width)
        self.last = block(4 * width, 8 * width)
        self.second = nn.Sequential(block(8 * width, 8 * width), block(8 * width, 8 * width))
        self.head = nn.Linear(8 * width, 10)

    def forward(self, records: torch.Tensor) -> torch.Tensor:
        x = max_pool2d(self.stem(records / 127.5 - 1.0), 2)
        x = x + self.first(x)
        x = max_pool2d(self.last(max_pool2d(self.middle(x), 2)), 2)
        x = x + self.second(x)
        return self.head(x.amax((2, 3)))
