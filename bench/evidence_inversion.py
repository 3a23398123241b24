"""Does chance name a record of a client's batch as often as the game of inversion says?

CIFAR-10, every answer refereed as in an audit. Writes bench/results/inversion_null.json; needs
shared/data. Run from the root: ``python bench/evidence_inversion.py`` (about five CPU minutes). The
tests run slices.
"""

import sys
from collections.abc import Callable

import evidence
import numpy as np
import pyarrow.parquet as pq
from attrs import frozen
from cifar10 import DATA, decoded
from scipy.stats import hypergeom

from leakpro_core.arrays import Floats, Ints, Singles
from leakpro_core.games.gradient_inversion import Batch, InversionAnswer, draw, referee
from leakpro_core.records import Auxiliary
from leakpro_core.statistics import clopper_pearson

PATHS = (
    "bench/evidence_inversion.py",
    "leakpro_core/games/batches.py",
    "leakpro_core/games/gradient_inversion.py",
    "leakpro_core/games/naming.py",
)
TRAIN = DATA / "cifar10-train.parquet"
DECOYS = 100
AUXILIARY = 1000

Rng = np.random.Generator


@frozen(kw_only=True)
class Images:
    """CIFAR-10: x float32 ``[n, 3, 32, 32]`` from 0 to 1, y int64 ``[n]``; aside: of no batch."""

    x: Singles
    y: Ints
    aside: Auxiliary


