"""Seeds: one root, spawned by purpose, so that the order of execution does not matter."""

import hashlib

import numpy as np


def spawn(root: int, *purpose: str | int) -> int:
    """Return a seed in [0, 2**32) for a purpose; different purposes are independent streams.

    32 bits, because that is what scikit-learn takes.
    """
    key = [int.from_bytes(hashlib.sha256(str(p).encode()).digest()[:4]) for p in purpose]
    return int(np.random.SeedSequence(root, spawn_key=tuple(key)).generate_state(1)[0])


def generator(root: int, *purpose: str | int) -> np.random.Generator:
    """Return a generator seeded for a purpose."""
    return np.random.default_rng(spawn(root, *purpose))
