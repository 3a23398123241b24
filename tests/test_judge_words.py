"""Words, sentences and exit codes: GOVERNANCE's rules, one fact each."""

import re

import numpy as np
import pytest
from attrs import evolve
from evidence_statistics import evidence

from leakpro_core import judge
from leakpro_core.judge.numbers import (
    at_least,
    at_most,
    headcount,
    listed,
    people,
    percent,
    percent_at_most,
    plain,
)
from leakpro_core.plan import Policy
from leakpro_core.report import Card, Exclusion, Finding, Word

POLICY = Policy()
WITHIN = (
    Exclusion(fpr=0.001, high=0.004, tolerated=0.01),
    Exclusion(fpr=0.01, high=0.02, tolerated=0.03),
)
BEYOND = (WITHIN[0], Exclusion(fpr=0.01, high=0.046, tolerated=0.03, needed=1264))


def measured(shift=0.0, n=500, **columns):
    """Return one attack as the judge measures it, some columns replaced."""
    rng = np.random.default_rng(0)
    exposed = np.arange(2 * n) < n
    e = evidence(rng.normal(size=2 * n) + shift * exposed, exposed)
    rounds = [judge.Rounds(label="lira", adversary="API user", evidence=e)]
    return evolve(judge.judge(rounds, POLICY, sampling="random", seed=0)[0], **columns)


QUIET = measured(detected=False, p_value=0.4, strength=0.6, exclusion=WITHIN, everybody=2500)


def find(*judged, **columns):
    given = {
        "adversary": "API user",
        "family": judge.MAIN,
        "sampling": "random",
        "models": 1,
        "invalid": None,
        "unfinished": (),
    }
    return judge.finding(judged, POLICY, **(given | columns))


def leaking(strength, **columns):
    return evolve(QUIET, detected=True, p_value=0.002, strength=strength, **columns)


# Words


@pytest.mark.parametrize(
    ("strength", "word"),
    [
        (0.5, Word.WEAK),
        (2.99, Word.WEAK),
        (3.0, Word.CLEAR),
        (9.99, Word.CLEAR),
        (10.0, Word.STRONG),
        (400.0, Word.STRONG),
    ],
)
def test_strength_chooses_among_the_leak_words(strength, word):
    assert find(leaking(strength)).word is word


def test_sentence_of_a_strong_leak():
    found = find(leaking(12.0), sampling="other")
    assert found.statement == (
        "A leak was found. On average over those flagged, a flag makes membership at least 10 "
        "times likelier in odds; single records may be far more exposed."
    )
    assert found.reach is None
    assert "3 times likelier" in find(leaking(4.0)).statement


def test_any_detection_is_a_leak_even_where_its_upper_bound_is_tolerated():
    assert find(leaking(0.5, exclusion=WITHIN), QUIET).word is Word.WEAK


def test_the_strongest_attack_names_the_strength():
    found = find(QUIET, leaking(4.0, label="ratio"), leaking(2.0, label="loss"))
    assert (found.word, found.best, found.strength) == (Word.CLEAR, "ratio", 4.0)
    assert found.attacks == ("lira", "ratio", "loss")


def test_not_found_needs_every_bound_within_what_is_tolerated():
    found = find(QUIET, sampling="all")
    assert found.word is Word.NOT_FOUND
    assert found.statement == (
        "No leak was found. With these attacks, up to 1% x 2,500 = 25 members could still be "
        "flagged at a false-positive rate of 0.1% and up to 3% x 2,500 = 75 members could still "
        "be flagged at a false-positive rate of 1%; this does not show that the risk is "
        "insignificant for every person."
    )


def test_not_found_gives_no_number_of_people_where_sampling_does_not_allow_it():
    assert "up to 3% of the members could" in find(QUIET, sampling="other").statement


def test_inconclusive_names_the_number_needed():
    found = find(QUIET, evolve(QUIET, exclusion=BEYOND))
    assert found.word is Word.INCONCLUSIVE
    assert found.exclusion == BEYOND
    assert found.reach is None
    assert found.statement == (
        "No leak was found, but the test could not exclude that up to 4.6% of the members are "
        "flagged at a false-positive rate of 1% (3% is tolerated). n = about 1,300 members and as "
        "many non-members would be needed."
    )


def test_inconclusive_with_enough_records_does_not_ask_for_fewer():
    found = find(evolve(QUIET, exclusion=BEYOND, members=2000, nonmembers=2000))
    assert "n =" not in found.statement
    assert "more records would tell" in found.statement


def test_an_attack_that_did_not_finish_is_never_no_leak():
    found = find(QUIET, unfinished=["quantile", "stacked"])
    assert found.word is Word.INCONCLUSIVE
    assert found.statement == (
        "No leak was found, but not every attack finished: quantile and stacked."
    )
    assert find(leaking(4.0), unfinished=["quantile"]).word is Word.CLEAR


