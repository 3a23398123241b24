"""Which spans of an update say which tokens and sequences were in a batch.

Petrov et al. 2024 (DAGER), section 4: the first layers' gradients of fewer tokens than dimensions.
"""

from collections.abc import Mapping, Sequence

import torch
from attrs import field, frozen
from torch import Tensor, nn

from leakpro_fl.procedure import State, gradient
from leakpro_fl.transformer_span import Site, Span, sites_of, span_of, vectors_at


@frozen(kw_only=True)
class Reader:
    """A model of texts, and which of its parameters a gradient is of."""

    module: nn.Module = field(repr=False)
    state: State = field(repr=False)
    names: tuple[str, ...]
    table: str
    vocabulary: int
    length: int
    classes: int

    @property
    def sparse(self) -> str:
        """Return the parameter that few texts touch."""
        return self.table

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the mean loss of a batch; x: tokens, int64 ``[n, length]``."""
        return gradient(self.module, self.state, x, y, self.names)


@frozen(kw_only=True)
class Clue:
    """A site, the span of its gradient, and at which positions vectors are in it, ``[length]``."""

    site: Site
    span: Span
    visible: Tensor = field(repr=False)


@frozen(kw_only=True)
class Clues:
    """What the spans can say. first: of tokens and positions; later: of sequences, in order.

    padding: the token that ends sequences and leaves no trace, None where there is none.
    """

    first: Clue | None
    later: tuple[Clue, ...]
    padding: int | None


def clues(
    reader: Reader, update: Mapping[str, Tensor], most: int | None, padding: int, seed: int
) -> Clues:
    """Return the sites of which the update's span says something.

    Where vectors can be seen is found by rehearsal, on the gradient of a made-up batch: of a model
    that reads its last token only, a last layer sees nothing else. most: tokens in the batch.
    """
    sites = sites_of(reader.module, reader.state, reader.vocabulary, reader.length, seed)
    whole, hidden = _rehearsed(reader, sites, padding, seed)
    found = []
    for site, visible in zip(sites, whole, strict=True):
        rows = site.rows(update)
        if rows is not None and bool(visible.any()):
            found.append(Clue(site=site, span=span_of(rows, most), visible=visible))
    useful = [clue for clue in found if not clue.span.full]
    first = max((c for c in useful if c.site.local), key=_reach, default=None)
    # Sequences are at least as many as their tokens: a smaller rank is an edge in the wrong place.
    least = 0 if first is None else _reach(first)
    later = [c for c in useful if not c.site.local and _reach(c) >= _ENOUGH * least]
    return Clues(first=first, later=tuple(later), padding=padding if hidden else None)


def _reach(clue: Clue) -> float:
    """Return how many vectors a clue tells of."""
    return float(len(clue.span.basis) * clue.visible.double().mean())


_ENOUGH = 0.7


_SEEN = 0.05
"""Distance from the span, as a share of a wrong vector's, of a vector that can be seen."""


def _rehearsed(
    reader: Reader, sites: Sequence[Site], padding: int, seed: int
) -> tuple[list[Tensor], bool]:
    """Return where each site's vectors are seen, bool ``[length]``, and if padding is hidden."""
    generator = torch.Generator().manual_seed(seed)
    length, tail = reader.length, max(1, reader.length // 3)
    tokens = torch.randint(reader.vocabulary, (3, length), generator=generator)
    tokens[tokens == padding] = (padding + 1) % reader.vocabulary
    padded = tokens[1:2].clone()
    padded[:, length - tail :] = padding
    label = torch.randint(reader.classes, (1,), generator=generator)
    whole = _distances(reader, sites, tokens[:1], tokens[2:], label)
    ended = _distances(reader, sites, padded, tokens[2:], label)
    hidden = [
        bool((d[length - tail :] > _SEEN).all())
        for d, site in zip(ended, sites, strict=True)
        if site.local and length > 1
    ]
    return [d < _SEEN for d in whole], bool(hidden) and all(hidden)


def _distances(
    reader: Reader, sites: Sequence[Site], true: Tensor, other: Tensor, label: Tensor
) -> list[Tensor]:
    """Return distances of a sequence's vectors from its own span over another sequence's."""
    found = reader.gradient(true, label)
    far = []
    vectors = vectors_at(reader.module, reader.state, torch.cat([true, other]), sites)
    for site, each in zip(sites, vectors, strict=True):
        rows = site.rows(found)
        if rows is None or reader.length >= rows.shape[1]:
            far.append(torch.ones(reader.length, dtype=torch.float64))
            continue
        distance = span_of(rows, reader.length).outside(each)
        far.append(distance[0] / distance[1].median().clamp(min=1e-12))
    return far
