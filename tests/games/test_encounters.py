"""Whom released rows meet: twins count once, chance does not."""

import math

import numpy as np
import pytest
from arms import COLUMNS, draw, numbers, stage
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.games.copies import CopiesAnswer, referee
from leakpro_core.games.encounters import Arms
from leakpro_core.games.outcome import Refereed
from leakpro_core.games.samples import TableStage
from leakpro_core.tabular.table import Table, from_matrix, stacked


def judged(played: TableStage, seed: int = 0) -> Refereed:
    n = len(played.released)
    said = CopiesAnswer(rows=np.arange(n), claims=np.arange(n, dtype=float))
    return referee(said, played, None, attack="x", seed=seed)


def rates(result: Refereed, facet: str) -> tuple[float, float]:
    evidence = result.evidence
    there = evidence.facet == result.facets.index(facet)
    return tuple(
        float(evidence.hit[there & (evidence.exposed == arm)].mean()) for arm in (True, False)
    )


def coarse(n: int, first: int, rng: np.random.Generator) -> Table:
    a, b = np.minimum(rng.integers(0, 80, (2, n)), rng.integers(0, 80, (2, n)))
    return numbers(a, b, subjects=list(range(first, first + n)))


@pytest.mark.parametrize("control", [600, 300, 60])
@pytest.mark.parametrize("twins", [1, 2, 4])
def test_a_fifth_of_copies_reads_a_fifth_whoever_has_twins(control, twins):
    rng = np.random.default_rng(0)

    def households(n: int, first: int) -> Table:
        rows = np.repeat(draw(n, rng).matrix()[:: n // (n // twins)], twins, axis=0)[:n]
        return from_matrix(COLUMNS, rows, first + np.arange(n))

    original = households(600, 0)
    released = stacked([original.rows(rng.permutation(600)[:100]), draw(400, rng)])
    result = judged(stage(original, households(control, 600), released))
    one, other = rates(result, "exact")
    assert pytest.approx(0.2) == result.scale * one
    assert other == 0
    near = []
    for seed in range(10):
        played = stage(original, households(control, 600), released, rounds=500)
        one, other = rates(judged(played, seed), "near")
        near.append(result.scale * (one - other))
    assert pytest.approx(0.2, abs=0.05) == np.mean(near)


def test_heavy_repeats_by_chance_hide_no_copies_and_are_none():
    excess = {0.0: [], 0.2: []}
    for seed in range(30):
        for share, found in excess.items():
            rng = np.random.default_rng(seed)
            original, control = coarse(2000, 0, rng), coarse(200, 2000, rng)
            copies = original.rows(rng.permutation(2000)[: round(share * 500)])
            result = judged(stage(original, control, stacked([copies, coarse(500, 0, rng)])))
            one, other = rates(result, "exact")
            found.append(result.scale * (one - other))
    for found in excess.values():
        assert np.std(found) / math.sqrt(30) < 0.05
    assert abs(np.mean(excess[0.0])) < 3 * np.std(excess[0.0]) / math.sqrt(30)
    assert np.mean(excess[0.2]) > 2 * np.std(excess[0.2]) / math.sqrt(30)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 10**6))
def test_claims_meet_the_drawn_people_who_have_their_row(n, m, seed):
    rng = np.random.default_rng(seed)

    def few(k: int, first: int) -> Table:
        return numbers(*rng.integers(0, 3, (2, k)), subjects=first + rng.integers(0, k, k))

    played = stage(few(n, 0), few(m, 50), few(9, 90), tenth=(0, 1, 50))
    result = judged(played, seed=seed)
    found = result.matched
    assert found is not None
    assert found.rule == "any"
    assert len(found.start) - 1 == result.evidence.round.max() + 1
    arms = Arms.of(played, seed)
    least = min(arms.people)
    assert [least, least] == np.bincount(~found.exposed).tolist()
    people = np.concatenate(
        [np.unique(t.subjects[d]) for t, d in zip(arms.tables, arms.drawn, strict=True)]
    )
    assert np.isin(people, (0, 1, 50)).tolist() == found.tenth.tolist()
    for i, row in enumerate(played.released.matrix()):
        met = people[found.person[found.start[i] : found.start[i + 1]]]
        same = [
            t.subjects[d][(t.matrix()[d] == row).all(axis=1)]
            for t, d in zip(arms.tables, arms.drawn, strict=True)
        ]
        assert sorted(set(np.concatenate(same).tolist())) == met.tolist()


def test_near_claims_meet_near_people_and_of_very_many_some_are_told():
    rng = np.random.default_rng(0)
    original, control = draw(300, rng), draw(300, rng, 300)
    moved = list(original.rows(np.arange(60)).values)
    moved[2] = moved[2] + 1e-4
    near = Table(columns=original.columns, values=tuple(moved), subjects=np.arange(60))
    result = judged(stage(original, control, stacked([near, draw(240, rng)]), rounds=300))
    found = result.matched
    assert set(range(60)) <= set(found.person[found.start[300] : found.start[360]].tolist())
    meets = np.diff(found.start)
    hits = result.evidence.hit.reshape(3, 2, 300).sum(axis=1)  # facet, arm
    assert np.array_equal(meets[300:600] > 0, hits[1] > 0)
    same = numbers([1.0] * 250, [2.0] * 250)
    other = numbers([1.0] * 250, [2.0] * 250, subjects=range(250, 500))
    result = judged(stage(same, other, same.rows(np.arange(9))))
    assert {400} == set(np.diff(result.matched.start).tolist())
    assert "9 released rows repeat more than 200 people" in result.notes[0]


def test_twins_are_drawn_together_where_the_smaller_arm_shows_that_they_come_so():
    def twins(n: int, first: int, rng: np.random.Generator) -> Table:
        a = np.repeat(rng.integers(0, 10**6, n // 2), 2)
        return numbers(a, a, subjects=list(range(first, first + n)))

    for source, together in ((twins, True), (coarse, False)):
        for sizes in ((1000, 200), (200, 1000)):
            rng = np.random.default_rng(0)
            played = stage(*(source(n, 2000 * i, rng) for i, n in enumerate(sizes)))
            drawn = Arms.of(played, 0).drawn
            assert {200} == {len(d) for d in drawn}
            larger = drawn[np.argmax(sizes)]
            assert together == np.array_equal(larger[::2] + 1, larger[1::2])
