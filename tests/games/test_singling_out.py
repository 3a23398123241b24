"""Singling out counts distinct people, at equal n, of the guesses that were made."""

import math

import numpy as np
import pytest
from arms import draw, numbers, stage

from leakpro_core.errors import WrongAnswer
from leakpro_core.games import singling_out
from leakpro_core.games.singling_out import (
    Predicate,
    SinglingOutAnswer,
    Term,
    challenge,
    referee,
)
from leakpro_core.tabular.table import Table


def values(*wanted: float, claims: list[float] | None = None) -> SinglingOutAnswer:
    """Return an answer: column a is the value."""
    return SinglingOutAnswer(
        predicates=tuple(Predicate([Term(0, v, v)]) for v in wanted),
        claims=np.arange(len(wanted), dtype=float) if claims is None else claims,
    )


def around(table: Table, columns: list[int], width: float = 0.0) -> tuple[Predicate, ...]:
    """Return a predicate around each row of a table of number columns."""
    return tuple(
        Predicate(
            [Term(j, table.values[j][i] - width, table.values[j][i] + width) for j in columns]
        )
        for i in range(len(table))
    )


def test_the_adversary_is_given_no_identifier_and_no_text():
    rng = np.random.default_rng(0)
    played = stage(draw(20, rng), draw(10, rng, 20), draw(30, rng), draw(5, rng, 40), rounds=77)
    drawn = challenge(played)
    assert drawn.auxiliary is not None
    assert ("age", "income", "work", "smokes") == drawn.synthetic.names == drawn.auxiliary.names
    assert (drawn.people, drawn.guesses) == (20, 77)


def test_terms_count_the_columns_that_are_given():
    rng = np.random.default_rng(0)
    original = draw(20, rng)
    one = Predicate([Term(1, original.values[2][5], original.values[2][5])])  # the income
    answer = SinglingOutAnswer(predicates=(one,), claims=[1.0])
    evidence = referee(answer, stage(original, draw(20, rng, 20)), None, attack="x").evidence
    assert evidence.hit.tolist() == [1, 0]
    assert evidence.subject[0] == 5


def test_a_predicate_is_tried_on_both_arms():
    played = stage(
        numbers([1, 2, 2, 5]),
        numbers([7, 2, 9, 9], subjects=[4, 5, 6, 7]),
        numbers([1, 2, 9, 3]),
        tenth=(0, 5),
    )
    result = referee(values(1, 2, 9, 3), played, None, attack="x")
    evidence = result.evidence
    assert result.paired
    assert evidence.round.tolist() == [0, 1, 2, 3] * 2
    assert evidence.exposed.tolist() == [True] * 4 + [False] * 4
    assert evidence.hit.tolist() == [1, 0, 0, 0, 0, 1, 0, 0]
    assert evidence.claim.tolist() == [0, 1, 2, 3] * 2
    assert (evidence.subject[0], evidence.subject[5]) == (0, 5)
    nobody = np.delete(evidence.subject, [0, 5])
    assert (nobody < 0).all()
    assert len(set(nobody.tolist())) == 6
    assert np.flatnonzero(result.tenth).tolist() == [0, 5]
    assert np.isnan(evidence.null_p).all()
    assert np.isnan(evidence.blind_hit).all()


def test_identical_twins_are_not_singled_out_and_originals_are_not_deduplicated():
    twins = numbers([1, 1, 2, 2], subjects=[0, 1, 2, 2])
    released = numbers([1, 2, 3, 4])
    played = stage(twins, numbers([8, 9, 10], subjects=[4, 5, 6]), released)
    hit = referee(values(1, 2), played, None, attack="x").evidence.hit
    # Two people share the 1; both rows with a 2 are one person's.
    assert hit[:2].tolist() == [0, 1]


def test_a_person_counts_once_however_many_rows_there_are():
    original = numbers([1, 2, 3], subjects=[7, 7, 8])
    control = numbers([20, 21, 22], subjects=[1, 2, 3])
    evidence = referee(values(1, 2), stage(original, control), None, attack="x").evidence
    assert evidence.subject[:2].tolist() == [7, 7]