def test_a_failed_control_leaves_no_conclusion():
    found = find(leaking(12.0), invalid="Members and non-members differ by themselves.")
    assert found.word is Word.INVALID
    assert found.statement == (
        "This test cannot support a conclusion because members and non-members differ by "
        "themselves."
    )


def test_nothing_judged_is_not_tested():
    assert find().word is Word.NOT_TESTED
    assert find(QUIET, adversary="somebody else").word is Word.NOT_TESTED
    assert find(QUIET, family=judge.TENTH).word is Word.NOT_TESTED


def test_reach_is_said_in_people():
    found = find(measured(shift=2.0), sampling="all")
    low, high = found.reach
    assert 0 < low < high < 500
    assert (found.reach_of, found.reach_fpr) == (500, 0.01)
    assert re.search(
        r"At a false-positive rate of 1%, the strongest attack \(lira\) flags between [\d,]+ and "
        r"[\d,]+ of the 500 members of this model\.$",
        found.statement,
    )
    several = find(measured(shift=2.0), sampling="all", models=4).statement
    assert "of the 500 members of a model, on average over these 4." in several


def test_a_sample_of_the_members_is_not_called_all_of_them():
    assert "of the 500 members tested." in find(measured(shift=2.0)).statement
    several = find(measured(shift=2.0), models=4).statement
    assert "of the 500 members tested of a model, on average over these 4." in several
    assert "3% x 2,500 = 75 members tested could still" in find(QUIET).statement