def images(most: int | None = None) -> Images:
    """Return images in a random order, the first of them auxiliary; most: of the file's first."""
    file = pq.ParquetFile(TRAIN)
    part = file.read() if most is None else next(file.iter_batches(most))
    table = part.to_pandas().sample(frac=1.0, random_state=0)
    x = np.stack([decoded(content) for content in table["image"]]).astype(np.float32) / 255.0
    y = table["label"].to_numpy(np.int64)
    aside = min(AUXILIARY, len(x) // 5)
    return Images(x=x[aside:], y=y[aside:], aside=Auxiliary(records=x[:aside], labels=y[:aside]))


def batches(data: Images, count: int, b: int, seed: int, *, aside: bool) -> list[Batch]:
    """Draw batches at random, each with decoys from all the images but its own.

    So that batch and decoys are one random draw from the same images, and every batch another.
    """
    found = []
    for number in range(count):
        rows = np.random.default_rng([seed, number]).choice(len(data.y), b, replace=False)
        others = data.y.copy()
        others[rows] = -1
        found.append(
            draw(
                number,
                data.x[rows],
                data.y[rows],
                data.x,
                others,
                data.aside if aside else None,
                decoys=DECOYS,
                modality="image",
                groups=(),
                seed=seed,
            )
        )
    return found


def drawn(data: Images, batch: Batch, rng: Rng) -> Singles:
    assert data.aside.records is not None
    return data.aside.records[rng.integers(0, len(data.aside.labels), batch.size)]


def flat(x: Singles) -> Singles:
    colours: Singles = x.mean(axis=(2, 3), keepdims=True).repeat(32, axis=2).repeat(32, axis=3)
    return colours


def blurred(x: Singles) -> Singles:
    """Return the means of 8 by 8 squares."""
    squares: Singles = x.reshape(len(x), 3, 4, 8, 4, 8).mean(axis=(3, 5))
    return squares.repeat(8, axis=2).repeat(8, axis=3)


GUESSES: dict[str, Callable[[Images, Batch, Rng], Singles]] = {
    "images drawn at random": drawn,
    "mean of the data set": lambda data, _batch, _rng: data.x[:2000].mean(axis=0)[None],
    "flat mean colour of images drawn at random": lambda *given: flat(drawn(*given)),
    "blurred images drawn at random": lambda *given: blurred(drawn(*given)),
    "flat mean colour of the records themselves": lambda _data, batch, _rng: flat(batch.records),
    "the records themselves, blurred": lambda _data, batch, _rng: blurred(batch.records),
}
"""The last two are taken from the batch; the others know nothing of it."""

KNOWING = tuple(GUESSES)[-2:]


def identified_null(
    data: Images, b: int, count: int, who: str = "images drawn at random", *, aside: bool = False
) -> dict[str, object]:
    """Return how often ``who`` identifies and recovers records of batches of b, and of decoys.

    Rates are means over batches, with their 95% interval; aside: whether there are auxiliary
    records, without which only equality recovers.
    """
    whole: dict[tuple[str, bool], list[Floats]] = {}
    step = max(1, 20_000 // (2 * b + DECOYS))
    for first in range(0, count, step):
        n = min(step, count - first)
        played = batches(data, n, b, 1_000_000 * b + first, aside=aside)
        rng = np.random.default_rng([b, first])
        answers = [answer(GUESSES[who](data, batch, rng)) for batch in played]
        result = referee(
            answers,
            played,
            [None] * n,
            attack=who,
            modality="image",
            groups=(),
            classes=10,
            labels_known=True,
        )
        e = result.evidence
        for number, facet in enumerate(result.facets):
            for exposed in (True, False):
                mine = (e.facet == number) & (e.exposed == exposed) & ~np.isnan(e.claim)
                hits = np.bincount(e.cluster[mine], e.hit[mine], minlength=n)
                made = np.bincount(e.cluster[mine], minlength=n)
                whole.setdefault((facet, exposed), []).append(hits / made)
    arms = {True: "the batch", False: "the decoy batch"}
    return {
        "who": who,
        "batch size": b,
        "batches": count,
        "null_p": round(played[0].null_p, 5),
        **{
            f"{facet}, {arms[exposed]}": rate(np.concatenate(values))
            for (facet, exposed), values in whole.items()
            if aside or facet == "identified"
        },
    }


def answer(records: Floats | Singles) -> InversionAnswer:
    k = len(records)
    return InversionAnswer(records=records, claims=np.zeros(k), certified=np.zeros(k, np.bool_))


def rate(values: Floats) -> list[float]:
    """Return mean and 95% interval; Clopper-Pearson where a batch is one yes or no."""
    mean = float(values.mean())
    if set(np.unique(values)) <= {0.0, 1.0}:
        found = clopper_pearson(int(values.sum()), len(values))
        limits = found.low, found.high
    else:
        wide = 1.96 * float(values.std(ddof=1)) / np.sqrt(len(values))
        limits = mean - wide, mean + wide
    return [round(float(x), 5) for x in (mean, *limits)]


def reused(b: int, pool: int, others: int, count: int, audits: int, seed: int) -> dict[str, object]:
    """Return how often an adversary who says one thing of every batch passes a test at 5%.

    Its distances to records are independent of arms; decoys are drawn from so few others that they
    are the same ones over and over. The test: Fisher's, one-sided, over batches.
    """
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(audits):
        away = rng.random(others)
        rows = rng.random((count, others)).argsort(axis=1)[:, : b + pool]
        decoys = away[rows]
        least = decoys[:, b:].min(axis=1)
        exposed = int((rng.random((count, b)).min(axis=1) < least).sum())
        control = int((decoys[:, :b].min(axis=1) < least).sum())
        chance = hypergeom.sf(exposed - 1, 2 * count, exposed + control, count)
        alarms += bool(chance <= 0.05)
    return {
        "batch size": b,
        "decoys": pool,
        "batches": count,
        "others": others,
        "times each is drawn": round(count * (b + pool) / others, 1),
        "audits": audits,
        "false alarms": round(alarms / audits, 3),
    }


def main() -> None:
    """Measure and write everything."""
    if not TRAIN.exists():
        sys.exit(f"skipped: no cifar10-train.parquet in {DATA}")
    data = images()
    chance = [
        identified_null(data, b, n) for b, n in ((1, 10_000), (4, 2000), (8, 2000), (64, 2000))
    ]
    guesses = [identified_null(data, 1, 2000, who) for who in GUESSES]
    guesses += [identified_null(data, 8, 500, who) for who in tuple(GUESSES)[1:]]
    near = [
        identified_null(data, 1, 400, who, aside=True) for who in (*KNOWING, *tuple(GUESSES)[:1])
    ]
    few = [
        reused(b, pool, others, count, 500, seed)
        for seed, (b, pool, others, count) in enumerate(
            (
                (1, 100, 202, 40),
                (64, 128, 5000, 200),
                (64, 128, 1000, 40),
                (64, 128, 384, 40),
                (64, 128, 1000, 200),
                (8, 104, 1000, 200),
                (64, 128, 384, 200),
            )
        )
    ]
    figures = {
        "chance": chance,
        "other guesses": guesses,
        "with auxiliary records": near,
        "few non-members": few,
    }
    for rows in figures.values():
        print(*rows, sep="\n")
    print(evidence.write("inversion_null", figures, PATHS))


if __name__ == "__main__":
    main()
