"""What the judge measures: points, detection, strength, exclusion, description."""

import numpy as np
import pytest
from attrs import evolve, fields
from evidence_statistics import evidence
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core import judge
from leakpro_core.errors import BadArray
from leakpro_core.judge.points import rules
from leakpro_core.judge.rounds import tabulate
from leakpro_core.plan import Policy
from leakpro_core.records import Evidence
from leakpro_core.statistics import (
    auc,
    auc_difference,
    clopper_pearson,
    likelihood_ratio_lower,
    records_needed,
)
from leakpro_core.statistics.intervals import upper_bound

approx = pytest.approx
POLICY = Policy()
NAN = float("nan")


def game(n, shift=0.0, seed=0, **columns):
    """Return rounds of n members and n non-members whose claims differ by a shift."""
    rng = np.random.default_rng(seed)
    exposed = np.arange(2 * n) < n
    return evidence(rng.normal(size=2 * n) + shift * exposed, exposed, **columns)


def several(targets, n, shift=0.0):
    """Return rounds of several targets that are asked about the same people."""
    parts = [game(n, shift, seed=t) for t in range(targets)]
    return evidence(
        np.concatenate([p.claim for p in parts]),
        np.concatenate([p.exposed for p in parts]),
        cluster=np.repeat(np.arange(targets), 2 * n),
        subject=np.tile(np.arange(2 * n), targets),
    )


def rounds(e, label="attack", adversary="anybody", tenth=None):
    return judge.Rounds(label=label, adversary=adversary, evidence=e, tenth=tenth)


def judged(*found, policy=POLICY, sampling="random"):
    return judge.judge(found, policy, sampling=sampling, seed=1)


def pick(e, rows):
    given = {a.name: getattr(e, a.name) for a in fields(Evidence)}
    return evolve(e, **{name: x[rows] for name, x in given.items() if x is not None})


def at(result, kind, level):
    return next(p for p in result.points if (p.kind, p.level) == (kind, level))


def points(result):
    return [(p.kind, p.level) for p in result.points]


# Operating points


def test_points_are_the_declared_budgets_10_percent_and_the_mirror_as_far_as_n_resolves():
    everything = [("fpr", 0.001), ("fpr", 0.01), ("fpr", 0.1), ("fnr", 0.01), ("fnr", 0.1)]
    assert everything == points(judged(rounds(game(1000)))[0])
    assert everything[1:] == points(judged(rounds(game(999)))[0])
    assert points(judged(rounds(game(99)))[0]) == [("fpr", 0.1), ("fnr", 0.1)]
    assert points(judged(rounds(game(9)))[0]) == []


def test_points_do_not_depend_on_the_claims():
    noisy, tied = game(300), evolve(game(300), claim=np.zeros(600))
    assert points(judged(rounds(noisy))[0]) == points(judged(rounds(tied))[0])


def test_threshold_is_the_kth_largest_control_claim_with_k_fixed_by_n():
    e = game(500, shift=0.5)
    found = at(judged(rounds(e))[0], "fpr", 0.01)
    threshold = np.sort(e.claim[~e.exposed])[-6]
    assert (threshold, 5, 500) == (found.threshold, found.fp, found.nonmembers)
    assert (e.claim[e.exposed] > threshold).sum() == found.tp


def test_mirror_threshold_is_the_kth_smallest_member_claim():
    e = game(500, shift=0.5)
    found = at(judged(rounds(e))[0], "fnr", 0.1)
    threshold = np.sort(e.claim[e.exposed])[50]
    assert (threshold, 450) == (found.threshold, found.tp)
    assert (e.claim[~e.exposed] >= threshold).sum() == found.fp


def test_claims_tied_with_the_threshold_are_not_flagged_and_the_bound_counts_them():
    """Half of the controls make the highest claim: nobody is flagged, the FPR bound stays."""
    e = evidence(np.tile([1.0, 0.0], 1000), np.arange(2000) < 1000)
    found = at(judged(rounds(e))[0], "fpr", 0.1)
    assert (found.tp, found.fp, found.fpr.value) == (0, 0, 0.0)
    assert float(upper_bound(100, 1000, 0.025)) == approx(found.fpr.high)
    assert found.likelihood_low == 0.0


@given(st.integers(20, 300), st.integers(0, 9), st.booleans())
def test_false_positives_never_exceed_the_budget(n, seed, coarse):
    e = game(n, seed=seed)
    e = evolve(e, claim=np.round(e.claim)) if coarse else e
    for rule in rules(tabulate([rounds(e)]).samples[0], POLICY):
        wrong = rule.fp if rule.kind == "fpr" else rule.members - rule.tp
        assert (wrong <= rule.spare).all()
        assert coarse or (wrong == rule.spare).all()


