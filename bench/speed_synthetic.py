"""CPU time and memory of the attacks on tables, beside anonymeter 1.1.0 on the same rows.

The peer pins an old numpy and lives in an environment of its own:

    python3.11 -m venv PEER && PEER/bin/pip install anonymeter==1.1.0 pyarrow
    python bench/speed_synthetic.py --peer PEER/bin/python

Every figure is that of a fresh process on one thread; imports and loading are not counted, the
attack on the people in the data, the attack on control people and their comparison are. Rows are
those of ``data/adult_audit`` (leaky20), and 16 times as many made of them, with the sampling
weight jittered so that rows differ. Memory is the highest anonymous memory (RssAnon) above that
of the inputs. The peer is measured on the rows as they are: on 16 times as many its singling out of
several columns did not end within twenty CPU minutes. Without --peer only ours is measured.
Writes results/speed_synthetic.json. About three CPU minutes with the peer.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import evidence
import numpy as np

AUDIT = evidence.ROOT.parent / "shared" / "data" / "adult_audit"
CODE = (
    "bench/speed_synthetic.py",
    "leakpro_core/tabular/predicates.py",
    "leakpro_core/tabular/distance.py",
    "leakpro_core/games/singling_out.py",
    "leakpro_core/games/linkability.py",
    "leakpro_core/games/attribute_inference.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/single_column.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/multi_column.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/linkability.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/nearest_rows.py",
)
GUESSES = 2000
FACTOR = 16
LEFT = ("type_employer", "fnlwgt", "education", "relationship", "capital_gain", "income")
"""One half of linkability, as core chooses it; the peer is given the same."""

TASKS = ("single-column", "multi-column", "linkability", "inference")

PEER = """
import json, sys, time, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
task, folder, guesses, left = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split()
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator
original, control, synthetic = (
    pd.read_parquet(f"{folder}/{name}.parquet") for name in ("original", "control", "synthetic")
)
names = list(original.columns)
np.random.seed(0)
start = time.process_time()
rates = []
if task in ("single-column", "multi-column"):
    mode = "univariate" if task == "single-column" else "multivariate"
    one = SinglingOutEvaluator(
        original, synthetic, n_attacks=guesses, n_cols=4, control=control, seed=0
    )
    one.evaluate(mode=mode)
    rates.append(one.risk().value)
elif task == "linkability":
    right = [name for name in names if name not in left]
    one = LinkabilityEvaluator(
        original, synthetic, aux_cols=(left, right), n_attacks=guesses, n_neighbors=1,
        control=control,
    )
    one.evaluate(n_jobs=1)
    rates.append(one.risk().value)
else:
    for secret in names:
        others = [name for name in names if name != secret]
        one = InferenceEvaluator(
            original, synthetic, aux_cols=others, secret=secret,
            regression=pd.api.types.is_numeric_dtype(original[secret]), n_attacks=guesses,
            control=control,
        )
        one.evaluate(n_jobs=1)
        rates.append(one.risk().value)
print(json.dumps([time.process_time() - start, 0, max(rates)]))
"""


def main() -> None:
    """Measure each task in fresh processes, ours and the peer's in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--own", nargs=2, metavar=("TASK", "FOLDER"))
    asked = parser.parse_args()
    if asked.own:
        print(json.dumps(own(asked.own[0], Path(asked.own[1]))))
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), asked.peer)
    print(evidence.write("speed_synthetic", figures, CODE))


def measured(folder: Path, peer: Path | None) -> dict[str, object]:
    """Return the figures of all tasks on both sizes."""
    rows: dict[str, object] = {}
    for factor in (1, FACTOR):
        made = tables(folder / str(factor), factor)
        for task in TASKS:
            ours = run([sys.executable, __file__, "--own", task, str(made)])
            row = {
                "rows": 4800 * factor,
                "CPU seconds": round(ours[0], 2),
                "MB": round(ours[1]),
                "excess": round(ours[2], 3),
            }
            if peer is not None and factor == 1:
                theirs = run([str(peer), "-c", PEER, task, str(made), str(GUESSES), " ".join(LEFT)])
                row |= {
                    "peer, CPU seconds": round(theirs[0], 1),
                    "peer / ours": round(theirs[0] / ours[0], 1),
                    "peer, risk": round(theirs[2], 3),
                }
            rows[f"{task}, {4800 * factor:,} rows"] = row
            print(f"{task}, {4800 * factor:,} rows: {row}", flush=True)
    for task in TASKS:
        small, large = (rows[f"{task}, {4800 * f:,} rows"] for f in (1, FACTOR))
        rows[f"{task}, growth"] = round(large["CPU seconds"] / small["CPU seconds"], 1)  # type: ignore[index]
        print(task, "growth", rows[f"{task}, growth"], flush=True)
    return {"guesses": GUESSES, "one_thread": rows}


