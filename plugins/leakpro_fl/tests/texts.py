"""Small classifiers of token sequences, and texts: random tokens, and sentences of a grammar."""

import math

import numpy as np
import torch
from attrs import evolve
from leakpro_fl.client import TorchClient
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Disclosed

VOCABULARY = 1200

WORDS = {
    "article": "the a this that every some my her",
    "adjective": "old young tall quiet angry famous tired rich poor sick happy strange",
    "person": "nurse teacher lawyer farmer driver patient baker sailor clerk doctor widow "
    "student soldier painter judge waiter engineer neighbour",
    "verb": "met called paid visited warned helped followed thanked married sued hired "
    "reported greeted",
    "place": "hospital school station market church harbour office bank hotel prison theatre "
    "village",
    "time": "yesterday today monday tuesday wednesday thursday friday saturday sunday",
    "link": "near in at behind outside",
}

PATTERN = (
    "article adjective person verb article adjective person link article place time time "
    "article person verb person"
)


class Encoder(nn.Module):
    """``nn.TransformerEncoder`` with learned positions; the mean over tokens that are no padding.

    padding: the token that is masked; None: there is none.
    """

    def __init__(
        self,
        vocabulary: int = VOCABULARY,
        width: int = 128,
        heads: int = 4,
        hidden: int = 256,
        layers: int = 2,
        length: int = 16,
        classes: int = 4,
        norm_first: bool = False,
        padding: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.padding, self.classes = padding, classes
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=padding)
        self.positions = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, hidden, dropout=dropout, batch_first=True, norm_first=norm_first
        )
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = tokens == (-1 if self.padding is None else self.padding)
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        x = self.body(x, src_key_padding_mask=None if self.padding is None else hidden)
        kept = (~hidden).to(x.dtype).unsqueeze(-1)
        return self.head((x * kept).sum(1) / kept.sum(1).clamp(min=1.0))


class Block(nn.Module):
    """A causal block with its norms before, written by hand."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        h = self.before(x)
        q, k, v = (
            part(h).view(n, length, self.heads, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(width / self.heads)
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(later, -math.inf).softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.down(nn.functional.gelu(self.up(self.between(x))))


class Decoder(nn.Module):
    """Causal blocks; the last token says the class."""

    def __init__(
        self,
        vocabulary: int = VOCABULARY,
        width: int = 128,
        heads: int = 4,
        hidden: int = 256,
        layers: int = 2,
        length: int = 16,
        classes: int = 4,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.1 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, heads, hidden) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = None if tied else nn.Linear(width, classes)
        self.tied, self.classes = tied, classes

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions[: tokens.shape[1]]
        x = self.norm(self.blocks(x))[:, -1]
        if not self.tied:
            return self.head(x)
        return x @ self.tokens.weight[: self.classes].T / x.shape[1] ** 0.5


def made(kind: type[nn.Module], seed: int, **options: object) -> nn.Module:
    """Return a module with random weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(**options).eval()


def random_texts(
    rng: np.random.Generator, n: int, length: int, padding: int | None = None, least: int = 0
) -> np.ndarray:
    """Return random tokens, int64 ``[n, length]``; with padding after ``least`` or more."""
    tokens = rng.integers(1, VOCABULARY, (n, length))
    if padding is not None:
        ends = rng.integers(least, length + 1, n)
        tokens[np.arange(length) >= ends[:, None]] = padding
    return tokens


def sentences(
    rng: np.random.Generator, n: int, length: int, padding: int | None = None, least: int = 0
) -> np.ndarray:
    """Return sentences of the grammar as tokens, int64 ``[n, length]``; a word is one token."""
    words = sorted({word for known in WORDS.values() for word in known.split()})
    # Spread over the vocabulary, as the words of a language are over its subwords.
    number = {word: 1 + (i * 11) % (VOCABULARY - 1) for i, word in enumerate(words)}
    rows = [
        [number[str(rng.choice(WORDS[kind].split()))] for kind in PATTERN.split()[:length]]
        for _ in range(n)
    ]
    tokens = np.array(rows, dtype=np.int64)
    if padding is not None:
        ends = rng.integers(least, length + 1, n)
        tokens[np.arange(length) >= ends[:, None]] = padding
    return tokens


def challenge(
    module: nn.Module,
    tokens: np.ndarray,
    labels: np.ndarray,
    disclosed: Disclosed,
    *,
    knows: frozenset[str] = frozenset({"labels", "batch size"}),
    seed: int = 0,
) -> InversionChallenge:
    """Return what an adversary gets of a client's update of these texts."""
    before = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    update = TorchClient(module=module, disclosed=disclosed).update(before, tokens, labels, seed)
    return InversionChallenge(
        model=module,
        before=before,
        update=update,
        disclosed=disclosed if "batch size" in knows else evolve(disclosed, examples=None),
        labels=np.sort(labels) if "labels" in knows else None,
        shape=tokens.shape[1:],
        classes=module.classes,
        modality="text",
    )


def exact(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the share of tokens and the share of texts that are exact, in the best matching."""
    if not len(found):
        return 0.0, 0.0
    same = (found[:, None] == truth[None]).mean(2)
    rows, columns = linear_sum_assignment(-same)
    return float(same[rows, columns].sum() / len(truth)), float(
        (same[rows, columns] == 1.0).sum() / len(truth)
    )
