"""Words and sentences of success games, one fact each."""

import numpy as np
import pytest
from attrs import evolve
from evidence_success import GAMES, rounds

from leakpro_core import judge
from leakpro_core.judge.success_units import ALL, VULNERABLE
from leakpro_core.plan import Policy
from leakpro_core.report import RiskBound, Word

POLICY = Policy()
WITHIN = (RiskBound(facet="", coverage=ALL, high=0.041, tolerated=0.1),)
BEYOND = (RiskBound(facet="", coverage=ALL, high=0.1404, tolerated=0.1, needed=520),)


def measured(exposed=(30, 300), control=(30, 300), game="linkability", **columns):
    """Return one attack on people as the judge measures it, some columns replaced."""
    hit = np.concatenate([np.arange(n) < k for k, n in (exposed, control)]).astype(np.float64)
    arms = np.arange(len(hit)) < exposed[1]
    blind = columns.pop("blind", None)
    played = rounds(game, "nearest", hit, arms, np.arange(len(hit)), blind=blind)
    return evolve(judge.judge_success([played], POLICY, seed=0)[0], **columns)


def copied(exact, control=0, n=400, **columns):
    """Return a game of copies: so many exact repeats in either arm, near ones never."""
    hit = np.zeros((2, 2 * n))
    hit[0, :exact], hit[1, n - control : n] = 1.0, 1.0
    who = np.where(hit > 0, np.arange(4 * n).reshape(2, 2 * n), -1)
    played = rounds(
        "copies",
        "rows",
        hit.reshape(-1),
        np.arange(4 * n) < 2 * n,
        who.reshape(-1),
        number=np.tile(np.arange(2 * n), 2),
        facet=np.tile(np.arange(2 * n) // n, 2),
        facets=("exact", "near"),
        **columns,
    )
    return judge.judge_success([played], POLICY, seed=0)[0]


QUIET = measured(detected=False, p_value=0.4, strength=0.6, bounds=WITHIN)


def find(*judged, **columns):
    given = {
        "adversary": "anybody",
        "game": judged[0].game if judged else "linkability",
        "people": 4800,
        "invalid": None,
        "unfinished": (),
    }
    return judge.success_finding(judged, POLICY, **(given | columns))


def leaking(strength, **columns):
    return evolve(QUIET, detected=True, p_value=0.002, strength=strength, **columns)


# Words


@pytest.mark.parametrize(
    ("strength", "word"),
    [
        (0.5, Word.WEAK),
        (2.99, Word.WEAK),
        (3.0, Word.CLEAR),
        (9.9, Word.CLEAR),
        (10.0, Word.STRONG),
    ],
)
def test_strength_chooses_among_the_leak_words(strength, word):
    assert find(leaking(strength)).word is word


def test_not_found_needs_every_bound_of_every_attack_within_what_is_tolerated():
    other = evolve(QUIET, label="other", bounds=BEYOND)
    assert find(QUIET).word is Word.NOT_FOUND
    assert find(QUIET, other).word is Word.INCONCLUSIVE
    assert find(QUIET, other).bounds == BEYOND
    facet = evolve(BEYOND[0], facet="age")
    both = find(QUIET, evolve(QUIET, bounds=(*WITHIN, facet)))
    assert (both.word, both.bounds) == (Word.INCONCLUSIVE, (*WITHIN, facet))


def test_an_attack_that_did_not_finish_is_never_no_leak():
    found = find(QUIET, unfinished=["pairs"])
    assert found.word is Word.INCONCLUSIVE
    assert found.statement == "No leak was found, but not every attack finished: pairs."
    assert find(leaking(4.0), unfinished=["pairs"]).word is Word.CLEAR


def test_any_detection_is_a_leak_even_where_its_upper_bound_is_tolerated():
    found = find(QUIET, leaking(0.5, label="pairs"))
    assert (found.word, found.best) == (Word.WEAK, "pairs")
    assert found.attacks == ("nearest", "pairs")


def test_an_attack_on_people_that_leaks_all_the_way():
    found = find(measured((300, 300), (3, 300)))
    assert (found.word, found.best) == (Word.STRONG, "nearest")
    assert found.strength > 100
    assert find(measured((3, 300), (300, 300))).word is not Word.STRONG


def test_recovered_rows_are_extraction_only_in_the_game_of_copies_and_only_if_exact():
    assert find(copied(80)).word is Word.EXTRACTION
    assert find(evolve(copied(80), game="linkability")).word in (Word.STRONG, Word.CLEAR, Word.WEAK)
    swapped = evolve(copied(80), facets=("near", "other"))
    points = tuple(
        evolve(p, facet="near" if p.facet == "exact" else p.facet) for p in swapped.points
    )
    assert find(evolve(swapped, points=points)).word is not Word.EXTRACTION
    assert find(copied(80, control=70)).word is not Word.EXTRACTION
    assert find(copied(0)).word in (Word.NOT_FOUND, Word.INCONCLUSIVE)


def test_recovered_rows_that_the_blind_adversary_recovers_too_are_not_extraction():
    """It names 80 of the original rows without the release: then the control is another source."""
    blind = np.concatenate([np.arange(800) < 80, np.zeros(800)]).astype(np.float64)
    found = find(copied(80, blind=blind))
    assert found.word is not Word.EXTRACTION
    assert "not shown to do better than an adversary who never saw" in found.statement


def test_a_failed_control_leaves_no_conclusion():
    found = find(leaking(12.0), invalid="The planted rows were not found.")
    assert found.word is Word.INVALID
    assert found.statement == (
        "This test cannot support a conclusion because the planted rows were not found."
    )


def test_nothing_judged_is_not_tested():
    assert find().word is Word.NOT_TESTED
    assert find(QUIET, adversary="somebody else").word is Word.NOT_TESTED
    assert find(QUIET, game="copies").word is Word.NOT_TESTED


# Sentences


def test_sentence_of_a_clear_leak():
    found = find(measured((90, 300), (15, 300)))
    assert found.word is Word.CLEAR
    assert found.statement == (
        "A leak was found. On average over all links, a link is at least 3 times likelier in odds "
        "to be right about people in the training data than about other people; single people may "
        "be far more exposed. With nearest, between 24% and 36% of all links are right about "
        "people in the training data, against 2.8% to 8.2% about other people. In all, its claims "
        "came true about 90 of the 4,800 people in the training data, some of them by luck."
    )


def test_sentence_of_a_weak_leak_names_what_the_blind_adversary_does():
    blind = np.concatenate([np.arange(300) < 90, np.zeros(300)]).astype(np.float64)
    found = find(measured((90, 300), (45, 300), blind=blind))
    assert found.word is Word.WEAK
    assert found.statement.startswith(
        "A leak is detectable; the evidence that the average link gives is weak. With nearest, "
    )
    assert found.statement.endswith(
        " It was not shown to do better than an adversary who never saw the release."
    )
    better = find(measured((90, 300), (45, 300), blind=blind * 0.0))
    assert "never saw" not in better.statement


def test_sentence_of_extraction():
    found = find(copied(80, control=4))
    assert found.statement == (
        "Training records were recovered: between 64 and 98 of 400 released rows repeat a training "
        "row, against 1 to 11 for control rows; rows that repeat the same person count once. In "
        "all, its claims came true about 80 of the 4,800 people in the training data, some of them "
        "by luck."
    )


def test_numbers_of_people_are_not_told_to_the_digit():
    said = find(leaking(4.0, people=1234)).statement
    assert "came true about 1,200 of the 4,800 people" in said


def test_near_repeats_are_not_called_repeats():
    said = find(evolve(leaking(4.0), game="copies")).statement
    assert "a released row is at least 3 times likelier in odds to repeat or nearly repeat" in said


def test_sentence_of_not_found():
    assert find(QUIET).statement == (
        "No leak was found. With these attacks, of every 100 links at most 4.1 more are right "
        "about people in the training data than about other people (10 are tolerated); this does "
        "not show that the risk is insignificant for every person."
    )
    below = (evolve(WITHIN[0], high=-0.02),)
    assert "links no more are right" in find(evolve(QUIET, bounds=below)).statement


def test_inconclusive_names_the_bound_and_the_number_needed():
    assert find(evolve(QUIET, bounds=BEYOND)).statement == (
        "No leak was found, but the test could not exclude that, of every 100 links, up to 15 more "
        "are right about people in the training data than about other people (10 are tolerated). "
        "About 520 people in each arm would be needed."
    )
    facet = (evolve(BEYOND[0], facet="age", needed=200),)
    points = tuple(evolve(p, facet="age") for p in QUIET.points)
    found = find(evolve(QUIET, bounds=facet, points=points)).statement
    assert "of every 100 links (age), up to 15 more" in found
    assert "300 people in each arm exclude an attack that guesses four times out of five" in found


def test_inconclusive_where_hardly_anything_was_claimed_says_so():
    found = find(measured((1, 10), (0, 300)))
    assert (found.word, found.bounds[0].high) == (Word.INCONCLUSIVE, 1.0)
    assert found.statement == (
        "No leak was found, but the test could not judge nearest: links about fewer than 20 people "
        "in an arm."
    )
    assert "excludes nothing for want of 20 people in an arm: all claims and surest tenth" in (
        found.technical
    )


def test_bounds_are_rounded_so_that_they_hold():
    barely = (evolve(BEYOND[0], high=0.1002),)
    found = find(evolve(QUIET, bounds=barely))
    assert "up to 11 more" in found.statement
    assert "at most 0.11 by any of 1 attacks (0.1 is tolerated)" in found.technical
    assert "L = 9.9 (nearest)" in find(leaking(9.99)).technical


def test_the_technical_line_has_the_numbers():
    assert find(measured((90, 300), (15, 300))).technical.startswith(
        "Largest lower bound of the odds ratio: L = 3.1 (nearest), smallest p < 0.001, 95% "
        "family-wise over the audit; nearest at all claims: 0.3 [0.24, 0.36] of 300 exposed, 0.05 "
        "[0.028, 0.082] of 300 control, excess 0.25 [0.19, 0.31]"
    )


@pytest.mark.parametrize("game", [*GAMES, "reconstruction"])
def test_no_sentence_says_what_only_a_person_may_judge(game):
    attacks = [leaking(x) for x in (1.0, 5.0, 20.0)] + [QUIET, evolve(QUIET, bounds=BEYOND)]
    for each in attacks:
        said = find(evolve(each, game=game), game=game).statement.lower()
        assert not any(word in said for word in ("anonym", "safe", "complian", "nan", "inf "))
        assert said.count("  ") == 0


def test_an_overall_line_is_made_of_it():
    found = find(measured((90, 300), (15, 300)))
    total = judge.overall([found], [], POLICY)
    assert (total.word, total.exit_code) == (Word.CLEAR, 1)


@pytest.mark.parametrize(
    ("game", "expected"),
    [
        (
            "singling-out",
            "of every 100 predicates, counting people of the most vulnerable tenth alone, at most "
            "1.2 more isolate exactly one person of the training data",
        ),
        (
            "linkability",
            "of every 100 links of the most vulnerable tenth of the people at most 1.2 more are "
            "right about people in the training data",
        ),
    ],
)
def test_of_the_tenth_it_is_said_which_claims_its_rate_is_of(game, expected):
    tenth = RiskBound(facet="", coverage=VULNERABLE, high=0.012, tolerated=0.02)
    assert expected in find(evolve(QUIET, game=game, bounds=(tenth,))).statement


def test_a_leak_of_the_tenth_alone_is_told_as_a_share_of_all_predicates():
    alone = evolve(leaking(4.0), game="singling-out")
    point = evolve(alone.points[0], coverage=VULNERABLE, likelihood_low=4.0)
    said = find(evolve(alone, points=(point,))).statement
    assert "On average over all predicates, counting people of the most vulnerable tenth" in said
    assert "alone, a predicate is at least 3 times likelier" in said
    assert ",," not in said
