"""The scores of all attacks on a released table, each as surprise on rows of known origin.

How an attack's scores spread on people who are not in the training data is known from auxiliary
rows. A candidate's surprise is minus the logarithm of the share of such rows that score as high;
surprises add up, as Fisher's method adds p-values. No membership is needed.
"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Floats
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.table import Table, stacked
from leakpro_sdv import domias, gen_lra
from leakpro_sdv.scores import Ground, auxiliary_rows, released_rows

_TAIL = 0.1
"""Share of the auxiliary scores from which the exponential tail is fitted."""


@frozen(kw_only=True)
class PanelOptions:
    """Options of ``panel``: those of the attacks in it.

    exponent: of distances in both densities; neighbours: released rows of ``gen-lra``.
    """

    exponent: float = field(default=4.0, validator=validators.gt(0.0))
    neighbours: int = field(default=1, validator=[validators.ge(1), validators.le(32)])


def attack(challenge: SamplesChallenge, options: PanelOptions, run: Run) -> MembershipAnswer:
    """Claim the sum of surprises of ``distance``, ``neighbour-ratio``, ``domias``, ``gen-lra``.

    One half of the auxiliary people is what the scores compare with, the other tells how they
    spread; then the halves swap. ``NotApplicable`` where there are fewer than two such people.
    """
    released, auxiliary = released_rows(challenge), auxiliary_rows(challenge)
    n = len(challenge.records)
    claims = np.zeros(n)
    for known, others in _halves(auxiliary, run.seed):
        queries = stacked([challenge.records, others])
        ground = Ground.of(queries, released, known, run.seed)
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
    rate = 1 / excess.mean() if excess.size else 1.0
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


def _halves(auxiliary: Table, seed: int) -> tuple[tuple[Table, Table], tuple[Table, Table]]:
    """Return two halves of the people, and the same the other way round."""
    people = np.random.default_rng(seed).permutation(np.unique(auxiliary.subjects))
    if len(people) < 2:
        raise NotApplicable("auxiliary people", found="one", expected="at least two")
    first = np.isin(auxiliary.subjects, people[: len(people) // 2])
    one, other = auxiliary.rows(first), auxiliary.rows(~first)
    return (one, other), (other, one)
