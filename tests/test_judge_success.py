"""What the judge measures of success games: units, points, bounds, detection, by hand."""

import numpy as np
import pytest
from attrs import evolve, fields
from evidence_success import met_of, rounds
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core import judge
from leakpro_core.errors import BadArray
from leakpro_core.games import outcome
from leakpro_core.games.equal_size import isolating
from leakpro_core.judge.success_detection import permutations
from leakpro_core.judge.success_rounds import sample_of
from leakpro_core.judge.success_units import ALL, EVERYBODY, SUREST, VULNERABLE, clusters, surest
from leakpro_core.plan import Policy
from leakpro_core.records import Evidence
from leakpro_core.statistics import clopper_pearson, newcombe_difference, wilson

approx = pytest.approx
POLICY = Policy()
NAN = float("nan")


def hits(right, of):
    return np.arange(of) < right


def people(exposed, control, label="attack", **columns):
    """Return linkability of one round a person: (right, of) in either arm."""
    hit = np.concatenate([hits(*exposed), hits(*control)]).astype(np.float64)
    arms = np.arange(len(hit)) < exposed[1]
    return rounds("linkability", label, hit, arms, np.arange(len(hit)), **columns)


def tried(exposed, control, label="attack", subject=None, game="singling-out", **columns):
    """Return claims tried on both arms, from hits of either; each person met once unless given."""
    hit = np.array([exposed, control], np.float64)
    k = hit.shape[1]
    who = np.arange(2 * k).reshape(2, k) if subject is None else np.array(subject)
    return rounds(
        game,
        label,
        hit.reshape(-1),
        np.arange(2 * k) < k,
        np.where(hit > 0, who, -1 - np.arange(2 * k).reshape(2, k)).reshape(-1),
        number=np.tile(np.arange(k), 2),
        **{n: np.tile(c, 2) if isinstance(c, np.ndarray) else c for n, c in columns.items()},
    )


def judged(*played, policy=POLICY, **given):
    return judge.judge_success(played, policy, seed=1, **given)


def at(result, facet="", coverage=ALL):
    return next(p for p in result.points if (p.facet, p.coverage) == (facet, coverage))


def names(result):
    return [(p.facet, p.coverage) for p in result.points]


def reordered(played, order, claim=None):
    """Return the same rounds in another order, claims replaced."""
    e, tenth = played.refereed.evidence, played.refereed.tenth
    columns = {a.name: getattr(e, a.name) for a in fields(Evidence)}
    columns["claim"] = e.claim if claim is None else claim
    moved = evolve(e, **{n: c[order] for n, c in columns.items() if c is not None})
    tenth = None if tenth is None else tenth[order]
    return evolve(played, refereed=evolve(played.refereed, evidence=moved, tenth=tenth))


# Units and denominators


def test_a_person_is_a_unit_however_many_rounds_and_counts_by_the_share_that_came_true():
    hit = np.concatenate([[1, 0, 0, 0], np.ones(20), np.zeros(21)]).astype(np.float64)
    who = np.concatenate([np.zeros(4, int), np.arange(1, 42)])
    found = at(judged(rounds("linkability", "a", hit, hits(24, 45), who))[0])
    assert found.exposed.n == 21
    assert found.exposed.value == approx(20.25 / 21)
    exact = clopper_pearson(20, 21), clopper_pearson(21, 21)
    assert (found.exposed.low, found.exposed.high) == (approx(exact[0].low), exact[1].high)


def test_ten_rounds_a_person_say_no_more_than_one():
    one = people((30, 100), (10, 100))
    e = one.refereed.evidence
    ten = rounds("linkability", "attack", *(x.repeat(10) for x in (e.hit, e.exposed, e.subject)))
    first, second = at(judged(one)[0]), at(judged(ten)[0])
    assert (first.exposed, first.excess) == (second.exposed, second.excess)
    assert (first.risk, first.excess_high) == (second.risk, second.excess_high)


