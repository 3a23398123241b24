"""CPU time and memory of attacks and controls on a release of a million rows.

Rows are those of ``data/adult.parquet``, drawn anew with five numbers moved a little, so that
hardly two are alike: 40,000 people in the data, 40,000 control people, and a release of 1,000,000
rows of which 40,000 are the rows of the people in the data, verbatim. 15 columns; 10,000 of the
control people are known to the adversary, as in an audit.

Every figure is that of a fresh process on one thread: a task is 2,000 people attacked (1,000 of
each arm; 2,000 guesses for singling out; all released rows for copies), drawn, answered, compared
with the secret and judged. Memory is the highest anonymous memory (RssAnon) of the whole process,
tables included. ``controls`` are those that need no attack, and the search for the tenth of the
people who are most unlike others. ``audit`` is a whole ``leakpro audit`` by five of the attacks,
as many people attacked: with all controls, growth, evidence and a report.
Writes results/speed_synthetic_large.json. About a quarter of an hour of one core.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import evidence
import numpy as np

SOURCE = evidence.ROOT.parent / "shared" / "data" / "adult.parquet"
CODE = (
    "bench/speed_synthetic_large.py",
    "leakpro_core/tabular/blocks.py",
    "leakpro_core/tabular/distance.py",
    "leakpro_core/tabular/exact.py",
    "leakpro_core/tabular/predicates.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/linkability.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/marginals.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/scores.py",
)
PEOPLE, RELEASED, TARGETS = 40_000, 1_000_000, 2_000
MOVED = {"age": 3, "fnlwgt": 20_000, "capital_gain": 300, "capital_loss": 100, "hours_per_week": 3}
"""Numbers are moved by as much at most; nought stays nought."""

SECRETS = ("age", "occupation", "income")
"""Columns that are inferred in the tasks; the audit infers every one."""

TASKS = (
    "controls",
    "linkability",
    "distance",
    "neighbour-ratio",
    "domias",
    "gen-lra",
    "marginals",
    "panel",
    "single-column",
    "multi-column",
    "tree",
    "nearest-rows",
    "boosted",
    "copies",
    "audit",
)

PLAN = """\
schema = 1
name = "a million rows"
[target]
loader = "table"
original = "original.parquet"
control = "control.parquet"
synthetic = "synthetic.parquet"
[games]
rounds = 200
[report]
formats = ["json"]
""" + "".join(
    f'[[attacks]]\nname = "{name}"\n'
    for name in ("copies", "linkability", "distance", "tree", "boosted")
)


def main() -> None:
    """Measure each task in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--own", nargs=2, metavar=("TASK", "FOLDER"))
    asked = parser.parse_args()
    if asked.own:
        print(json.dumps(own(asked.own[0], Path(asked.own[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = tables(Path(name))
        rows = {}
        for task in asked.tasks.split(","):
            rows[task] = fresh(task, folder)
            print(task, rows[task], flush=True)
    if asked.tasks.split(",") == list(TASKS):
        figures = {"released_rows": RELEASED, "targets": TARGETS, "one_thread": rows}
        print(evidence.write("speed_synthetic_large", figures, CODE))


def tables(folder: Path) -> Path:
    """Write the three tables and a plan."""
    import pandas as pd

    source = pd.read_parquet(SOURCE).drop(columns="split")
    rng = np.random.default_rng(0)

    def drawn(n: int) -> pd.DataFrame:
        made = source.iloc[rng.integers(0, len(source), n)].reset_index(drop=True)
        for name, most in MOVED.items():
            by = rng.integers(-most, most + 1, n)
            made[name] = np.where(made[name] > 0, np.maximum(1, made[name] + by), 0)
        return made

    original, control = drawn(PEOPLE), drawn(PEOPLE)
    released = pd.concat([original, drawn(RELEASED - PEOPLE)])
    for name, table in (
        ("original", original),
        ("control", control),
        ("synthetic", released.sample(frac=1.0, random_state=0)),
    ):
        table.to_parquet(folder / f"{name}.parquet", index=False)
    (folder / "audit.toml").write_text(PLAN)
    return folder


def fresh(task: str, folder: Path) -> dict[str, object]:
    """Return the figures of a task in a fresh process."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, __file__, "--own", task, str(folder)],
        env={**os.environ, **threads},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def own(task: str, folder: Path) -> dict[str, object]:
    """Return CPU seconds of a task and the highest anonymous memory, loading included."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    played = audited(folder) if task == "audit" else prepared(task, folder)
    start, wall = time.process_time(), time.monotonic()
    found = played()
    seconds, wall = time.process_time() - start, time.monotonic() - wall
    done.set()
    watcher.join()
    return {"CPU seconds": round(seconds, 1), "MB": round(peak[0])} | found


def audited(folder: Path) -> Callable[[], dict[str, object]]:
    """Return what runs the audit of the folder."""
    from leakpro_core.cli import main as leakpro

    def run() -> dict[str, object]:
        code = leakpro(["audit", str(folder / "audit.toml"), "--out", str(folder / "run")])
        report = json.loads((folder / "run" / "report.json").read_text())
        failed = [a["label"] for a in report["attacks"] if a["status"] == "failed"]
        return {"exit code": code, "word": report["word"], "failed": failed}

    return run


def prepared(task: str, folder: Path) -> Callable[[], dict[str, object]]:
    """Return a function that plays the task as core does; the tables are read before."""
    import pyarrow.parquet as pq
    import structlog
    from attrs import evolve
    from leakpro_sdv.plugin import leakpro_attacks

    from leakpro_core import judge
    from leakpro_core.games.samples import PEOPLE as MORE
    from leakpro_core.games.samples import TableStage
    from leakpro_core.offers import Access
    from leakpro_core.plan import Adversary, ChosenAttack, Games, Policy
    from leakpro_core.plugins import Offered
    from leakpro_core.records import TableRelease
    from leakpro_core.references import resolve
    from leakpro_core.tabular.infer import tables as harmonised
    from leakpro_core.tabular.people import settle
    from leakpro_core.tabular.play import TableScene, play
    from leakpro_core.tabular.weigh import judged

    names = ("original", "control", "synthetic")
    found = harmonised({name: pq.read_table(folder / f"{name}.parquet") for name in names})
    release = settle(
        TableRelease(
            synthetic=found["synthetic"], original=found["original"], control=found["control"]
        ),
        0.25,
        0,
    )
    quiet = structlog.wrap_logger(structlog.ReturnLogger())
    if task == "controls":
        return lambda: _controls(release, quiet)
    (offer,) = (o for o in leakpro_attacks() if o.name == task)
    assert release.synthetic is not None
    scene = TableScene(
        stage=TableStage(
            released=release.synthetic,
            original=release.original,
            control=release.control,
            auxiliary=release.auxiliary,
            tenth_original=np.zeros(len(release.original), bool),
            tenth_control=np.zeros(len(release.control), bool),
            rounds=TARGETS // 2 // (MORE if offer.game == "membership" else 1),
        ),
        adversary=Adversary(access=Access.SAMPLES),
        games=Games(secrets=SECRETS),
        guess=False,
        seed=0,
        log=quiet,
    )
    if offer.game == "singling-out":
        scene = evolve(scene, stage=evolve(scene.stage, rounds=TARGETS))
    options = None if offer.options is None else resolve(offer.options)()
    chosen = ChosenAttack(
        label=task, offered=Offered(offer=offer, plugin="leakpro-sdv", version="1"), options=options
    )

    def run() -> dict[str, object]:
        played = play(scene, chosen)
        assert played.refereed is not None, played.reason
        verdicts, _ = judged([played], Policy(), 0)
        if offer.game == "membership":
            main = next(j for j in verdicts.detections if j.family == judge.MAIN)
            return {"AUC": round(main.auc.value, 3)}
        return {"excess": round(verdicts.successes[0].points[0].excess.value, 4)}

    return run


def _controls(release, quiet) -> dict[str, object]:  # type: ignore[no-untyped-def]
    from types import SimpleNamespace

    from leakpro_core.plan import Controls, Policy
    from leakpro_core.tabular.checks import before
    from leakpro_core.tabular.people import most_vulnerable

    plan = SimpleNamespace(policy=Policy(), controls=Controls())
    checks = before(plan, release, 0, quiet)  # type: ignore[arg-type]
    most_vulnerable(release.original, release.control, 0)
    return {"results": [c.result for c in checks.controls]}


def anonymous() -> float:
    """Return RssAnon of this process in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
