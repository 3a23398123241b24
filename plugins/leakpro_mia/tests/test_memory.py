"""Anonymous memory stays small beside the signals; the script that measures a million runs."""

import os
import subprocess
import sys

import pytest
import speed_memory

RECORDS, SHADOWS, MOST = 60_000, 16, 200
"""MB. About twice what it takes; the sides of all pairs at once took 300 MB."""


def test_a_slice_of_the_script_measures_all_attacks(tmp_path, monkeypatch):
    speed_memory.write(tmp_path, 400, 8)
    monkeypatch.setattr(speed_memory, "_fresh", speed_memory.measure)
    monkeypatch.setattr(speed_memory, "_touch_memory", lambda: None)
    figures = speed_memory.table(tmp_path, (200, 400), speed_memory.ATTACKS, runs=1)
    assert list(figures["attacks"]) == list(speed_memory.ATTACKS)
    assert figures["highest_memory_mb"] > 0


@pytest.mark.slow
def test_combined_does_not_hold_the_sides_of_every_pair(tmp_path):
    speed_memory.write(tmp_path, RECORDS, SHADOWS)
    run = subprocess.run(
        [sys.executable, speed_memory.__file__, str(tmp_path), str(RECORDS), "combined"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    _, megabytes = map(float, run.stdout.split())
    assert megabytes < MOST