def test_the_denominator_is_the_claims_made_not_those_asked_for():
    claim = np.where(np.arange(400) % 200 < 100, 0.0, NAN)
    found = judged(people((18, 200), (5, 200), claim=claim))[0]
    assert (found.asked, found.made) == (400, 200)
    assert (at(found).exposed.value, at(found).exposed.n) == (0.18, 100)
    assert at(found).control.value == 0.05


def test_claims_that_meet_the_same_person_in_either_arm_are_one_cluster():
    """Claims 0 and 1 share a person, 1 and 2 another; 3 and 4 meet nobody."""
    claim, person = np.array([[0, 7], [1, 7], [1, 5], [2, 5], [2, 8]]).T
    assert clusters(claim, person, 5).tolist() == [0, 0, 0, 1, 2]


@given(st.lists(st.sets(st.integers(0, 6), max_size=2)))
@settings(max_examples=40, deadline=None)
def test_clusters_are_those_of_a_search_by_hand(met):
    group = list(range(len(met)))
    for _ in met:
        for i, one in enumerate(met):
            for j, other in enumerate(met):
                if one & other:
                    group[i] = group[j] = min(group[i], group[j])
    claim = np.repeat(np.arange(len(met)), list(map(len, met)))
    found = clusters(claim, np.array([p for m in met for p in m], np.int64), len(met))
    assert [[a == b for a in found] for b in found] == [[a == b for a in group] for b in group]


def test_paired_rates_are_those_of_clusters():
    """Five predicates about one person are one; its control rate is the mean of theirs."""
    exposed = [1] * 5 + [1] * 10 + [0] * 30
    control = [1] + [0] * 4 + [0] * 40
    subject = [[0] * 5 + list(range(1, 41)), list(range(100, 145))]
    found = judged(tried(exposed, control, subject=subject))[0]
    assert found.people == 11
    assert (at(found).exposed.n, at(found).excess.n) == (41, 41)
    assert at(found).exposed.value == approx(11 / 41)
    assert at(found).control.value == approx(0.2 / 41)


def test_people_are_those_of_the_training_data_about_whom_a_claim_came_true():
    assert judged(people((30, 100), (10, 100)))[0].people == 30
    claim = np.where(np.arange(200) < 10, NAN, 0.0)
    assert judged(people((30, 100), (10, 100), claim=claim))[0].people == 20


# Points


def test_points_are_all_claims_the_surest_and_the_most_vulnerable_tenth_and_each_facet():
    n = 400
    played = people(
        (60, n),
        (40, n),
        facet=np.arange(2 * n) % 2,
        facets=("age", "sex"),
        tenth=np.arange(2 * n) % 10 < 2,
    )
    expected = [("", ALL), ("", SUREST), ("", VULNERABLE), ("age", ALL), ("sex", ALL)]
    assert names(judged(played)[0]) == expected
    assert names(judged(people((60, n), (40, n)))[0]) == expected[:2]


def test_a_point_with_fewer_than_20_units_in_an_arm_stands_and_excludes_nothing():
    facet = np.where(np.arange(120) % 60 < 19, 1, 0)
    found = judged(people((10, 60), (5, 60), facet=facet, facets=("age", "sex")))[0]
    assert names(found) == [("", ALL), ("", SUREST), ("age", ALL), ("sex", ALL)]
    assert found.left_out == (("", SUREST), ("sex", ALL))
    assert [b.facet for b in found.bounds] == ["", "age", "sex"]
    assert found.bounds[2].high == 1.0


def test_nothing_is_excluded_where_hardly_anything_was_claimed():
    found = judged(people((0, 19), (0, 500)))[0]
    assert (found.detected, found.p_value, found.strength) == (False, 1.0, 0.0)
    assert [(b.facet, b.high) for b in found.bounds] == [("", 1.0)]
    assert found.bounds[0].needed > 19
    silent = judged(people((9, 99), (0, 99), claim=np.full(198, NAN)))[0]
    assert silent.bounds[0].high == 1.0
    assert not silent.detected
    none = rounds("copies", "a", np.empty(0), np.empty(0, bool), np.empty(0, int))
    assert judged(none)[0].bounds[0].high == 1.0