def test_the_denominator_is_the_predicates_that_were_made():
    n = 40
    played = stage(numbers(range(n)), numbers(range(100, 100 + n)), rounds=1000)
    answer = values(1, 2, 2, 1, 3, 4, claims=[5, 4, 9, 9, math.nan, 1])
    result = referee(answer, played, None, attack="x")
    assert (result.asked, result.made) == (1000, 3)
    assert len(result.evidence.hit) == 2 * 4
    assert result.evidence.claim[[0, 1, 3]].tolist() == [5, 4, 1]
    assert result.evidence.hit[:4].tolist() == [1, 1, 0, 1]  # an abstention hits nothing
    assert result.notes == ("2 of 6 predicates repeat another and were left out",)


def test_predicates_that_say_the_same_otherwise_are_one():
    rng = np.random.default_rng(0)
    played = stage(draw(20, rng), draw(20, rng, 20))
    same = (
        Predicate([Term(0, 29.5, 40.2), Term(2, values=(1, 2))]),
        Predicate([Term(2, 1, 2), Term(0, 30, 40)]),
    )
    result = referee(SinglingOutAnswer(predicates=same, claims=[1, 1]), played, None, attack="x")
    assert "1 of 2 predicates repeat another and were left out" in result.notes


@pytest.mark.parametrize(
    ("auxiliary", "whose"),
    [(numbers([3, 3, *range(20, 48)]), "auxiliary"), (None, "released")],
)
def test_heavy_predicates_are_left_out_and_counted(auxiliary, whose):
    # n' = 2: one in 20 of the 30 rows outside may match, which is one; built around: one more.
    released = numbers([3, 3, 3, *range(20, 47)])
    played = stage(numbers([1, 2]), numbers([3, 4], subjects=[2, 3]), released, auxiliary)
    result = referee(values(1, 3, 21), played, None, attack="x")
    assert result.made == 2
    assert (
        f"1 of 3 predicates match more than 1/20 of the {whose} rows and were left out",
    ) == result.notes


def test_one_match_is_allowed_where_the_predicate_was_built():
    played = stage(numbers([1, 2]), numbers([3, 4], subjects=[2, 3]), numbers([5, 6, 6]))
    assert referee(values(5, 6), played, None, attack="x").made == 1


def test_control_smaller_than_the_original_reads_no_leak_on_exchangeable_tables():
    excess, raw = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)

        def source(n: int, first: int, rng: np.random.Generator = rng) -> Table:
            a, b = rng.integers(0, 30, (2, n))
            return numbers(a, b, subjects=list(range(first, first + n)))

        original, control, released = source(400, 0), source(80, 400), source(150, 480)
        played = stage(original, control, released, source(100, 900), rounds=200)
        answer = SinglingOutAnswer(predicates=around(released, [0, 1]), claims=np.zeros(150))
        evidence = referee(answer, played, None, attack="x").evidence
        isolated = evidence.subject >= 0
        exposed = evidence.exposed
        excess.append(evidence.hit[exposed].mean() - evidence.hit[~exposed].mean())
        raw.append(isolated[exposed].mean() - isolated[~exposed].mean())
    assert abs(np.mean(excess)) < 3 * np.std(excess) / np.sqrt(60)
    assert np.mean(raw) > 0.1  # what counting without equal n would read