def run(command: list[str]) -> list[float]:
    """Return CPU seconds, megabytes and the excess that a fresh process measured."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        command,
        env={**os.environ, **threads, "POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def tables(folder: Path, factor: int) -> Path:
    """Write the three tables, ``factor`` times as many rows as in ``data/adult_audit``."""
    import pandas as pd

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    shift = rng.integers(-5_000, 5_000, (factor, 4800))
    shift[0] = 0
    for name, source in (
        ("original", "original"),
        ("control", "control"),
        ("synthetic", "leaky20"),
    ):
        one = pd.read_parquet(AUDIT / f"{source}.parquet")
        whole = pd.concat([one] * factor, ignore_index=True)
        # Copies of one row get the same shift in the original and the release: still a leak.
        key = whole.groupby(list(one.columns), sort=False).cumcount().to_numpy() % factor
        moved = shift[key, whole["fnlwgt"].to_numpy() % 4800]
        whole["fnlwgt"] = np.maximum(1, whole["fnlwgt"] + moved)
        whole.to_parquet(folder / f"{name}.parquet")
    return folder


def own(task: str, folder: Path) -> tuple[float, float, float]:
    """Return CPU seconds, megabytes above the inputs, and the excess over control."""
    import pyarrow.parquet as pq

    from leakpro_core.games.samples import TableStage
    from leakpro_core.tabular.infer import tables as harmonised

    raw = {n: pq.read_table(folder / f"{n}.parquet") for n in ("original", "control", "synthetic")}
    found = harmonised(raw)
    stage = TableStage(
        released=found["synthetic"],
        original=found["original"],
        control=found["control"],
        tenth_original=np.zeros(len(found["original"]), bool),
        tenth_control=np.zeros(len(found["control"]), bool),
        rounds=GUESSES,
    )
    played = prepared(task, stage)
    before, peak, done = anonymous(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    excess = played()
    seconds = time.process_time() - start
    done.set()
    watcher.join()
    return seconds, max(0.0, peak[0] - before), excess


def prepared(task: str, stage):  # type: ignore[no-untyped-def]
    """Return a function that plays the task, everything that it needs imported."""
    from leakpro_sdv.plugin import leakpro_attacks

    from leakpro_core import judge
    from leakpro_core.games import attribute_inference, linkability, singling_out
    from leakpro_core.plan import Policy
    from leakpro_core.references import resolve
    from leakpro_core.tabular.secrets import secrets
    from leakpro_core.testing.conformance import PlainRun

    name = {"inference": "nearest-rows"}.get(task, task)
    (offer,) = (o for o in leakpro_attacks() if o.name == name)
    attack, options = resolve(offer.ref), resolve(offer.options)()
    policy, quiet = Policy(), PlainRun(seed=0, scratch=Path())

    def excess(refereed) -> float:  # type: ignore[no-untyped-def]
        found = judge.excess_of(refereed, policy)
        return 0.0 if found is None else float(found.value)

    def single() -> float:
        answer = attack(singling_out.challenge(stage), options, quiet)
        return excess(singling_out.referee(answer, stage, None, attack=task))

    def linked() -> float:
        drawn, secret = linkability.challenge(stage, LEFT, 0)
        return excess(linkability.referee(attack(drawn, options, quiet), secret, None, attack=task))

    def inferred() -> float:
        parts = []
        for column in secrets(stage.original, stage.control, ()):
            drawn, secret = attribute_inference.challenge(stage, column, 0.05, 0)
            answer = attack(drawn, options, quiet)
            parts.append(attribute_inference.referee(answer, secret, None, attack=task))
        return max(excess(part) for part in parts)

    return {"linkability": linked, "inference": inferred}.get(task, single)


def anonymous() -> float:
    """Return RssAnon of this process in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
