"""Matrices of low rank and noise: their span, what of them is missing, rows that repeat."""

import math

import torch
from attrs import field, frozen
from torch import Tensor

SURE = 6.0
"""Standard deviations of the noise within which a number counts as 0."""


@frozen(kw_only=True)
class Span:
    """A matrix of low rank and noise: ``left @ right``, float64.

    left: ``[m, r]``, of rows that are not all 0; right: ``[r, n]``, orthonormal rows; rows: int64
    ``[m]``, which rows of the matrix these are; noise: ``[m]``, standard deviation of one entry of
    the matrix, by row, as what lies outside the span shows it.
    """

    left: Tensor = field(repr=False)
    right: Tensor = field(repr=False)
    rows: Tensor = field(repr=False)
    noise: Tensor = field(repr=False)

    @property
    def rank(self) -> int:
        """Return r."""
        return self.left.shape[1]


def span_of(matrix: Tensor, most: int | None) -> Span | None:
    """Return the span of a matrix ``[m, n]``, float64; None where noise and rank leave no gap.

    most: the largest rank that it can have but for noise, None where that is not known.
    """
    rows = torch.nonzero(matrix.abs().amax(dim=1) > 0)[:, 0]
    kept = matrix[rows]
    if min(kept.shape) < 2:
        return None if not len(rows) else _project(kept, rows, 1)
    rank = _rank(torch.linalg.svdvals(kept @ _compressed(kept)), most)
    return None if rank is None else _project(kept, rows, rank)


def _compressed(matrix: Tensor) -> Tensor:
    """Return orthonormal columns whose span is that of the rows of a wide matrix."""
    if matrix.shape[0] >= matrix.shape[1]:
        return torch.eye(matrix.shape[1], dtype=matrix.dtype)
    columns: Tensor = torch.linalg.qr(matrix.T)[0]
    return columns


def _project(matrix: Tensor, rows: Tensor, rank: int) -> Span:
    right = torch.linalg.svd(matrix, full_matrices=False)[2][:rank]
    left = matrix @ right.T
    free = max(1, matrix.shape[1] - rank)
    noise = (matrix - left @ right).norm(dim=1) / math.sqrt(free)
    # No number of float64 is better than that.
    floor = 1e-15 * matrix.norm(dim=1)
    return Span(left=left, right=right, rows=rows, noise=torch.maximum(noise, floor))


def _rank(values: Tensor, most: int | None) -> int | None:
    """Return the number of singular values above the noise, by the widest gap between two."""
    top = values.clamp(min=1e-15 * float(values[0]))
    if most is not None and most < len(top):
        # What follows the largest rank is noise.
        return max(1, int((top[:most] > _GAP * top[most]).sum()))
    if most is not None and most == len(top):
        return most
    gaps = top[:-1] / top[1:]
    best = int(gaps.argmax())
    return best + 1 if float(gaps[best]) > 2 * _GAP else None


_GAP = 3.0
"""How much larger than the largest of the noise a singular value must be."""


def completed(matrix: Tensor, known: Tensor, most: int | None) -> Span | None:
    """Return the span of a matrix ``[m, n]`` of which not all entries are known.

    The others are filled in so that the rank is ``most``, by alternating least squares; without it
    so that it is the least that the known entries allow.
    """
    rows = torch.nonzero((known & (matrix != 0)).any(dim=1))[:, 0]
    if not len(rows):
        return None
    for rank in range(1, 33) if most is None else [min(most, len(rows))]:
        span = _filled(matrix[rows], known[rows], rows, rank)
        if most is not None or float(span.noise.norm() / span.left.norm()) < _FILLED:
            return span
    return None


_FILLED = 1e-5
"""Noise over length at which known entries count as those of a matrix of low rank."""


