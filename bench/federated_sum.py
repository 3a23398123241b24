"""What a server reads from sums over 64 clients with noise, and from one client without: audits.

Adult, an untrained network of 64 hidden units, one gradient a client, clipped to 1. A sum is that
of 64 clients with one record each, and each adds noise of standard deviation 1 to each coordinate
(their mean has 1/8). The contrast is one client with four records and no noise; the plan is the
same else, down to the policy, which is the default one. Whole audits by the command line.
Writes results/federated_sum.json. About two CPU minutes; needs shared/data. ``--batches N``: as
many, and writes nothing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evidence
import numpy as np
import pyarrow.parquet as pq

from leakpro_core.arrays import AnyArray, Floats

if TYPE_CHECKING:
    from torch import nn

CODE = (
    "bench/federated_sum.py",
    "leakpro_core/games/batches.py",
    "leakpro_core/games/gradient_inversion.py",
    "leakpro_core/games/naming.py",
    "leakpro_core/judge/inversion_*.py",
    "leakpro_core/judge/success*.py",
    "leakpro_core/statistics/paired.py",
    *(
        f"plugins/leakpro_fl/src/leakpro_fl/{name}.py"
        for name in (
            "client",
            "defences",
            "exact",
            "inversion",
            "objective",
            "one_hot",
            "relaxed",
            "search",
            "seen",
        )
    ),
)
ADULT = evidence.ROOT.parent / "shared" / "data" / "adult.parquet"
BATCHES = 80
NUMBERS = ("age", "education_num", "capital_gain", "capital_loss", "hours_per_week")
WORDS = ("workclass", "marital_status", "occupation", "relationship", "race", "sex")
CASES = {
    "sum of 64 clients, noise 1": {"clients": 64, "examples": 64, "noise": 1.0},
    "one client, no noise": {"clients": 1, "examples": 4, "noise": 0.0},
}
PLAN = """
schema = 1
name = "Adult, {name}"
seed = 11

[target]
loader = "client"
factory = "federated_sum:mlp"
kind = "gradient"
examples = {examples}
clients = {clients}
clip = 1.0
noise = {noise}
groups = {groups}

[data]
factory = "federated_sum:data"
members = "members"
auxiliary_share = 0.1
modality = "tabular"

[[adversary]]
name = "server that knows the labels"
label = "worst case"
access = "update"
knows = ["labels", "batch size", "hyper-parameters", "auxiliary population"]

[games]
batches = {batches}
decoys = 1216

[[attacks]]
name = "inversion"
iterations = 100

[[attacks]]
name = "one-hot"
restarts = 1
iterations = 100

[[attacks]]
name = "exact"
"""


def _encoded() -> tuple[Floats, AnyArray, list[list[int]]]:
    """Return records, numbers standardised and categories one-hot, labels, and the groups."""
    table = pq.read_table(ADULT)
    parts, groups, at = [], [], 0
    for name in NUMBERS:
        values = table[name].to_numpy().astype(np.float64)
        parts.append(((values - values.mean()) / values.std())[:, None])
        at += 1
    for name in WORDS:
        values = np.array([v or "?" for v in table[name].to_pylist()])
        known = np.unique(values)
        parts.append((values[:, None] == known).astype(np.float64))
        groups.append(list(range(at, at + len(known))))
        at += len(known)
    y = np.array([">50K" in v for v in table["income"].to_pylist()]).astype(np.int64)
    return np.concatenate(parts, axis=1).astype(np.float32), y, groups


def data() -> dict[str, AnyArray]:
    """Return the people of Adult, half of whom, drawn, are clients."""
    x, y, _ = _encoded()
    members = np.random.default_rng(0).random(len(y)) < 0.5
    return {"x": x, "y": y, "members": members}


def mlp() -> "nn.Module":
    """Return a fresh, untrained classifier."""
    from torch import nn

    columns = _encoded()[0].shape[1]
    return nn.Sequential(nn.Linear(columns, 64), nn.ReLU(), nn.Linear(64, 2))


def audited(name: str, case: dict[str, Any], batches: int) -> dict[str, object]:
    """Return the figures of one audit, by the command line."""
    with tempfile.TemporaryDirectory() as folder:
        plan, out = Path(folder) / "plan.toml", Path(folder) / "out"
        text = PLAN.format(name=name, groups=_encoded()[2], batches=batches, **case)
        plan.write_text(text)
        env = os.environ | {"PYTHONPATH": str(evidence.ROOT / "bench"), "OMP_NUM_THREADS": "1"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [str(Path(sys.executable).parent / "leakpro"), "audit", str(plan), "--out", str(out)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = sorted(out.rglob("report.json"))
        if not found:
            sys.exit(done.stdout + done.stderr)
        report = json.loads(found[0].read_text())
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    finding = next(f for f in report["findings"] if f["family"] == "gradient-inversion")
    return {
        "case": name,
        **case,
        "target": report["target"]["description"],
        "batches": report["data"]["rounds"],
        "word": finding["word"],
        "statement": finding["statement"],
        "overall": [report["status"], report["word"], report["exit_code"]],
        "bounds": finding["bounds"],
        "attacks": [_attack(a) for a in report["attacks"]],
        "controls": {c["name"]: [c["result"], c["statement"]] for c in report["controls"]},
        "of noise": [line for line in report["limits"] if "epsilon" in line],
        "CPU seconds": round(seconds, 1),
    }


def _attack(found: dict[str, Any]) -> dict[str, object]:
    points = [
        {
            "facet": p["facet"],
            "coverage": p["coverage"],
            "null_p": p["null_p"],
            "exposed": _rate(p["exposed"]),
            "control": _rate(p["control"]),
            "excess": _rate(p["excess"]),
            "excess_high": p["excess_high"],
        }
        for p in found["success"]
    ]
    kept = ("label", "status", "reason", "detected", "p_value", "strength", "certified", "residual")
    return {name: found.get(name) for name in kept} | {"points": points}


def _rate(found: dict[str, Any]) -> dict[str, object]:
    """Return a mean rate over batches: k of n, with its interval."""
    value, n = found["value"], found["n"]
    told = {"k": round(value * n, 2), "n": n, "rate": value}
    return told | {"interval": [found["low"], found["high"]]}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int)
    asked = parser.parse_args().batches
    if not ADULT.exists():
        sys.exit(f"skipped: no {ADULT.name} in {ADULT.parent}")
    rows = []
    for name, case in CASES.items():
        rows.append(audited(name, case, asked or BATCHES))
        print(json.dumps(rows[-1], indent=1), flush=True)
    if asked is None:
        print(evidence.write("federated_sum", {"audits": rows}, CODE))


if __name__ == "__main__":
    main()
