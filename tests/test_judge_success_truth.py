"""Does the judge of success games tell the truth? Slices of bench/evidence_success.py.

Seeds are fixed; the bounds leave room for the slice's own chance, three standard deviations.
"""

import numpy as np
import pytest
from evidence_success import (
    ATTACKS,
    CLUSTERED,
    GAMES,
    VALUES,
    audit,
    bound_coverage,
    cluster_coverage,
    leak,
    people_coverage,
)

from leakpro_core.report import Word


def rng():
    return np.random.default_rng(6)


def least(repetitions, nominal=0.95):
    return nominal - 3 * (nominal * (1 - nominal) / repetitions) ** 0.5


@pytest.mark.parametrize(("each", "independent"), [(2, 0.9), (5, 0.78), (10, 0.6)])
def test_intervals_cover_where_a_person_has_several_rounds(each, independent):
    """Wilson's of rounds taken as independent covers far less, as is said of peers."""
    held = people_coverage(each, 150, rng()).mean(axis=0)
    assert (held[:4] >= least(150)).all()
    assert held[4] < independent


@pytest.mark.parametrize("each", [2, 5, 10])
@pytest.mark.parametrize(("a", "c", "both"), CLUSTERED)
def test_intervals_cover_where_several_claims_meet_a_person(each, a, c, both):
    held = cluster_coverage(each, a, c, both, 60, rng()).mean(axis=0)
    assert (held >= least(60)).all()


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("n", [20, 100])
def test_bounds_of_values_that_are_not_0_or_1_hold(values, n):
    held = bound_coverage(values, n, 0.05, 2000, rng()).mean(axis=0)
    assert (held >= least(2000)).all()


def alarms(each):
    """Count leak words in so many audits of useless attacks, and as many with a small control."""
    found = [audit(seed, n=90) for seed in range(each)]
    assert {f.family for _, findings in found for f in findings} == set(GAMES)
    return sum(map(leak, found + [audit(seed, n=120, control=40) for seed in range(each)]))


def test_useless_attacks_are_given_a_leak_word_in_at_most_5_of_100_audits():
    """Eight attacks in four games, fractional hits, several facets; 8 of 60 would refute 5%."""
    assert ATTACKS == 8
    assert alarms(30) < 8


@pytest.mark.apart
def test_useless_attacks_are_given_a_leak_word_in_at_most_5_of_100_of_200_audits():
    assert alarms(100) <= 10


def test_a_planted_leak_is_found():
    """A tenth of the people, guesses and predicates, in one attack each of three games."""
    found = [audit(seed, n=400, lift=0.1) for seed in range(3)]
    assert all(leak(each) for each in found)
    words = [{f.family: f.word for f in findings} for _, findings in found]
    assert all(w["copies"] in (Word.NOT_FOUND, Word.INCONCLUSIVE) for w in words)


def test_many_people_are_not_needed_to_clear_useless_attacks():
    _, findings = audit(1, n=1500)
    words = {f.family: f.word for f in findings}
    assert words["linkability"] is Word.NOT_FOUND
    assert words["attribute-inference"] is Word.NOT_FOUND
