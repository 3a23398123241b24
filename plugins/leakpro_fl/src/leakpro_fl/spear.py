"""Records of a batch from the gradient of a fully connected layer before a ReLU.

With inputs x_j and derivatives g_j of the loss by the layer's outputs, the gradient of weights and
bias, side by side, is the sum of ``g_j [x_j, 1]``: of rank b, and g_j is 0 wherever the ReLU of
record j was off. A factorisation ``L R`` of rank b differs from that one by a square matrix Q, and
``L Q`` must have its many zeros (Dimitrov et al. 2024, SPEAR, sections 3 and 4). That paper draws
rows until b - 1 of them are all zeros of one column, which takes ``2 ** (b - 1)`` draws; here a
column is found by descent to the sparsest vector of the span, from many starts: reweighted least
squares whose weights are tightened slowly (Candes, Wakin, Boyd 2008, section 2; Chartrand, Yin
2008).
"""

import math
from collections.abc import Iterator

import torch
from attrs import frozen
from torch import Tensor

from leakpro_fl.low_rank import SURE, Span

_PATIENCE = 16
"""How many times as many starts as the last improvement took are tried for another."""


def columns(span: Span, starts: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Yield matrices Q ``[r, r]`` such that ``left @ Q`` is sparse, each better than the last.

    Each is the r most sparse directions found so far that are independent; none is yielded before
    there are r. starts: descents at most; fewer where several times as many as were needed for the
    last better one found none.
    """
    if span.rank == 1:
        yield torch.ones(1, 1, dtype=span.left.dtype)
        return
    seek = _Seek.of(span)
    found = seek.none()
    done, last, enough = 0, -1.0, starts
    while done < min(starts, enough):
        size = min(starts - done, 32 * max(1, seek.rank // 8))
        new = seek.descend(size, found[seek.independent(found)], rng)
        if seek.rank <= _DRAWN:
            new = torch.cat([seek.drawn(_DRAWS, rng), new])
        done += size
        found = seek.merged(found, new)
        chosen = seek.independent(found)
        zeros = float(seek.zeros(found[chosen]).sum()) if len(chosen) else 0.0
        if len(chosen) == seek.rank and zeros > last:
            last, enough = zeros, _PATIENCE * (done + 64)
            yield seek.back @ found[chosen].T


_DRAWN = 10
"""Batches up to so many records are sought by draws of rows, too: one in ``2 ** (b - 1)`` hits."""

_DRAWS = 512
"""Draws beside each round of descents."""


@frozen(kw_only=True)
class _Seek:
    """The search for sparse vectors ``rows @ c``, c of length 1.

    rows: ``[m, r]``, orthonormal columns; back: ``[r, r]`` from c to a direction of ``left``;
    noise: ``[m]``, of a row as long as 1, per unit of that direction.
    """

    rows: Tensor
    back: Tensor
    noise: Tensor

    @classmethod
    def of(cls, span: Span) -> "_Seek":
        """Return it with all rows equally long and directions far apart."""
        length = span.left.norm(dim=1)
        # Rows within the noise say nothing.
        heard = length > SURE * span.noise
        rows, triangle = torch.linalg.qr(span.left[heard] / length[heard, None])
        return cls(
            rows=rows,
            back=torch.linalg.inv(triangle),
            noise=(span.noise / length)[heard],
        )

    @property
    def rank(self) -> int:
        return self.rows.shape[1]

    def none(self) -> Tensor:
        return self.rows.new_zeros(0, self.rank)

    def spread(self, c: Tensor) -> Tensor:
        """Return the standard deviation of the noise in ``rows @ c``, ``[k, m]``."""
        return torch.outer((c @ self.back.T).norm(dim=1), self.noise).clamp(min=1e-13)

    def zeros(self, c: Tensor) -> Tensor:
        """Return in how many rows each vector is 0, ``[k]``."""
        return ((c @ self.rows.T).abs() < SURE * self.spread(c)).sum(dim=1)

    def descend(self, count: int, found: Tensor, rng: torch.Generator) -> Tensor:
        """Return sparse vectors, ``[count, r]``, of which some are false.

        Directions that nobody falls into from a random start are those that matter once the others
        are found: so starts keep a random part of what is along those, and half of the descents are
        pushed away from them, up to a random width.
        """
        c = self._starts(count, found, rng)
        typical = 1.0 / math.sqrt(len(self.rows))
        slow = torch.logspace(0.3, -2.0, 20 + 3 * self.rank, dtype=c.dtype) * typical
        fast = torch.logspace(-2.0, -6.0, 12, dtype=c.dtype) * typical
        until = typical * 10 ** (0.3 - 1.2 * torch.rand(count, generator=rng, dtype=c.dtype))
        push = 10.0 * torch.randint(2, (count,), generator=rng).to(c.dtype)
        away = found.T @ found
        for width in torch.cat([slow, fast]):
            within = torch.maximum(self.spread(c), width)
            weight = 1.0 / ((c @ self.rows.T).square() + within.square())
            weight = weight / weight.mean(dim=1, keepdim=True)
            pulled = (self.rows.T[None] * weight[:, None, :]) @ self.rows
            if len(found) and bool((width > until).any()):
                pulled = pulled + (push * (width > until))[:, None, None] * away
            solved, broken = torch.linalg.solve_ex(pulled, c)
            fine = (broken == 0) & solved.isfinite().all(dim=1)
            c = torch.where(fine[:, None], solved, c)
            c = c / c.norm(dim=1, keepdim=True)
        return c

    def drawn(self, count: int, rng: torch.Generator) -> Tensor:
        """Return what is 0 in r - 1 rows drawn at random and in r rows or more, ``[k, r]``.

        The way of the paper: few draws do for small batches, however alike their records are.
        """
        size = min(self.rank - 1, len(self.rows))
        chance = torch.rand(count, len(self.rows), generator=rng, dtype=self.rows.dtype)
        rows = self.rows[chance.topk(size, dim=1).indices]
        c = torch.linalg.svd(rows, full_matrices=True)[2][:, -1]
        several = self.zeros(c)
        most = several.argsort(descending=True, stable=True)[: 4 * self.rank]
        kept: Tensor = c[most][several[most] >= self.rank + 1]
        return kept

    def _starts(self, count: int, found: Tensor, rng: torch.Generator) -> Tensor:
        c = self.rows[torch.randint(len(self.rows), (count,), generator=rng)]
        c = c / c.norm(dim=1, keepdim=True)
        drawn = torch.randn(c.shape, generator=rng, dtype=c.dtype)
        c = c + 0.3 * drawn / math.sqrt(self.rank)
        if 0 < len(found) < self.rank:
            along = torch.linalg.qr(found.T)[0]
            part = torch.rand(count, 1, generator=rng, dtype=c.dtype)
            c = c - part * (c @ along) @ along.T
        unit: Tensor = c / c.norm(dim=1, keepdim=True)
        return unit

    def merged(self, found: Tensor, new: Tensor) -> Tensor:
        """Return distinct candidates, the sparsest first, each fitted to the rows where it is 0."""
        new = new[self.zeros(new) >= self.rank]
        kept = list(found)
        for c in new:
            if not any(self._same(c, other) for other in kept):
                fitted = self._fitted(c)
                if not any(self._same(fitted, other) for other in kept):
                    kept.append(fitted)
        if not kept:
            return found
        every = torch.stack(kept)
        return every[self.zeros(every).argsort(descending=True, stable=True)][: 8 * self.rank]

    def independent(self, found: Tensor) -> list[int]:
        """Return the first candidates that do not depend on those before them, r at most."""
        basis, chosen = self.rows.new_zeros(self.rank, 0), []
        for i, c in enumerate(found):
            rest = c - basis @ (basis.T @ c)
            if float(rest.norm()) > self._close(c):
                basis = torch.cat([basis, (rest / rest.norm())[:, None]], dim=1)
                chosen.append(i)
            if len(chosen) == self.rank:
                break
        return chosen

    def _close(self, c: Tensor) -> float:
        return max(1e-3, 10.0 * float(self.spread(c[None]).median()))

    def _same(self, c: Tensor, other: Tensor) -> bool:
        return 1.0 - float((c @ other).abs()) < 0.5 * self._close(c) ** 2

    def _fitted(self, c: Tensor) -> Tensor:
        fitted_to = 0
        # A direction from few rows is refined by the rows that it is 0 in, until these are all.
        for _ in range(8):
            spread = self.spread(c[None])[0]
            off = (c @ self.rows.T).abs() < SURE * spread
            if int(off.sum()) < self.rank - 1 or int(off.sum()) == fitted_to:
                return c
            fitted_to = int(off.sum())
            rows = self.rows[off] / self.noise[off, None].clamp(min=1e-13)
            again = torch.linalg.svd(rows, full_matrices=True)[2][-1]
            c = again if float(again @ c) >= 0 else -again
        return c
