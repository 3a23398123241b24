"""Which tokens stand where, and which of them stand together, by the spans of a gradient.

A vector that depends on its token and position only is in the span of the first projection's
gradient where that token stood there; one behind an attention depends on the sequence, so it is in
the span of a later projection's gradient where the whole sequence is right (Petrov et al. 2024,
sections 4 and 5). A causal model lets sequences grow token by token. For others, a token is
exchanged at a time: each mistake moves all of a sequence's vectors a little off the span, so that
any start comes to the sequence that it shares most with.
"""

from collections.abc import Sequence

import torch
from attrs import field, frozen
from torch import Tensor

from leakpro_fl.clues import Clue, Clues, Reader
from leakpro_fl.transformer_span import vectors_at


def places(reader: Reader, found: Clues, tokens: Tensor) -> list[Tensor]:
    """Return for each position which of ``tokens`` stood there in some sequence, int64.

    None where all sequences have ended; all of them where it cannot be seen.
    """
    clue = found.first
    assert clue is not None
    constant = tokens[:, None].expand(-1, reader.length)
    [vectors] = vectors_at(reader.module, reader.state, constant, [clue.site])
    distances = clue.span.outside(vectors)
    edge = edge_of(distances[:, clue.visible].flatten())
    there = []
    for position in range(reader.length):
        here = distances[:, position]
        near = (
            here <= edge
            if bool(clue.visible[position])
            else torch.ones_like(here, dtype=torch.bool)
        )
        if not bool(near.any()) and found.padding is None:
            near[here.argmin()] = True
        there.append(tokens[near])
    return there


_NOISE = 1e-7
"""Distances below are 0 but for rounding."""

_BULK = 0.05
"""Share of the largest distance that those of wrong vectors have at least."""


def edge_of(distances: Tensor) -> float:
    """Return the largest distance of right vectors.

    It is below the widest gap, on a logarithmic scale, whose upper end is a wrong vector's.
    """
    values = distances.sort().values.clamp(min=_NOISE)
    if len(values) < 2:
        return float("inf")
    gaps = (values[1:] / values[:-1]).log()
    gaps[values[1:] < _BULK * values[-1]] = 0.0
    return float(values[int(gaps.argmax())])


@frozen(kw_only=True)
class Candidates:
    """Sequences, int64 ``[n, length]``, and how far their vectors are off the span, ``[n]``."""

    tokens: Tensor = field(repr=False)
    off: Tensor = field(repr=False)


def candidates(
    reader: Reader,
    clue: Clue,
    there: Sequence[Tensor],
    padding: int | None,
    most: int,
    seed: int,
    examples: int | None = None,
) -> Candidates:
    """Return sequences that a later site's span allows, the nearest first, at most ``most``."""
    if clue.site.causal and bool(clue.visible.all()):
        tokens = _grown(reader, clue, there, padding, most)
    else:
        tokens = _settled(reader, clue, there, padding, examples, seed)
    tokens = torch.unique(tokens, dim=0)
    off = _off(reader, clue, tokens, padding)
    nearest = off.argsort()[:most]
    return Candidates(tokens=tokens[nearest], off=off[nearest])


def _off(reader: Reader, clue: Clue, tokens: Tensor, padding: int | None) -> Tensor:
    """Return the root of the mean squared distance of each sequence's vectors from the span."""
    [vectors] = vectors_at(reader.module, reader.state, tokens, [clue.site])
    counted = clue.visible.expand(tokens.shape)
    if padding is not None:
        counted = counted & (tokens != padding)
    squares = clue.span.outside(vectors) ** 2 * counted
    return (squares.sum(1) / counted.sum(1).clamp(min=1)).sqrt()