def test_abstentions_rank_below_every_claim():
    claim = np.concatenate([[NAN] * 10, np.full(90, -5.0), [NAN] * 95, np.full(5, -9.0)])
    e = evidence(claim, np.arange(200) < 100)
    found = at(judged(rounds(e))[0], "fpr", 0.1)
    assert (found.tp, found.fp, found.threshold) == (90, 5, None)
    cleared = at(judged(rounds(e))[0], "fnr", 0.1)
    assert (cleared.tp, cleared.fp) == (90, 0)


# Strength and detection


def test_strength_is_the_rectangle_at_its_share_of_alpha():
    e = game(1000, shift=1.5)
    found = judged(rounds(e), rounds(game(1000, seed=1), "other"))[0]
    point = at(found, "fpr", 0.1)
    # alpha / (4 attacks points), for each bound; two bounds make a confidence of 1 - 2 a.
    a = 0.05 / (4 * 2 * 5)
    expected = likelihood_ratio_lower(point.tp, 1000, 100, 1000, confidence=1 - 2 * a)
    assert expected == approx(point.likelihood_low)
    assert max(p.likelihood_low for p in found.points if p.kind == "fpr") == found.strength


def test_mirror_points_do_not_add_to_strength():
    """Members all make the highest claim, as half of the others do: only clearing works."""
    e = evidence(np.concatenate([np.ones(1000), np.tile([1.0, 0.0], 500)]), np.arange(2000) < 1000)
    found = judged(rounds(e))[0]
    assert at(found, "fnr", 0.01).likelihood_low > 10.0
    assert found.strength == 0.0
    assert found.detected


def test_headline_takes_half_of_the_share():
    e = game(1000, shift=1.5)
    found = [rounds(e, f"attack {i}") for i in range(5)]
    even = judged(*found)
    headed = judged(*found, policy=Policy(headline="attack 2"))
    assert headed[2].strength > even[2].strength
    assert headed[0].strength < even[0].strength
    # Half for one of five is what one of two would have; an eighth is one of eight.
    assert judged(*found[:2])[0].strength == approx(headed[2].strength)
    unknown = judged(*found, policy=Policy(headline="nobody"))
    assert [j.strength for j in even] == [j.strength for j in unknown]


def test_more_attacks_weaken_each_bound_and_p_value():
    e = game(1000, shift=0.3)
    alone = judged(rounds(e))[0]
    among = judged(rounds(e), *(rounds(game(1000, seed=s), f"useless {s}") for s in range(2, 9)))[0]
    assert among.strength < alone.strength
    assert among.p_value >= alone.p_value


def test_a_shift_is_detected_and_an_attack_that_is_wrong_is_not_a_leak():
    right, wrong = game(1000, shift=0.5), game(1000, shift=-0.5)
    assert judged(rounds(right))[0].detected
    found = judged(rounds(wrong))[0]
    assert found.auc.high < 0.5
    assert not found.detected


def test_a_thin_tail_is_detected_by_the_points():
    e = game(2000)
    claim = e.claim.copy()
    claim[:80] += 8.0
    found = judged(rounds(evolve(e, claim=claim)))[0]
    assert found.auc.value < 0.53
    assert found.detected
    assert found.strength > 1.0


def test_detected_means_a_p_value_of_at_most_alpha():
    for seed in range(6):
        for result in judged(rounds(game(300, shift=0.12, seed=seed))):
            assert result.detected == (result.p_value <= 1 - POLICY.confidence)


@settings(max_examples=20)
@given(st.permutations(range(60)), st.floats(0.1, 5.0))
def test_order_of_rounds_and_increasing_transforms_change_nothing(order, scale):
    e = game(30, shift=0.7)
    moved = evolve(pick(e, np.array(order)), claim=np.exp(scale * e.claim)[order])
    one, other = judged(rounds(e))[0], judged(rounds(moved))[0]
    for name in ("auc", "detected", "p_value", "strength", "roc", "exclusion", "reach"):
        assert getattr(one, name) == getattr(other, name)


def test_the_same_seed_gives_the_same_verdict():
    found = [rounds(game(200, shift=0.2), tenth=np.arange(400) % 10 == 0)]
    assert judged(*found) == judged(*found)


# Subjects, targets, families


def test_records_of_a_subject_are_one_round():
    """The mean of its claims; an abstention only if all abstain; exposed if any record is."""
    e = evidence(
        np.array([1.0, 3.0, NAN, 4.0, NAN, NAN, 0.0]),
        np.array([True, False, True, True, True, True, False]),
        subject=np.array([7, 7, 8, 8, 9, 9, 5]),
    )
    (part,) = tabulate([rounds(e)]).samples[0].parts
    assert part.exposed.tolist() == [False, True, True, True]
    assert part.claim[:3].tolist() == [0.0, 2.0, 4.0]
    assert np.isnan(part.claim[3])


