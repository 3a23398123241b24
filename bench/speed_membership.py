"""CPU time and memory of the membership attacks: 20,000 records, 16 shadows, one thread.

Each row runs in a fresh process; imports and inputs are not counted. Memory is the highest
anonymous memory (RssAnon) above that of the inputs, sampled by a thread every millisecond.
The records of ``quantile`` are as wide as 32 x 32 colour images.
Writes results/speed_membership.json. About half a minute of CPU time.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import evidence
import numpy as np
from attrs import evolve

from leakpro_core.games.membership import MembershipChallenge

RECORDS, SHADOWS = 20_000, 16
FAST = (
    "loss",
    "population",
    "ratio",
    "ratio offline",
    "lira",
    "lira offline",
    "student",
    "combined",
)
GROUPS = {"all but quantile and stacked": FAST, "quantile": ("quantile",), "stacked": ("stacked",)}
CODE = ("bench/speed_membership.py", "plugins/leakpro_mia/src/leakpro_mia/*.py")


def main() -> None:
    """Measure each group in a process of its own, one attack group after another."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    rows = {}
    for group in GROUPS:
        run = subprocess.run(
            [sys.executable, __file__, group],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        seconds, megabytes = map(float, run.stdout.split())
        rows[group] = {"CPU seconds": round(seconds, 2), "memory in MB": round(megabytes)}
        print(f"{group:<30} {seconds:6.2f} CPU s {megabytes:6.0f} MB")
    figures = {"20000_records_16_shadows_one_thread": rows}
    print(evidence.write("speed_membership", figures, CODE))


def measure(group: str) -> tuple[float, float]:
    """Return CPU seconds and megabytes of the attacks of ``group``."""
    from leakpro_mia.lira import LiraOptions
    from leakpro_mia.plugin import leakpro_attacks
    from leakpro_mia.ratio import RatioOptions

    from leakpro_core.references import resolve
    from leakpro_core.testing.conformance import answer
    from leakpro_core.testing.simulation import simulated_challenge

    offers = {offer.name: offer for offer in leakpro_attacks()}
    for name in GROUPS[group]:
        resolve(offers[name.split()[0]].ref)  # imports
    challenge, _ = simulated_challenge(
        0, records=RECORDS, pairs=SHADOWS // 2, classes=2, temperatures=(1.0, 2.0)
    )
    if group == "quantile":
        challenge = _with_images(challenge)
    offline = {"ratio": RatioOptions(mode="offline"), "lira": LiraOptions(mode="offline")}
    before, stop, peak = anonymous(), threading.Event(), [0.0]
    watcher = threading.Thread(target=_watch, args=(stop, peak))
    watcher.start()
    started = time.process_time()
    for name in GROUPS[group]:
        attack, _, mode = name.partition(" ")
        answer(offers[attack], challenge, options=offline[attack] if mode else None)
    seconds = time.process_time() - started
    stop.set()
    watcher.join()
    return seconds, peak[0] - before


def _with_images(challenge: MembershipChallenge) -> MembershipChallenge:
    rng = np.random.default_rng(0)
    beside = challenge.auxiliary
    assert beside is not None
    return evolve(
        challenge,
        records=rng.random((RECORDS, 3072), dtype=np.float32),
        auxiliary=evolve(beside, records=rng.random((len(beside.labels), 3072), dtype=np.float32)),
    )


def anonymous() -> float:
    """Return this process's anonymous memory in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def _watch(stop: threading.Event, peak: list[float]) -> None:
    while not stop.is_set():
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.001)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(*measure(sys.argv[1]))
    else:
        main()
