"""The rounds of a success game, read: claims that were made, at points fixed beforehand."""

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from scipy.sparse import csr_array

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.errors import BadArray
from leakpro_core.games.outcome import Refereed
from leakpro_core.judge.success_units import (
    ALL,
    EVERYBODY,
    SUREST,
    VULNERABLE,
    Claims,
    Met,
    Units,
    paired_units,
    person_units,
    surest,
)
from leakpro_core.records import Evidence
from leakpro_core.seeds import generator


@frozen(kw_only=True)
class SuccessRounds:
    """One attack as one adversary in a success game, to be judged."""

    label: str
    adversary: str
    game: str
    refereed: Refereed


@frozen(kw_only=True)
class SuccessSample:
    """One attack as one adversary: its points, and at which too few units exclude nothing.

    left_out: facet and coverage of the latter, whether or not there is anything to compare.
    people: subjects of the exposed arm about whom a claim came true, by the chances of each
    one's best claim; met: whom claims meet, where paired; tenth: whether it is known.
    """

    label: str
    adversary: str
    game: str
    paired: bool
    scale: float
    facets: tuple[str, ...]
    points: tuple[Units, ...]
    left_out: tuple[tuple[str, str], ...]
    people: int
    asked: int
    made: int
    tenth: bool
    met: Met | None = None


def sample_of(rounds: SuccessRounds, seed: int) -> SuccessSample:
    """Return the points of one attack.

    Fixed beforehand: all claims, the surest tenth of them and the most vulnerable tenth of the
    people where it is known, all facets together; all rounds, an abstention being a miss, where
    claims about people are not all made; and all claims of each facet where there are several.
    A point stands however few claims an arm has. Ties at the edge of the surest tenth are drawn,
    without regard to the arm.
    ``BadArray`` where a made claim has no hit from 0 to 1, an arm has no rounds and the chance of
    a hit by luck is not known, or claims that are to be paired are not.
    """
    refereed = rounds.refereed
    whose = f"{rounds.label}, {rounds.adversary}"
    _check(refereed, whose)
    rng = generator(seed, "success", rounds.label, rounds.adversary, rounds.game)
    claims = _tried_on_both(refereed, whose) if refereed.paired else _about_people(refereed)
    lonely = bool(refereed.evidence.exposed.all())
    points = [
        paired_units(facet, coverage, claims, chosen)
        if refereed.paired
        else person_units(facet, coverage, claims, chosen, lonely=lonely)
        for facet, coverage, chosen in _points(claims, refereed, rng)
    ]
    return SuccessSample(
        label=rounds.label,
        adversary=rounds.adversary,
        game=rounds.game,
        paired=refereed.paired,
        scale=refereed.scale,
        facets=refereed.facets,
        points=tuple(p for p in points if p.stands),
        left_out=tuple((p.facet, p.coverage) for p in points if not (p.stands and p.enough)),
        people=_people(claims, refereed.scale),
        asked=refereed.asked,
        made=refereed.made,
        tenth=claims.tenth is not None,
        met=claims.met,
    )


def _people(claims: Claims, scale: float) -> int:
    """Return about how many people of the exposed arm the claims came true."""
    met = claims.exposed & (claims.subject[:, 0] >= 0)
    people, who = np.unique(claims.subject[met, 0], return_inverse=True)
    best = np.zeros(len(people))
    # At equal n only so many people are looked at; the scale is to all.
    np.maximum.at(best, who.reshape(-1), np.minimum(1.0, scale * claims.hit[met, 0]))
    return round(float(best.sum()))


def _check(refereed: Refereed, whose: str) -> None:
    e = refereed.evidence
    hits = e.hit[~np.isnan(e.claim)]
    wrong = ~((hits >= 0.0) & (hits <= 1.0))
    if wrong.any():
        raise BadArray(f"hit of {whose}", found=str(hits[wrong][0]), expected="from 0 to 1")
    if refereed.tenth is not None and len(refereed.tenth) != len(e.claim):
        raise BadArray(
            f"the most vulnerable tenth of {whose}",
            found=f"{len(refereed.tenth)} entries",
            expected=f"one for each of {len(e.claim)} rounds",
        )
    facet = e.facet
    outside = facet is not None and ((facet < 0) | (facet >= len(refereed.facets))).any()
    if outside or (facet is None and len(refereed.facets) > 1):
        raise BadArray(
            f"facet of {whose}", found="numbers of no facet", expected=f"one of {refereed.facets}"
        )
    one_arm = not e.exposed.any() or (e.exposed.all() and bool(np.isnan(e.null_p).any()))
    if len(e.claim) and one_arm:
        raise BadArray(
            f"rounds of {whose}", found="one arm", expected="people in the data, and others"
        )


