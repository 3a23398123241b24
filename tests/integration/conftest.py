"""Small audits of recorded outputs, whose truth is known by construction."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Arrays = dict[str, np.ndarray]


def recorded(n: int, *, leak: float = 0.0, shadows: int = 4, seed: int = 0) -> Arrays:
    """Return arrays of an audit of 2n records, half of them members.

    leak: how much the margin of a record rises when its model was trained on it.
    """
    rng = np.random.default_rng(seed)
    members = rng.permutation(np.arange(2 * n) < n)
    half = [rng.permutation(np.arange(2 * n) < n) for _ in range(shadows // 2)]
    trained_on = np.array([side for h in half for side in (h, ~h)]).reshape(shadows, 2 * n)
    difficulty = rng.normal(size=2 * n)
    labels = rng.integers(0, 2, 2 * n)

    def outputs(inside: np.ndarray) -> np.ndarray:
        margin = difficulty + 0.5 * rng.normal(size=2 * n) + leak * inside
        signed = np.where(labels == 1, margin, -margin)
        return np.stack([-signed / 2, signed / 2], axis=1).astype(np.float32)

    return {
        "target_outputs": outputs(members),
        "shadow_outputs": np.array([outputs(row) for row in trained_on]).reshape(shadows, 2 * n, 2),
        "trained_on": trained_on,
        "labels": labels,
        "members": members,
    }


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes arrays and a plan, and returns the plan's path."""

    def write(arrays: Arrays, more: str = "", attacks: tuple[str, ...] = ("ratio",)) -> Path:
        np.savez(tmp_path / "outputs.npz", **arrays)
        tables = "".join(f'[[attacks]]\nname = "{name}"\n' for name in attacks)
        path = tmp_path / "audit.toml"
        path.write_text(
            "schema = 1\nseed = 3\n"
            + ("" if more.startswith("[") else more)
            + '[target]\nloader = "arrays"\npath = "outputs.npz"\n'
            + (more if more.startswith("[") else "")
            + tables
        )
        return path

    return write
