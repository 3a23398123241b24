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
from adult_people import (
    ADULT,
    People,
    adult,
    guesses,
    matched,
    network,
    trained,
)
from attrs import frozen
from leakpro_fl import embeddings, one_hot
from leakpro_fl.client import TorchClient
from leakpro_torch.modules import threads
from scipy import stats
from torch import nn

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.records import Auxiliary, Disclosed

sys.path.insert(0, str(evidence.ROOT / "plugins" / "leakpro_fl" / "tests"))
import texts

FL = "plugins/leakpro_fl/src/leakpro_fl"
CODE = (
    "bench/adult_people.py",
    "bench/tabular_text.py",
    "plugins/leakpro_fl/tests/texts.py",
    *(
        f"{FL}/{name}.py"
        for name in (
            "alternatives",
            "clues",
            "embeddings",
            "linear",
            "mixtures",
            "one_hot",
            "open_numbers",
            "procedure",
            "relaxed",
            "row_model",
            "rows",
            "seen",
            "sequences",
            "spanned",
            "transformer_span",
        )
    ),
)

BATCHES = 20

SOME = 5
"""Batches of other cases, and of each model and kind of text."""


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


def tabular(
    people: People, make: Callable[[int], nn.Module], b: int, how: Disclosed, batches: int
) -> list[Outcome]:
    """Return the outcome of each batch; neither labels nor anything but ``how`` is known."""
    outcomes = []
    for number in range(batches):
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
        right = [
            any(
                label == own and matched(row[None], person[None], people.groups)[1] == 1.0
                for person, own in zip(truth, people.y[mine], strict=True)
            )
            for row, label in zip(answer.records, answer.labels, strict=True)
        ]
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
        right = [
            bool(((row == tokens).all(1) & (label == labels)).any())
            for row, label in zip(answer.records, answer.labels, strict=True)
        ]
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
    half = float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
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
        ("relu, untrained", untrained("relu"), 8, gradient(8), BATCHES),
        ("relu, 200 steps", slightly("relu"), 8, gradient(8), BATCHES),
        ("tanh, 200 steps", slightly("tanh"), 8, gradient(8), BATCHES),
        ("relu, 200 steps, float16", slightly("relu"), 8, gradient(8, "float16"), BATCHES),
        ("relu, 200 steps, four local steps", slightly("relu"), 8, local, BATCHES),
        ("relu, untrained", untrained("relu"), 16, gradient(16), SOME),
    ]
    return [
        {"model": name, **shown(name, tabular(people, make, b, how, batches), b)}
        for name, make, b, how, batches in cases
    ]


def text_figures() -> list[dict[str, object]]:
    """Return the figures of texts."""
    figures = []
    sources = {"random tokens": texts.random_texts, "sentences": texts.sentences}
    for name in MODELS:
        for source, draw in sources.items():
            outcomes = text(name, draw, 4, gradient(4), 2 * SOME)
            said = shown(f"{name}, {source}", outcomes, 4)
            figures.append({"model": name, "texts": source, **said})
    return figures


def shown(name: str, outcomes: Sequence[Outcome], b: int) -> dict[str, object]:
    """Return the summary, printed too."""
    found = summary(outcomes, b)
    print(name, found, flush=True)
    return found


if __name__ == "__main__":
    main()
