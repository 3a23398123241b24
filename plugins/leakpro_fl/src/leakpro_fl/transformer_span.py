"""Where a transformer multiplies each token's vector by a weight, and the span of the gradient.

The gradient of a weight ``W`` that maps vectors ``h`` is the sum of outer products of the loss's
gradient by ``W h`` and ``h``: its rows lie in the span of the batch's vectors, and where fewer
tokens than dimensions are in the batch, other vectors do not (Petrov et al. 2024, section 4).
What a module does is found out by running it, not by its class.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import torch
from attrs import field, frozen
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from leakpro_core.errors import NotApplicable
from leakpro_fl.procedure import State

_FLAT = 1e-9
"""Share of the largest singular value below which the rest is rounding of float64."""

_LEAST_DROP = 1.1
"""Logarithm of the least drop of singular values that is taken for the edge of the span."""

_CHUNK = 256
"""Sequences of a forward pass."""


@frozen(kw_only=True)
class Site:
    """Weights that multiply the same vectors, one of each token.

    module: whose input the vectors are; weights: names of parameters; transposed: those of
    shape ``[in, out]``. local: whether a token's vector depends on its token and position only;
    causal: whether it depends on no later token.
    """

    module: str
    weights: tuple[str, ...]
    transposed: tuple[bool, ...]
    local: bool
    causal: bool

    def rows(self, gradient: Mapping[str, Tensor]) -> Tensor | None:
        """Return the rows ``[n, width]`` in the vectors' span, float64; None where all are 0."""
        parts = [
            gradient[name].double().T if turned else gradient[name].double()
            for name, turned in zip(self.weights, self.transposed, strict=True)
            if name in gradient
        ]
        rows: Tensor = torch.cat(parts) if parts else torch.zeros(0, 1)
        return rows if bool(rows.any()) else None


@frozen(kw_only=True)
class Span:
    """The span of a batch's vectors. basis: float64 ``[rank, width]``, orthonormal.

    full: whether nearly all vectors are in it, so that being in it says nothing.
    """

    basis: Tensor = field(repr=False)
    full: bool

    def outside(self, vectors: Tensor) -> Tensor:
        """Return the share of each vector's length that is outside of the span, ``[...]``."""
        vectors = vectors.double()
        left = vectors - (vectors @ self.basis.T) @ self.basis
        share: Tensor = left.norm(dim=-1) / vectors.norm(dim=-1).clamp(min=1e-300)
        return share


