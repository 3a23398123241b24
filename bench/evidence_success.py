"""Does the judge of success games tell the truth? Coverage, false alarms and power, counted.

Writes bench/results/success.json. Run from the root: ``python bench/evidence_success.py`` (a few
CPU minutes). The tests run slices of the functions below.
"""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from evidence import write
from evidence_statistics import share

from leakpro_core import judge
from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.games.equal_size import isolating
from leakpro_core.games.outcome import Matched, Refereed
from leakpro_core.judge.success_points import success_point
from leakpro_core.judge.success_rounds import sample_of
from leakpro_core.plan import Policy
from leakpro_core.records import Evidence
from leakpro_core.report import LEAKS, Finding, SuccessPoint
from leakpro_core.statistics.intervals import wilson
from leakpro_core.statistics.paired import mean_lower, mean_upper

PATHS = (
    "leakpro_core/judge/numbers.py",
    "leakpro_core/judge/success*.py",
    "leakpro_core/statistics/intervals.py",
    "leakpro_core/statistics/multiplicity.py",
    "leakpro_core/statistics/paired.py",
    "bench/evidence_success.py",
)
POLICY = Policy()
GAMES = ("singling-out", "linkability", "attribute-inference", "copies")
ATTACKS = 8

Rng = np.random.Generator
Audit = tuple[tuple[judge.JudgedSuccess, ...], tuple[Finding, ...]]


# Rounds


def rounds(
    game: str,
    label: str,
    hit: Floats,
    exposed: Bools,
    subject: Ints,
    *,
    claim: Floats | None = None,
    blind: Floats | None = None,
    null_p: Floats | None = None,
    number: Ints | None = None,
    facet: Ints | None = None,
    facets: tuple[str, ...] = ("",),
    tenth: Bools | None = None,
    scale: float = 1.0,
    matched: Matched | None = None,
) -> judge.SuccessRounds:
    """Return rounds of a success game; paired where they are numbered.

    matched: whom claims meet; where not given those about whom they came true, and nobody else.
    """
    n = len(hit)
    if number is not None and matched is None:
        matched = met_alone(hit, exposed, subject, number, tenth)
    none = np.full(n, np.nan)
    claim = np.zeros(n) if claim is None else claim
    evidence = Evidence(
        subject=subject,
        cluster=np.zeros(n, np.int64),
        exposed=exposed,
        claim=claim,
        hit=np.where(np.isnan(claim), np.nan, hit),
        blind_claim=none if blind is None else np.where(np.isnan(blind), np.nan, 0.0),
        blind_hit=none if blind is None else blind,
        null_p=none if null_p is None else null_p,
        round=number,
        facet=facet,
    )
    refereed = Refereed(
        evidence=evidence,
        facets=facets,
        paired=number is not None,
        scale=scale,
        asked=n,
        made=int((~np.isnan(claim)).sum()),
        tenth=tenth,
        matched=matched,
    )
    return judge.SuccessRounds(label=label, adversary="anybody", game=game, refereed=refereed)


