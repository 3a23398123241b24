"""Linkability through released rows, played and refereed as core does."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.linkability import LinkabilityOptions, attack
from planted import MIXED, adult, mixed, plain_run, rates, shuffled, stage, surest

from leakpro_core.games import linkability
from leakpro_core.games.linkability import LinkabilityChallenge
from leakpro_core.records import Evidence
from leakpro_core.tabular.table import Table, from_matrix

NAMES = [column.name for column in MIXED]
HALF = NAMES[::2]


def play(
    original: Table,
    control: Table,
    released: Table,
    left: list[str],
    neighbours: int = 1,
    seed: int = 0,
) -> Evidence:
    drawn, secret = linkability.challenge(stage(original, control, released), left, seed)
    answer = attack(drawn, LinkabilityOptions(neighbours=neighbours), plain_run(seed))
    return linkability.referee(answer, secret, None, attack="linkability").evidence


def by_equality(original: Table, control: Table, left: list[str]) -> float:
    """Return the rate of exposed people that equal halves give away, of a verbatim release.

    A left row is through each released row that equals it as likely in each right row that
    equals that; the likeliest right rows share the mass.
    """
    n = len(original)
    same = []
    for names in (left, [name for name in original.names if name not in left]):
        rows = np.concatenate([table.only(names).matrix() for table in (original, control)])
        group = np.unique(np.nan_to_num(rows, nan=-99.0), axis=0, return_inverse=True)[1].ravel()
        same.append(group[:, None] == group[:n])  # people and released rows
    belief = same[0][:n] @ (same[1] / same[1].sum(axis=0)).T
    best = np.isclose(belief, belief.max(axis=1, keepdims=True))
    return float((best.diagonal() / best.sum(axis=1)).mean())


@pytest.mark.parametrize("neighbours", [1, 5])
def test_a_verbatim_copy_links_everybody(neighbours: int) -> None:
    rng = np.random.default_rng(0)
    original, control = mixed(300, rng), mixed(300, rng, first=300)
    exposed, unexposed = rates(play(original, control, shuffled(original, rng), HALF, neighbours))
    assert exposed == 1.0
    assert unexposed < 0.03


def test_a_release_of_other_people_links_nobody() -> None:
    rng = np.random.default_rng(1)
    original, control = mixed(400, rng), mixed(400, rng, first=400)
    evidence = play(original, control, mixed(400, rng), HALF)
    assert max(rates(evidence)) < 0.02
    assert not np.isnan(evidence.claim).any()


def test_missing_values_do_not_poison_distances() -> None:
    rng = np.random.default_rng(2)
    original, control = mixed(300, rng, missing=0.5), mixed(300, rng, missing=0.5, first=300)
    expected = by_equality(original, control, HALF)
    exposed, unexposed = rates(play(original, control, shuffled(original, rng), HALF))
    assert 0.5 < expected < 0.95
    assert abs(exposed - expected) < 0.02
    assert unexposed < 0.03


def test_ties_are_not_broken_by_sort_order() -> None:
    """A binary column in each half, and one as a half of its own."""
    rng = np.random.default_rng(3)
    original, control = mixed(300, rng), mixed(300, rng, first=300)
    original, control = (
        from_matrix((*MIXED[:2], *MIXED[-2:]), table.matrix()[:, [0, 1, 6, 7]], table.subjects)
        for table in (original, control)
    )
    released = original.rows(np.argsort(original.values[-1], kind="stable"))
    names = list(original.names)
    assert rates(play(original, control, released, [names[0], names[3]]))[0] == 1.0
    expected = by_equality(original, control, ["binary"])
    exposed, unexposed = rates(play(original, control, released, ["binary"]))
    assert expected == pytest.approx(2 / 300, rel=0.1)
    assert abs(exposed - expected) < 0.01
    assert unexposed < 0.01


def test_people_that_tie_share_the_mass() -> None:
    same = from_matrix(MIXED, np.tile(mixed(1, np.random.default_rng(0)).matrix(), (30, 1)))
    drawn, secret = linkability.challenge(
        stage(same, evolve(same, subjects=30 + same.subjects), same), HALF, 0
    )
    answer = attack(drawn, LinkabilityOptions(), plain_run())
    np.testing.assert_allclose(answer.mass, 1 / 60)
    evidence = linkability.referee(answer, secret, None, attack="linkability").evidence
    np.testing.assert_allclose(rates(evidence), [1 / 60, 1 / 60])


def test_more_that_tie_than_are_kept_are_drawn_without_favour() -> None:
    rng = np.random.default_rng(4)
    row = mixed(1, rng).matrix()
    same = from_matrix(MIXED, np.tile(row, (150, 1)))
    halves = same.only(HALF), same.only(NAMES[1::2])
    drawn = LinkabilityChallenge(left=halves[0], right=halves[1], synthetic=same)
    partners = np.concatenate(
        [attack(drawn, LinkabilityOptions(), plain_run(seed)).partner[0] for seed in range(20)]
    )
    assert 60 < partners.mean() < 90
    assert len(np.unique(partners)) > 120


def test_the_surest_claims_are_the_copies() -> None:
    rng = np.random.default_rng(5)
    original, control = mixed(600, rng), mixed(600, rng, first=600)
    others = mixed(480, rng).matrix()
    released = from_matrix(MIXED, np.concatenate([original.matrix()[:120], others]))
    evidence = play(original, control, shuffled(released, rng), HALF)
    exposed, unexposed = rates(evidence)
    assert 0.19 < exposed - unexposed < 0.21
    assert evidence.hit[surest(evidence)].mean() > 0.95


def test_a_copy_that_differs_a_little_still_links() -> None:
    rng = np.random.default_rng(6)
    original, control = mixed(300, rng), mixed(300, rng, first=300)
    values = original.matrix()
    values[:, :4] += rng.normal(0, 0.01, (300, 4))
    exposed, unexposed = rates(play(original, control, from_matrix(MIXED, values), HALF))
    assert exposed > 0.95
    assert unexposed < 0.03


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 7),
    st.integers(1, 16),
)
def test_answers_keep_the_rules_whatever_the_tables(
    seed: int, people: int, released: int, missing: float, left: int, neighbours: int
) -> None:
    rng = np.random.default_rng(seed)
    original = mixed(people, rng, missing)
    control = mixed(people, rng, missing, first=people)
    release = mixed(released, rng, missing)
    evidence = play(original, control, release, NAMES[:left], neighbours, seed)
    assert np.isfinite(evidence.claim).all()
    assert ((evidence.claim >= 0) & (evidence.claim <= 1)).all()


def test_an_empty_release_links_nobody() -> None:
    rng = np.random.default_rng(7)
    original, control = mixed(20, rng), mixed(20, rng, first=20)
    evidence = play(original, control, mixed(0, rng), HALF)
    assert rates(evidence) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_answer() -> None:
    rng = np.random.default_rng(8)
    original, control = mixed(80, rng, 0.5), mixed(80, rng, 0.5, first=80)
    one, two = (play(original, control, original, HALF, seed=11) for _ in range(2))
    np.testing.assert_array_equal(one.hit, two.hit)
    np.testing.assert_array_equal(one.claim, two.claim)


def test_on_adult_what_a_half_tells_apart_is_linked_in_a_fifth_of_the_people() -> None:
    original, control, leaky, copula = adult("original", "control", "leaky20", "copula")
    exposed, unexposed = rates(play(original, control, leaky, ["fnlwgt"]))
    assert 0.17 < exposed - unexposed < 0.22
    # Of every second column one half has 1,127 different rows in 4,000 people: equal right rows
    # cannot be told apart, and a fifth of all could be linked in .062 of the cases.
    names = list(original.names)
    exposed, unexposed = rates(play(original, control, leaky, names[::2]))
    assert 0.05 < exposed - unexposed < 0.075
    assert max(rates(play(original, control, copula, names[::2]))) < 0.005
