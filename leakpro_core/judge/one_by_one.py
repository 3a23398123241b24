"""Who is given away by generators, one person at a time: an exact test of each, and the words.

Under no leak of a person the number of pairs of twins that an attack tells right is binomial with
even odds (see ``tabular.one_by_one``). Bonferroni over the people tested; the lower bound of the
odds of telling a pair right (Clopper, Pearson 1934) makes the word, as in the other families.
"""

import numpy as np
from attrs import frozen
from scipy.stats import binom

from leakpro_core.arrays import Bools
from leakpro_core.judge.numbers import at_least, plain
from leakpro_core.judge.words import CLEAR, STRONG
from leakpro_core.report import Finding, Word
from leakpro_core.statistics.intervals import lower_bound

ONE = "membership, one person at a time"
"""The family of it. It is there where somebody is given away: that nobody is shows nothing."""

OFTEN = 0.95
"""How often somebody may be told right whom the test would find."""


@frozen(kw_only=True)
class GivenAway:
    """How many people an attack gives away.

    tested, found: people; pairs: of twins, for each; right: how many of them the best was told;
    enough: how many pairs make a person found; p_value: the smallest, times the people tested;
    strength: lower bound of the odds for the best, with the same correction.
    """

    label: str
    adversary: str
    tested: int
    found: int
    pairs: int
    right: int
    enough: int
    p_value: float
    strength: float


def given_away(right: Bools, alpha: float, *, label: str, adversary: str) -> GivenAway:
    """Judge bool ``[people, pairs]`` at family-wise error ``alpha``; ``people`` is not 0."""
    tested, pairs = right.shape
    times = right.sum(axis=1)
    each = alpha / tested
    chances = binom.sf(np.arange(pairs + 1) - 1, pairs, 0.5)
    enough = int(np.argmax(chances <= each)) if (chances <= each).any() else pairs + 1
    best = int(times.max())
    accuracy = float(lower_bound(best, pairs, each))
    return GivenAway(
        label=label,
        adversary=adversary,
        tested=tested,
        found=int((times >= enough).sum()),
        pairs=pairs,
        right=best,
        enough=enough,
        p_value=min(1.0, tested * float(chances[best])),
        strength=accuracy / (1.0 - accuracy),
    )


def person_finding(found: GivenAway) -> Finding:
    """Return that people are given away; only where ``found.found`` is not 0."""
    word = Word.WEAK
    if found.strength >= CLEAR:
        word = Word.STRONG if found.strength >= STRONG else Word.CLEAR
    are, those = ("is", "one") if found.found == 1 else ("are", "first of them")
    return Finding(
        family=ONE,
        adversary=found.adversary,
        word=word,
        statement=(
            f"A leak was found. Of the {found.tested:,} people who are most unlike others, "
            f"{found.found:,} {are} given away: of two generators, of which only one was fitted "
            f"with the person, {found.label} tells which by what they released, in {found.right} "
            f"of {found.pairs} pairs for the {those}. "
            "The evidence names nobody, but numbers them."
        ),
        technical=(
            f"{found.label}: found are those told right in at least {found.enough} of "
            f"{found.pairs} pairs; smallest p = {plain(found.p_value)} over {found.tested:,} "
            "people, exact binomial test at even odds, Bonferroni; lower bound of the odds of "
            f"telling a pair right: L = {at_least(found.strength)}."
        ),
        attacks=(found.label,),
        best=found.label,
        strength=found.strength,
    )


def person_note(found: GivenAway) -> str:
    """Return what was tested, in a sentence that stands also where nobody is found."""
    power = float(binom.sf(found.enough - 1, found.pairs, OFTEN))
    return (
        f"One person at a time, of the {found.tested:,} most unlike others: {found.found:,} told "
        f"from luck, in at least {found.enough} of {found.pairs} pairs of shadow generators fitted "
        f"with and without the person; of people told right {OFTEN:.0%} of the time, {power:.0%} "
        "would be found"
    )