def _grown(
    reader: Reader, clue: Clue, there: Sequence[Tensor], padding: int | None, most: int
) -> Tensor:
    """Return the sequences that grow token by token without leaving a causal model's span."""
    filler = int(there[0][0]) if padding is None else padding
    begun = torch.zeros(1, 0, dtype=torch.int64)
    ended = []
    for position, here in enumerate(there):
        if not len(here):
            break
        longer = torch.cat(
            [begun.repeat_interleave(len(here), 0), here.repeat(len(begun))[:, None]], 1
        )
        tokens = torch.full((len(longer), reader.length), filler)
        tokens[:, : position + 1] = longer
        [vectors] = vectors_at(reader.module, reader.state, tokens, [clue.site])
        distances = clue.span.outside(vectors[:, position])
        # Of one token in one sequence there is no wrong one to compare with.
        edge = edge_of(distances) if position and len(begun) * len(here) > 1 else float("inf")
        # Rather a few too many: which of them add up to the gradient is found afterwards.
        kept = distances.argsort()[: min(most, max(most // 4, int((distances <= edge).sum())))]
        begun = longer[kept]
        if padding is not None or position == reader.length - 1:
            ended.append(tokens[kept])
    return torch.cat(ended)


_STARTS = 8
"""Random sequences of a round."""

_ROUNDS = 10

_SWEEPS = 8

_IDLE = 3
"""Rounds without another right sequence after which there is none left."""

_RIGHT = 0.03
"""Distance from the span, as a share of a random sequence's, of one that is taken for right."""


def _settled(
    reader: Reader,
    clue: Clue,
    there: Sequence[Tensor],
    padding: int | None,
    examples: int | None,
    seed: int,
) -> Tensor:
    """Return the sequences that random starts come to; later ones start from tokens left over."""
    generator = torch.Generator().manual_seed(seed)
    right: set[tuple[int, ...]] = set()
    idle = 0
    longest = next((p for p, here in enumerate(there) if not len(here)), reader.length)
    left = [set(here.tolist()) for here in there[:longest]]
    kept = []
    scale = 0.0
    for turn in range(_ROUNDS):
        picks = torch.zeros(_STARTS, reader.length, dtype=torch.int64)
        for position in range(longest):
            some = left[position] if turn and left[position] else there[position].tolist()
            drawn = torch.randint(len(some), (_STARTS,), generator=generator)
            picks[:, position] = torch.tensor(sorted(some))[drawn]
        ends = torch.full((_STARTS,), longest)
        if padding is not None:
            ends = torch.randint(1, longest + 1, (_STARTS,), generator=generator)
        start = _Draft(picks=picks, ends=ends, padding=padding)
        scale = max(scale, float(_off(reader, clue, start.tokens(), padding).median()))
        settled, off = _descended(reader, clue, there[:longest], start, generator)
        kept.append(settled.tokens())
        before = len(right)
        for row in kept[-1][off < _RIGHT * scale].tolist():
            right.add(tuple(row))
            for some, token in zip(left, row, strict=False):
                some.discard(token)
        idle = 0 if len(right) > before else idle + 1
        if not any(left) or len(right) == examples or (right and idle == _IDLE):
            break
    return torch.cat(kept)


@frozen(kw_only=True)
class _Draft:
    """Sequences: tokens ``[..., length]``, of which the first ``ends`` ``[...]`` count."""

    picks: Tensor
    ends: Tensor
    padding: int | None

    def tokens(self) -> Tensor:
        if self.padding is None:
            return self.picks
        after = torch.arange(self.picks.shape[-1]) >= self.ends[..., None]
        return self.picks.masked_fill(after, self.padding)


def _descended(
    reader: Reader,
    clue: Clue,
    there: Sequence[Tensor],
    draft: _Draft,
    generator: torch.Generator,
) -> tuple[_Draft, Tensor]:
    """Return sequences of which no other token and no other end is nearer, and how near."""
    off = _off(reader, clue, draft.tokens(), draft.padding)
    settled, best = draft, off
    rows = torch.arange(len(off))
    for _ in range(_SWEEPS):
        before = off
        if draft.padding is not None:
            ends = torch.arange(1, len(there) + 1).expand(len(off), -1)
            picks = draft.picks[:, None].expand(-1, len(there), -1)
            draft, off = _nearest(reader, clue, draft, off, picks, ends)
        for position in torch.randperm(len(there), generator=generator).tolist():
            here = there[position]
            if len(here) > 1:
                picks = draft.picks[:, None].repeat(1, len(here), 1)
                picks[:, :, position] = here
                ends = draft.ends[:, None].expand(-1, len(here))
                draft, off = _nearest(reader, clue, draft, off, picks, ends)
        settled = _Draft(
            picks=settled.picks.index_copy(0, rows, draft.picks),
            ends=settled.ends.index_copy(0, rows, draft.ends),
            padding=draft.padding,
        )
        best = best.index_copy(0, rows, off)
        moving = off < before
        if not bool(moving.any()):
            break
        rows, off = rows[moving], off[moving]
        draft = _Draft(picks=draft.picks[moving], ends=draft.ends[moving], padding=draft.padding)
    return settled, best


def _nearest(
    reader: Reader, clue: Clue, draft: _Draft, off: Tensor, picks: Tensor, ends: Tensor
) -> tuple[_Draft, Tensor]:
    """Return each draft or the best of its variants ``[n, variants, ...]``, if that is nearer."""
    variants = _Draft(picks=picks, ends=ends, padding=draft.padding).tokens()
    found = _off(reader, clue, variants.flatten(0, 1), draft.padding).view(ends.shape)
    nearest, chosen = found.min(1)
    better = nearest < off
    rows = torch.arange(len(off))
    return _Draft(
        picks=torch.where(better[:, None], picks[rows, chosen], draft.picks),
        ends=torch.where(better, ends[rows, chosen], draft.ends),
        padding=draft.padding,
    ), torch.where(better, nearest, off)
