"""The reference vectors of the project, where the checkout has them."""

import json
from pathlib import Path
from typing import Any

import pytest

_FILE = Path(__file__).parents[3] / "shared" / "reference" / "statistics.json"


def vectors(name: str, rows: str | None = None) -> list[Any]:
    """Return one pytest parameter per vector, or a skipped one where the file is absent."""
    if not _FILE.exists():
        skip = pytest.mark.skip(reason=f"{_FILE} is not part of this checkout")
        return [pytest.param({}, marks=skip)]
    content = json.loads(_FILE.read_text())[name]
    found = content[rows] if rows else content
    return list(found) if isinstance(found, list) else [found]
