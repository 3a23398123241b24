"""Generative likelihood ratio attack (Ward, Wang, Cheng 2025, Gen-LRA).

How much likelier do the released rows near a record become, once the record is added to the rows
that are known? Copies and near copies of a record are better explained with it; released rows in a
crowd are explained by the auxiliary rows anyway.
"""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Floats
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.protocols import Run
from leakpro_sdv.scores import NEAREST, Ground, Near, auxiliary_rows, released_rows


@frozen(kw_only=True)
class GenLraOptions:
    """Options of ``gen-lra``.

    neighbours: distinct released rows near the record whose likelihood counts, at most 32; rows
    as near as the last share its place;
    exponent: of distances in the density, as in ``domias``.
    """

    neighbours: int = field(default=1, validator=[validators.ge(1), validators.le(NEAREST)])
    exponent: float = field(default=4.0, validator=validators.gt(0.0))


def attack(challenge: SamplesChallenge, options: GenLraOptions, run: Run) -> MembershipAnswer:
    """Claim the log-likelihood ratio. ``NotApplicable`` without rows."""
    released, auxiliary = released_rows(challenge), auxiliary_rows(challenge)
    ground = Ground.of(challenge.records, released, auxiliary, run.seed)
    return MembershipAnswer(claims=score(ground, options, run.seed))


def score(ground: Ground, options: GenLraOptions, seed: int) -> Floats:
    """Return ``sum over s near x of log p(s | known + x) - log p(s | known)``, ``[queries]``.

    With kernel k and n rows known each term is ``log(1 + k(s, x) / sum_r k(s, r)) - log(1 + 1/n)``,
    one kernel more: neither the kernel's constant nor a fit for each candidate is needed. A
    row that was released several times counts as often.
    """
    near, share = ground.released, ground.released.first(options.neighbours)
    query, place = np.nonzero(share)
    rows, at = np.unique(near.index[query, place], return_inverse=True)
    around = Near.of(ground.shown.encoded.rows(rows), ground.known, NEAREST, seed)
    known = around.log_density(options.exponent)[at] + np.log(around.rows)
    own = -options.exponent * near.log_distance[query, place]
    gained = np.logaddexp(0.0, own - known) - np.log1p(1 / around.rows)
    weight = share[query, place] * near.count[query, place]
    claims = np.zeros(len(share))
    np.add.at(claims, query, weight * gained)
    return claims
