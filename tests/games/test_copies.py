"""Copies: the share of released rows that repeat a person's, less what chance repeats."""

import math
from pathlib import Path

import numpy as np
import pytest
from arms import draw, numbers, stage

from leakpro_core.errors import WrongAnswer
from leakpro_core.games.copies import CopiesAnswer, challenge, referee
from leakpro_core.games.outcome import Refereed
from leakpro_core.games.samples import TableStage
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix, stacked

ADULT = Path(__file__).resolve().parents[3] / "shared" / "data" / "adult_audit"


def every(table: Table) -> CopiesAnswer:
    n = len(table)
    return CopiesAnswer(rows=np.arange(n), claims=np.arange(n, dtype=float))


def judged(played: TableStage, answer: CopiesAnswer | None = None, **more) -> Refereed:
    said = every(played.released) if answer is None else answer
    return referee(said, played, more.pop("blind", None), attack="x", seed=more.pop("seed", 0))


def rates(result: Refereed, facet: str) -> tuple[float, float]:
    evidence = result.evidence
    there = evidence.facet == result.facets.index(facet)
    return tuple(
        float(evidence.hit[there & (evidence.exposed == arm)].mean()) for arm in (True, False)
    )


def test_the_adversary_is_given_no_identifier_and_no_text():
    rng = np.random.default_rng(0)
    drawn = challenge(stage(draw(9, rng), draw(9, rng, 9), draw(9, rng), draw(9, rng, 90)))
    assert drawn.auxiliary is not None
    assert ("age", "income", "work", "smokes") == drawn.synthetic.names == drawn.auxiliary.names


def test_claimed_rows_are_compared_with_both_arms():
    original = numbers([1, 2, 2, math.nan], [0, 0, 0, 0], subjects=[5, 7, 6, 8])
    control = numbers([3, 4, 9, 9], [0, 0, 1, 2], subjects=[1, 2, 3, 4])
    released = numbers([1, 2, 3, math.nan, 50], [0, 0, 0, 0, 0])
    result = judged(stage(original, control, released, tenth=(6, 1)))
    evidence = result.evidence
    exact = evidence.facet == 0
    assert result.facets == ("exact", "near")
    assert (result.paired, result.scale, result.asked, result.made) == (True, 1.0, 5, 5)
    assert evidence.hit[exact].tolist() == [1, 1, 0, 1, 0, 0, 0, 1, 0, 0]
    assert evidence.round[exact].tolist() == [0, 1, 2, 3, 4] * 2
    # Of twins the one with the lowest number is met; nobody twice is not the same nobody.
    who = evidence.subject[exact]
    assert tuple(who[[0, 1, 3, 7]]) == (5, 6, 8, 1)
    assert len(set(who[who < 0].tolist())) == 6
    assert np.flatnonzero(exact & (result.tenth > 0)).tolist() == [1, 7]


def test_rounds_of_the_facets_are_not_the_same_rounds():
    rng = np.random.default_rng(0)
    played = stage(draw(50, rng), draw(50, rng, 50), draw(40, rng), rounds=25)
    evidence = judged(played).evidence
    exact, near = (evidence.facet == f for f in (0, 1))
    assert (exact.sum(), near.sum()) == (80, 50)
    assert not set(evidence.round[exact]) & set(evidence.round[near])
    for there in (exact, near):
        one, other = (evidence.round[there & (evidence.exposed == arm)] for arm in (True, False))
        np.testing.assert_array_equal(one, other)
    nobody = evidence.subject[evidence.subject < 0]
    assert len(nobody) == len(set(nobody.tolist()))


def test_text_that_is_written_anew_hides_no_copy_and_identifiers_do_not_count():
    rng = np.random.default_rng(0)
    original, control = draw(30, rng), draw(30, rng, 30)
    values = list(original.values)
    values[0] = (values[0] + 1) % 30
    renumbered = Table(columns=original.columns, values=tuple(values), subjects=np.arange(30))
    same = judged(stage(original, control, renumbered))
    assert same.facets == ("exact", "near", "exact, with text", "text")
    assert rates(same, "exact") == rates(same, "exact, with text") == (1, 0)
    values[4] = (values[4] + 1) % 3
    rewritten = Table(columns=original.columns, values=tuple(values), subjects=np.arange(30))
    other = judged(stage(original, control, rewritten))
    assert other.facets == ("exact", "near", "text")
    assert rates(other, "exact") == (1, 0)


