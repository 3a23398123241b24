"""Membership from a client's updates on Adult: how much of it is found, and what on nothing.

Writes bench/results/update_membership.json. Run from the root, one thread:
``python bench/update_membership.py`` (some 10 CPU minutes). Data: shared/data/adult.parquet beside
the tree. The server averages five clients every round; the adversary sees one client's update.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from attrs import evolve, frozen
from evidence import ROOT, write
from leakpro_fl.alignment import AlignmentOptions, attack, path_of
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.per_record import gradients, layout_of
from leakpro_fl.procedure import own
from leakpro_fl.seen import read
from torch import nn

from leakpro_core import judge
from leakpro_core.arrays import AnyArray, Bools, Floats, Ints
from leakpro_core.games.membership import rounds as rounds_of
from leakpro_core.games.update_membership import UpdateMembershipChallenge
from leakpro_core.plan import Policy
from leakpro_core.records import Auxiliary, ClientUpdate, Disclosed
from leakpro_core.statistics.intervals import clopper_pearson
from leakpro_core.statistics.roc import auc, tpr_at_fpr
from leakpro_core.testing.runs import PlainRun

PATHS = (
    "bench/update_membership.py",
    "leakpro_core/games/update_membership.py",
    "leakpro_core/judge/*.py",
    "leakpro_core/statistics/*.py",
    "plugins/leakpro_fl/src/leakpro_fl/alignment.py",
    "plugins/leakpro_fl/src/leakpro_fl/client.py",
    "plugins/leakpro_fl/src/leakpro_fl/defences.py",
    "plugins/leakpro_fl/src/leakpro_fl/explained.py",
    "plugins/leakpro_fl/src/leakpro_fl/per_record.py",
    "plugins/leakpro_fl/src/leakpro_fl/pool.py",
    "plugins/leakpro_fl/src/leakpro_fl/procedure.py",
    "plugins/leakpro_fl/src/leakpro_fl/seen.py",
)
ADULT = ROOT.parent / "shared" / "data" / "adult.parquet"
CLIENTS, AUXILIARY, SEEDS, NULLS = 5, 500, 3, 240
FLOWER = {"lr": 0.1, "momentum": 0.9, "batch_size": 32, "shuffled": True}
VARIANTS = {
    "alignment": AlignmentOptions(),
    "alignment, explained by auxiliary records": AlignmentOptions(explain="auxiliary"),
    "alignment, without loss": AlignmentOptions(loss=False),
}


def adult() -> tuple[Floats, Ints]:
    """Return one-hot records of Adult, numbers standardised, and their labels."""
    table = pq.read_table(ADULT).to_pandas()
    table.pop("split")
    y = table.pop("income").astype(str).str.contains(">50K").to_numpy().astype(np.int64)
    parts = []
    for name in table:
        column = table[name]
        if column.dtype.kind in "iu":
            numbers = column.to_numpy(np.float64)
            parts.append(((numbers - numbers.mean()) / numbers.std())[:, None])
        else:
            text = column.astype(object).where(column.notna(), "?").astype(str).to_numpy()
            parts.append((text[:, None] == np.unique(text)[None]).astype(np.float64))
    return np.concatenate(parts, axis=1).astype(np.float32), y


@frozen(kw_only=True)
class Played:
    """A challenge, who is a member, and who is a canary of which kind ("" for people)."""

    challenge: UpdateMembershipChallenge
    members: Bools
    kinds: Ints


def mlp(columns: int, widths: tuple[int, ...], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = (columns, *widths)
        layers: list[nn.Module] = []
        for into, out in pairwise(sizes):
            layers += [nn.Linear(into, out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], 2))


def play(
    x: Floats,
    y: Ints,
    seed: int,
    *,
    said: Mapping[str, Any],
    b: int = 300,
    rounds: int = 10,
    widths: tuple[int, ...] = (64,),
    null: bool = False,
    canaries: int = 0,
    auxiliary: int = AUXILIARY,
) -> Played:
    """Return a game on one client's ``b`` members and as many others.

    null: the updates are made of records of neither; canaries: how many members, and others, are
    mislabelled, and how many have columns drawn each on its own.
    """
    rng = np.random.default_rng([seed, 7])
    rows = rng.permutation(len(x))
    x, y = x[rows[: (CLIENTS + 2) * b + auxiliary]].copy(), y[rows[: (CLIENTS + 2) * b + auxiliary]]
    y, kinds = y.copy(), np.zeros(2 * b, dtype=np.int64)
    members = np.arange(2 * b) < b
    for arm in (0, b):
        wrong, odd = (slice(arm + k * canaries, arm + (k + 1) * canaries) for k in (0, 1))
        y[wrong] = 1 - y[wrong]
        for column in range(x.shape[1]):
            x[odd, column] = rng.choice(x[-auxiliary:, column], canaries)
        kinds[wrong], kinds[odd] = 1, 2
    disclosed = Disclosed(**{"kind": "weights", "examples": b, **said})
    module = mlp(x.shape[1], widths, seed)
    client = TorchClient(module=module, disclosed=disclosed)
    before: Mapping[str, AnyArray] = arrays_of(module)
    made = []
    # Client 0 is attacked; clients 1 to 4 hold others, and in null audits client 1 stands for it.
    start = [0, *range(2 * b, (CLIENTS + 1) * b, b)]
    spare = (CLIENTS + 1) * b
    for number in range(rounds):
        sent = []
        for k, first in enumerate(start):
            mine = slice(first, first + b) if k or not null else slice(spare, spare + b)
            sent.append(client.update(before, x[mine], y[mine], 1000 * seed + 10 * number + k))
        made.append(ClientUpdate(before=before, values=sent[0]))
        mean = {n: np.mean([each[n] for each in sent], axis=0) for n in sent[0]}
        before = client.after(before, mean)
    order = rng.permutation(2 * b)
    challenge = UpdateMembershipChallenge(
        ids=np.arange(2 * b),
        records=x[: 2 * b][order],
        labels=y[: 2 * b][order],
        classes=2,
        model=module,
        rounds=tuple(made),
        disclosed=disclosed,
        auxiliary=Auxiliary(records=x[-auxiliary:], labels=y[-auxiliary:]),
    )
    return Played(challenge=challenge, members=members[order], kinds=kinds[order])


def plain(challenge: UpdateMembershipChallenge) -> dict[str, Floats]:
    """Return what the literature scores: inner product and cosine, and the drop of the loss."""
    module = own(challenge.model, train=False)
    x, y = torch.from_numpy(challenge.records.copy()), torch.from_numpy(challenge.labels.copy())
    names = [name for name, _ in module.named_parameters()]
    found: dict[str, list[Floats]] = {"inner product": [], "cosine": [], "drop of the loss": []}
    for each in challenge.rounds:
        path = path_of(each, challenge.disclosed)
        layout = layout_of(module, path[0], x, y, names, coordinates=1, seed=0)
        per = gradients(module, path[0], x, y, layout, block=256)
        dots = per.times(layout.flat(read(each, challenge.disclosed).gradient)[None])[:, 0]
        found["inner product"].append(dots.numpy())
        found["cosine"].append((dots / per.norms().sqrt()).numpy())
        losses = [
            nn.functional.cross_entropy(
                torch.func.functional_call(module, state, (x,)), y, reduction="none"
            ).detach()
            for state in (path[0], path[-1])
        ]
        found["drop of the loss"].append((losses[0] - losses[1]).double().numpy())
    return {name: np.sum(rounds, axis=0) for name, rounds in found.items()}


def claimed(played: Played, options: AlignmentOptions) -> Floats:
    return attack(played.challenge, options, PlainRun(seed=1, scratch=Path())).claims


def shown(claims: Floats, members: Bools) -> dict[str, float]:
    found, point = auc(claims, members), tpr_at_fpr(claims, members, 0.1)
    return {
        "auc": round(found.value, 3),
        "low": round(found.low, 3),
        "high": round(found.high, 3),
        "tpr_at_10_percent_fpr": round(point.tpr, 3),
    }


CASES: Mapping[str, Mapping[str, Any]] = {
    "weights after 1 epoch": {"said": {**FLOWER, "epochs": 1}},
    "weights after 5 epochs": {"said": {**FLOWER, "epochs": 5}},
    "weights after 20 epochs": {"said": {**FLOWER, "epochs": 20}},
    "one gradient": {"said": {"kind": "gradient", "lr": 0.1, "mode": "eval"}, "rounds": 1},
    "one gradient in float16": {
        "said": {"kind": "gradient", "lr": 0.1, "mode": "eval", "dtype": "float16"},
        "rounds": 1,
    },
    "1 epoch, learning rate and examples not disclosed": {
        "said": {**FLOWER, "epochs": 1},
        "unknown": True,
    },
    "1 epoch, noise of .01 a coordinate after clipping to 1": {
        "said": {**FLOWER, "epochs": 1, "clip": 1.0, "noise": 0.01}
    },
}


def power(x: Floats, y: Ints) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield AUCs of every case, on the first seed with interval, and their mean over seeds."""
    for name, case in CASES.items():
        unknown = bool(case.get("unknown"))
        settings = {k: v for k, v in case.items() if k != "unknown"}
        rows: dict[str, list[dict[str, float]]] = {}
        seconds = 0.0
        for seed in range(SEEDS):
            played = play(x, y, seed, **settings)
            if unknown:
                hidden = evolve(played.challenge, disclosed=Disclosed(kind="weights"))
                played = evolve(played, challenge=hidden)
            scores: dict[str, Floats] = {} if unknown else dict(plain(played.challenge))
            for variant, options in VARIANTS.items():
                begun = time.process_time()
                scores[variant] = claimed(played, options)
                seconds += time.process_time() - begun if variant == "alignment" else 0.0
            for label, claims in scores.items():
                rows.setdefault(label, []).append(shown(claims, played.members))
        yield (
            name,
            {
                "attacks": {
                    label: {
                        "mean_auc": round(float(np.mean([e["auc"] for e in each])), 3),
                        "mean_tpr_at_10_percent_fpr": round(
                            float(np.mean([e["tpr_at_10_percent_fpr"] for e in each])), 3
                        ),
                        "first": each[0],
                    }
                    for label, each in rows.items()
                },
                "cpu_seconds_of_alignment": round(seconds / SEEDS, 1),
            },
        )
        print(name, {k: float(np.mean([e["auc"] for e in v])) for k, v in rows.items()}, flush=True)