@pytest.mark.parametrize(("original", "control"), [(400, 100), (100, 400), (200, 200)])
def test_people_who_come_in_twins_are_singled_out_of_neither_arm(original, control):
    # Of a sample of people only one of two twins is there, and would be isolated.
    people = np.arange(original + control)
    arms = [numbers(w // 2, w // 2, subjects=w) for w in (people[:original], people[original:])]
    released = numbers(np.unique(people // 2), np.unique(people // 2))
    answer = values(*np.unique(people // 2))
    found = referee(answer, stage(*arms, released, rounds=1000), None, attack="x")
    assert found.evidence.hit.tolist() == [0.0] * len(found.evidence.hit)
    assert found.matched is not None
    lists = np.split(found.matched.person, found.matched.start[1:-1])
    assert {len(who) for who in lists} <= {0, 2}


def test_who_is_alone_among_twins_is_singled_out_as_often_as_it_is():
    # 40 of 200 people have no twin; each of the 40 is given away.
    who = np.arange(200)
    kind = np.where(who < 40, who, 40 + (who - 40) // 2)
    arms = [
        numbers(kind, subjects=who),
        numbers(1000 + np.arange(100) // 2, subjects=who[:100] + 200),
    ]
    released = numbers(np.arange(120))
    found = referee(values(*range(120)), stage(*arms, released, rounds=1000), None, attack="x")
    hits = found.evidence.hit[found.evidence.exposed] * found.scale
    assert hits[:40] == pytest.approx(np.ones(40), abs=0.01)
    assert hits[40:].tolist() == [0.0] * 80


def test_a_leak_is_found_at_equal_n():
    rng = np.random.default_rng(1)
    original = numbers(rng.normal(size=300), rng.normal(size=300))
    control = numbers(*rng.normal(size=(2, 100)), subjects=list(range(300, 400)))
    answer = SinglingOutAnswer(
        predicates=around(original.rows(np.arange(50)), [0, 1], 1e-6), claims=np.zeros(50)
    )
    evidence = referee(answer, stage(original, control), None, attack="x").evidence
    np.testing.assert_allclose(1 / 3, evidence.hit[:50])
    assert list(range(50)) == evidence.subject[:50].tolist()
    assert not evidence.hit[50:].any()


def lists(matched):
    """Return whom each claim meets."""
    return [
        matched.person[i:j].tolist()
        for i, j in zip(matched.start[:-1], matched.start[1:], strict=True)
    ]


def test_whom_predicates_meet_is_told_of_both_arms():
    played = stage(
        numbers([1, 2, 2, 5], subjects=[8, 9, 9, 7]),
        numbers([7, 2, 2], subjects=[4, 5, 6]),
        numbers([1, 2, 9, 5]),
        tenth=(9, 4),
    )
    found = referee(values(1, 2, 9, 5), played, None, attack="x").matched
    assert found.rule == "one"
    # Persons 7, 8, 9, then 4, 5, 6.
    assert lists(found) == [[1], [2, 4, 5], [], [0]]
    assert found.exposed.tolist() == [True] * 3 + [False] * 3
    assert found.tenth.tolist() == [False, False, True, True, False, False]


def test_as_many_people_of_the_larger_arm_are_drawn_the_same_for_every_attack():
    original = numbers(np.arange(100) // 2)
    control = numbers(np.arange(100, 130), subjects=list(range(100, 130)))
    played = stage(original, control, numbers(range(200, 230)))
    first, second = (
        referee(values(*wanted), played, None, attack="x").matched
        for wanted in (range(50), range(50))
    )
    met = [len(who) for who in lists(first)]
    assert (len(first.exposed), int(first.exposed.sum()), sum(met)) == (60, 30, 30)
    assert set(met) == {0, 1, 2}
    assert lists(first) == lists(second)


def test_the_tenth_is_a_share_where_several_people_match():
    original = numbers([1] * 4 + list(range(10, 46)))
    control = numbers(range(100, 110), subjects=list(range(40, 50)))
    played = stage(original, control, numbers([1, 2]), tenth=(2, 5))
    found = referee(values(1), played, None, attack="x")
    assert found.tenth.tolist() == [0.25, 0.0]
    assert 0.3 < found.evidence.hit[0] < 0.5


def test_a_predicate_that_meets_very_many_people_isolates_nobody_of_either_arm():
    original = numbers([1] * 500 + [2] * 10)
    control = numbers([1] + [2] * 509, subjects=list(range(510, 1020)))
    played = stage(original, control, numbers([5, 6]))
    assert lists(referee(values(1, 5), played, None, attack="x").matched) == [[], []]


def test_facets_are_numbers_of_columns():
    table = numbers(*np.arange(1, 7)[:, None] * 10 + np.arange(8))
    other = numbers(*np.full((6, 8), 99.0), subjects=list(range(8, 16)))
    answer = SinglingOutAnswer(
        predicates=(*around(table, [0]), *around(table, [0, 2, 4]), *around(table, [1, 2, 5])),
        claims=np.zeros(24),
    )
    result = referee(answer, stage(table, other, rounds=24), None, attack="x")
    assert result.facets == ("1 column", "3 columns")
    assert result.evidence.facet.tolist() == ([0] * 8 + [1] * 16) * 2


def test_many_numbers_of_columns_share_eight_facets():
    table = numbers(*np.arange(10)[:, None] + np.arange(3))
    other = numbers(*np.full((10, 3), 99.0), subjects=[3, 4, 5])
    every = [around(table, list(range(k)))[0] for k in (10, 1, 2, 3, 4, 5, 6, 7, 9)]
    answer = SinglingOutAnswer(predicates=tuple(every), claims=np.zeros(9))
    result = referee(answer, stage(table, other), None, attack="x")
    names = ("1 to 2 columns", *(f"{k} columns" for k in (3, 4, 5, 6, 7, 9, 10)))
    assert names == result.facets
    assert result.evidence.facet.tolist() == [7, 0, 0, 1, 2, 3, 4, 5, 6] * 2


def test_a_blind_predicate_stands_beside_one_of_as_many_columns():
    original = numbers([1, 2, 3, 4], [1, 2, 3, 4])
    control = numbers([5, 6, 7, 8], [5, 6, 7, 8], subjects=[4, 5, 6, 7])
    auxiliary = numbers([1, 6, 9, 10], [1, 6, 9, 10])
    released = numbers([1, 2, 3, 20, 30], [1, 2, 3, 20, 30])
    one, two = around(released, [0]), around(released, [0, 1])
    theirs_two, theirs_one = around(auxiliary, [0, 1])[:2], around(auxiliary, [1])[2:3]
    answer = SinglingOutAnswer(predicates=(one[1], two[1], two[2], one[3], one[4]), claims=range(5))
    silent = around(auxiliary, [0])[:1]
    blind = SinglingOutAnswer(
        predicates=(*theirs_two, *theirs_one, *silent), claims=[7, 8, 9, math.nan]
    )
    evidence = referee(answer, stage(original, control, released, auxiliary), blind, attack="x")
    found = evidence.evidence
    nan = math.nan
    np.testing.assert_array_equal([9, 7, 8, nan, nan] * 2, found.blind_claim)
    np.testing.assert_array_equal([0, 1, 0, 0, nan, 0, 0, 1, 0, nan], found.blind_hit)


def test_exhibits_are_the_surest_hits_and_show_the_person():
    rng = np.random.default_rng(2)
    original, control = draw(30, rng), draw(30, rng, 30)
    income = [original.values[2][i] for i in (4, 8, 4)]
    answer = SinglingOutAnswer(
        predicates=(
            Predicate([Term(1, income[0], income[0])]),
            Predicate([Term(1, income[1], income[1])]),
            Predicate([Term(1, income[2], income[2]), Term(0, 0, 200)]),
            Predicate([Term(1, 500, math.inf)]),
        ),
        claims=[0.2, 0.9, 0.5, 1.0],
    )
    shown = referee(answer, stage(original, control), None, attack="x").exhibits
    assert [e.subject for e in shown] == [8, 4]  # each person once, as its surest claim
    assert [e.sure for e in shown] == [0.9, 0.5]
    assert f"age is 0 to 200 and income is {income[2]:.6g}" == shown[1].claim
    assert shown[1].facet == "2 columns"
    assert original.shown(4) == shown[1].truth


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (values(*range(101)), "101 predicates, expected at most 100"),
        (values(1, 2, claims=[1]), r"shape \(1,\), expected \(2,\)"),
        (values(1, claims=[math.inf]), "infinite claim at 0"),
        (SinglingOutAnswer(predicates=(Predicate([Term(9, 1, 1)]),), claims=[1]), "column 9"),
        (SinglingOutAnswer(predicates=(Predicate([]),), claims=[1]), "predicate 0: found no term"),
    ],
)
def test_an_answer_of_another_kind_is_refused(answer, why):
    played = stage(numbers([1, 2]), numbers([3, 4], subjects=[2, 3]), auxiliary=numbers([5, 6]))
    with pytest.raises(WrongAnswer, match=f"attack 'x'.*{why}"):
        referee(answer, played, None, attack="x")
    with pytest.raises(WrongAnswer, match=f"attack 'x, blind'.*{why}"):
        referee(values(1), played, answer, attack="x")


def test_an_answer_without_predicates_has_no_rounds():
    rng = np.random.default_rng(0)
    played = stage(draw(20, rng), draw(20, rng, 20))
    nothing = SinglingOutAnswer(predicates=(), claims=np.zeros(0))
    result = referee(nothing, played, None, attack="x")
    assert (len(result.evidence.claim), result.made, result.facets) == (0, 0, ())


def test_facets_of_few_predicates_join_their_neighbours():
    terms = np.repeat([2, 3, 4, 5, 9], [3, 500, 10, 400, 2])
    assert (range(2, 4), range(4, 10)) == singling_out._facets(terms)
