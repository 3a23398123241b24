"""What referees of table games share: the checks of an answer, and what of it is exhibited."""

from collections.abc import Sequence

import numpy as np

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.errors import WrongAnswer

SHOWN = 20
"""Exhibits of an attack, at most."""


def wrong(attack: str, found: str, expected: str) -> WrongAnswer:
    """Return the error of an answer that the game has no use for."""
    return WrongAnswer(f"answer of attack {attack!r}", found=found, expected=expected)


def check_claims(claims: Floats, n: int, attack: str) -> None:
    """Raise ``WrongAnswer`` unless there are ``n`` claims, each a finite number or NaN."""
    if claims.shape != (n,):
        raise wrong(attack, f"claims of shape {claims.shape}", f"({n},)")
    infinite = np.flatnonzero(np.isinf(claims))
    if infinite.size:
        raise wrong(
            attack,
            f"an infinite claim at {infinite[0]}",
            "finite claims, or NaN to abstain",
        )


def beside(claims: Floats, blind: Floats, seed: int) -> Ints:
    """Return for each claim the number of a blind one to stand beside it, -1 for none.

    Neither has an order that means anything. As many as both made are drawn at random and paired,
    so that a rate of either stands for all of its claims, and counts each once.
    """
    rng = np.random.default_rng(seed)
    made, others = (rng.permutation(np.flatnonzero(~np.isnan(c))) for c in (claims, blind))
    both = min(len(made), len(others))
    found = np.full(len(claims), -1)
    found[made[:both]] = others[:both]
    return found


def surest(claim: Floats, shown: Bools, subject: Ints) -> Ints:
    """Return the rounds to exhibit: the surest of each person, the surest persons first."""
    able = np.flatnonzero(shown & ~np.isnan(claim))
    able = able[np.argsort(-claim[able], kind="stable")]
    first = np.unique(subject[able], return_index=True)[1]
    return able[np.sort(first)][:SHOWN]


def listed(pairs: Sequence[tuple[str, str]], most: int = 3) -> str:
    """Return names and values in words, the first few of them."""
    said = ", ".join(f"{name} {value}" for name, value in pairs[:most])
    return said + (", ..." if len(pairs) > most else "")