def test_the_surest_tenth_are_the_highest_claims_of_both_arms_together():
    claim = np.concatenate([np.arange(400.0), np.arange(400.0) + 0.5])
    found = at(judged(people((400, 400), (100, 400), claim=claim))[0], coverage=SUREST)
    assert (found.exposed.n, found.control.n) == (40, 40)
    assert (found.exposed.value, found.control.value) == (1.0, 0.0)


def test_ties_at_the_edge_of_the_surest_tenth_are_drawn():
    rng = np.random.default_rng(1)
    claim = np.concatenate([np.full(3, 9.0), np.zeros(46)])
    drawn = np.array([surest(claim, rng) for _ in range(300)])
    assert (drawn.sum(axis=1) == 5).all()
    assert drawn[:, :3].all()
    assert drawn[:, 3:].mean(axis=0) == approx(np.full(46, 2 / 46), abs=0.05)


def test_the_most_vulnerable_tenth_are_people_of_either_arm():
    tenth = np.arange(400) % 200 < 30
    found = at(judged(people((20, 200), (6, 200), tenth=tenth))[0], coverage=VULNERABLE)
    assert (found.exposed.n, found.control.n) == (30, 30)
    assert (found.exposed.value, found.control.value) == (approx(20 / 30), approx(6 / 30))


def test_of_claims_tried_on_both_arms_only_hits_about_the_tenth_count_over_all_claims():
    exposed, control = hits(20, 100), hits(10, 100)[::-1]
    played = tried(exposed, control)
    tenth = np.concatenate([hits(4, 100), np.zeros(100, bool)])
    played = evolve(played, refereed=evolve(played.refereed, tenth=tenth))
    found = at(judged(played)[0], coverage=VULNERABLE)
    assert (found.exposed.n, found.exposed.value, found.control.value) == (100, 0.04, 0.0)


def test_of_the_tenth_twice_as_much_is_tolerated_of_the_claims_that_are_about_it():
    tenth = np.arange(400) % 200 < 30
    apart = judged(people((20, 200), (6, 200), tenth=tenth))[0]
    played = tried(hits(20, 100), hits(10, 100)[::-1])
    both = np.concatenate([hits(4, 100), np.zeros(100, bool)])
    together = judged(evolve(played, refereed=evolve(played.refereed, tenth=both)))[0]
    found = [
        next(b.tolerated for b in one.bounds if b.coverage == VULNERABLE)
        for one in (apart, together)
    ]
    assert found == [approx(0.2), approx(0.02)]


# Strength


def test_strength_is_the_odds_form_at_the_attacks_share_of_alpha():
    """One attack, two points: each bound has 0.05 / 8."""
    found = judged(people((40, 80), (5, 80)))[0]
    low = clopper_pearson(40, 80, 1 - 0.05 / 8, "lower").low
    high = clopper_pearson(5, 80, 1 - 0.05 / 8, "upper").high
    assert names(found) == [("", ALL), ("", SUREST)]
    assert found.strength == approx(low / (1 - low) * (1 - high) / high)
    assert found.strength == at(found).likelihood_low


@pytest.mark.parametrize(
    ("headline", "share", "each"),
    [(None, 1.0, 0.05 / 8 / 3), (None, 0.5, 0.05 / 16 / 3), ("a", 1.0, 0.05 / 16)],
)
def test_alpha_is_shared_by_attacks_and_the_headline_takes_half(headline, share, each):
    played = [people((40, 80), (5, 80), label=label) for label in "abc"]
    found = judged(*played, policy=Policy(headline=headline), share=share)[0]
    low = clopper_pearson(40, 80, 1 - each, "lower").low
    high = clopper_pearson(5, 80, 1 - each, "upper").high
    assert found.strength == approx(low / (1 - low) * (1 - high) / high)