def test_several_targets_are_judged_as_these_models():
    """Bounds at alpha / T for each, averaged; counts are summed."""
    e = several(3, 400, shift=1.0)
    found = judged(rounds(e))[0]
    point = at(found, "fpr", 0.1)
    assert (point.members, point.nonmembers, point.fp) == (1200, 1200, 120)
    assert point.threshold is None
    single = [at(judged(rounds(pick(e, e.cluster == t)))[0], "fpr", 0.1) for t in range(3)]
    assert sum(p.tp for p in single) == point.tp
    # Four points, FPR 0.1% not being resolved; alpha / (4 points) for each bound, over 3 targets.
    a = 0.05 / (4 * 4) / 3
    low = np.mean([clopper_pearson(p.tp, 400, 1 - a, "lower").low for p in single])
    high = clopper_pearson(40, 400, 1 - a, "upper").high
    assert low / high == approx(point.likelihood_low)
    assert "over 3 targets" in point.tpr.method


def test_five_targets_speak_of_the_procedure():
    found = judged(rounds(several(5, 300, shift=1.0)))[0]
    point = at(found, "fpr", 0.1)
    assert point.tpr.method == "t interval over 5 targets (procedure)"
    assert found.auc.method == "t interval over 5 targets (procedure)"
    # Where the rounds set the threshold, their counted rate does not vary and says nothing.
    assert point.fpr.method == "order statistic, mean over 5 targets"
    assert point.fpr.low < 0.1 < point.fpr.high


def test_two_attacks_that_saw_different_records_are_judged_together():
    e = game(500, shift=1.0)
    found = judged(rounds(e, "all"), rounds(pick(e, np.arange(0, 1000, 2)), "half"))
    assert [j.members for j in found] == [500, 250]
    assert all(j.detected for j in found)


def test_the_most_vulnerable_tenth_is_a_family_of_its_own():
    n = 2000
    e = game(n)
    tenth = np.arange(2 * n) % 10 == 0
    claim = e.claim + 3.0 * (e.exposed & tenth)
    main, hidden = judged(rounds(evolve(e, claim=claim), tenth=tenth))
    assert (main.family, hidden.family) == (judge.MAIN, judge.TENTH)
    assert (hidden.members, hidden.nonmembers) == (200, 200)
    assert points(hidden) == [("fpr", 0.1), ("fnr", 0.01), ("fnr", 0.1)]
    assert hidden.detected
    assert hidden.auc.low > main.auc.high
    assert tuple(x.fpr for x in hidden.exclusion) == (0.1,)


def test_one_arm_only_is_an_error():
    e = game(10)
    with pytest.raises(BadArray, match="rounds of attack, anybody: found one arm only"):
        judged(rounds(pick(e, e.exposed)))


def test_the_tenth_has_one_entry_a_round():
    with pytest.raises(BadArray, match="found 3 entries, expected one for each of 20 rounds"):
        rounds(game(10), tenth=np.ones(3, bool))


def test_a_tenth_without_both_arms_is_not_judged():
    e = game(50)
    assert [j.family for j in judged(rounds(e, tenth=e.exposed))] == [judge.MAIN]


def test_nothing_to_judge():
    assert judged() == ()


# Exclusion, sampling, reach


def test_exclusion_counts_members_beyond_a_threshold_that_is_loose_enough():
    e = game(1000)
    found = judged(rounds(e))[0].exclusion
    assert [(x.fpr, x.tolerated) for x in found] == [(0.001, 0.01), (0.01, 0.03)]
    # P[Bin(1000, .01) <= 16] >= .975: the 17th largest is loose enough.
    threshold = np.sort(e.claim[~e.exposed])[-17 - 1]
    count = int((e.claim[e.exposed] >= threshold).sum())
    assert clopper_pearson(count, 1000, 0.975, "upper").high == approx(found[1].high)
    assert found[1].high <= 0.04


def test_what_is_not_excluded_says_how_many_records_would_do():
    few, many = (judged(rounds(game(n, shift=0.2)))[0].exclusion[1] for n in (200, 4000))
    assert records_needed(0.01, 0.03) == few.needed
    assert few.high > 0.03 >= many.high
    assert many.needed is None


def test_all_members_have_no_sampling_error_on_their_side():
    """What is displayed and excluded; detection and strength do not change."""
    e = game(1000, shift=1.0)
    drawn, every = (judged(rounds(e), sampling=s)[0] for s in ("random", "all"))
    one, other = at(drawn, "fpr", 0.01), at(every, "fpr", 0.01)
    assert one.tpr.low < other.tpr.low == other.tpr.value == other.tpr.high < one.tpr.high
    assert one.fpr == other.fpr
    assert all(a.high < b.high for a, b in zip(every.exclusion, drawn.exclusion, strict=True))
    assert (drawn.strength, drawn.p_value) == (every.strength, every.p_value)


