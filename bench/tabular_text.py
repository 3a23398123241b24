"""Strength of attacks on updates of tabular and text models, over independent batches.

Tabular: eight people of Adult from one gradient of a small network; text: short texts from one
gradient of a small transformer with random weights. Writes ``results/tabular_text.json``.
"""

import sys
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import evidence
import numpy as np
import pandas as pd
import torch
from attrs import frozen
from leakpro_fl import embeddings, one_hot
from leakpro_fl.client import TorchClient
from leakpro_torch.modules import threads
from scipy import stats
from scipy.optimize import linear_sum_assignment
from torch import nn

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.records import Auxiliary, Disclosed

sys.path.insert(0, str(evidence.ROOT / "plugins" / "leakpro_fl" / "tests"))
import texts

ADULT = evidence.ROOT.parent / "shared" / "data" / "adult.parquet"
FL = "plugins/leakpro_fl/src/leakpro_fl"
CODE = (
    "bench/tabular_text.py",
    "plugins/leakpro_fl/tests/texts.py",
    *(
        f"{FL}/{name}.py"
        for name in (
            "clues",
            "embeddings",
            "linear",
            "mixtures",
            "one_hot",
            "procedure",
            "relaxed",
            "rows",
            "seen",
            "sequences",
            "transformer_span",
        )
    ),
)

NUMBERS = (
    "age",
    "fnlwgt",
    "education_num",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
)
NEAR = 0.1
"""Of standardised numbers: differences below are none."""

BATCHES = 20


@frozen(kw_only=True)
class People:
    """Rows of Adult: x float32 ``[n, columns]``, y int64 ``[n]``, one-hot groups of columns."""

    x: np.ndarray
    y: np.ndarray
    groups: tuple[tuple[int, ...], ...]


def adult() -> People:
    """Return all rows: standardised numbers, then one-hot categories; missing is one of them."""
    table = pd.read_parquet(ADULT).drop(columns="split")
    y = (table.pop("income") == ">50K").to_numpy().astype(np.int64)
    numbers = table[list(NUMBERS)].to_numpy(float)
    parts, groups = [(numbers - numbers.mean(0)) / numbers.std(0)], []
    start = len(NUMBERS)
    for name in table.columns.difference(NUMBERS, sort=False):
        codes = table[name].fillna("?").astype("category").cat.codes.to_numpy()
        count = int(codes.max()) + 1
        parts.append(np.eye(count)[codes])
        groups.append(tuple(range(start, start + count)))
        start += count
    return People(x=np.hstack(parts).astype(np.float32), y=y, groups=tuple(groups))


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Embedded(nn.Module):
    """Embedded categories, a norm, residual blocks: no layer is given whole rows."""

    def __init__(self, groups: Sequence[Sequence[int]], width: int = 64) -> None:
        super().__init__()
        self.groups = [list(group) for group in groups]
        wide = 6 * len(groups) + len(NUMBERS)
        self.parts = nn.ModuleList(nn.Linear(len(g), 6, bias=False) for g in groups)
        self.norm, self.first = nn.LayerNorm(wide), nn.Linear(wide, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 2 * width),
                nn.GELU(),
                nn.Linear(2 * width, width),
            )
            for _ in range(2)
        )
        self.head = nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [part(x[:, g]) for part, g in zip(self.parts, self.groups, strict=True)]
        h = self.first(self.norm(torch.cat([*parts, x[:, : len(NUMBERS)]], 1)))
        for block in self.blocks:
            h = h + block(h)
        return self.head(h)


def network(columns: int, activation: str, seed: int) -> nn.Module:
    """Return an untrained network of three layers."""
    act = ACTIVATIONS[activation]
    return seeded(
        lambda: nn.Sequential(
            nn.Linear(columns, 100), act(), nn.Linear(100, 100), act(), nn.Linear(100, 2)
        ),
        seed,
    )


def seeded(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a module with random weights that follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory().eval()


def trained(module: nn.Module, people: People, rows: np.ndarray, steps: int) -> nn.Module:
    """Return the module after some steps of SGD on batches of 64 of those rows."""
    x, y = torch.from_numpy(people.x[rows]), torch.from_numpy(people.y[rows])
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(steps):
        batch = slice(64 * step % len(rows), 64 * step % len(rows) + 64)
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x[batch]), y[batch]).backward()
        optimiser.step()
    return module.eval()