def canaries(x: Floats, y: Ints, each: int = 20) -> dict[str, object]:
    """Return AUCs of plain people and of canaries of each kind against others of their kind."""
    names = ("people", "mislabelled", "columns drawn each on its own")
    claims: dict[str, list[tuple[Floats, Bools]]] = {name: [] for name in names}
    for seed in range(SEEDS):
        played = play(x, y, seed, said={**FLOWER, "epochs": 5}, canaries=each)
        found = claimed(played, AlignmentOptions())
        for number, name in enumerate(names):
            mine = played.kinds == number
            claims[name].append((found[mine], played.members[mine]))
    return {
        name: {
            "auc": [round(auc(c, m).value, 3) for c, m in pairs],
            "mean": round(float(np.mean([auc(c, m).value for c, m in pairs])), 3),
        }
        for name, pairs in claims.items()
    }


def nulls(x: Floats, y: Ints) -> dict[str, object]:
    """Return how often the judge finds a leak in updates made of neither arm's records."""
    policy, false, areas = Policy(), 0, []
    for seed in range(NULLS):
        epochs = (1, 3)[seed % 2]
        played = play(
            x,
            y,
            seed,
            said={**FLOWER, "batch_size": 16, "epochs": epochs},
            b=50,
            rounds=2,
            widths=(8,),
            null=True,
            auxiliary=60,
        )
        found = []
        for label, options in VARIANTS.items():
            evidence = rounds_of(
                np.arange(100), played.members, claimed(played, options), blind=None, cluster=0
            )
            found.append(judge.Rounds(label=label, adversary="server", evidence=evidence))
            areas.append(auc(evidence.claim, played.members).value)
        judged = judge.judge(found, policy, sampling="random", seed=seed)
        false += any(each.detected for each in judged)
        if seed % 20 == 19:
            print(f"nulls: {false} of {seed + 1}", flush=True)
    limits = clopper_pearson(false, NULLS)
    return {
        "audits": NULLS,
        "attacks_each": len(VARIANTS),
        "with_a_leak": false,
        "interval": [round(limits.low, 4), round(limits.high, 4)],
        "mean_auc": round(float(np.mean(areas)), 4),
    }


def main() -> None:
    torch.set_num_threads(1)
    x, y = adult()
    figures = {
        "members": 300,
        "others": 300,
        "auxiliary": AUXILIARY,
        "rounds": 10,
        "clients": CLIENTS,
        "columns": x.shape[1],
        "model": "MLP with 64 hidden units",
        "seeds": SEEDS,
        "null": nulls(x, y),
        "cases": dict(power(x, y)),
        "canaries_in_weights_after_5_epochs": canaries(x, y),
    }
    print(write("update_membership", figures, PATHS))


if __name__ == "__main__":
    main()
