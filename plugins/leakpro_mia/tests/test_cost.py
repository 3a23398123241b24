"""CPU time and memory at 20,000 records and 16 shadows, in a fresh process, on one thread."""

import os
import subprocess
import sys

import pytest
import speed_membership

LIMITS = {"all but quantile and stacked": (1.5, 500), "quantile": (20, 2000), "stacked": (20, 2000)}


@pytest.mark.slow
@pytest.mark.parametrize("group", speed_membership.GROUPS)
def test_attacks_stay_within_their_cost(group):
    run = subprocess.run(
        [sys.executable, speed_membership.__file__, group],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, megabytes = map(float, run.stdout.split())
    most_seconds, most_megabytes = LIMITS[group]
    assert seconds < most_seconds
    assert megabytes < most_megabytes
