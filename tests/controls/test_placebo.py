"""Placebo targets are null where members are random, and say so where they are not."""

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import binom, rankdata

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.controls.permutation import rank_auc
from leakpro_core.controls.placebo import PlaceboResult, placebo_control, placebo_test
from leakpro_core.plan import Policy
from leakpro_core.report import Control
from leakpro_core.statistics import auc, tpr_at_fpr

POLICY = Policy()


def control(
    claims: Mapping[str, Floats], unseen: Bools, members: Bools, subjects: Ints | None = None
) -> tuple[Mapping[str, PlaceboResult], Control]:
    people = np.arange(members.shape[1]) if subjects is None else subjects
    results = placebo_test(claims, unseen, members, people, POLICY, seed=1)
    return results, placebo_control(results, POLICY)


def halves(rng: np.random.Generator, n: int, pairs: int = 2, subjects: Ints | None = None) -> Bools:
    who = np.arange(n) if subjects is None else subjects
    drawn = np.stack([(rng.permutation(who.max() + 1) % 2 == 0)[who] for _ in range(pairs)])
    return np.concatenate([drawn, ~drawn])


@pytest.mark.parametrize("size", [1, 3])
def test_members_at_random_raise_no_more_alarms_than_five_percent(size: int) -> None:
    hits, n = 0, 300
    subjects = np.arange(n) // size
    for seed in range(120):
        rng = np.random.default_rng(seed)
        hard = rng.standard_normal(subjects.max() + 1)[subjects] + rng.standard_normal(n)
        claims = {f"a{k}": hard + rng.standard_t(3, (4, n)).round(k % 2) for k in range(4)}
        members = halves(rng, n, 1, subjects)[:1]
        _, found = control(claims, halves(rng, n, 2, subjects), members, subjects)
        hits += found.result != "pass"
    assert hits <= binom.ppf(0.999, 120, 0.05)


def test_members_chosen_by_easiness_fail_although_the_records_look_alike() -> None:
    # A rule that only a model trained on much other data knows; wrong labels are rarer inside.
    rng = np.random.default_rng(0)
    members = rng.random(4000) < 0.5
    wrong = rng.random(4000) < np.where(members, 0.15, 0.35)
    claims = np.where(wrong, -2.0, 0.0) + rng.standard_normal((4, 4000))
    results, found = control({"loss": claims}, halves(rng, 4000), members[None])
    assert 0.55 < results["loss"].auc.value < 0.70
    assert (found.result, results["loss"].invalid) == ("fail", True)


def test_a_difference_in_the_tail_alone_fails() -> None:
    rng = np.random.default_rng(0)
    members = rng.random((1, 4000)) < 0.5
    claims = rng.standard_normal((2, 4000)) + 8 * (members & (rng.random(4000) < 0.03))
    results, found = control({"loss": claims}, np.ones((2, 4000), bool), members)
    assert abs(results["loss"].auc.value - 0.5) < 0.05
    assert results["loss"].points[0.01].low > 0.01
    assert found.result == "fail"


def test_a_slight_difference_warns() -> None:
    rng = np.random.default_rng(1)
    members = rng.random((1, 8000)) < 0.5
    claims = rng.uniform(size=(4, 8000))
    claims += 0.08 * members * ((claims > 0.3) & (claims < 0.7))  # nothing in the tail
    results, found = control({"loss": claims}, halves(rng, 8000), members)
    assert (found.result, results["loss"].significant) == ("warn", True)
    assert not results["loss"].invalid


def test_harder_members_fail_too() -> None:
    rng = np.random.default_rng(0)
    members = rng.random((1, 2000)) < 0.5
    claims = rng.standard_normal((4, 2000)) - 0.5 * members
    assert control({"loss": claims}, halves(rng, 2000), members)[1].result == "fail"


def test_only_records_that_a_placebo_did_not_train_on_count() -> None:
    rng = np.random.default_rng(0)
    members, unseen = rng.random((1, 1000)) < 0.5, halves(rng, 1000)
    clean = rng.standard_normal((4, 1000))
    tainted = np.where(unseen, clean, 100.0 * members)
    assert control({"a": clean}, unseen, members)[0] == control({"a": tainted}, unseen, members)[0]


def test_the_auc_is_the_mean_over_placebos_and_targets() -> None:
    rng = np.random.default_rng(0)
    members, unseen = rng.random((3, 400)) < 0.5, halves(rng, 400)
    claims = rng.standard_normal((4, 400)).round(1)
    expected = np.mean(
        [auc(claims[p][unseen[p]], members[t][unseen[p]]).value for p in range(4) for t in range(3)]
    )
    assert (
        pytest.approx(expected, abs=1e-12)
        == control({"a": claims}, unseen, members)[0]["a"].auc.value
    )


def test_a_point_is_nearly_the_tpr_at_that_fpr() -> None:
    rng = np.random.default_rng(0)
    members = rng.random((1, 4000)) < 0.5
    claims = rng.standard_normal((1, 4000)) + 0.3 * members
    results, _ = control({"a": claims}, np.ones((1, 4000), bool), members)
    exact = tpr_at_fpr(claims[0], members[0], 0.1).tpr
    assert pytest.approx(exact, abs=0.02) == results["a"].points[0.1].value


def test_records_beyond_a_query_budget_do_not_count() -> None:
    rng = np.random.default_rng(0)
    members = rng.random((1, 1000)) < 0.5
    claims = rng.standard_normal((2, 1000))
    claims[:, 600:] = np.nan
    results, _ = control({"a": claims}, np.ones((2, 1000), bool), members)
    expected = np.mean([rank_auc(rankdata(c[:600]), members[0, :600]) for c in claims])
    assert results["a"].auc.n == 600
    assert pytest.approx(expected) == results["a"].auc.value


def test_a_placebo_without_both_arms_is_left_out() -> None:
    rng = np.random.default_rng(0)
    members = rng.random((1, 200)) < 0.5
    claims = {"a": rng.standard_normal((1, 200))}
    results, found = control(claims, members.copy(), members)
    assert (dict(results), found.result) == ({}, "not run")


def test_an_auc_at_the_stated_sensitivity_is_seen_in_most_cases() -> None:
    hits, n = 0, 600
    for seed in range(60):
        rng = np.random.default_rng(seed)
        members = halves(rng, n, 1)[:1]
        noise = rng.standard_normal((4, n))
        unseen = np.ones((4, n), bool)
        gap = control({"a": noise}, unseen, members)[0]["a"].detectable
        # AUC of a normal shift d is Phi(d / sqrt 2), about one half + d / sqrt(4 pi).
        shifted = noise + gap * np.sqrt(4 * np.pi) * members
        hits += control({"a": shifted}, unseen, members)[1].result != "pass"
    assert hits >= binom.ppf(0.001, 60, 0.8)