def met_alone(
    hit: Floats, exposed: Bools, subject: Ints, number: Ints, tenth: Bools | None
) -> Matched:
    """Return whom claims meet: a subject wherever a hit is above 0, each one of its own if < 0.

    As many people whom nobody meets as make arms of those met nearly coins.
    """
    true = hit > 0.0
    own = np.where(subject >= 0, subject, subject.max(initial=0) + 1 + np.arange(len(hit)))[true]
    people, first, who = np.unique(own, return_index=True, return_inverse=True)
    order = np.argsort(number[true], kind="stable")
    arms = np.zeros(20 * (len(people) + 1), np.bool_)
    arms[: len(people)] = exposed[true][first]
    arms[len(people) : len(people) + len(arms) // 2 - int(arms.sum())] = True
    flags = np.zeros(len(arms), np.bool_)
    if tenth is not None:
        flags[: len(people)] = tenth[true][first]
    return Matched(
        start=np.searchsorted(number[true][order], np.arange(number.max(initial=-1) + 2)),
        person=who.reshape(-1)[order],
        exposed=arms,
        tenth=flags,
        rule="one",
    )


def met_of(met: Ints, exposed: Bools, tenth: Bools, rng: Rng) -> Matched:
    """Return whom claims meet, int64 ``[claims, most]``, -1 for nobody, at equal n."""
    least = min(int(exposed.sum()), int((~exposed).sum()))
    drawn = np.concatenate(
        [rng.permutation(np.flatnonzero(arm))[:least] for arm in (exposed, ~exposed)]
    )
    number = np.full(len(exposed) + 1, -1)
    number[drawn] = np.arange(2 * least)
    lists = number[met]
    return Matched(
        start=np.concatenate([[0], np.cumsum((lists >= 0).sum(axis=1))]),
        person=lists[lists >= 0],
        exposed=np.arange(2 * least) < least,
        tenth=tenth[drawn],
        rule="one",
    )


def judged(played: Sequence[judge.SuccessRounds], seed: int) -> Audit:
    """Return what the judge measures and finds, a finding for each game."""
    found = judge.judge_success(played, POLICY, seed=seed)
    return found, tuple(
        judge.success_finding(
            found,
            POLICY,
            adversary="anybody",
            game=game,
            people=1000,
            invalid=None,
            unfinished=(),
        )
        for game in dict.fromkeys(r.game for r in played)
    )


def leak(found: Audit) -> bool:
    """Return whether any finding has a leak word."""
    return any(finding.word in LEAKS for finding in found[1])


# Audits of a known truth


def about_people(
    label: str, exposed: Bools, ease: Floats, rng: Rng, lift: float = 0.0
) -> judge.SuccessRounds:
    """Return linkability: hits of 1, 1/2 and 1/3 where links are tied, surer where easier.

    lift: chance that a person of the training data is linked whatever else.
    """
    right = (rng.random(len(ease)) < 1.0 / (1.0 + np.exp(2.0 - ease))).astype(np.float64)
    hit = right / rng.integers(1, 4, len(ease))
    hit[exposed & (rng.random(len(ease)) < lift)] = 1.0
    return rounds(
        "linkability",
        label,
        hit,
        exposed,
        np.arange(len(ease)),
        claim=ease + rng.normal(size=len(ease)),
        tenth=ease > np.quantile(ease, 0.9),
    )


def about_columns(
    label: str, exposed: Bools, ease: Floats, rng: Rng, lift: float = 0.0
) -> judge.SuccessRounds:
    """Return attribute inference: three columns of each person, which come true together."""
    n = len(ease)
    person, column = np.repeat(np.arange(n), 3), np.tile(np.arange(3), n)
    chance = 1.0 / (1.0 + np.exp(-2.0 * ease[person] - np.array([-2.0, 0.0, 1.0])[column]))
    hit = rng.random(3 * n) < chance
    hit |= exposed[person] & (rng.random(3 * n) < lift)
    claim = np.round(ease[person] + rng.normal(size=3 * n))
    claim[rng.random(3 * n) < 0.3] = np.nan
    return rounds(
        "attribute-inference",
        label,
        hit.astype(np.float64),
        exposed[person],
        person,
        claim=claim,
        blind=(rng.random(3 * n) < chance).astype(np.float64),
        facet=column,
        facets=("age", "income", "sex"),
        tenth=(ease > np.quantile(ease, 0.9))[person],
    )


def predicates(
    label: str,
    exposed: Bools,
    ease: Floats,
    rng: Rng,
    lift: float = 0.0,
    claims: int = 400,
    game: str = "singling-out",
    vulnerable: Bools | None = None,
) -> judge.SuccessRounds:
    """Return predicates that match a few people each, the striking ones again and again.

    Nobody's arm is looked at: a predicate isolates by how its matches happen to fall, and at equal
    n. lift: share of the predicates that aim at one person of the training data.
    """
    striking = np.exp(2.0 * ease)
    aimed = rng.random(claims) < lift
    met = rng.choice(len(ease), (claims, 5), p=striking / striking.sum())
    met[np.arange(5) >= np.minimum(rng.poisson(0.7, claims), 5)[:, None]] = -1
    met[aimed] = -1
    met[aimed, 0] = rng.choice(np.flatnonzero(exposed), int(aimed.sum()))
    met.sort(axis=1)
    # Nobody is matched twice.
    met[:, 1:][met[:, 1:] == met[:, :-1]] = -1
    hit, subject = np.zeros((claims, 2)), np.full((claims, 2), -1)
    sizes = int(exposed.sum()), int((~exposed).sum())
    for arm, inside in enumerate((exposed, ~exposed)):
        here = (met >= 0) & inside[met]
        many = here.sum(axis=1)
        hit[:, arm] = isolating(many, sizes[arm], min(sizes))
        subject[:, arm] = np.where(many == 1, np.where(here, met, -1).max(axis=1), -1)
    claim = rng.normal(size=claims) + aimed
    facet = rng.integers(0, 2, claims)
    tenth = ease > np.quantile(ease, 0.9) if vulnerable is None else vulnerable
    tenth = np.append(tenth, values=False)
    return rounds(
        game,
        label,
        hit.T.reshape(-1),
        np.arange(2 * claims) < claims,
        subject.T.reshape(-1),
        claim=np.tile(claim, 2),
        number=np.tile(np.arange(claims), 2),
        facet=np.tile(facet, 2),
        facets=("exact", "near") if game == "copies" else ("2 columns", "3 columns"),
        tenth=tenth[subject.T.reshape(-1)],
        matched=met_of(met, exposed, tenth[:-1], np.random.default_rng(7)),
    )


def audit(seed: int, n: int = 400, *, control: int | None = None, lift: float = 0.0) -> Audit:
    """Return an audit of eight attacks in four games, of n people and as many others.

    Half of the attacks read the same ease of people. control: how many others there are.
    lift: the leak of one linkability attack, one on columns and one of predicates; else there is
    none.
    """
    rng = np.random.default_rng([4, seed])
    everybody = n + (n if control is None else control)
    exposed = rng.permutation(everybody) < n
    shared = rng.normal(size=everybody)
    eases = [shared if i % 2 else rng.normal(size=everybody) for i in range(ATTACKS)]
    lifts = [lift, 0.0, lift, 0.0, lift, 0.0]
    # The same people for all claims that are tried on both arms.
    vulnerable = shared > np.quantile(shared, 0.9)
    predict = partial(predicates, vulnerable=vulnerable)
    kinds = (about_people, about_people, about_columns, about_columns, predict, predict)
    played = [play(f"attack {i}", exposed, eases[i], rng, lifts[i]) for i, play in enumerate(kinds)]
    played += [
        predict(f"attack {i}", exposed, eases[i], rng, game="copies", claims=300) for i in (6, 7)
    ]
    return judged(played, seed)


# Coverage


def point_of(played: judge.SuccessRounds) -> SuccessPoint:
    """Return the point of all claims."""
    sample = sample_of(played, 0)
    return success_point(sample.points[0], sample, 0.025, POLICY.confidence)


def covered(found: object, truth: float) -> bool:
    """Return whether an estimate's interval holds the truth."""
    return bool(found.low <= truth <= found.high)  # type: ignore[attr-defined]


def people_coverage(each: int, repetitions: int, rng: Rng, n: int = 100) -> Bools:
    """Return whether intervals of people with ``each`` rounds cover; ``[repetitions, 5]``.

    A person's rounds come true together or not at all: the worst case. Exposed rate, excess,
    (a - c) / (1 - c), that the excess's bound is not below the truth, and Wilson's interval that
    takes rounds as independent.
    """
    a, c = 0.3, 0.2
    held = np.empty((repetitions, 5), np.bool_)
    for i in range(repetitions):
        exposed = np.arange(2 * n) < n
        hit = (rng.random(2 * n) < np.where(exposed, a, c)).astype(np.float64)
        who = np.arange(2 * n).repeat(each)
        p = point_of(rounds("linkability", "", hit[who], exposed[who], who))
        naive = wilson(int(each * hit[:n].sum()), each * n)
        held[i] = (
            covered(p.exposed, a),
            covered(p.excess, a - c),
            covered(p.risk, (a - c) / (1 - c)),
            p.excess_high >= a - c,
            naive.low <= a <= naive.high,
        )
    return held


def cluster_coverage(
    each: int, a: float, c: float, both: float, repetitions: int, rng: Rng, n: int = 100
) -> Bools:
    """Return the same of predicates, ``each`` of them about one person, without the last.

    a, c: chance that the person is isolated in either arm, both: in both of them at once.
    """
    held = np.empty((repetitions, 4), np.bool_)
    chance = np.array([both, a - both, c - both, 1.0 - a - c + both])
    for i in range(repetitions):
        kind = rng.choice(4, n, p=chance)
        hit = np.stack([kind <= 1, (kind == 0) | (kind == 2)], axis=1).astype(np.float64)
        claim = np.arange(n).repeat(each)
        who = np.stack([np.arange(n), n + np.arange(n)], axis=1)
        # A predicate that misses is about nobody and stands for itself: one of each person's.
        claim = claim[hit.any(axis=1)[claim] | (np.arange(n * each) % each == 0)]
        number = np.tile(np.arange(len(claim)), 2)
        p = point_of(
            rounds(
                "singling-out",
                "",
                hit[claim].T.reshape(-1),
                np.arange(2 * len(claim)) < len(claim),
                np.where(hit[claim] > 0, who[claim], -1).T.reshape(-1),
                number=number,
            )
        )
        held[i] = (
            covered(p.exposed, a),
            covered(p.excess, a - c),
            covered(p.risk, (a - c) / (1 - c)),
            p.excess_high >= a - c,
        )
    return held


VALUES = {
    "0 or 1": lambda x: np.round(x),
    "thirds": lambda x: np.round(3.0 * x) / 3.0,
    "rare halves": lambda x: 0.5 * (x > 0.97),
    "rarely less than 1": lambda x: 1.0 - 0.4 * (x > 0.95),
    "uniform": lambda x: x,
    "U-shaped": lambda x: np.sin(np.pi * x / 2.0) ** 2,
}
"""Distributions of unit values, as functions of a uniform number."""


def bound_coverage(values: str, n: int, alpha: float, repetitions: int, rng: Rng) -> Bools:
    """Return whether one-sided bounds of a mean value hold: ``[repetitions, 2]``, lower, upper."""
    draw = VALUES[values]
    truth = float(draw((np.arange(200_000) + 0.5) / 200_000).mean())
    total = draw(rng.random((repetitions, n))).sum(axis=1)
    return np.stack(
        [mean_lower(total, n, alpha) <= truth + 1e-9, mean_upper(total, n, alpha) >= truth - 1e-9],
        axis=1,
    )


CLUSTERED = ((0.3, 0.3, 0.1), (0.2, 0.05, 0.03), (0.1, 0.1, 0.09), (0.02, 0.05, 0.0))
"""Rates of either arm and of both at once."""


def measure() -> dict[str, object]:
    """Return all figures."""
    rng = np.random.default_rng(21)
    names = ("exposed", "excess", "(a - c) / (1 - c)", "upper bound of the excess")
    coverage: dict[str, object] = {}
    for each in (2, 5, 10):
        held = people_coverage(each, 4000, rng)
        for name, column in zip((*names, "exposed, rounds as independent"), held.T, strict=True):
            coverage[f"{name}, {each} rounds a person"] = share(column)
        for a, c, both in CLUSTERED:
            held = cluster_coverage(each, a, c, both, 2000, rng)
            for name, column in zip(names, held.T, strict=True):
                coverage[f"{name}, {each} predicates a person, {a:g} and {c:g}"] = share(column)
    for values in VALUES:
        for n in (20, 100, 1000):
            lower, upper = bound_coverage(values, n, 0.05, 20_000, rng).T
            coverage[f"lower bound, {values}, n {n}"] = share(lower)
            coverage[f"upper bound, {values}, n {n}"] = share(upper)
    clock = time.process_time()
    null = [leak(audit(seed)) for seed in range(1000)]
    seconds = (time.process_time() - clock) / len(null)
    return {
        "coverage_95": coverage,
        "null_audits_with_a_leak_word": share(null),
        "null_audits_of_a_control_a_quarter_as_large_with_a_leak_word": share(
            [leak(audit(seed, control=100)) for seed in range(1000)]
        ),
        "planted_leaks_of_5_in_100_found": share([leak(audit(s, lift=0.05)) for s in range(300)]),
        "cpu_seconds_of_8_attacks": round(seconds, 3),
    }


if __name__ == "__main__":
    print(write("success", measure(), PATHS))
