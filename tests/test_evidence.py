"""Every committed figure was measured with the code that stands here."""

from pathlib import Path

import pytest
from evidence import stale

RESULTS = Path(__file__).parents[1] / "bench" / "results"


@pytest.mark.parametrize("name", sorted(p.stem for p in RESULTS.glob("*.json")))
def test_figures_belong_to_this_code(name: str) -> None:
    assert stale(name) is None
