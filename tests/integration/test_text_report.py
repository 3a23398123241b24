"""What report.txt says beside report.json."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from conftest import recorded

from leakpro_core.cli import main


def test_bounds_in_the_text_report_are_rounded_so_that_they_hold(
    plan: Callable[..., Path], tmp_path: Path
) -> None:
    attacks = ("combined", "lira", "loss", "ratio", "student")
    path, out = plan(recorded(300, leak=1.0), attacks=attacks), tmp_path / "run"
    main(["audit", str(path), "--out", str(out)])
    lines = (out / "report.txt").read_text().splitlines()
    found = json.loads((out / "report.json").read_text())["attacks"]
    assert len(attacks) == len(found)
    for attack in found:
        row = next(line for line in lines if line.split()[:1] == [attack["label"]])
        low, high = map(float, re.findall(r"\[([\d.]+), ([\d.]+)\]", row)[0])
        strength = float(row.split()[-2])
        assert low <= attack["auc"]["low"] < low + 0.001
        assert high - 0.001 < attack["auc"]["high"] <= high
        assert strength <= attack["strength"] < strength + 0.01
