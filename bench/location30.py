"""Strength on Location-30: TPR at low FPR over 16 targets, and paired differences of attacks.

Runs ``plans/location30.toml`` through the whole pipeline, reads the evidence that it leaves and
writes ``results/location30.json``. About two minutes of CPU time.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import evidence
import numpy as np
import pandas as pd
from scipy import stats

from leakpro_core.statistics import roc

PLAN = Path(__file__).parent / "plans" / "location30.toml"
DATA = evidence.ROOT.parent / "shared" / "data" / "location30.npz"
CODE = (
    "bench/location30.py",
    "bench/plans/location30.toml",
    "bench/plans/models.py",
    "leakpro_core/games/membership.py",
    "leakpro_core/observing.py",
    "leakpro_core/play.py",
    "leakpro_core/recipes.py",
    "leakpro_core/scene.py",
    "leakpro_core/shadows.py",
    "leakpro_core/signals.py",
    "leakpro_core/training.py",
    "leakpro_core/units.py",
    "plugins/leakpro_mia/src/leakpro_mia/*.py",
    "plugins/leakpro_torch/src/leakpro_torch/*.py",
)

LOW = "mean over FPR 0.2% to 5%"
RATES = {
    "at FPR 0.1%": np.array([0.001]),
    "at FPR 1%": np.array([0.01]),
    LOW: np.geomspace(0.002, 0.05, 25),
}
PAIRS = (("combined", "lira"), ("combined", "ratio"), ("stacked", "combined"))


def main() -> None:
    """Run the audit and write its figures."""
    if not DATA.exists():
        sys.exit(f"skipped: {DATA} is absent")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [Path(sys.executable).with_name("leakpro"), "audit", PLAN, "--out", run]
        # Exit codes up to 2 are verdicts of a complete audit.
        if subprocess.run(command, check=False).returncode > 2:
            sys.exit("the audit failed")
        rounds = {path.stem: pd.read_parquet(path) for path in (run / "evidence").glob("*.parquet")}
    print(evidence.write("location30", figures(rounds), CODE))


def figures(rounds: dict[str, pd.DataFrame]) -> dict[str, object]:
    """Return means over targets for each attack, and paired differences with 95% intervals."""
    tpr = {
        (name, what): per_target(each, rates)
        for name, each in sorted(rounds.items())
        for what, rates in RATES.items()
    }
    return {
        "strength": [
            {"attack": name, "TPR": what, **interval(values)}
            for (name, what), values in tpr.items()
        ],
        "paired_differences": [
            {"attacks": f"{a} - {b}", "TPR": LOW, **interval(tpr[a, LOW] - tpr[b, LOW])}
            for a, b in PAIRS
        ],
    }


def per_target(rounds: pd.DataFrame, rates: np.ndarray) -> np.ndarray:
    """Return each target's mean TPR over the false positive rates."""

    def tpr(target: pd.DataFrame) -> float:
        curve = roc(target["claim"], target["arm"] == "exposed")
        # The highest TPR with at most floor(rate * n) false positives.
        return float(curve.tpr[np.searchsorted(curve.fpr, rates + 1e-12, side="right") - 1].mean())

    return np.array([tpr(target) for _, target in rounds.groupby("cluster")])


def interval(values: np.ndarray) -> dict[str, object]:
    """Return the mean over targets with Student's 95% interval."""
    mean, error = values.mean(), stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
    return {
        "value": round(float(mean), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "n": len(values),
        "method": "Student's t over targets",
    }


if __name__ == "__main__":
    main()
