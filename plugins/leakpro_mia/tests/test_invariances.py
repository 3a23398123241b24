"""What must not matter to a score does not."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import claims, offer_of, scene, with_logits_moved, with_records, with_shadows
from scipy.stats import spearmanr

from leakpro_core.records import Signals
from leakpro_core.testing.strategies import membership_challenges

EXACT = ("loss", "population", "ratio", "lira", "student", "combined")
"""Equal up to rounding. Trees choose among equal splits by the order of what they learn from."""

ALL = (*EXACT, "quantile", "stacked")


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_shadows_does_not_matter(name):
    challenge, _ = scene()
    order = np.random.default_rng(1).permutation(len(challenge.pair))
    again = claims(name, with_shadows(challenge, order))
    _assert_same(name, claims(name, challenge), again)


@pytest.mark.parametrize("name", ALL)
def test_permuting_records_permutes_claims(name):
    challenge, _ = scene()
    order = np.random.default_rng(2).permutation(len(challenge.ids))
    again = claims(name, with_records(challenge, order))
    _assert_same(name, claims(name, challenge)[order], again)


@pytest.mark.parametrize("name", ALL)
def test_a_constant_added_to_all_logits_does_not_matter(name):
    challenge, _ = scene(queries=2)
    again = claims(name, with_logits_moved(challenge, 8.0))
    # float32 outputs near 8 are rounded to 1e-6, and a rare split follows
    _assert_same(name, claims(name, with_logits_moved(challenge, 0.0)), again, tolerance=1e-3)


@pytest.mark.parametrize("name", EXACT)
def test_queries_that_repeat_each_other_change_no_rank(name):
    challenge, _ = scene()
    beside = evolve(challenge.auxiliary, target=_twice(challenge.auxiliary.target), shadows=None)
    twice = evolve(
        challenge,
        target=_twice(challenge.target),
        shadows=_twice(challenge.shadows),
        auxiliary=beside,
    )
    # student smooths over records and queries together, in more bins where there are more
    least = 0.99 if name in ("student", "combined") else 0.9999
    assert spearmanr(claims(name, challenge), claims(name, twice))[0] > least


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_claims_are_finite_from_no_spread_to_saturated(name, data):
    challenge, _ = data.draw(membership_challenges(offer_of(name)))
    assert np.isfinite(claims(name, challenge)).all()


def _twice(signals):
    return Signals(
        margin=np.concatenate([signals.margin] * 2, axis=-1),
        log_p={t: np.concatenate([v] * 2, axis=-1) for t, v in signals.log_p.items()},
    )


def _assert_same(name, expected, actual, tolerance=1e-7):
    if name in EXACT:
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
    else:
        assert spearmanr(expected, actual)[0] > 0.97
