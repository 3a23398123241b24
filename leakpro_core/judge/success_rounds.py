"""The rounds of a success game, as unit values: what is independent, at which points.

A unit is a person (each claim is about one, and stands in one arm) or, where each claim is tried
on both arms, all claims that meet the same people: rounds about one person are never independent.
"""

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.errors import BadArray
from leakpro_core.games.outcome import Refereed
from leakpro_core.seeds import generator

ALL = "all claims"
SUREST = "surest tenth"
VULNERABLE = "most vulnerable tenth"

FEWEST = 20
"""A point with fewer units in an arm is left out."""


@frozen(kw_only=True)
class SuccessRounds:
    """One attack as one adversary in a success game, to be judged."""

    label: str
    adversary: str
    game: str
    refereed: Refereed


@frozen(kw_only=True)
class Units:
    """One attack at one facet and coverage. Values are shares of a unit's claims that came true.

    exposed, control: float64 ``[units]`` of the arm, of the same units where paired; exposed_unit,
    control_unit: int64, who that is: subjects, or where paired the unit of all claims (the finest
    that may be exchanged) in which this one lies; claims: float64 ``[units]`` exposed claims each.
    blind: float64, the blind adversary's values on the exposed arm, where it claims; beside_blind:
    the attack's on the same rounds. null_p: mean chance of a hit by luck, None where not known.
    luck: the same where it stands in the place of a control arm.
    """

    facet: str
    coverage: str
    exposed: Floats = array(np.float64)
    control: Floats = array(np.float64)
    exposed_unit: Ints = array(np.int64)
    control_unit: Ints = array(np.int64)
    claims: Floats = array(np.float64)
    blind: Floats = array(np.float64)
    beside_blind: Floats = array(np.float64)
    null_p: float | None = None
    luck: float | None = None

    @property
    def enough(self) -> bool:
        """Whether the point stands."""
        control = len(self.control) if self.luck is None else FEWEST
        return min(len(self.exposed), control) >= FEWEST