def test_reach_holds_at_the_lowest_fpr_that_is_resolved():
    found = judged(rounds(game(500, shift=1.0)))[0]
    assert found.reach_fpr == 0.01
    assert found.reach.low < at(found, "fpr", 0.01).tpr.value < found.reach.high
    assert judged(rounds(game(50)))[0].reach is None


# Description


def test_auc_of_one_target_is_delong():
    e = game(100, shift=1.0)
    assert auc(e.claim, e.exposed) == judged(rounds(e))[0].auc == judge.auc_of(e, POLICY)


@pytest.mark.parametrize("e", [game(5000, shift=0.5), several(4, 300, shift=0.5), game(3)])
def test_roc_is_thin_and_runs_from_corner_to_corner(e):
    found = judged(rounds(e))[0].roc
    assert len(found.fpr) == len(found.tpr) <= 401
    assert (found.fpr[0], found.fpr[-1], found.tpr[-1]) == (0.0, 1.0, 1.0)
    assert (np.diff(found.fpr) >= 0).all()
    assert (np.diff(found.tpr) >= -1e-12).all()
    assert all(a <= b for a, b in zip(found.band_low, found.band_high, strict=True))
    assert all(f >= found.resolvable for f in found.band_fpr)


def test_roc_keeps_low_fprs_exactly():
    e = game(5000, shift=0.5)
    found = judged(rounds(e))[0].roc
    control = np.sort(e.claim[~e.exposed])[::-1]
    for k in (1, 5, 20):
        tpr = (e.claim[e.exposed] > control[k]).mean()
        corners = [t for f, t in zip(found.fpr, found.tpr, strict=True) if f <= k / 5000 + 1e-12]
        assert tpr == max(corners)
    assert found.resolvable == 3 / 5000


def test_band_holds_the_curve():
    e = game(2000, shift=1.0)
    found = judged(rounds(e))[0].roc
    curve = np.interp(found.band_fpr, found.fpr, found.tpr)
    assert (np.array(found.band_low) <= curve + 1e-9).all()
    assert (curve - 1e-9 <= np.array(found.band_high)).all()


def test_histogram_is_of_claims_or_of_ranks_where_tails_are_heavy():
    e = game(1000, shift=1.0)
    plain = judged(rounds(e))[0].histogram
    assert plain.scale == "claim"
    assert (e.claim.min(), e.claim.max()) == (plain.edges[0], plain.edges[-1])
    heavy = judged(rounds(evolve(e, claim=np.exp(5 * e.claim))))[0].histogram
    some = judged(rounds(evolve(e, claim=np.where(e.claim < 0, NAN, e.claim))))[0].histogram
    assert (heavy.scale, some.scale) == ("rank", "rank")
    for found in (plain, heavy, some):
        assert (len(found.edges), len(found.exposed), len(found.control)) == (41, 40, 40)
        assert approx((sum(found.exposed), sum(found.control))) == (1.0, 1.0)


def test_strength_point_stands_at_the_lowest_fpr_that_is_resolved():
    e = game(500, shift=1.0)
    found = judge.strength_point(e, POLICY, shadows=8)
    assert (found.shadows, found.fpr) == (8, 0.01)
    assert judge.tpr_of(e, 0.01, POLICY) == found.tpr
    assert judge.strength_point(game(20), POLICY, shadows=1).fpr == 0.1


def test_still_rising_is_a_paired_question():
    """Two attacks that agree on most records differ by less than their own intervals."""
    fewer = game(1000, shift=0.5)
    more = evolve(fewer, claim=fewer.claim + 0.1 * fewer.exposed)
    assert judge.auc_of(fewer, POLICY).high > judge.auc_of(more, POLICY).low
    assert judge.still_rising(fewer, more, POLICY)
    assert not judge.still_rising(fewer, fewer, POLICY)
    assert not judge.still_rising(more, fewer, POLICY)
    back = np.arange(2000)[::-1]
    assert judge.still_rising(pick(fewer, back), more, POLICY)
    difference = auc_difference(more.claim, fewer.claim, fewer.exposed)
    assert difference.low > 0.0


def test_still_rising_over_targets():
    fewer = several(5, 200, shift=0.5)
    more = evolve(fewer, claim=fewer.claim + 0.3 * fewer.exposed)
    assert judge.still_rising(fewer, more, POLICY)
    assert not judge.still_rising(more, fewer, POLICY)
