"""Time and memory of the membership attacks beside their records: 1,000,000 records, 64 shadows.

Signals of simulated outputs of 10 classes are written once, one npy file for each array as a run
folder has them. Each attack then plays one challenge, by core's own path (stage, challenge,
attack), in a fresh process on one thread, at an eighth, a quarter, half and all of the records.
CPU time is that of the challenge and the attack, the better of two runs; memory is the highest
anonymous memory (RssAnon) of the whole process, sampled by a thread every few milliseconds.
Writes results/speed_memory.json. About half an hour of CPU time, 2 GB of disk.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import evidence
import numpy as np
from numpy.lib.format import open_memmap

from leakpro_core.arrays import AnyArray
from leakpro_core.games.membership import AuxiliaryView, Stage
from leakpro_core.records import Population, Signals
from leakpro_core.signals import derive

RECORDS, SHADOWS, CLASSES, WIDTH = 1_000_000, 64, 10, 8
SIZES = (125_000, 250_000, 500_000, 1_000_000)
TEMPERATURES = (1.0, 2.0)
SIGNALS = ("margin", *(f"log_p_{t}" for t in TEMPERATURES))
SPARE = 4
"""One auxiliary record for so many candidates."""

ATTACKS = (
    "loss",
    "population",
    "quantile",
    "ratio",
    "ratio offline",
    "lira",
    "lira offline",
    "lira per-record",
    "lira pooled-global",
    "student",
    "combined",
    "stacked",
)
CODE = (
    "bench/speed_memory.py",
    "leakpro_core/games/membership.py",
    "leakpro_core/signals.py",
    "leakpro_core/spill.py",
    "plugins/leakpro_mia/src/leakpro_mia/*.py",
)
_BLOCK = 4096


def main() -> None:
    """Write the signals and measure every attack at every size."""
    with tempfile.TemporaryDirectory(prefix="leakpro-") as name:
        write(Path(name), RECORDS, SHADOWS)
        figures = table(Path(name), SIZES, ATTACKS, runs=2)
    print(evidence.write("speed_memory", figures, CODE))


def table(
    folder: Path, sizes: Sequence[int], attacks: Sequence[str], *, runs: int
) -> dict[str, object]:
    """Return the figures of the attacks on prefixes of the signals in ``folder``."""
    rows: dict[str, dict[str, object]] = {}
    doubling, highest = 0.0, 0.0
    for attack in attacks:
        seconds, memory = [], []
        for size in sizes:
            found = [_fresh(folder, size, attack) for _ in range(runs)]
            seconds.append(min(cpu for cpu, _ in found))
            memory.append(max(mb for _, mb in found))
        pairs = zip(seconds[1:], seconds, strict=False)
        ratio = max((after / before for after, before in pairs), default=0.0)
        doubling, highest = max(doubling, ratio), max(highest, *memory)
        rows[attack] = {
            **{
                f"CPU seconds, {n:,} records": round(s, 2)
                for n, s in zip(sizes, seconds, strict=True)
            },
            "worst doubling": round(ratio, 2),
            "memory in MB": round(max(memory)),
        }
        print(
            f"{attack:<20}", *(f"{s:8.2f}" for s in seconds), f"{ratio:6.2f} {max(memory):6.0f} MB"
        )
    return {
        "attacks": rows,
        "worst_doubling": round(doubling, 2),
        "highest_memory_mb": round(highest),
    }


def _fresh(folder: Path, size: int, attack: str) -> tuple[float, float]:
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, __file__, str(folder), str(size), attack],
        env={**os.environ, **one_thread},
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, megabytes = map(float, run.stdout.split())
    return seconds, megabytes


# Signals.


def write(folder: Path, records: int, shadows: int) -> None:
    """Write signals of a target and of shadows in complementary pairs, in blocks of records.

    Model 0 is the target; of auxiliary records only its signals are written.
    """
    rng = np.random.default_rng(0)
    people = _create(folder, "", 1 + shadows, records)
    others = _create(folder, "auxiliary_", 1, records // SPARE)
    for rows in _blocks(records):
        halves = rng.random((1 + shadows // 2, rows.stop - rows.start)) < 0.5
        twins = np.stack([halves[1:], ~halves[1:]], axis=1).reshape(shadows, -1)
        people["trained_on"][:, rows] = np.vstack([halves[:1], twins])
        _fill(people, rows, rng)
    for rows in _blocks(records // SPARE):
        _fill(others, rows, rng)


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, _BLOCK):
        yield slice(start, min(n, start + _BLOCK))


def _create(folder: Path, part: str, models: int, n: int) -> dict[str, AnyArray]:
    shapes = {
        "labels": (np.int64, (n,)),
        "records": (np.float32, (n, WIDTH)),
        "trained_on": (np.bool_, (models, n)),
        **dict.fromkeys(SIGNALS, (np.float32, (models, n, 1))),
    }
    return {
        name: open_memmap(folder / f"{part}{name}.npy", "w+", dtype, shape)
        for name, (dtype, shape) in shapes.items()
    }


def _fill(files: dict[str, AnyArray], rows: slice, rng: np.random.Generator) -> None:
    n = rows.stop - rows.start
    labels = rng.integers(0, CLASSES, n)
    ease = 2.0 * rng.standard_normal(n, np.float32) + 2.0
    records = rng.standard_normal((n, WIDTH), np.float32)
    records[:, 0] += ease
    files["labels"][rows], files["records"][rows] = labels, records
    for model, on in enumerate(files["trained_on"][:, rows]):
        outputs = rng.standard_normal((n, CLASSES), np.float32)
        outputs[np.arange(n), labels] += ease + on
        signals = derive(outputs, labels, TEMPERATURES)
        files["margin"][model, rows] = signals.margin
        for t in TEMPERATURES:
            files[f"log_p_{t}"][model, rows] = signals.log_p[t]


# One attack.


def measure(folder: Path, size: int, attack: str) -> tuple[float, float]:
    """Return CPU seconds of a challenge and its attack, and the highest anonymous memory in MB."""
    from leakpro_mia.plugin import leakpro_attacks

    from leakpro_core.games.membership import challenge
    from leakpro_core.references import resolve
    from leakpro_core.testing.conformance import answer

    name = attack.split()[0]
    offer = next(offer for offer in leakpro_attacks() if offer.name == name)
    resolve(offer.ref)  # imports
    _touch_memory()
    stage, options = _stage(folder, size), _options(attack)
    stop, peak = threading.Event(), [0.0]
    watcher = threading.Thread(target=_watch, args=(stop, peak))
    watcher.start()
    started = time.process_time()
    drawn, _ = challenge(stage, np.arange(size), 1, records=name == "quantile")
    answer(offer, drawn, options=options)
    seconds = time.process_time() - started
    stop.set()
    watcher.join()
    return seconds, peak[0]


def _touch_memory() -> None:
    # A virtual machine is given its memory when it is first touched, which takes longer than
    # to use it, and would count against whoever happens to need new memory: the largest.
    np.ones(2**28)


def _options(attack: str) -> object:
    from leakpro_mia.lira import LiraOptions
    from leakpro_mia.ratio import RatioOptions

    return {
        "ratio offline": RatioOptions(mode="offline"),
        "lira offline": LiraOptions(mode="offline"),
        "lira per-record": LiraOptions(variance="per-record"),
        "lira pooled-global": LiraOptions(variance="pooled-global"),
    }.get(attack)


def _stage(folder: Path, size: int) -> Stage:
    def read(name: str) -> AnyArray:
        return np.load(folder / f"{name}.npy", mmap_mode="r")

    def signals(part: str, models: int | slice, n: int) -> Signals:
        log_p = {t: read(f"{part}log_p_{t}")[models, :n] for t in TEMPERATURES}
        return Signals(margin=read(f"{part}margin")[models, :n], log_p=log_p)

    spare, trained_on = size // SPARE, read("trained_on")
    return Stage(
        population=Population(
            labels=read("labels")[:size],
            subjects=np.arange(size),
            classes=CLASSES,
            records=read("records")[:size],
        ),
        members=trained_on[0, :size],
        target=signals("", 0, size),
        shadows=signals("", slice(1, None), size),
        trained_on=trained_on[1:, :size],
        pair=np.arange(len(trained_on) - 1) // 2,
        auxiliary=AuxiliaryView(
            labels=np.array(read("auxiliary_labels")[:spare]),
            records=np.array(read("auxiliary_records")[:spare]),
            target=signals("auxiliary_", 0, spare),
        ),
    )


def anonymous() -> float:
    """Return this process's anonymous memory in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def _watch(stop: threading.Event, peak: list[float]) -> None:
    while not stop.is_set():
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.003)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(*measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
    else:
        main()