def test_alpha_is_shared_by_points():
    found = judged(people((150, 400), (40, 400)))[0]
    low = clopper_pearson(150, 400, 1 - 0.05 / 8, "lower").low
    high = clopper_pearson(40, 400, 1 - 0.05 / 8, "upper").high
    assert len(found.points) == 2
    assert at(found).likelihood_low == approx(low / (1 - low) * (1 - high) / high)


def test_binary_secrets_can_reach_every_word():
    """In odds, .97 against .5 is 32; a ratio could not exceed 2."""
    assert judged(people((970, 1000), (500, 1000)))[0].strength > 10.0


def test_luck_that_is_known_stands_in_the_place_of_a_control_arm_only():
    n = 150
    lucky = rounds(
        "reconstruction", "a", hits(60, n) * 1.0, hits(n, n), np.arange(n), null_p=np.full(n, 0.1)
    )
    found = judged(lucky)[0]
    p = at(found)
    low = clopper_pearson(60, n, 1 - 0.05 / 8, "lower").low
    assert p.likelihood_low == approx(low / (1 - low) * 9.0)
    assert (p.control.value, p.control.method, p.null_p) == (
        approx(0.1),
        "known chance",
        approx(0.1),
    )
    assert (p.excess.value, p.risk.value) == (approx(0.3), approx(0.3 / 0.9))
    assert p.excess.low < 0.3 < p.excess.high
    assert found.detected
    beside = judged(people((60, n), (40, n), null_p=np.full(2 * n, 0.001)))[0]
    assert beside.strength < 2.0
    assert at(beside).null_p == approx(0.001)


# Displayed rates


def test_rates_of_people_have_their_intervals():
    p = at(judged(people((30, 100), (12, 80)))[0])
    exact = clopper_pearson(30, 100)
    assert (p.exposed.value, p.exposed.n) == (0.3, 100)
    assert (p.exposed.low, p.exposed.high) == (approx(exact.low), approx(exact.high))
    score = newcombe_difference(30, 100, 12, 80)
    assert (p.excess.value, p.excess.n) == (approx(0.15), 180)
    assert (p.excess.low, p.excess.high) == (approx(score.low), approx(score.high))
    assert p.excess_high == p.excess.high
    assert p.risk.value == approx(0.15 / 0.85)
    assert p.risk.low < 0.15 / 0.85 < p.risk.high
    assert (p.exposed.confidence, p.exposed.method) == (0.95, "Clopper-Pearson over people")


def test_paired_intervals_gain_from_agreement():
    exposed, control = hits(30, 100), hits(25, 100)
    close = at(judged(tried(exposed, control))[0])
    apart = at(judged(tried(exposed, control[::-1]))[0])
    assert close.excess.value == approx(apart.excess.value)
    assert close.excess.high - close.excess.low < 0.6 * (apart.excess.high - apart.excess.low)
    assert close.risk.high - close.risk.low < 0.6 * (apart.risk.high - apart.risk.low)


def test_a_control_that_does_better_is_shown_below_zero():
    for played in (people((5, 100), (30, 100)), tried(hits(5, 100), hits(30, 100)[::-1])):
        p = at(judged(played)[0])
        assert p.excess.value == approx(-0.25)
        assert p.excess.high < 0.0
        assert p.risk.value == approx(-0.25 / 0.7)
        assert p.risk.high < 0.0
        assert not judged(played)[0].detected


def test_risk_is_no_number_where_every_control_claim_came_true():
    p = at(judged(people((50, 100), (100, 100)))[0])
    assert (p.risk.value, p.risk.low, p.risk.high) == (0.0, -1.0, 1.0)
    assert p.excess.value == approx(-0.5)


def test_a_release_that_gives_everybody_away():
    found = judged(people((500, 500), (0, 500)))[0]
    p = at(found)
    assert (p.exposed.value, p.excess.value, p.risk.value) == (1.0, 1.0, 1.0)
    assert p.excess.high == approx(1.0)
    assert found.strength > 100.0


