"""The scores of all attacks on a released table, each as surprise on rows of known origin.

How an attack's scores spread on people who are not in the training data is known from auxiliary
rows. A candidate's surprise is minus the logarithm of the share of such rows that score as high;
surprises add up, as Fisher's method adds p-values. No membership is needed.
"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Floats, Ints
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.distance import Space
from leakpro_core.tabular.table import stacked
from leakpro_sdv import domias, gen_lra
from leakpro_sdv.scores import NEAREST, Ground, Near, Rows, auxiliary_rows, released_rows

_TESTED = 2000
"""Rows of a half whose scores are looked at, at most."""

_TAIL = 0.1
"""Share of the auxiliary scores from which the exponential tail is fitted."""


@frozen(kw_only=True)
class PanelOptions:
    """Options of ``panel``: those of the attacks in it.

    exponent: of distances in both densities; neighbours: released rows of ``gen-lra``.
    """

    exponent: float = field(default=4.0, validator=validators.gt(0.0))
    neighbours: int = field(default=1, validator=[validators.ge(1), validators.le(NEAREST)])


def attack(challenge: SamplesChallenge, options: PanelOptions, run: Run) -> MembershipAnswer:
    """Claim the sum of surprises of ``distance``, ``neighbour-ratio``, ``domias``, ``gen-lra``.

    One half of the auxiliary people is what the scores compare with, the other (2,000 rows of it
    at most) tells how they spread; then the halves swap. ``NotApplicable`` where there are fewer
    than two such people.
    """
    released, auxiliary = released_rows(challenge), auxiliary_rows(challenge)
    n = len(challenge.records)
    halves = _halves(auxiliary.subjects, run.seed)
    tested = [half[:_TESTED] for half in halves]
    queries = stacked([challenge.records, *(auxiliary.rows(rows) for rows in tested)])
    space = Space.of(queries, released, auxiliary)
    asked, shown = space.encode(queries), Rows.of(released, space)
    near = Near.of(asked, shown, NEAREST, run.seed)
    claims = np.zeros(n)
    for half in (0, 1):
        # Behind the candidates stand the rows of the first half that are tested, then the second's.
        first = n + half * len(tested[0])
        rows = np.concatenate([np.arange(n), np.arange(first, first + len(tested[half]))])
        known = Rows.of(auxiliary.rows(halves[1 - half]), space)
        ground = Ground(
            shown=shown,
            known=known,
            released=near.at(rows),
            auxiliary=Near.of(asked.rows(rows), known, NEAREST, run.seed),
        )
        for score in _scores(ground, options, run.seed):
            claims += surprise(score[:n], score[n:])
    return MembershipAnswer(claims=claims)


def surprise(scores: Floats, others: Floats) -> Floats:
    """Return minus the log of the share of ``others`` that score as high, ``[scores]``.

    Above their upper tenth the share falls exponentially, at the rate of their mean excess: where
    no such row scores as high, higher still means more.
    """
    order = np.sort(others)
    n = len(order)
    start = order[n - 1 - int(_TAIL * n)]
    excess = order[order > start] - start
    # Scores are logarithms: a tail thinner than a thousandth is a tie, but for rounding.
    rate = 1 / max(float(excess.mean()), 1e-3) if excess.size else 1.0
    as_high = n - np.searchsorted(order, np.minimum(scores, start), "left")
    as_high = np.where(scores > start, excess.size, as_high)
    tail = np.maximum(scores - start, 0.0) * rate
    return np.asarray(tail - np.log((1 + as_high) / (1 + n)))


def _scores(ground: Ground, options: PanelOptions, seed: int) -> tuple[Floats, ...]:
    near, known = ground.released.log_distance[:, 0], ground.auxiliary.log_distance[:, 0]
    likelihood = gen_lra.GenLraOptions(neighbours=options.neighbours, exponent=options.exponent)
    return (
        -near,
        known - near,
        domias.score(ground, options.exponent),
        gen_lra.score(ground, likelihood, seed),
    )


def _halves(subjects: Ints, seed: int) -> tuple[Ints, Ints]:
    """Return the rows of two halves of the people, in random order."""
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.unique(subjects))
    if len(people) < 2:
        raise NotApplicable("auxiliary people", found="one", expected="at least two")
    order = rng.permutation(len(subjects))
    first = np.isin(subjects[order], people[: len(people) // 2])
    return order[first], order[~first]