def test_text_that_is_copied_is_seen_where_all_else_is_written_anew():
    texts = tuple(f"what {i} has to say" for i in range(90))
    columns = numbers([0]).columns[0], Column(name="note", kind=Kind.TEXT, levels=texts)

    def people(first: int, notes: np.ndarray) -> Table:
        x = np.random.default_rng(first).normal(size=30)
        return from_matrix(columns, np.column_stack([x, notes]), first + np.arange(30))

    notes = np.arange(60, 90)
    notes[:12] = np.arange(12)
    arms = people(0, np.arange(30)), people(30, np.arange(30, 60))
    result = judged(stage(*arms, people(60, notes)))
    assert result.facets == ("exact", "near", "text")
    assert rates(result, "exact") == (0, 0)
    assert rates(result, "text") == (0.4, 0)
    fresh = judged(stage(*arms, people(60, np.arange(60, 90))))
    assert fresh.facets == ("exact", "near")


def test_control_smaller_than_the_original_reads_no_leak_on_exchangeable_tables():
    def source(n: int, first: int, rng: np.random.Generator) -> Table:
        a, b = np.minimum(rng.integers(0, 80, (2, n)), rng.integers(0, 80, (2, n)))
        return numbers(a, b, subjects=list(range(first, first + n)))

    excess, raw = {"exact": [], "near": []}, []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        played = stage(source(400, 0, rng), source(80, 400, rng), source(150, 480, rng), rounds=150)
        result = judged(played, seed=seed)
        for facet in result.facets:
            one, other = rates(result, facet)
            excess[facet].append(one - other)
        evidence = result.evidence
        met, exact = evidence.subject >= 0, evidence.facet == 0
        raw.append(met[exact & evidence.exposed].mean() - met[exact & ~evidence.exposed].mean())
        assert result.scale == 5
    for found in excess.values():
        assert len(found) > 20
        assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))
    assert np.mean(raw) > 0.05  # what comparing whole tables would read


def test_copies_are_scaled_to_the_whole_table():
    rng = np.random.default_rng(0)
    original, control = draw(300, rng), draw(60, rng, 300)
    released = stacked([original.rows(np.arange(40)), draw(160, rng)])
    result = judged(stage(original, control, released))
    one, other = rates(result, "exact")
    assert pytest.approx(40 / 200) == result.scale * (one - other)


def test_near_rows_are_found_where_exact_ones_are_not():
    rng = np.random.default_rng(0)
    original, control = draw(400, rng), draw(400, rng, 400)
    moved = list(original.rows(np.arange(60)).values)
    moved[2] = moved[2] + 1e-4
    near = Table(columns=original.columns, values=tuple(moved), subjects=np.arange(60))
    played = stage(original, control, stacked([near, draw(240, rng)]), rounds=300)
    result = judged(played)
    one, other = rates(result, "near")
    assert 0.2 <= one <= 0.25
    assert 0 < other <= 0.01
    assert rates(result, "exact") == (0, 0)
    evidence = result.evidence
    hit = (evidence.facet == 1) & evidence.exposed & (evidence.hit > 0)
    assert set(range(60)) <= set(evidence.subject[hit].tolist())


def test_near_is_left_out_where_nothing_can_be_near():
    same = numbers([1.0] * 50, [2.0] * 50)
    result = judged(stage(same, numbers([1.0] * 50, [2.0] * 50, subjects=range(50, 100)), same))
    assert result.facets == ("exact",)
    assert rates(result, "exact") == (1, 1)
    assert [note[:34] for note in result.notes] == ["near repeats were not judged: the "]


def test_near_is_told_of_a_random_part_of_the_claimed_rows():
    rng = np.random.default_rng(0)
    played = stage(draw(50, rng), draw(50, rng, 50), draw(200, rng), rounds=30)
    claimed = np.arange(199, 99, -1)
    answer = CopiesAnswer(rows=claimed, claims=claimed.astype(float))

    def told(seed: int) -> list[float]:
        evidence = judged(played, answer, seed=seed).evidence
        return evidence.claim[(evidence.facet == 1) & evidence.exposed].tolist()

    assert len(set(told(1))) == 30
    assert told(1) == told(1) == sorted(told(1), reverse=True)
    assert told(1) != told(2)
    assert min(told(1)) >= 100


def test_the_denominator_is_the_rows_that_were_claimed():
    rng = np.random.default_rng(0)
    original = draw(40, rng)
    played = stage(original, draw(40, rng, 40), stacked([original, draw(40, rng)]))
    answer = CopiesAnswer(rows=[0, 1, 50, 2], claims=[1, 2, 3, math.nan])
    result = judged(played, answer)
    exposed = (result.evidence.facet == 0) & result.evidence.exposed
    assert (result.asked, result.made) == (80, 3)
    assert result.evidence.hit[exposed].tolist() == [1, 1, 0, 0]


