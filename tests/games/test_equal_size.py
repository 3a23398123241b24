"""Closed forms of what a claim achieves on a random part of an arm."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import hypergeom

from leakpro_core.games.equal_size import isolating, reaching


@pytest.mark.parametrize(("people", "drawn"), [(6, 3), (6, 6), (5, 1)])
def test_chances_are_those_of_all_samples(people, drawn):
    samples = list(combinations(range(people), drawn))
    for matched in range(people + 1):
        met = np.array([sum(who < matched for who in sample) for sample in samples])
        asked = np.array([matched])
        assert (met == 1).mean() == pytest.approx(isolating(asked, people, drawn)[0], abs=1e-12)
        assert (met >= 1).mean() == pytest.approx(reaching(asked, people, drawn)[0], abs=1e-12)


def test_chances_are_hypergeometric():
    matched = np.array([0, 1, 2, 7, 300, 4799, 4800])
    law = hypergeom(4800, matched, 1000)
    np.testing.assert_allclose(isolating(matched, 4800, 1000), law.pmf(1), atol=1e-12)
    np.testing.assert_allclose(reaching(matched, 4800, 1000), 1 - law.pmf(0), atol=1e-12)


def test_the_smaller_arm_is_judged_as_it_is():
    matched = np.array([0, 1, 2, 3, 50])
    assert isolating(matched, 50, 50).tolist() == [0, 1, 0, 0, 0]
    assert reaching(matched, 50, 50).tolist() == [0, 1, 1, 1, 1]


def test_nothing_asked_is_nothing_found():
    assert isolating(np.zeros(0, int), 5, 3).shape == reaching(np.zeros(0, int), 5, 3).shape == (0,)
