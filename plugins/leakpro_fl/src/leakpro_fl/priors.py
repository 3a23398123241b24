"""What is known of records before an update is seen: coarse before fine, smooth, within bounds."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor
from torch.nn.functional import interpolate

from leakpro_core.games.gradient_inversion import InversionChallenge


@frozen(kw_only=True)
class Prior:
    """How guesses of ``[b, *shape]`` records are made of parts that are moved apart.

    An image is the sum of pictures of 2, 4, 8... pixels a side, each enlarged: a step moves broad
    shapes as readily as single pixels, of which each alone tells a gradient little. Other records
    are one part. centre, spread: broadcast to records, where they lie before anything is known and
    how far from there; low, high: bounds, None where none are known.
    levels: heights and widths of the parts of an image, coarsest first; empty for other records;
    enlarge: matrices ``[height, rows]`` and ``[columns, width]`` by which each but the last of them
    is enlarged, bilinearly.
    """

    shape: tuple[int, ...]
    levels: tuple[tuple[int, int], ...]
    centre: Tensor = field(repr=False)
    spread: Tensor = field(repr=False)
    low: Tensor | None = field(default=None, repr=False)
    high: Tensor | None = field(default=None, repr=False)
    enlarge: tuple[tuple[Tensor, Tensor], ...] = field(default=(), repr=False)

    def start(self, b: int, rng: torch.Generator, noise: float) -> list[Tensor]:
        """Return parts of ``b`` records: normal numbers, whose sum has deviation ``noise``."""
        shapes: list[tuple[int, ...]] = [(b, self.shape[0], *level) for level in self.levels]
        shapes = shapes or [(b, *self.shape)]
        scale = noise / math.sqrt(len(shapes))
        drawn = [scale * torch.randn(shape, generator=rng) for shape in shapes]
        return [part.to(self.centre.device) for part in drawn]

    def records(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the records ``[b, *shape]`` of parts, differentiably."""
        if not self.levels:
            return self.centre + self.spread * parts[0]
        whole = parts[len(self.levels) - 1]
        for part, (rows, columns) in zip(parts, self.enlarge, strict=False):
            whole = whole + rows @ part @ columns
        return self.centre + self.spread * whole

    def bounded(self, records: Tensor) -> Tensor:
        """Return the nearest records within the bounds."""
        if self.low is None or self.high is None:
            return records
        return torch.minimum(torch.maximum(records, self.low), self.high)

    def outside(self, records: Tensor) -> Tensor:
        """Return the mean square of how far records lie outside the bounds, in spreads."""
        if self.low is None:
            return records.new_zeros(())
        return ((records - self.bounded(records)) / self.spread).square().mean()

    def variation(self, records: Tensor) -> Tensor:
        """Return the total variation of images, the mean over pixels, in spreads; 0 for others."""
        if not self.levels:
            return records.new_zeros(())
        x = records / self.spread
        across = (x[..., 1:] - x[..., :-1]).abs().mean()
        return across + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()


def prior_of(challenge: InversionChallenge, device: str = "cpu") -> Prior:
    """Return what an adversary knows of records: normalisation, and auxiliary records if any.

    An image's bounds are those of values from 0 to 1 where the normalisation is known, else the
    auxiliary records' by channel; other records' are by column.
    """
    shape, disclosed, auxiliary = challenge.shape, challenge.disclosed, challenge.auxiliary
    image = challenge.modality == "image" and len(shape) == 3
    each = (1, shape[0], 1, 1) if image else (1, *shape)
    low = high = None
    centre, spread = torch.zeros(each), torch.ones(each)
    if auxiliary is not None and auxiliary.records is not None and len(auxiliary.records):
        values = np.asarray(auxiliary.records, dtype=np.float64)
        over = (0, 2, 3) if image else 0
        low, high, middle = (
            torch.from_numpy(f(values, axis=over)).float().reshape(each)
            for f in (np.min, np.max, np.mean)
        )
        far = torch.from_numpy(values.std(axis=over)).float().reshape(each)
        # A column that never varies is known.
        centre, spread = middle, torch.where(far > 0, far, 1e-6)
    if image and disclosed.mean is not None and disclosed.std is not None:
        mean, std = (
            torch.tensor(v).float().reshape(-1, 1, 1) for v in (disclosed.mean, disclosed.std)
        )
        low, high = (((v - mean) / std).expand(each).clone() for v in (0.0, 1.0))
    levels = _levels(shape[1], shape[2]) if image else ()
    return Prior(
        shape=shape,
        levels=levels,
        enlarge=tuple(
            (_bilinear(r, shape[1]).to(device), _bilinear(c, shape[2]).T.contiguous().to(device))
            for r, c in levels[:-1]
        ),
        centre=centre.to(device),
        spread=spread.to(device),
        low=None if low is None else low.to(device),
        high=None if high is None else high.to(device),
    )


def _levels(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return sizes from the image's own, halved and rounded up, to 2 pixels on the short side."""
    sizes = [(height, width)]
    while min(sizes[0]) >= 4:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return tuple(sizes)


def _bilinear(few: int, many: int) -> Tensor:
    """Return the matrix ``[many, few]`` by which a row of pixels is enlarged."""
    unit = torch.eye(few)[None]
    return interpolate(unit, size=many, mode="linear", align_corners=False)[0].T.contiguous()