def span_of(rows: Tensor, most: int | None = None) -> Span:
    """Return the span of rows ``[n, width]``; most: the number of vectors, where it is known.

    Its rank is where singular values drop the most; where none drops much, as rounding to halves
    leaves none, it is where those that follow are those of noise.
    """
    lengths = rows.norm(dim=1, keepdim=True)
    # Rounding is relative: in rows of one length it is noise of one size.
    rows = rows[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
    _, values, basis = torch.linalg.svd(rows, full_matrices=False)
    n, width = rows.shape
    values = values / values[0]
    limit = min(len(values), width - 1, width if most is None else most)
    kept = torch.cat([values, torch.zeros(max(0, width - len(values)), dtype=values.dtype)])
    logs = kept.clamp(min=_FLAT).log()
    drops = logs[:limit] - logs[1 : limit + 1]
    rank = int(drops.argmax()) + 1
    full = float(drops[rank - 1]) < _LEAST_DROP
    if full:
        ends = range(min(limit, width - width // 4) + 1)
        rank = next((r for r in ends if _is_noise(kept[r:], n)), limit)
        full = not 0 < rank <= width - width // 4
    # Norms take a dimension, and the smallest singular value of many vectors may be small.
    full = full or rank > width - max(2, width // 32)
    return Span(basis=basis[:rank], full=full)


def _is_noise(values: Tensor, n: int) -> bool:
    """Whether the largest value is what the singular values of ``n`` rows of noise come to.

    That of a random matrix with such a sum of squares (Marchenko, Pastur 1967).
    """
    most = _MARGIN * (1.0 + (len(values) / n) ** 0.5) * (values**2).mean().sqrt()
    return bool(values[0] <= most)


_MARGIN = 1.15


def table_of(module: nn.Module, state: State, length: int) -> tuple[str, int, int | None]:
    """Return the token embedding: its weight's name, its number of tokens, its padding token.

    ``NotApplicable`` where no ``nn.Embedding`` of the module is given the tokens.
    """
    tokens = torch.arange(length)[None] % 2
    found: list[str] = []
    handles = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Embedding):

            def seen(_: object, args: tuple[object, ...], name: str = name) -> None:
                given = args[0] if args else None
                if isinstance(given, Tensor) and given.shape == tokens.shape:
                    found.extend([name] * bool((given == tokens).all()))

            handles.append(part.register_forward_pre_hook(seen))
    try:
        with torch.no_grad(), unfused():
            functional_call(module, dict(state), (tokens,))
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise NotApplicable(
            "the attack on embeddings",
            found="a model of which no nn.Embedding is given the tokens",
            expected="a transformer on int64 tokens with an embedding of them",
        )
    table = module.get_submodule(found[0])
    assert isinstance(table, nn.Embedding)
    return f"{found[0]}.weight", table.num_embeddings, table.padding_idx


def sites_of(
    module: nn.Module, state: State, vocabulary: int, length: int, seed: int
) -> tuple[Site, ...]:
    """Return the sites that a module's tokens pass, in their order, by changing one at a time."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocabulary, (length + 1, length), generator=generator)
    tokens[1:] = tokens[0]
    changed = torch.arange(length)
    tokens[changed + 1, changed] = (tokens[0] + 1 + vocabulary // 2) % vocabulary
    weights = {name: w for name, part in module.named_modules() if (w := _weight(name, part))}
    groups: list[tuple[str, Tensor, list[str]]] = []
    for name, vectors in _inputs(module, state, tokens, tuple(weights)).items():
        same = [names for _, other, names in groups if torch.equal(other, vectors)]
        (same[0] if same else _new(groups, name, vectors)).append(name)
    sites = []
    for first, vectors, names in groups:
        moved = (vectors[1:] - vectors[0]).norm(dim=-1) > _SAME * vectors[0].norm(dim=-1)
        if bool(moved.diagonal().any()):
            sites.append(
                Site(
                    module=first,
                    weights=tuple(weights[name][0] for name in names),
                    transposed=tuple(weights[name][1] for name in names),
                    local=not bool((moved & ~torch.eye(length, dtype=torch.bool)).any()),
                    causal=not bool(moved.tril(-1).any()),
                )
            )
    return tuple(sites)


_SAME = 3e-6
"""Relative difference of vectors that is rounding of float32."""


def vectors_at(
    module: nn.Module, state: State, tokens: Tensor, sites: Sequence[Site]
) -> list[Tensor]:
    """Return the vectors ``[n, length, width]`` that reach each site; later layers do not run."""
    names = tuple(site.module for site in sites)
    n, length = tokens.shape
    # Never as many sequences as positions: which axis is which would not be seen.
    chunk = _CHUNK if length != _CHUNK else _CHUNK - 1
    parts = []
    for start in range(0, n, chunk):
        rows = tokens[start : start + chunk]
        more = rows if len(rows) != length else torch.cat([rows, rows[:1]])
        parts.append({k: v[: len(rows)] for k, v in _inputs(module, state, more, names).items()})
    return [torch.cat([part[name] for part in parts]) for name in names]


def _new(groups: list[tuple[str, Tensor, list[str]]], name: str, vectors: Tensor) -> list[str]:
    groups.append((name, vectors, []))
    return groups[-1][2]


def _weight(name: str, part: nn.Module) -> tuple[str, bool] | None:
    """Return the name of the weight by which a module multiplies its input, and if from the right.

    ``weight`` is ``[in, out]`` in classes named Conv1D, as GPT-2 has them.
    """
    prefix = f"{name}." if name else ""
    if isinstance(part, nn.MultiheadAttention):
        # Queries, keys and values of different widths have weights of their own.
        there = part._qkv_same_embed_dim
        return (f"{prefix}in_proj_weight", False) if there else None
    weight = getattr(part, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or isinstance(part, nn.Embedding):
        return None
    return f"{prefix}weight", type(part).__name__ == "Conv1D"


class _AllSeenError(Exception):
    """Every module that is watched has been called."""


def _inputs(
    module: nn.Module, state: State, tokens: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    """Return what the named modules are given at first, ``[n, length, width]``, in their order."""
    found: dict[str, Tensor] = {}
    pending = set(names)

    def watch(name: str) -> RemovableHandle:
        def hook(part: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            pending.discard(name)
            vectors = _by_token(part, (*args, *kwargs.values()), tokens.shape)
            if vectors is not None and name not in found:
                found[name] = vectors.detach()
            if not pending:
                raise _AllSeenError

        return module.get_submodule(name).register_forward_pre_hook(hook, with_kwargs=True)

    handles = [watch(name) for name in names]
    try:
        with torch.no_grad(), unfused(), suppress(_AllSeenError):
            functional_call(module, dict(state), (tokens,))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _by_token(part: nn.Module, given: tuple[object, ...], shape: torch.Size) -> Tensor | None:
    """Return a module's input by sequence and token; None where it is no such thing."""
    first = given[0] if given else None
    if isinstance(part, nn.MultiheadAttention):
        if len(given) < 3 or not (given[0] is given[1] is given[2]):
            return None  # attends to other vectors than its own
        if isinstance(first, Tensor) and first.ndim == 3 and not part.batch_first:
            first = first.transpose(0, 1)
    if not isinstance(first, Tensor):
        return None
    if first.ndim == 2 and len(first) == shape[0] * shape[1]:
        first = first.reshape(*shape, -1)
    elif first.ndim == 3 and first.shape[:2] == (shape[1], shape[0]) and shape[0] != shape[1]:
        first = first.transpose(0, 1)
    return first if first.ndim == 3 and first.shape[:2] == shape else None


@contextmanager
def unfused() -> Iterator[None]:
    """Let encoder layers run as in training, so that their parts see their inputs."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