def test_the_blind_adversary_claims_auxiliary_rows():
    rng = np.random.default_rng(0)
    original, control = draw(40, rng), draw(40, rng, 40)
    known = stacked([original.rows(np.array([3])), control.rows(np.array([4, 5])), draw(9, rng)])
    played = stage(original, control, draw(5, rng), known)
    blind = CopiesAnswer(rows=[2, 0, 1], claims=[7, 8, math.nan])
    evidence = judged(played, blind=blind).evidence
    exact = evidence.facet == 0
    one, other = exact & evidence.exposed, exact & ~evidence.exposed
    there = ~np.isnan(evidence.blind_claim[one])
    assert there.sum() == 2
    claim, hit, miss = (
        x[there]
        for x in (evidence.blind_claim[one], evidence.blind_hit[one], evidence.blind_hit[other])
    )
    assert {(7, 0, 1), (8, 1, 0)} == set(zip(claim, hit, miss, strict=True))
    np.testing.assert_array_equal(evidence.blind_claim[one], evidence.blind_claim[other])


def test_what_blind_claims_stand_beside_does_not_hang_on_the_order_of_the_release():
    rng = np.random.default_rng(0)
    original, control = draw(300, rng), draw(300, rng, 300)
    known, rest = draw(100, rng), draw(240, rng)
    for parts in ([original.rows(np.arange(60)), rest], [rest, original.rows(np.arange(60))]):
        played = stage(original, control, stacked(parts), known)
        evidence = judged(played, blind=every(known)).evidence
        there = (evidence.facet == 0) & evidence.exposed & ~np.isnan(evidence.blind_claim)
        assert there.sum() == 100
        assert 0.1 < evidence.hit[there].mean() < 0.3
        assert sorted(evidence.blind_claim[there]) == list(range(100))


def test_exhibits_show_the_row_and_its_person():
    rng = np.random.default_rng(0)
    original = draw(30, rng)
    played = stage(original, draw(30, rng, 30), original.rows(np.arange(29, -1, -1)))
    shown = judged(played).exhibits
    assert list(range(20)) == [e.subject for e in shown]
    assert original.shown(0) == shown[0].truth
    age = dict(original.shown(0))["age"]
    assert shown[0].claim.startswith(f"released row 29 repeats a person's row: age {age}, income")
    assert shown[0].facet == "exact"


@pytest.mark.parametrize(
    ("rows", "claims", "why"),
    [
        ([0, 9], [0, 0], "released row 9, expected one from 0 to 8"),
        ([-1], [0], "released row -1"),
        ([0, 3, 3], [0, 0, 0], "released row 3 twice"),
        ([0, 1], [0], r"shape \(1,\), expected \(2,\)"),
        ([[0], [1]], [0, 0], r"rows of shape \(2, 1\)"),
        ([0, 1], [0, math.inf], "infinite claim at 1"),
    ],
)
def test_an_answer_of_another_kind_is_refused(rows, claims, why):
    rng = np.random.default_rng(0)
    played = stage(draw(9, rng), draw(9, rng, 9), auxiliary=draw(9, rng))
    answer = CopiesAnswer(rows=rows, claims=claims)
    with pytest.raises(WrongAnswer, match=f"attack 'x'.*{why}"):
        judged(played, answer)
    with pytest.raises(WrongAnswer, match=f"attack 'x, blind'.*{why}"):
        judged(played, blind=answer)


@pytest.mark.skipif(not ADULT.is_dir(), reason="the Adult tables are not there")
@pytest.mark.parametrize(("name", "share"), [("leaky20", 0.2), ("copula", 0.0)])
def test_of_the_adult_tables_the_planted_share_is_found(name, share):
    original, control, released = _adult("original", "control", name)
    played = stage(original, control, released, rounds=500)
    result = judged(played)
    one, other = rates(result, "exact")
    assert pytest.approx(share, abs=0.003) == one - other
    one, other = rates(result, "near")
    assert pytest.approx(share, abs=0.04) == one - other


def _adult(*names: str) -> tuple[Table, ...]:
    """Return tables as they are in the files; numbers as numbers, the rest as levels."""
    import pandas as pd

    frames = [pd.read_parquet(ADULT / f"{name}.parquet") for name in names]
    whole = pd.concat(frames)
    columns, values = [], []
    for name in whole:
        if pd.api.types.is_numeric_dtype(whole[name]):
            columns.append(Column(name=name, kind=Kind.NUMERIC))
            values.append(whole[name].to_numpy(np.float64))
        else:
            codes, levels = pd.factorize(whole[name], sort=True)
            columns.append(Column(name=name, kind=Kind.CATEGORICAL, levels=tuple(levels)))
            values.append(codes.astype(np.int64))
    table = Table(columns=tuple(columns), values=tuple(values), subjects=np.arange(len(whole)))
    ends = np.cumsum([len(frame) for frame in frames])
    return tuple(table.rows(np.arange(b - len(f), b)) for b, f in zip(ends, frames, strict=True))
