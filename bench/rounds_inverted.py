"""Does inversion find records of a client with 300, of whom membership is found?

Adult, the network, clients and updates of ``update_membership``: one epoch of SGD in batches of 32,
momentum .9. Ten clients with networks of their own. Attacks on the first round's update, by an
adversary who knows all but the records; a reconstruction names its nearest among the client's 300
records and 2,700 decoys, and so often by luck as ``null_p`` says. Beside: membership over ten
rounds of the same clients, AUC with its interval over clients.
Writes results/rounds_inverted.json. About ten CPU minutes; needs shared/data. ``--clients N``: as
many, and writes nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import evidence
import numpy as np
import pyarrow.parquet as pq
import torch
from leakpro_fl import inversion, one_hot
from leakpro_fl.alignment import AlignmentOptions
from scipy.stats import t as student
from update_membership import ADULT, AUXILIARY, CLIENTS, FLOWER, Played, adult, claimed, play

from leakpro_core.arrays import Floats, Ints
from leakpro_core.games.gradient_inversion import (
    InversionAnswer,
    InversionChallenge,
    draw,
    referee,
)
from leakpro_core.statistics.roc import auc
from leakpro_core.testing.runs import PlainRun

MEMBERS, SEEDS, DECOYS = 300, 10, 2700
CODE = (
    "bench/rounds_inverted.py",
    "bench/update_membership.py",
    "leakpro_core/games/batches.py",
    "leakpro_core/games/gradient_inversion.py",
    "leakpro_core/games/naming.py",
    *(
        f"plugins/leakpro_fl/src/leakpro_fl/{name}.py"
        for name in (
            *("alignment", "client", "inversion", "objective", "one_hot", "priors", "procedure"),
            *("relaxed", "rows", "search", "seen"),
        )
    ),
)
ATTACKS: dict[str, Callable[[InversionChallenge, PlainRun], InversionAnswer]] = {
    "one-hot": lambda given, run: one_hot.attack(given, one_hot.OneHotOptions(restarts=2), run),
    "inversion": lambda given, run: inversion.attack(
        given, inversion.InversionOptions(iterations=200), run
    ),
}


def groups() -> tuple[tuple[int, ...], ...]:
    """Return the columns of each category of ``adult``."""
    table = pq.read_table(ADULT).to_pandas().drop(columns=["split", "income"])
    found, at = [], 0
    for name in table:
        column = table[name]
        width = 1
        if column.dtype.kind not in "iu":
            width = len(np.unique(column.astype(object).where(column.notna(), "?").astype(str)))
            found.append(tuple(range(at, at + width)))
        at += width
    return tuple(found)


def refereed(x: Floats, y: Ints, seed: int, played: Played) -> dict[str, dict[str, float]]:
    """Return, of each attack on the first round, the share of hits in batch and decoy batch."""
    given = played.challenge
    mine = played.members
    rest = np.random.default_rng([seed, 7]).permutation(len(x))
    others = rest[(CLIENTS + 2) * MEMBERS + AUXILIARY :]
    batch = draw(
        0,
        given.records[mine],
        given.labels[mine],
        x[others],
        y[others],
        given.auxiliary,
        decoys=DECOYS,
        modality="tabular",
        groups=groups(),
        seed=seed,
    )
    seen = InversionChallenge(
        model=given.model,
        before=given.rounds[0].before,
        update=given.rounds[0].values,
        disclosed=given.disclosed,
        labels=np.sort(given.labels[mine]),
        shape=x.shape[1:],
        classes=2,
        modality="tabular",
        groups=groups(),
        auxiliary=given.auxiliary,
    )
    found = {}
    for name, attack in ATTACKS.items():
        begun = time.process_time()
        answer = attack(seen, PlainRun(seed=seed, scratch=Path()))
        spent = time.process_time() - begun
        result = referee(
            [answer],
            [batch],
            [None],
            attack=name,
            modality="tabular",
            groups=groups(),
            classes=2,
            labels_known=True,
        )
        e = result.evidence
        found[name] = {"seconds": spent, "null_p": batch.null_p}
        for number, facet in enumerate(result.facets):
            for exposed, arm in ((True, "client"), (False, "decoys")):
                these = (e.facet == number) & (e.exposed == exposed) & ~np.isnan(e.claim)
                found[name][f"{facet}, {arm}"] = float(e.hit[these].mean())
        sure = int(np.sum(answer.certified))
        found[name]["certified"] = float(sure)
    return found


def spread(values: list[float]) -> list[float]:
    """Return mean and 95% t interval over clients; none of these figures can be less than 0."""
    v = np.array(values)
    wide = float(student.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)))
    return [
        round(float(each), 4) for each in (v.mean(), max(0.0, v.mean() - wide), v.mean() + wide)
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=SEEDS)
    count = parser.parse_args().clients
    if not ADULT.exists():
        sys.exit(f"skipped: no {ADULT.name} in {ADULT.parent}")
    torch.set_num_threads(1)
    x, y = adult()
    inverted, members = [], []
    for seed in range(count):
        played = play(x, y, seed, said={**FLOWER, "epochs": 1}, b=MEMBERS)
        members.append(auc(claimed(played, AlignmentOptions()), played.members).value)
        inverted.append(refereed(x, y, seed, played))
        print(seed, round(members[-1], 3), inverted[-1], flush=True)
    figures = {
        "clients": count,
        "records of each": MEMBERS,
        "membership over ten rounds, AUC": spread(members),
        "inversion": {
            name: {key: spread([each[name][key] for each in inverted]) for key in inverted[0][name]}
            for name in ATTACKS
        },
    }
    if count == SEEDS:
        print(evidence.write("rounds_inverted", figures, CODE))
    print(figures)


if __name__ == "__main__":
    main()
