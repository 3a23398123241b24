"""Words and sentences of gradient inversion."""

import numpy as np
import pytest
from attrs import evolve

from leakpro_core.games.gradient_inversion import IDENTIFIED, LABELS, RECOVERED
from leakpro_core.games.outcome import Refereed
from leakpro_core.judge import SuccessRounds, judge_success
from leakpro_core.judge.inversion_words import Beside, Counted, Demonstrated, inversion_finding
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate, Evidence
from leakpro_core.report import Word

POLICY = Policy()
RESIDUAL = Estimate(value=0.2, low=0.1, high=0.3, confidence=0.95, n=40, method="t")


def rounds(label, hits, *, batches=40, facets=(IDENTIFIED, RECOVERED), blind=0.0, adversary="s"):
    """Return rounds of one record a batch; hits: share of the batches in either arm, by facet."""
    parts = []
    for facet, name in enumerate(facets):
        for exposed in (True, False):
            count = round(hits.get(name, (0.0, 0.0))[0 if exposed else 1] * batches)
            number = np.arange(batches)
            parts.append(
                {
                    "subject": number if exposed else -1 - number,
                    "cluster": number,
                    "exposed": np.full(batches, exposed),
                    "claim": np.zeros(batches),
                    "hit": (number < count).astype(float),
                    "blind_claim": np.zeros(batches),
                    "blind_hit": np.full(batches, blind),
                    "null_p": np.full(batches, 0.01),
                    "facet": np.full(batches, facet),
                }
            )
    whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    refereed = Refereed(
        evidence=Evidence(**whole), facets=facets, nested=True, asked=batches, made=batches
    )
    return SuccessRounds(
        label=label, adversary=adversary, game="gradient-inversion", refereed=refereed
    )


def said(*attacks, beside=None, invalid=None, unfinished=(), policy=POLICY):
    judged = judge_success(attacks, policy, seed=0)
    return inversion_finding(
        judged,
        policy,
        adversary="s",
        beside=beside or Beside(batches=40, residuals={"a": RESIDUAL}),
        invalid=invalid,
        unfinished=unfinished,
    )


FOUND = {IDENTIFIED: (1.0, 0.0), RECOVERED: (1.0, 0.0)}
COUNT = {"a": Counted(hits=40, rounds=40, batches=40, control=0, distinct=31)}


def test_only_what_is_recovered_is_extraction():
    both = said(rounds("a", FOUND), beside=Beside(batches=40, counted=COUNT))
    named = said(rounds("a", {IDENTIFIED: (1.0, 0.0)}))
    assert (both.word, named.word) == (Word.EXTRACTION, Word.STRONG)
    assert "40 of 40 records of 40 batches (31 different records), against 0" in both.statement
    assert "10 times likelier in odds to be nearest to a record of the client's" in named.statement


def test_what_the_blind_recover_too_is_no_extraction():
    assert said(rounds("a", FOUND, blind=1.0)).word is not Word.EXTRACTION


def test_labels_are_told_as_labels():
    finding = said(rounds("a", {LABELS: (1.0, 0.2)}, facets=(LABELS,)))
    assert finding.word is Word.STRONG
    assert "a label is at least 10 times likelier in odds to be right about the client's batch" in (
        finding.statement
    )


def test_bounds_of_attacks_with_other_facets_are_not_mixed():
    finding = said(rounds("a", {}), rounds("b", {}, facets=(LABELS,)))
    assert [b.facet for b in finding.bounds] == [IDENTIFIED, RECOVERED, LABELS]


def test_nothing_found_tells_the_residual():
    finding = said(rounds("a", {}))
    assert finding.word is Word.NOT_FOUND
    assert "differs from the one that was sent by 20% of its length" in finding.statement
    unknown = said(rounds("a", {}), beside=Beside(batches=40))
    assert "a does not tell how near its update comes" in unknown.statement


def test_too_few_batches_are_inconclusive_and_say_how_many_would_do():
    finding = said(rounds("a", {}, batches=24), beside=Beside(batches=24))
    assert finding.word is Word.INCONCLUSIVE
    assert "batches would be needed for reconstructions." in finding.statement
    few = said(rounds("a", {}, batches=5), beside=Beside(batches=5))
    assert few.word is Word.INCONCLUSIVE
    assert "could not judge a: claims about at least 20 batches are needed" in few.statement


def test_an_attack_that_did_not_finish_clears_nothing():
    finding = said(rounds("a", {}), unfinished=["b"])
    assert finding.word is Word.INCONCLUSIVE
    assert "not every attack finished: b" in finding.statement


def test_arms_that_differ_make_it_invalid_but_for_what_is_certified():
    proof = (Demonstrated(label="a", records=3, batches=1, residual=2e-4),)
    broken = "The arms differ by themselves."
    assert said(rounds("a", FOUND), invalid=broken).statement == (
        "This test cannot support a conclusion because the arms differ by themselves."
    )
    shown = said(rounds("a", {}), invalid=broken, beside=Beside(batches=40, demonstrated=proof))
    assert shown.word is Word.EXTRACTION
    assert "a certified 3 records of 1 batch" in shown.statement
    assert "by at most 0.0002 of its length" in shown.statement


@pytest.mark.parametrize("demonstrated", [True, False])
def test_without_rounds_only_a_certificate_shows_anything(demonstrated):
    proof = (Demonstrated(label="a", records=1, batches=1, residual=1e-9),) * demonstrated
    finding = said(
        beside=Beside(
            batches=1,
            unjudged=1,
            why="the client's batch was not given",
            demonstrated=proof,
            residuals={"a": RESIDUAL},
        )
    )
    if demonstrated:
        assert finding.word is Word.EXTRACTION
        assert "less than 0.000001 of its length" in finding.statement
    else:
        assert finding.word is Word.NOT_TESTED
        assert finding.statement.startswith(
            "Not judged: the client's batch was not given. The update that a's reconstructions "
            "give differs from the one that was sent by 20% of its length."
        )


def test_attacks_that_all_failed_are_not_tested():
    assert said(beside=Beside(batches=40)).statement == "Not tested: there are no rounds to judge."


def test_batches_that_could_not_be_judged_are_counted():
    beside = Beside(batches=50, unjudged=10, why="the client's batch was not given")
    finding = said(rounds("a", {}), beside=beside)
    assert finding.statement.endswith(
        "10 of 50 batches could not be judged: the client's batch was not given."
    )


def test_a_leak_of_another_adversary_is_not_this_ones():
    finding = said(rounds("a", {}), rounds("a", FOUND, adversary="other"))
    assert finding.word is not Word.EXTRACTION


def test_the_figures_stand_in_the_technical_sentence():
    finding = said(rounds("a", FOUND), beside=Beside(batches=40, counted=COUNT))
    assert "a at all claims (recovered): 1 [" in finding.technical
    assert "40 batches exposed" in finding.technical
    assert evolve(finding, technical="").word is Word.EXTRACTION