def test_reach_counts_people_and_not_their_records():
    rng = np.random.default_rng(0)
    exposed = np.arange(2000) < 1000
    claim = (rng.normal(size=200) + 4.0 * (np.arange(200) < 100)).repeat(10)
    e = evidence(claim, exposed, subject=np.arange(2000) // 10)
    rounds = [judge.Rounds(label="lira", adversary="API user", evidence=e)]
    found = find(*judge.judge(rounds, POLICY, sampling="all", seed=0), sampling="all")
    assert found.reach_of == 100
    assert "of the 100 members of this model." in found.statement


def test_bounds_are_rounded_so_that_they_hold():
    barely = (WITHIN[0], Exclusion(fpr=0.01, high=0.0302, tolerated=0.03, needed=1264))
    found = find(evolve(QUIET, exclusion=barely))
    assert "up to 3.1% of the members are flagged" in found.statement
    assert "at most 0.031 by any of 1 attacks (0.03 is tolerated)" in found.technical
    assert "L = 9.9 (lira)" in find(leaking(9.99)).technical


def test_no_sentence_says_what_only_a_person_may_judge():
    found = [find(leaking(x)) for x in (1.0, 5.0, 20.0)] + [
        find(QUIET),
        find(evolve(QUIET, exclusion=BEYOND)),
        find(QUIET, invalid="x"),
        find(),
    ]
    text = " ".join(f.statement + f.technical for f in found).lower()
    assert not re.search(r"\bsafe\b|anonym|complian|\bno risk\b", text)


# The overall line


def card(name, label):
    return Card(
        name=name,
        label=label,
        access="logits",
        top_k=None,
        decimals=None,
        queries=None,
        queries_used=0,
        knows=(),
        shadows=0,
    )


REALISTIC, WORST = card("API user", "realistic"), card("insider", "worst case")


def said(word, adversary="API user", family=judge.MAIN, **columns):
    return Finding(
        family=family,
        adversary=adversary,
        word=word,
        statement=f"It is {word.value}.",
        technical="",
        attacks=(),
        **columns,
    )


def both(word, other=None, adversary="API user", **columns):
    """Return findings of both mandatory families."""
    return [
        said(word, adversary, **columns),
        said(other or word, adversary, judge.TENTH, **columns),
    ]


def overall(findings, cards=(REALISTIC,), policy=POLICY, **reasons):
    return judge.overall(findings, cards, policy, **reasons)


@pytest.mark.parametrize(
    ("words", "word", "code"),
    [
        ((Word.NOT_FOUND, Word.NOT_FOUND), Word.NOT_FOUND, 0),
        ((Word.NOT_FOUND, Word.INCONCLUSIVE), Word.INCONCLUSIVE, 2),
        ((Word.WEAK, Word.INCONCLUSIVE), Word.WEAK, 1),
        ((Word.CLEAR, Word.STRONG), Word.STRONG, 1),
        ((Word.WEAK, Word.INVALID), Word.WEAK, 3),
        ((Word.INVALID, Word.INVALID), Word.INVALID, 3),
        ((Word.NOT_FOUND, Word.NOT_TESTED), Word.NOT_TESTED, 3),
        ((Word.EXTRACTION, Word.STRONG), Word.EXTRACTION, 1),
    ],
)
def test_the_gravest_word_and_its_exit_code(words, word, code):
    found = overall(both(*words))
    assert (found.word, found.exit_code) == (word, code)


def test_realistic_adversaries_decide_and_the_worst_case_stands_beside():
    findings = both(Word.NOT_FOUND) + both(Word.STRONG, adversary="insider")
    found = overall(findings, (REALISTIC, WORST))
    assert (found.word, found.exit_code) == (Word.NOT_FOUND, 0)
    assert found.statement.startswith("Not found against a realistic adversary (API user, ")
    assert "In the worst case (insider): strong leak." in found.statement


def test_all_adversaries_decide_where_none_is_realistic():
    findings = both(Word.NOT_FOUND, adversary="insider") + both(Word.CLEAR, adversary="thief")
    found = overall(findings, (WORST, card("thief", "worst case")))
    assert (found.word, found.exit_code) == (Word.CLEAR, 1)
    assert "none being declared realistic (thief" in found.statement


def test_a_missing_mandatory_family_makes_it_incomplete():
    found = overall([said(Word.NOT_FOUND)])
    assert (found.status, found.exit_code) == ("incomplete", 3)
    assert (
        "The audit is incomplete: membership, most vulnerable tenth was not tested (API user)."
        in found.statement
    )
    lenient = overall([said(Word.NOT_FOUND)], policy=Policy(mandatory=("membership",)))
    assert (lenient.status, lenient.exit_code) == ("complete", 0)


def test_incomplete_and_invalid_come_before_every_leak():
    leak = both(Word.STRONG)
    assert overall(leak).exit_code == 1
    failed = overall(leak, incomplete=["attack quantile failed: out of memory"])
    assert (failed.status, failed.exit_code) == ("incomplete", 3)
    assert "The audit is incomplete: attack quantile failed: out of memory." in failed.statement
    broken = overall(leak, incomplete=["x"], invalid=["the members file is of another model"])
    assert (broken.status, broken.exit_code) == ("invalid", 3)


def test_an_invalid_worst_case_leaves_the_realistic_word_incomplete():
    findings = both(Word.NOT_FOUND) + both(Word.INVALID, adversary="insider")
    found = overall(findings, (REALISTIC, WORST))
    assert (found.word, found.status, found.exit_code) == (Word.NOT_FOUND, "incomplete", 3)


@pytest.mark.parametrize(
    ("word", "bounds", "code"),
    [
        (Word.WEAK, WITHIN, 0),
        (Word.CLEAR, WITHIN, 0),
        (Word.CLEAR, BEYOND, 1),
        (Word.STRONG, WITHIN, 1),
        (Word.WEAK, (), 1),
    ],
)
def test_a_mild_leak_below_tolerance_passes_only_if_the_policy_says_so(word, bounds, code):
    findings = both(word, exclusion=bounds)
    assert overall(findings, policy=Policy(pass_below_tolerance=True)).exit_code == code
    assert overall(findings).exit_code == 1
    assert overall(findings, policy=Policy(pass_below_tolerance=True)).word is word


def test_a_tolerated_leak_does_not_hide_an_inconclusive_finding():
    findings = [said(Word.WEAK, exclusion=WITHIN), said(Word.INCONCLUSIVE, family=judge.TENTH)]
    assert overall(findings, policy=Policy(pass_below_tolerance=True)).exit_code == 2


def test_nothing_at_all_is_not_tested():
    found = overall([])
    assert (found.word, found.status, found.exit_code) == (Word.NOT_TESTED, "incomplete", 3)


# Numbers


def test_two_significant_digits():
    assert [plain(x) for x in (0.0312, 1.0, 12.34, 1449.0, 0.0, 0.000123)] == [
        "0.031",
        "1",
        "12",
        "1,400",
        "0",
        "0.00012",
    ]
    assert [percent(x) for x in (0.001, 0.0312, 0.5, 0.996, 1.0)] == [
        "0.1%",
        "3.1%",
        "50%",
        "100%",
        "100%",
    ]


def test_bounds_are_rounded_outwards():
    assert [at_most(x) for x in (0.0, 0.03, 0.0301, 0.996, 1.0, 0.1 + 0.2, 1201.0)] == [
        "0",
        "0.03",
        "0.031",
        "1",
        "1",
        "0.3",
        "1,300",
    ]
    assert [at_least(x) for x in (0.0, 2.999, 3.0, 9.99, 0.0129)] == [
        "0",
        "2.9",
        "3",
        "9.9",
        "0.012",
    ]
    assert percent_at_most(0.00301) == "0.31%"


def test_counts_of_people():
    assert [headcount(x) for x in (0.2, 75.0, 1233.4, 1200.0)] == [
        "1",
        "75",
        "about 1,200",
        "1,200",
    ]
    assert people(123, 4567) == "between 120 and 4,600"
    assert people(0, 12) == "between 0 and 12"
    assert people(40, 40) == "40"


def test_lists():
    assert [listed(x) for x in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
