"""The shadow plan is balanced, by subject, and says nothing of the targets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leakpro_core.records import Auxiliary, Population
from leakpro_core.shadows import draw


def people(subjects: np.ndarray, auxiliary: int = 0) -> Population:
    n = len(subjects)
    spare = Auxiliary(labels=np.zeros(auxiliary, int), records=np.zeros((auxiliary, 1)))
    return Population(
        labels=np.zeros(n, int),
        subjects=subjects,
        classes=2,
        records=np.zeros((n, 1)),
        auxiliary=spare if auxiliary else None,
    )


def test_every_record_is_in_half_of_the_shadows_whatever_the_targets_hold() -> None:
    plan, _ = draw(people(np.arange(40)), targets=3, count=8, pool="candidates", seed=1)
    np.testing.assert_array_equal(np.full(40, 4), plan.trained_on[~plan.target].sum(0))


def test_no_target_has_its_complement_among_the_models() -> None:
    plan, _ = draw(people(np.arange(40)), targets=4, count=8, pool="candidates", seed=1)
    for target in np.flatnonzero(plan.target):
        differing = (plan.trained_on != plan.trained_on[target]).mean(1)
        assert not (differing == 1).any()


def test_twins_share_a_number_and_are_complements() -> None:
    plan, _ = draw(people(np.arange(10)), targets=1, count=4, pool="candidates", seed=1)
    shadows = plan.trained_on[1:]
    np.testing.assert_array_equal([-1, 0, 0, 1, 1], plan.pair)
    np.testing.assert_array_equal(shadows[0], ~shadows[1])


@given(st.lists(st.integers(0, 6), min_size=8, max_size=40), st.integers(0, 99))
def test_a_subject_is_in_or_out_as_a_whole(subjects: list[int], seed: int) -> None:
    of = np.array(subjects)
    plan, _ = draw(people(of), targets=1, count=2, pool="candidates", seed=seed)
    for model in plan.trained_on:
        for person in np.unique(of):
            assert len(set(model[of == person].tolist())) == 1


def test_shadows_from_the_auxiliary_pool_see_no_candidate() -> None:
    plan, rows = draw(people(np.arange(10), 8), targets=0, count=2, pool="auxiliary", seed=1)
    assert not plan.trained_on.any()
    np.testing.assert_array_equal(np.arange(10, 18), np.sort(np.concatenate(rows)))


def test_the_same_seed_draws_the_same_plan() -> None:
    a, _ = draw(people(np.arange(30)), targets=2, count=4, pool="candidates", seed=5)
    b, _ = draw(people(np.arange(30)), targets=2, count=4, pool="candidates", seed=5)
    np.testing.assert_array_equal(a.trained_on, b.trained_on)