def test_the_scale_multiplies_rates_and_excess_and_leaves_odds():
    plain = at(judged(people((30, 100), (10, 100)))[0])
    found = judged(people((30, 100), (10, 100), scale=2.0))[0]
    p = at(found)
    assert (p.exposed.value, p.control.value, p.excess.value) == (0.6, 0.2, approx(0.4))
    assert (p.exposed.high, p.excess.low) == (2 * plain.exposed.high, 2 * plain.excess.low)
    assert p.excess_high == 2 * plain.excess_high
    assert found.bounds[0].high == p.excess_high
    assert p.risk.value == approx(0.5)
    assert p.likelihood_low == plain.likelihood_low
    capped = at(judged(people((60, 100), (10, 100), scale=2.0))[0])
    assert (capped.exposed.value, capped.exposed.high, capped.excess.high) == (1.0, 1.0, 1.0)


def test_the_blind_adversary_is_compared_on_the_same_rounds():
    blind = np.concatenate([hits(10, 100), np.zeros(100)]).astype(np.float64)
    p = at(judged(people((30, 100), (10, 100), blind=blind))[0])
    assert (p.blind.value, p.blind.n) == (0.1, 100)
    assert (p.over_blind.value, p.over_blind.n) == (approx(0.2), 100)
    assert p.over_blind.low > 0.1
    silent = np.where(np.arange(200) < 50, blind, NAN)
    p = at(judged(people((30, 100), (10, 100), blind=silent))[0])
    assert (p.blind.value, p.blind.n) == (0.2, 50)
    assert p.over_blind.value == approx(0.4)
    p = at(judged(people((30, 100), (10, 100)))[0])
    assert (p.blind, p.over_blind) == (None, None)


def test_where_the_blind_adversary_abstains_its_hit_does_not_count():
    played = people((30, 100), (10, 100), blind=np.zeros(200))
    silent = evolve(played.refereed.evidence, blind_claim=np.full(200, NAN))
    played = evolve(played, refereed=evolve(played.refereed, evidence=silent))
    assert at(judged(played)[0]).blind is None


# Exclusion


def test_bounds_are_of_all_claims_and_of_each_facet():
    found = judged(people((60, 400), (60, 400), facet=np.arange(800) % 2, facets=("age", "sex")))[0]
    assert [(b.facet, b.coverage, b.tolerated) for b in found.bounds] == [
        ("", ALL, 0.1),
        ("age", ALL, 0.1),
        ("sex", ALL, 0.1),
    ]
    assert [b.high for b in found.bounds] == [at(found, b.facet).excess_high for b in found.bounds]
    assert all((b.needed is None) == (b.high <= 0.1) for b in found.bounds)


