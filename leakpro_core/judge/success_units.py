"""Unit values of a success game: what is independent, in either arm.

A unit is a person (each claim is about one, and stands in one arm) or, where each claim is tried
on both arms, all claims that meet the same people: rounds about one person are never independent.
"""

import numpy as np
from attrs import frozen
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leakpro_core.arrays import Bools, Floats, Ints, array

ALL = "all claims"
SUREST = "surest tenth"
VULNERABLE = "most vulnerable tenth"

FEWEST = 20
"""A point with fewer units in an arm is left out."""


@frozen(kw_only=True)
class Units:
    """One attack at one facet and coverage. Values are shares of a unit's claims that came true.

    exposed, control: float64 ``[units]`` of the arm, of the same units where paired, for rates;
    claims: float64 ``[units]``, exposed claims of each. tested_exposed, tested_control: the same
    for what may be called a leak; where paired of hits that are drawn (see ``coins``), and so of
    units of their own. exposed_unit, control_unit: int64, who these are: subjects, or where paired
    the unit of all claims (the finest that may be exchanged) in which each lies.
    blind: float64, the blind adversary's values on the exposed arm, where it claims; beside_blind:
    the attack's on the same rounds. null_p: mean chance of a hit by luck, None where not known.
    luck: the same where it stands in the place of a control arm.
    """

    facet: str
    coverage: str
    exposed: Floats = array(np.float64)
    control: Floats = array(np.float64)
    claims: Floats = array(np.float64)
    tested_exposed: Floats = array(np.float64)
    tested_control: Floats = array(np.float64)
    exposed_unit: Ints = array(np.int64)
    control_unit: Ints = array(np.int64)
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
class Claims:
    """Claims that were made, in an order that does not depend on that of the rounds.

    exposed: bool ``[n]``, the arm of unpaired claims; facet, claim, blind (hits of the blind
    adversary on the exposed arm, NaN elsewhere), luck (null_p on the exposed arm): ``[n]``;
    subject, hit, tenth: ``[n, arms]``, exposed and control where paired, else one column. Where
    paired, drawn: hits as ``coins``, and unit: the clusters of these.
    """

    exposed: Bools = array(np.bool_)
    facet: Ints = array(np.int64)
    claim: Floats = array(np.float64)
    blind: Floats = array(np.float64)
    luck: Floats = array(np.float64)
    subject: Ints = array(np.int64)
    hit: Floats = array(np.float64)
    tenth: Bools | None = array(np.bool_, optional=True)
    unit: Ints | None = array(np.int64, optional=True)
    drawn: Floats | None = array(np.float64, optional=True)


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


def coins(subject: Ints, hit: Floats, rng: np.random.Generator) -> Floats:
    """Return hits as 0 or 1, drawn with that chance: float64 ``[n, arms]``.

    A hit between 0 and 1 is a chance at equal n: the larger arm meets more people, each of whom
    counts for less. Many small differences against few large ones would pass for evidence though
    there is no leak. Drawn, they are those of a sample of the larger arm, whose people and the
    other arm's may be exchanged: a person is in it for all claims or for none. A chance to meet
    nobody in particular (one of several) cannot be told from others', and counts for the control
    arm alone.
    """
    people, who = np.unique(subject, return_inverse=True)
    chance = np.where(
        subject >= 0, rng.random(len(people))[who.reshape(hit.shape)], rng.random(hit.shape)
    )
    unknown = (subject < 0) & (hit < 1.0) & (np.arange(hit.shape[1]) == 0)
    return np.asarray((chance < hit) & ~unknown, np.float64)


def person_units(
    facet: str, coverage: str, claims: Claims, chosen: Bools, *, lonely: bool
) -> Units:
    """Return the point of the ``chosen`` claims, bool ``[n]``: a unit a person and arm.

    lonely: there is no control arm, and the chance of luck stands in its place.
    """
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
        claims=np.unique(subject[exposed], return_counts=True)[1].astype(np.float64),
        tested_exposed=values,
        tested_control=other_values,
        exposed_unit=who,
        control_unit=others,
        blind=_means(subject[played], claims.blind[played])[1],
        beside_blind=_means(subject[played], hit[played])[1],
        null_p=null_p,
        luck=null_p if lonely else None,
    )


def paired_units(facet: str, coverage: str, claims: Claims, chosen: Bools) -> Units:
    """Return the point of the ``chosen`` claims, bool ``[n]``, each tried on both arms.

    A unit is a cluster of these. For the most vulnerable tenth a hit counts only where the person
    met is one of them.
    """
    assert claims.unit is not None
    assert claims.drawn is not None
    subject, hit, drawn = claims.subject[chosen], claims.hit[chosen], claims.drawn[chosen]
    blind = claims.blind[chosen]
    if coverage == VULNERABLE and claims.tenth is not None:
        hit, drawn = hit * claims.tenth[chosen], drawn * claims.tenth[chosen]
        # Whom the blind adversary's predicates isolate is not known.
        blind = np.full(len(hit), np.nan)
    unit = clusters(subject, hit)
    tested = unit if np.array_equal(drawn, hit) else clusters(subject, drawn)
    whole = claims.unit[chosen][np.unique(tested, return_index=True)[1]]
    played = ~np.isnan(blind)
    return Units(
        facet=facet,
        coverage=coverage,
        exposed=_means(unit, hit[:, 0])[1],
        control=_means(unit, hit[:, 1])[1],
        claims=np.bincount(unit).astype(np.float64),
        tested_exposed=_means(tested, drawn[:, 0])[1],
        tested_control=_means(tested, drawn[:, 1])[1],
        exposed_unit=whole,
        control_unit=whole,
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
