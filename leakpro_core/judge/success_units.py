"""Unit values of a success game: what is independent, in either arm.

A unit is a person (each claim is about one, and stands in one arm) or, where each claim is tried
on both arms, all claims that meet the same people: rounds about one person are never independent.
"""

import numpy as np
from attrs import field, frozen
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.statistics.paired import came_true

ALL = "all claims"
SUREST = "surest tenth"
VULNERABLE = "most vulnerable tenth"
EVERYBODY = "all rounds"
"""Every round that was asked, an abstention being a miss: where claims are made is a leak too."""

FEWEST = 20
"""With fewer units in an arm nothing is excluded. Detection and Clopper-Pearson need no number."""


@frozen(kw_only=True)
class Units:
    """One attack at one facet and coverage. Values are shares of a unit's claims that came true.

    exposed, control: float64 ``[units]`` of the arm, of the same units where paired, for rates;
    claims: float64 ``[units]``, exposed claims of each. tested_exposed, tested_control: the same
    for what may be called a leak: where paired, of outcomes among people that were drawn; of the
    surest tenth of claims about people, of the share that is among the surest and came true,
    since a leak shows also in whose claims are sure. exposed_unit, control_unit: int64, who the
    latter are, where not paired. weights: float64 ``[all claims made]``, what each weighs in
    detection, where paired.
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
    exposed_unit: Ints | None = array(np.int64, optional=True)
    control_unit: Ints | None = array(np.int64, optional=True)
    weights: Floats | None = array(np.float64, optional=True)
    blind: Floats = array(np.float64)
    beside_blind: Floats = array(np.float64)
    null_p: float | None = None
    luck: float | None = None

    @property
    def stands(self) -> bool:
        """Whether there is anything to compare."""
        return len(self.tested_exposed) > 0 and (
            self.luck is not None or len(self.tested_control) > 0
        )

    @property
    def enough(self) -> bool:
        """Whether something may be excluded: units of an arm; where paired of equal weights."""
        control = len(self.control) if self.luck is None else FEWEST
        units = float(min(len(self.exposed), control))
        if self.weights is not None and units:
            # Kish's effective size: one cluster of nearly all claims is hardly more than one unit.
            units = float(self.claims.sum() ** 2 / (self.claims**2).sum())
        return units >= FEWEST


@frozen(kw_only=True)
class Claims:
    """Claims that were made, in an order that does not depend on that of the rounds.

    exposed: bool ``[n]``, the arm of unpaired claims; facet, claim, blind (hits of the blind
    adversary on the exposed arm, NaN elsewhere), luck (null_p on the exposed arm): ``[n]``;
    subject, hit, tenth (a share): ``[n, arms]``, exposed and control where paired, else one column.
    Where not paired an abstention stands here too, its claim NaN and its hit 0. Where paired, met:
    whom claims meet, and how they come true.
    """

    exposed: Bools = array(np.bool_)
    facet: Ints = array(np.int64)
    claim: Floats = array(np.float64)
    blind: Floats = array(np.float64)
    luck: Floats = array(np.float64)
    subject: Ints = array(np.int64)
    hit: Floats = array(np.float64)
    tenth: Floats | None = array(np.float64, optional=True)
    met: "Met | None" = None

    @property
    def made(self) -> Bools:
        """Which were made, bool ``[n]``."""
        return ~np.isnan(self.claim)


@frozen(kw_only=True)
class Met:
    """Whom claims meet among people of both arms, drawn to be as many.

    meets: float32 CSR ``[claims, people]``; exposed, tenth: bool ``[people]``; one: the rule.
    """

    meets: csr_array = field(eq=False)
    exposed: Bools = array(np.bool_)
    tenth: Bools = array(np.bool_)
    one: bool

    def came_true(self, chosen: Bools, *, vulnerable: bool) -> Floats:
        """Return 0 or 1 for the chosen claims in either arm, float64 ``[k, 2]``."""
        arms = np.stack([self.exposed, ~self.exposed], axis=1).astype(np.float32)
        tenth = self.tenth if vulnerable else None
        return came_true(self.meets[chosen], arms, one=self.one, tenth=tenth).astype(np.float64)

    def weights(self, chosen: Bools) -> Floats:
        """Return what claims weigh in detection: 0, or 1 over the most that meet one of its people.

        So that no person weighs more than one. Arms make no difference.
        """
        meets = self.meets[chosen]
        share = np.zeros(len(chosen))
        share[chosen] = 1.0 / np.maximum(
            1.0, meets.multiply(meets.sum(axis=0)[None, :]).max(axis=1).toarray().reshape(-1)
        )
        return share


def surest(claim: Floats, rng: np.random.Generator) -> Bools:
    """Return which are the ``ceil(n / 10)`` highest of ``[n]`` claims, ties drawn."""
    chosen = np.zeros(len(claim), np.bool_)
    order = np.lexsort((rng.random(len(claim)), -claim))
    chosen[order[: -(-len(claim) // 10)]] = True
    return chosen


def clusters(claim: Ints, person: Ints, claims: int) -> Ints:
    """Return the cluster of each claim, int64 ``[claims]`` from 0.

    claim, person: int64 ``[meetings]``, who meets whom. Claims that meet the same person are
    connected, in whichever arm it is and whether or not they came true, and so are claims
    connected to these; a claim that meets nobody is a cluster of its own.
    """
    people, who = np.unique(person, return_inverse=True)
    graph = coo_array(
        (np.ones(len(claim)), (claim, claims + who.reshape(-1))), shape=(claims + len(people),) * 2
    )
    found = connected_components(graph, directed=False)[1][:claims]
    return np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64)


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
    tested, counted = hit, chosen
    if coverage == SUREST and not lonely:
        tested, counted = hit * chosen, claims.made
    inside, outside = counted & claims.exposed, counted & ~claims.exposed
    who, tested_exposed = _means(subject[inside], tested[inside])
    others, tested_control = _means(subject[outside], tested[outside])
    return Units(
        facet=facet,
        coverage=coverage,
        exposed=_means(subject[exposed], hit[exposed])[1],
        control=_means(subject[control], hit[control])[1],
        claims=np.unique(subject[exposed], return_counts=True)[1].astype(np.float64),
        tested_exposed=tested_exposed,
        tested_control=tested_control,
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
    assert claims.met is not None
    subject, hit, blind = claims.subject[chosen], claims.hit[chosen], claims.blind[chosen]
    vulnerable = coverage == VULNERABLE and claims.tenth is not None
    if vulnerable and claims.tenth is not None:
        hit = hit * claims.tenth[chosen]
        # Whom the blind adversary's predicates isolate is not known.
        blind = np.full(len(hit), np.nan)
    drawn = claims.met.came_true(chosen, vulnerable=vulnerable)
    pairs = claims.met.meets[chosen].tocoo()
    # Whom the larger arm's claims meet beyond the people drawn: the only one is known.
    more, arm = np.nonzero((claims.hit[chosen] > 0.0) & (subject >= 0))
    people = claims.met.meets.shape[1]
    known = np.unique(subject[more, arm], return_inverse=True)[1]
    unit = clusters(
        np.concatenate([pairs.coords[0], more]).astype(np.int64),
        np.concatenate([pairs.coords[1], people + known.reshape(-1)]).astype(np.int64),
        len(hit),
    )
    played = ~np.isnan(blind)
    return Units(
        facet=facet,
        coverage=coverage,
        exposed=_means(unit, hit[:, 0])[1],
        control=_means(unit, hit[:, 1])[1],
        claims=np.bincount(unit).astype(np.float64),
        tested_exposed=_means(unit, drawn[:, 0])[1],
        tested_control=_means(unit, drawn[:, 1])[1],
        weights=claims.met.weights(chosen),
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