@frozen(kw_only=True)
class SuccessSample:
    """One attack as one adversary: its points, and which were left out for want of units.

    people: distinct subjects of the exposed arm about whom a claim came true.
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


@frozen(kw_only=True)
class _Claims:
    """Claims that were made, in an order that does not depend on that of the rounds.

    exposed: bool ``[n]``, the arm of unpaired claims; facet, claim, blind (hits of the blind
    adversary on the exposed arm, NaN elsewhere), luck (null_p on the exposed arm): ``[n]``;
    subject, hit, tenth: ``[n, arms]``, exposed and control where paired, else one column.
    """

    exposed: Bools = array(np.bool_)
    facet: Ints = array(np.int64)
    claim: Floats = array(np.float64)
    blind: Floats = array(np.float64)
    luck: Floats = array(np.float64)
    subject: Ints = array(np.int64)
    hit: Floats = array(np.float64)
    tenth: Bools | None = array(np.bool_, optional=True)


def sample_of(rounds: SuccessRounds, seed: int) -> SuccessSample:
    """Return the points of one attack.

    Fixed beforehand: all claims, the surest tenth of them and the most vulnerable tenth of the
    people where it is known, all facets together; and all claims of each facet where there are
    several. Ties at the edge of the surest tenth are drawn, without regard to the arm.
    ``BadArray`` where a made claim has no hit from 0 to 1, an arm has no rounds and the chance of
    a hit by luck is not known, or claims that are to be paired are not.
    """
    refereed = rounds.refereed
    whose = f"{rounds.label}, {rounds.adversary}"
    _check(refereed, whose)
    claims = _tried_on_both(refereed, whose) if refereed.paired else _about_people(refereed)
    lonely = bool(refereed.evidence.exposed.all())
    rng = generator(seed, "surest tenth", rounds.label, rounds.adversary, rounds.game)
    points = [
        _paired_units(facet, coverage, claims, chosen)
        if refereed.paired
        else _person_units(facet, coverage, claims, chosen, lonely=lonely)
        for facet, coverage, chosen in _points(claims, refereed, rng)
    ]
    met = (claims.hit[:, 0] > 0.0) & claims.exposed & (claims.subject[:, 0] >= 0)
    return SuccessSample(
        label=rounds.label,
        adversary=rounds.adversary,
        game=rounds.game,
        paired=refereed.paired,
        scale=refereed.scale,
        facets=refereed.facets,
        points=tuple(p for p in points if p.enough),
        left_out=tuple((p.facet, p.coverage) for p in points if not p.enough),
        people=len(np.unique(claims.subject[met, 0])),
        asked=refereed.asked,
        made=refereed.made,
    )


def surest(claim: Floats, rng: np.random.Generator) -> Bools:
    """Return which are the ``ceil(n / 10)`` highest of ``[n]`` claims, ties drawn."""
    chosen = np.zeros(len(claim), np.bool_)
    order = np.lexsort((rng.random(len(claim)), -claim))
    chosen[order[: -(-len(claim) // 10)]] = True
    return chosen


def clusters(subject: Ints, hit: Floats) -> Ints:
    """Return the cluster of each claim, int64 ``[n]`` from 0.

    subject, hit: ``[n, arms]``. Claims that came true about the same person are connected, in
    whichever arm they did, and so are claims connected to these; a claim that came true about
    nobody is a cluster of its own.
    """
    claim, arm = np.nonzero((hit > 0.0) & (subject >= 0))
    people, who = np.unique(subject[claim, arm], return_inverse=True)
    n = len(subject)
    graph = coo_array((np.ones(len(claim)), (claim, n + who)), shape=(n + len(people),) * 2)
    found = connected_components(graph, directed=False)[1][:n]
    return np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64)


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


def _about_people(refereed: Refereed) -> _Claims:
    e = refereed.evidence
    facet = np.zeros(len(e.claim), np.int64) if e.facet is None else e.facet
    tenth = np.zeros(len(e.claim), np.bool_) if refereed.tenth is None else refereed.tenth
    keys = (e.null_p, e.blind_hit, tenth, e.hit, e.claim, e.cluster, facet, e.exposed, e.subject)
    order = np.lexsort(keys)
    order = order[~np.isnan(e.claim[order])]
    return _Claims(
        exposed=e.exposed[order],
        facet=facet[order],
        claim=e.claim[order],
        blind=np.where(e.exposed, e.blind_hit, np.nan)[order],
        luck=e.null_p[order],
        subject=e.subject[order, None],
        hit=e.hit[order, None],
        tenth=None if refereed.tenth is None else tenth[order, None],
    )


def _tried_on_both(refereed: Refereed, whose: str) -> _Claims:
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
    return _Claims(
        exposed=np.ones(len(one), np.bool_),
        facet=np.zeros(len(one), np.int64) if e.facet is None else e.facet[one],
        claim=e.claim[one],
        blind=e.blind_hit[one],
        luck=e.null_p[one],
        subject=e.subject[both],
        hit=e.hit[both],
        tenth=None if refereed.tenth is None else refereed.tenth[both],
    )


def _points(
    claims: _Claims, refereed: Refereed, rng: np.random.Generator
) -> Iterator[tuple[str, str, Bools]]:
    """Yield facet, coverage and the claims of each point; ``_paired_units`` knows whose hits."""
    every = np.ones(len(claims.claim), np.bool_)
    yield "", ALL, every
    yield "", SUREST, surest(claims.claim, rng)
    if claims.tenth is not None:
        yield "", VULNERABLE, every if refereed.paired else claims.tenth[:, 0]
    if len(refereed.facets) > 1:
        for number, name in enumerate(refereed.facets):
            yield name, ALL, claims.facet == number


def _person_units(
    facet: str, coverage: str, claims: _Claims, chosen: Bools, *, lonely: bool
) -> Units:
    exposed, control = chosen & claims.exposed, chosen & ~claims.exposed
    subject, hit = claims.subject[:, 0], claims.hit[:, 0]
    played = exposed & ~np.isnan(claims.blind)
    null_p = _mean_luck(claims.luck[exposed])
    who, values = _means(subject[exposed], hit[exposed])
    others, other_values = _means(subject[control], hit[control])
    return Units(
        facet=facet,
        coverage=coverage,
        exposed=values,
        control=other_values,
        exposed_unit=who,
        control_unit=others,
        claims=np.unique(subject[exposed], return_counts=True)[1].astype(np.float64),
        blind=_means(subject[played], claims.blind[played])[1],
        beside_blind=_means(subject[played], hit[played])[1],
        null_p=null_p,
        luck=null_p if lonely else None,
    )


def _paired_units(facet: str, coverage: str, claims: _Claims, chosen: Bools) -> Units:
    subject, hit = claims.subject[chosen], claims.hit[chosen]
    blind = claims.blind[chosen]
    if coverage == VULNERABLE and claims.tenth is not None:
        hit = hit * claims.tenth[chosen]
        # Whom the blind adversary's predicates isolate is not known.
        blind = np.full(len(hit), np.nan)
    unit = clusters(subject, hit)
    whole = clusters(claims.subject, claims.hit)[chosen]
    first = np.unique(unit, return_index=True)[1]
    played = ~np.isnan(blind)
    return Units(
        facet=facet,
        coverage=coverage,
        exposed=_means(unit, hit[:, 0])[1],
        control=_means(unit, hit[:, 1])[1],
        exposed_unit=whole[first],
        control_unit=whole[first],
        claims=np.bincount(unit).astype(np.float64),
        blind=_means(unit[played], blind[played])[1],
        beside_blind=_means(unit[played], hit[played, 0])[1],
        null_p=_mean_luck(claims.luck[chosen]),
    )


def _means(unit: Ints, values: Floats) -> tuple[Ints, Floats]:
    """Return the units, sorted, and the mean value of each."""
    units, at, count = np.unique(unit, return_inverse=True, return_counts=True)
    return units, np.bincount(at.reshape(-1), weights=values, minlength=len(units)) / count


def _mean_luck(luck: Floats) -> float | None:
    known = len(luck) > 0 and not bool(np.isnan(luck).any())
    return float(luck.mean()) if known else None
