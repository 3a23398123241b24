"""Networks that several tests attack, with the state names of reference/gradients.npz."""

import itertools
from collections import OrderedDict

import torch
from torch import Tensor, nn

CHANNELS = 3
CLASSES = 10


class LeNet(nn.Module):
    """Three convolutions with sigmoids, one linear layer (Zhu 2019); for 32x32 images."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(CHANNELS, 12, 5, stride=2, padding=2),
            nn.Sigmoid(),
            nn.Conv2d(12, 12, 5, stride=2, padding=2),
            nn.Sigmoid(),
            nn.Conv2d(12, 12, 5, stride=1, padding=2),
            nn.Sigmoid(),
        )
        self.fc = nn.Sequential(nn.Linear(768, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).flatten(1))


class ConvNetSmall(nn.Module):
    """Four convolutions with ReLU, global average pooling, one linear layer."""

    def __init__(self, w: int = 32) -> None:
        super().__init__()
        self.model = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(CHANNELS, w, 3, padding=1),
                relu0=nn.ReLU(),
                conv1=nn.Conv2d(w, 2 * w, 3, padding=1),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1),
                relu2=nn.ReLU(),
                pool0=nn.MaxPool2d(3),
                conv3=nn.Conv2d(4 * w, 4 * w, 3, stride=2, padding=1),
                relu3=nn.ReLU(),
                pool1=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(4 * w, CLASSES),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class ConvNetBN(nn.Module):
    """Eight convolutions with batch norm and ReLU, two max-pools, one linear layer."""

    def __init__(self, w: int = 16) -> None:
        super().__init__()
        widths = (CHANNELS, w, 2 * w, 2 * w, 4 * w, 4 * w, 4 * w, 4 * w, 4 * w)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(8):
            layers[f"conv{i}"] = nn.Conv2d(widths[i], widths[i + 1], 3, padding=1)
            layers[f"bn{i}"] = nn.BatchNorm2d(widths[i + 1])
            layers[f"relu{i}"] = nn.ReLU()
            if i in (5, 7):
                layers[f"pool{i}"] = nn.MaxPool2d(3)
        layers["flatten"] = nn.Flatten()
        layers["linear"] = nn.Linear(36 * w, CLASSES)
        self.model = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class MLP(nn.Sequential):
    """Flatten, linear layers with ReLU between them; the first is named "1"."""

    def __init__(self, *widths: int, bias: bool = True) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for into, out in itertools.pairwise(widths):
            layers += [nn.Linear(into, out, bias=bias), nn.ReLU()]
        super().__init__(*layers[:-1])


def seeded(make: type[nn.Module], *args: int, seed: int, **named: bool) -> nn.Module:
    """Return an untrained network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(*args, **named)