def test_needed_is_about_the_number_that_excludes():
    few = judged(people((20, 60), (20, 60)))[0].bounds[0]
    enough = judged(people((few.needed // 3, few.needed), (few.needed // 3, few.needed)))[0]
    assert few.needed > 60
    assert enough.bounds[0].high <= 0.1


def test_many_claims_about_one_person_do_not_clear_an_attack():
    """900 predicates isolate one person, 100 nobody: of clusters that is 1 of 101."""
    subject = [[0] * 900 + list(range(1, 101)), list(range(2000, 3000))]
    found = judged(tried(hits(900, 1000), np.zeros(1000), subject=subject))[0]
    assert at(found).excess.high < 0.1
    assert not found.detected
    assert found.bounds[0].high == 1.0
    assert found.bounds[0].needed > 101


# Detection


def test_a_planted_leak_is_found_and_the_useless_attacks_beside_it_are_not():
    rng = np.random.default_rng(0)
    useless = [people((30, 300), (30, 300), label=f"u{i}") for i in range(3)]
    noise = tried(rng.random(200) < 0.1, rng.random(200) < 0.1, label="noise")
    found = judged(people((60, 300), (30, 300), label="leak"), *useless, noise)
    assert [j.detected for j in found] == [True, False, False, False, False]
    found = judged(tried(hits(30, 200), np.zeros(200), label="leak"), *useless, noise)
    assert [j.detected for j in found] == [True, False, False, False, False]


def test_the_permutation_finds_what_rectangles_miss():
    """Ten guesses a person, each slightly better: unit values, of which coin flips know little."""
    rng = np.random.default_rng(0)
    n = 300
    hit = (rng.random(20 * n) < np.where(np.arange(20 * n) < 10 * n, 0.56, 0.5)).astype(np.float64)
    played = rounds(
        "attribute-inference", "a", hit, hits(10 * n, 20 * n), np.arange(2 * n).repeat(10)
    )
    found = judged(played)[0]
    assert found.strength < 1.0
    assert found.detected


def test_the_permutation_half_is_split_where_games_of_both_kinds_are_played():
    played = people((60, 300), (30, 300))
    alone = judged(played)[0].p_value
    beside = judged(played, tried(np.zeros(50), np.zeros(50)))[0].p_value
    half = judged(played, share=0.5)[0].p_value
    assert alone == approx(2 / 1000)
    assert beside == approx(2 * alone)
    assert half == approx(2 * alone)


def test_a_better_control_is_never_detected():
    assert judged(people((5, 300), (60, 300)))[0].p_value == 1.0
    assert judged(tried(np.zeros(100), hits(40, 100)))[0].p_value == 1.0


def stars(seed, n=100, control=100, claims=300):
    """Each claim matches one of five striking people and two others: nobody's arm is looked at."""
    rng = np.random.default_rng(seed)
    exposed = rng.permutation(n + control) < n
    striking = rng.integers(0, 5, claims)[:, None]
    others = [rng.choice(np.arange(5, n + control), 2, replace=False) for _ in range(claims)]
    met = np.hstack([striking, others])
    inside = exposed[met]
    hit, subject = np.zeros((2, claims)), np.full((2, claims), -1)
    for arm, here in enumerate((inside, ~inside)):
        count = here.sum(axis=1)
        hit[arm] = isolating(count, (n, control)[arm], min(n, control))
        subject[arm] = np.where(count == 1, np.where(here, met, 0).sum(axis=1), -1)
    return rounds(
        "singling-out",
        "stars",
        hit.reshape(-1),
        np.arange(2 * claims) < claims,
        subject.reshape(-1),
        number=np.tile(np.arange(claims), 2),
        matched=met_of(met, exposed, np.arange(n + control) < 10, rng),
    )


@pytest.mark.parametrize("control", [100, 30])
def test_people_whom_many_claims_meet_are_no_evidence_by_the_luck_of_their_arm(control):
    found = [judge.judge_success([stars(i, control=control)], POLICY, seed=i)[0] for i in range(30)]
    assert sum(j.detected for j in found) <= 4


def test_claims_that_nearly_all_meet_one_another_exclude_nothing():
    found = judged(stars(0))[0]
    assert found.left_out[0] == ("", ALL)
    assert found.bounds[0].high == 1.0


def test_a_claim_that_meets_several_people_of_the_tenth_counts_by_the_chance_of_them():
    """Of four in the larger arm one isolates by chance, and one of them is of the tenth."""
    played = tried(0.4 * hits(100, 200), np.zeros(200))
    shares = np.concatenate([np.full(200, 0.25), np.zeros(200)])
    played = evolve(played, refereed=evolve(played.refereed, tenth=shares))
    assert at(judged(played)[0], coverage=VULNERABLE).exposed.value == approx(0.05)


# What a leak shows in beside the claims that came true


def test_where_claims_are_made_is_a_leak_too():
    """An attack claims where it is sure: of 396 of 2,000 people in the data, and of nobody else."""
    claim = np.where(np.arange(4000) < 396, 1.0, NAN)
    found = judged(people((396, 2000), (0, 2000), claim=claim))[0]
    assert found.detected
    assert found.strength > 50.0
    assert at(found, coverage=EVERYBODY).exposed.value == approx(0.198)
    assert found.bounds[0].high == 1.0


def test_a_stronger_leak_never_makes_a_weaker_word_at_the_surest_tenth():
    """Where all the surest claims are about people in the data there are none of the control."""
    rng = np.random.default_rng(0)
    luck, lucky, unsure = rng.random(4000), rng.random(4000) < 0.5, 0.9 * rng.random(4000)
    strengths = []
    for leak in (0.05, 0.1, 0.2, 0.3):
        leaked = (luck < leak) & hits(2000, 4000)
        hit = (leaked | lucky).astype(np.float64)
        claim = np.where(leaked, 1.0, unsure)
        one = rounds("linkability", "a", hit, hits(2000, 4000), np.arange(4000), claim=claim)
        strengths.append(judged(one)[0].strength)
    assert strengths == sorted(strengths)
    assert strengths[-1] > 10.0


def test_a_secret_known_of_few_is_found_and_never_cleared():
    facet = np.where(np.arange(1000) % 500 < 15, 1, 0)
    hit = np.where(facet == 1, np.arange(1000) < 500, np.arange(1000) % 2).astype(np.float64)
    one, silent = (
        rounds(
            "attribute-inference",
            "a",
            h,
            hits(500, 1000),
            np.arange(1000),
            facet=facet,
            facets=("income", "hiv"),
        )
        for h in (hit, hit * (facet == 0))
    )
    assert judged(one)[0].detected
    assert judged(silent)[0].bounds[-1].high == 1.0


def test_people_are_counted_by_the_chance_of_their_best_claim():
    hit = np.concatenate([np.full(640, 1 / 64), np.zeros(640)])
    assert judged(rounds("linkability", "a", hit, hits(640, 1280), np.arange(1280)))[0].people == 10


def test_a_small_share_of_the_error_still_lets_a_leak_be_found():
    """What is left of it for one attack beside many: 2/26; 999 permutations would never do."""
    assert [permutations(0.05, x) for x in (0.5, 0.05, 1e-9)] == [999, 4000, 20_000]
    found = judged(people((50, 60), (20, 60)), tried(np.zeros(9), np.zeros(9)), share=2 / 26)
    assert found[0].p_value < 0.05 / 4


# Whatever the input


@given(st.integers(0, 99), st.booleans())
@settings(max_examples=12, deadline=None)
def test_order_of_rounds_and_increasing_transforms_change_nothing(seed, paired):
    rng = np.random.default_rng(seed)
    k = 120
    claim = np.round(rng.normal(size=2 * k), 1)
    claim[rng.random(2 * k) < 0.1] = NAN
    if paired:
        one = tried(
            rng.random(k) < 0.4,
            rng.random(k) < 0.2,
            subject=rng.integers(0, 60, (2, k)) + np.array([[0], [60]]),
            claim=claim[:k],
            facet=rng.integers(0, 2, k),
            facets=("a", "b"),
        )
    else:
        hit = rng.integers(0, 3, 2 * k) / 2.0
        one = rounds(
            "linkability",
            "attack",
            hit,
            hits(k, 2 * k),
            np.arange(2 * k) // 2,
            claim=claim,
            tenth=rng.random(2 * k) < 0.6,
            blind=np.round(rng.random(2 * k)),
        )
    order = rng.permutation(2 * k)
    other = reordered(one, order, claim=np.exp(one.refereed.evidence.claim))
    first, second = judged(one)[0], judged(other)[0]
    assert len(first.points) > 1
    assert str(first) == str(second)


@given(st.integers(20, 200), st.integers(20, 200), st.data())
@settings(max_examples=15, deadline=None)
def test_one_more_hit_of_the_exposed_raises_and_of_the_control_lowers_every_bound(m, n, data):
    k, j = data.draw(st.integers(0, m - 1)), data.draw(st.integers(0, n - 1))
    found, more, others = (
        at(judged(people(a, c))[0])
        for a, c in (((k, m), (j, n)), ((k + 1, m), (j, n)), ((k, m), (j + 1, n)))
    )
    assert others.likelihood_low <= found.likelihood_low <= more.likelihood_low
    assert others.excess_high <= found.excess_high <= more.excess_high
    assert others.excess.low <= found.excess.low <= more.excess.low
    assert found.excess.low <= found.excess.value <= found.excess.high
    assert found.risk.low <= found.risk.value <= found.risk.high


def test_the_same_seed_gives_the_same_verdict():
    rng = np.random.default_rng(3)
    played = people((40, 300), (30, 300), claim=np.round(rng.random(600)))
    assert judged(played) == judged(played)


# What cannot be judged


def test_rounds_that_cannot_be_judged_are_an_error_that_says_why():
    with pytest.raises(BadArray, match="hit of attack, anybody"):
        judged(bad_hit())
    with pytest.raises(BadArray, match="one arm"):
        judged(people((3, 30), (0, 0)))
    with pytest.raises(BadArray, match="not tried on both"):
        judged(evolve(tried(hits(3, 30), hits(3, 30)), refereed=alone()))
    with pytest.raises(BadArray, match="facet"):
        judged(people((3, 30), (3, 30), facet=np.full(60, 1)))
    with pytest.raises(BadArray, match="tenth"):
        judged(people((3, 30), (3, 30), tenth=hits(1, 59)))


def bad_hit():
    played = people((3, 30), (3, 30))
    e = evolve(played.refereed.evidence, hit=np.full(60, 1.5))
    return evolve(played, refereed=evolve(played.refereed, evidence=e))


def alone():
    refereed = tried(hits(3, 30), hits(3, 30)).refereed
    e = evolve(refereed.evidence, round=np.arange(60))
    return evolve(refereed, evidence=e)


def test_no_rounds_no_verdicts():
    assert judged() == ()


def test_a_sample_keeps_the_attack_it_is_of():
    sample = sample_of(people((3, 30), (3, 30), label="ratio"), 0)
    assert (sample.label, sample.adversary, sample.game) == ("ratio", "anybody", "linkability")


def test_wilson_bounds_exclude_where_nothing_came_true():
    p = at(judged(people((0, 200), (0, 200)))[0])
    assert p.excess_high == approx(wilson(0, 200).high)
    assert judged(people((0, 200), (0, 200)))[0].bounds[0].needed is None


def test_where_facets_are_nested_all_claims_are_those_of_the_first():
    n = 60
    ones, half = np.ones(n), np.zeros(n)
    evidence = Evidence(
        subject=np.tile(np.r_[np.arange(n), -1 - np.arange(n)], 2),
        cluster=np.zeros(4 * n, np.int64),
        exposed=np.tile(np.repeat([True, False], n), 2),
        claim=np.zeros(4 * n),
        hit=np.r_[half, half, ones, half],
        blind_claim=np.full(4 * n, np.nan),
        blind_hit=np.full(4 * n, np.nan),
        null_p=np.full(4 * n, np.nan),
        round=np.r_[np.tile(np.arange(n), 2), np.tile(n + np.arange(n), 2)],
        facet=np.repeat([0, 1], 2 * n),
    )
    refereed = outcome.Refereed(
        evidence=evidence,
        facets=("exact", "near"),
        paired=True,
        nested=True,
        matched=outcome.Matched(
            start=np.r_[np.zeros(n, np.int64), np.arange(n + 1)],
            person=np.arange(n),
            exposed=hits(n, 2 * n),
            tenth=np.zeros(2 * n, np.bool_),
            rule="any",
        ),
    )
    one = judge.SuccessRounds(label="copies", adversary="a", game="copies", refereed=refereed)
    (judged,) = judge.judge_success([one], Policy(), seed=0)
    rates = {(p.facet, p.coverage): p.exposed.value for p in judged.points}
    assert rates["", "all claims"] == rates["exact", "all claims"] == 0.0
    assert rates["near", "all claims"] == 1.0