def matched(found: np.ndarray, truth: np.ndarray, groups: Sequence[Sequence[int]]) -> tuple:
    """Return the share of columns that are right, and of rows that are wholly, ``[b]`` means.

    A category is right if it is the most likely one, a number within ``NEAR``; rows are paired so
    that most columns are right.
    """
    right = [np.abs(found[:, None, : len(NUMBERS)] - truth[None, :, : len(NUMBERS)]) < NEAR]
    for group in groups:
        ours, theirs = (rows[:, list(group)].argmax(1) for rows in (found, truth))
        right.append((ours[:, None] == theirs)[..., None])
    same = np.concatenate(right, 2).mean(2)
    rows, columns = linear_sum_assignment(-same)
    pairs = same[rows, columns]
    return pairs.sum() / len(truth), (pairs == 1.0).sum() / len(truth)


@frozen(kw_only=True)
class Outcome:
    """Of one batch. accuracy, exact: shares; blind likewise, of the better of two guesses."""

    accuracy: float
    exact: float
    blind_accuracy: float = float("nan")
    blind_exact: float = float("nan")
    certified: int = 0
    wrong: int = 0
    seconds: float = 0.0


def tabular(people: People, make: Callable[[int], nn.Module], b: int, how: Disclosed) -> list:
    """Return the outcome of each batch."""
    outcomes = []
    for number in range(BATCHES):
        rng = np.random.default_rng([7, number])
        order = rng.permutation(len(people.x))
        mine, others = order[:b], order[1000:3000]
        module = make(number)
        truth = people.x[mine]
        before = {name: v.detach().numpy().copy() for name, v in module.state_dict().items()}
        client = TorchClient(module=module, disclosed=how)
        challenge = InversionChallenge(
            model=module,
            before=before,
            update=client.update(before, truth, people.y[mine], number),
            disclosed=how,
            shape=truth.shape[1:],
            classes=2,
            modality="tabular",
            groups=people.groups,
            auxiliary=Auxiliary(records=people.x[others], labels=people.y[others]),
        )
        answer, seconds = timed(one_hot.attack, challenge, one_hot.OneHotOptions(), number)
        assert answer is not None
        accuracy, exact = matched(answer.records, truth, people.groups)
        blind = [matched(guess, truth, people.groups) for guess in guesses(people, others, b, rng)]
        sure = answer.certified
        right = [matched(row[None], truth, people.groups)[1] * b == 1 for row in answer.records]
        outcomes.append(
            Outcome(
                accuracy=accuracy,
                exact=exact,
                blind_accuracy=max(a for a, _ in blind),
                blind_exact=max(e for _, e in blind),
                certified=int(sure.sum()),
                wrong=int((sure & ~np.array(right)).sum()),
                seconds=seconds,
            )
        )
    return outcomes


def guesses(people: People, others: np.ndarray, b: int, rng: np.random.Generator) -> list:
    """Return what one says who sees no update: the usual row ``b`` times; random other rows."""
    known = people.x[others]
    usual = np.median(known, axis=0)
    for group in people.groups:
        usual[list(group)] = np.eye(len(group))[known[:, list(group)].mean(0).argmax()]
    return [np.tile(usual, (b, 1)), known[rng.choice(len(known), b, replace=False)]]


def timed(
    attack: Callable, challenge: InversionChallenge, options: object, seed: int
) -> tuple[InversionAnswer | None, float]:
    """Return the answer, None where the attack is not applicable, and the CPU seconds it took."""
    start = time.process_time()
    try:
        answer = attack(challenge, options, SimpleNamespace(seed=seed))
    except NotApplicable:
        answer = None
    return answer, time.process_time() - start


MODELS = {
    "encoder, norms after": (texts.Encoder, {}),
    "encoder, norms before, masked padding": (texts.Encoder, {"norm_first": True, "padding": 0}),
    "causal": (texts.Decoder, {}),
}
LENGTH = 14


def text(name: str, source: Callable, b: int, how: Disclosed, batches: int) -> list[Outcome]:
    """Return the outcome of each batch; labels are not known, the number of records is."""
    kind, options = MODELS[name]
    outcomes = []
    for number in range(batches):
        rng = np.random.default_rng([11, number])
        module = texts.made(kind, number, length=LENGTH, **options)
        tokens = source(rng, b, LENGTH, options.get("padding"), 12)
        labels = rng.integers(0, 4, b)
        challenge = texts.challenge(
            module, tokens, labels, how, knows=frozenset({"batch size"}), seed=number
        )
        answer, seconds = timed(
            embeddings.attack, challenge, embeddings.EmbeddingsOptions(), number
        )
        if answer is None:
            outcomes.append(Outcome(accuracy=0.0, exact=0.0, seconds=seconds))
            continue
        accuracy, exact = texts.exact(answer.records, tokens)
        right = [bool((row == tokens).all(1).any()) for row in answer.records]
        outcomes.append(
            Outcome(
                accuracy=accuracy,
                exact=exact,
                certified=int(answer.certified.sum()),
                wrong=int((answer.certified & ~np.array(right)).sum()),
                seconds=seconds,
            )
        )
    return outcomes


