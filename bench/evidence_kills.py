"""An audit killed at random moments goes on where it stopped and ends with the same evidence.

The demo audit is run once undisturbed; then it is started 20 times anew, with the choices of the
first run, killed (SIGKILL, workers and all) after a random share of the time that the first run
took, and started again. Writes results/evidence_kills.json. About twenty minutes on two cores.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import evidence
import numpy as np

PLAN = evidence.ROOT / "examples" / "digits" / "audit.toml"
LEAKPRO = Path(sys.executable).with_name("leakpro")
KILLS = 20
CODE = (
    "bench/evidence_kills.py",
    "examples/digits/*",
    "leakpro_core/audit.py",
    "leakpro_core/files.py",
    "leakpro_core/store.py",
    "leakpro_core/training.py",
    "leakpro_core/units.py",
)


def main() -> None:
    """Kill, continue, compare."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        whole, seconds = undisturbed(PLAN, home / "whole")
        shares = np.random.default_rng(0).uniform(size=KILLS)
        rows = []
        for number, share in enumerate(shares):
            found, stage = interrupted(PLAN, home / "whole", home / str(number), share * seconds)
            rows.append((stage, found["evidence"] == whole["evidence"], found == whole))
            print(f"killed after {share:.2f} of the time ({stage}): equal {rows[-1][1:]}")
    figures = {
        "kills": KILLS,
        "killed while": {s: sum(r[0] == s for r in rows) for s in sorted({r[0] for r in rows})},
        "same evidence": sum(r[1] for r in rows),
        "same report, but for times": sum(r[2] for r in rows),
    }
    print(evidence.write("evidence_kills", figures, CODE))


def undisturbed(plan: Path, out: Path) -> tuple[dict[str, object], float]:
    """Return what a run found and the seconds that it took."""
    since = time.monotonic()
    _finish(plan, out)
    return found(out), time.monotonic() - since


def interrupted(plan: Path, like: Path, out: Path, seconds: float) -> tuple[dict[str, object], str]:
    """Return what a run found that was killed after ``seconds``, and what it was doing then.

    like: the run whose choices (loop or stack, width) it keeps; nothing else of it.
    """
    out.mkdir()
    shutil.copy(like / "plan.json", out)
    process = subprocess.Popen(
        [LEAKPRO, "audit", plan, "--out", out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    stage = _stage(out)
    _finish(plan, out)
    return found(out), stage


def found(out: Path) -> dict[str, object]:
    """Return a run's evidence hash and its report without the times of the run."""
    report = json.loads((out / "report.json").read_text("utf-8"))
    provenance = report["provenance"]
    for key in ("started", "seconds"):
        provenance.pop(key)
    return {"evidence": provenance["evidence_sha256"], "report": report}


def _stage(out: Path) -> str:
    log = out / "log.jsonl"
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    events = [json.loads(line)["event"] for line in lines if line.endswith("}")]
    return str(events[-1]) if events else "starting"


def _finish(plan: Path, out: Path) -> None:
    done = subprocess.run(
        [LEAKPRO, "audit", plan, "--out", out], capture_output=True, text=True, check=False
    )
    # Exit codes up to 2 are verdicts of a complete audit.
    if done.returncode > 2:
        raise RuntimeError(done.stderr)


if __name__ == "__main__":
    main()