def _filled(matrix: Tensor, known: Tensor, rows: Tensor, rank: int) -> Span:
    """Return the span of the given rank that fits the known entries.

    It is fitted where enough is known; the last column, the bias, always counts. What is missing is
    among the smallest, so it is 0 but for little, which matters where nearly nothing is known.
    """
    much = known.sum(dim=0) > rank + 1
    much[-1] = True
    there = matrix * known
    right = torch.linalg.svd(there[:, much], full_matrices=False)[2][:rank]
    last = math.inf
    for _ in range(_ROUNDS):
        left = torch.linalg.qr(left_of(there[:, much], known[:, much], right))[0]
        right = right_of(there[:, much], known[:, much], left)
        off = float(((left @ right - there[:, much]) * known[:, much]).norm() / there.norm())
        if off > 0.97 * last or off < 1e-12:
            break
        last = off
    right = torch.linalg.qr(right.T)[0].T
    left = left_of(there[:, much], known[:, much], right)
    count = known[:, much].sum(dim=1)
    apart = ((left @ right - there[:, much]) * known[:, much]).norm(dim=1)
    # Entries are known to float32 at best.
    noise = apart / (count - rank).clamp(min=1).sqrt()
    noise = torch.maximum(noise, 1e-7 * there.norm(dim=1) / count.clamp(min=1).sqrt())
    sure = count >= 3 * rank
    whole = right_of(there[sure], known[sure], left[sure], noise[sure])
    # The fewer entries of a row are known, the less is known of its derivatives.
    noise = noise * (matrix.shape[1] / count.clamp(min=1)).sqrt()
    return Span(left=left[sure], right=whole, rows=rows[sure], noise=noise[sure])


_ROUNDS = 200


def left_of(matrix: Tensor, known: Tensor, right: Tensor) -> Tensor:
    """Return what ``right [r, n]`` is to be multiplied by to give the known entries, ``[m, r]``."""
    return right_of(matrix.T, known.T, right.T).T


def right_of(matrix: Tensor, known: Tensor, left: Tensor, noise: Tensor | None = None) -> Tensor:
    """Return what ``left`` is to be multiplied by to give the known entries, ``[r, n]``.

    Weighted least squares. matrix: ``[m, n]``, 0 where it is not known, which there is likely but
    counts for nearly nothing; known: bool; left: ``[m, r]``; noise: ``[m]``, standard deviation of
    the entries of a row.
    """
    weight = torch.ones(len(matrix), dtype=matrix.dtype)
    if noise is not None:
        weight = 1.0 / noise.clamp(min=1e-9 * float(noise.max())).square()
        weight = weight / weight.mean()
    if bool(known.all()):
        root = weight.sqrt()[:, None]
        solved: Tensor = torch.linalg.lstsq(root * left, root * matrix).solution
        return solved
    rank = left.shape[1]
    there = known.to(matrix.dtype) + _LIKELY * (~known).to(matrix.dtype)
    squares = (left[:, :, None] * left[:, None, :]).flatten(1) * weight[:, None]
    normal = (there.T @ squares).reshape(-1, rank, rank)
    wanted = (matrix * known).T @ (left * weight[:, None])
    right: Tensor = torch.linalg.solve(normal, wanted).T
    return right


_LIKELY = 1e-9
"""Weight of an entry that is not known as one of 0."""


def zeros(span: Span, q: Tensor) -> Tensor:
    """Return where ``left @ q`` is 0 but for noise, bool ``[m, r]``; q: ``[r, r]``."""
    within: Tensor = (span.left @ q).abs() < SURE * torch.outer(span.noise, q.norm(dim=0))
    return within


def alone(matrix: Tensor) -> Tensor:
    """Return rows ``[k, n]`` that several rows of ``[m, n]`` are multiples of, most frequent first.

    A neuron that one record alone switches on has that record for a row, whatever its length.
    """
    rows = matrix[matrix.norm(dim=1) > 1e-9 * matrix.norm(dim=1).max()]
    rows = rows[rows[:, -1].abs() > 1e-9 * rows.norm(dim=1)]
    rows = rows * rows[:, -1:].sign() / rows.norm(dim=1, keepdim=True)
    found: list[tuple[int, Tensor]] = []
    free = torch.ones(len(rows), dtype=torch.bool)
    for i in range(len(rows)):
        if free[i]:
            same = free & ((rows - rows[i]).norm(dim=1) < _PARALLEL)
            free &= ~same
            if int(same.sum()) > 1:
                found.append((int(same.sum()), rows[same].mean(dim=0)))
    found.sort(key=lambda each: -each[0])
    return torch.stack([row for _, row in found]) if found else matrix[:0]


_PARALLEL = 1e-3
"""Distance at which rows of length 1 are multiples of one record, in half precision too."""