def summary(outcomes: Sequence[Outcome], b: int) -> dict[str, object]:
    """Return means over batches, with 95% intervals of the mean over batches (t), as numbers."""
    found: dict[str, object] = {"batches": len(outcomes), "b": b}
    for name in ("accuracy", "exact", "blind_accuracy", "blind_exact"):
        values = np.array([getattr(each, name) for each in outcomes])
        if not np.isnan(values).any():
            found[name] = interval(values)
    found["certified"] = sum(each.certified for each in outcomes)
    found["wrongly certified"] = sum(each.wrong for each in outcomes)
    found["cpu seconds"] = round(float(np.mean([each.seconds for each in outcomes])), 2)
    return found


def interval(values: np.ndarray) -> dict[str, float]:
    """Return mean and interval; where all are 0 or all are 1, its other end by Clopper-Pearson."""
    mean, n = float(values.mean()), len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    if half == 0.0 and mean in (0.0, 1.0):
        end = 1.0 - 0.025 ** (1.0 / n)
        low, high = (0.0, end) if mean == 0.0 else (1.0 - end, 1.0)
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4)}


def gradient(b: int, dtype: str = "float32") -> Disclosed:
    """Return what a client discloses that sends one gradient."""
    return Disclosed(kind="gradient", examples=b, dtype=dtype)


def main() -> None:
    """Measure all and write the figures."""
    if not ADULT.exists():
        sys.exit(f"skipped: {ADULT} is absent")
    start = time.process_time()
    with threads(1):
        figures = {"tabular": tabular_figures(), "text": text_figures()}
    print(f"{time.process_time() - start:.0f} CPU seconds")
    print(evidence.write("tabular_text", figures, CODE))


def tabular_figures() -> list[dict[str, object]]:
    """Return the figures of Adult."""
    people = adult()
    columns = people.x.shape[1]
    known = np.random.default_rng(5).permutation(len(people.x))[3000:]

    def untrained(kind: str) -> Callable[[int], nn.Module]:
        return lambda number: network(columns, kind, number)

    def slightly(kind: str) -> Callable[[int], nn.Module]:
        return lambda number: trained(network(columns, kind, number), people, known, 200)

    local = Disclosed(kind="delta", examples=8, lr=0.05, momentum=0.9, epochs=2, batch_size=4)
    cases = [
        ("relu, untrained", untrained("relu"), 8, gradient(8)),
        ("relu, 200 steps", slightly("relu"), 8, gradient(8)),
        ("tanh, untrained", untrained("tanh"), 8, gradient(8)),
        ("tanh, 200 steps", slightly("tanh"), 8, gradient(8)),
        ("relu, 200 steps, float16", slightly("relu"), 8, gradient(8, "float16")),
        ("relu, 200 steps, four steps of local training", slightly("relu"), 8, local),
        ("relu, untrained", untrained("relu"), 16, gradient(16)),
        ("relu, untrained", untrained("relu"), 32, gradient(32)),
    ]
    return [
        {"model": name, **shown(name, tabular(people, make, b, how), b)}
        for name, make, b, how in cases
    ]


def text_figures() -> list[dict[str, object]]:
    """Return the figures of texts."""
    figures = []
    sources = {"random tokens": texts.random_texts, "sentences": texts.sentences}
    for name in MODELS:
        for source, draw in sources.items():
            for b, dtype, batches in (
                (1, "float32", 5),
                (2, "float32", 5),
                (4, "float32", BATCHES),
                (4, "float16", 5),
                (8, "float32", 5),
            ):
                outcomes = text(name, draw, b, gradient(b, dtype), batches)
                said = shown(f"{name}, {source}, {dtype}", outcomes, b)
                figures.append({"model": name, "texts": source, "sent": dtype, **said})
    return figures


def shown(name: str, outcomes: Sequence[Outcome], b: int) -> dict[str, object]:
    """Return the summary, printed too."""
    found = summary(outcomes, b)
    print(name, found, flush=True)
    return found


if __name__ == "__main__":
    main()