def _about_people(refereed: Refereed) -> Claims:
    e = refereed.evidence
    facet = np.zeros(len(e.claim), np.int64) if e.facet is None else e.facet
    tenth = np.zeros(len(e.claim)) if refereed.tenth is None else refereed.tenth
    keys = (e.null_p, e.blind_hit, tenth, e.hit, e.claim, e.cluster, facet, e.exposed, e.subject)
    order = np.lexsort(keys)
    return Claims(
        exposed=e.exposed[order],
        facet=facet[order],
        claim=e.claim[order],
        blind=np.where(e.exposed, _blind_hit(e), np.nan)[order],
        luck=e.null_p[order],
        subject=e.subject[order, None],
        hit=np.where(np.isnan(e.claim), 0.0, e.hit)[order, None],
        tenth=None if refereed.tenth is None else tenth[order, None],
    )


def _tried_on_both(refereed: Refereed, whose: str) -> Claims:
    e = refereed.evidence
    number = np.zeros(0, np.int64) if e.round is None else e.round
    order = np.lexsort((~e.exposed, number)) if len(number) else number
    one, other = order[0::2], order[1::2]
    apart = len(np.unique(number[one])) == len(one) and np.array_equal(number[one], number[other])
    if 2 * len(one) != len(e.claim) or not apart or e.exposed[other].any():
        raise BadArray(
            f"rounds of {whose}",
            found="claims that are not tried on both arms",
            expected="each number of a round once in either arm",
        )
    kept = ~np.isnan(e.claim[one] + e.claim[other])
    one, other = one[kept], other[kept]
    both = np.stack([one, other], axis=1)
    return Claims(
        exposed=np.ones(len(one), np.bool_),
        facet=np.zeros(len(one), np.int64) if e.facet is None else e.facet[one],
        claim=e.claim[one],
        blind=_blind_hit(e)[one],
        luck=e.null_p[one],
        subject=e.subject[both],
        hit=e.hit[both],
        tenth=None if refereed.tenth is None else refereed.tenth[both],
        met=_met(refereed, number[one], whose),
    )


def _met(refereed: Refereed, number: Ints, whose: str) -> Met:
    """Return whom the claims of those rounds meet."""
    m = refereed.matched
    if m is None:
        raise BadArray(
            f"whom claims of {whose} meet",
            found="nothing",
            expected="the people whom claims that are tried on both arms meet",
        )
    count, people = len(m.start) - 1, len(m.exposed)
    fits = (
        number.max(initial=-1) < count
        and number.min(initial=0) >= 0
        and m.start[0] == 0
        and m.start[-1] == len(m.person)
        and bool((np.diff(m.start) >= 0).all())
        and bool(((m.person >= 0) & (m.person < people)).all())
        and len(m.tenth) == people
    )
    if not fits or 2 * int(m.exposed.sum()) != people:
        raise BadArray(
            f"whom claims of {whose} meet",
            found=f"{count} claims, {m.exposed.sum()} exposed of {people} people",
            expected="a list for each number of a round, of as many people of either arm",
        )
    meets = csr_array(
        (np.ones(len(m.person), np.float32), m.person, m.start), shape=(count, people)
    )
    return Met(meets=meets[number], exposed=m.exposed, tenth=m.tenth, one=m.rule == "one")


def _blind_hit(e: Evidence) -> Floats:
    """Return hits of the blind adversary, NaN where it abstains: its claims are what counts too."""
    return np.where(np.isnan(e.blind_claim), np.nan, e.blind_hit)


def _points(
    claims: Claims, refereed: Refereed, rng: np.random.Generator
) -> Iterator[tuple[str, str, Bools]]:
    """Yield facet, coverage and claims of each point; whose hits count, ``paired_units`` knows."""
    made = claims.made
    every = made & (claims.facet == 0) if refereed.nested else made
    yield "", ALL, every
    sure = np.zeros(len(every), np.bool_)
    sure[every] = surest(claims.claim[every], rng)
    yield "", SUREST, sure
    if claims.tenth is not None:
        whole = refereed.paired
        yield "", VULNERABLE, every if whole else every & (claims.tenth[:, 0] > 0.0)
    if not made.all():
        yield "", EVERYBODY, np.ones(len(made), np.bool_)
    if len(refereed.facets) > 1:
        for number, name in enumerate(refereed.facets):
            yield name, ALL, made & (claims.facet == number)
