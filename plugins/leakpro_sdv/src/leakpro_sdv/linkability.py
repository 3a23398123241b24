"""Linkability: two halves of a row are linked through a released row that is near to both.

The risk is that of WP216 (Article 29 Working Party 2014, section 2.1).
"""

import numpy as np
from attrs import field, frozen, validators
from scipy.sparse import csr_array

from leakpro_core.arrays import Floats, Ints
from leakpro_core.games.linkability import LinkabilityAnswer, LinkabilityChallenge
from leakpro_core.protocols import Run
from leakpro_core.seeds import spawn
from leakpro_core.tabular.distance import Encoded, Neighbours, Space, nearest, nearest_distance

_ROWS, _PARTNERS = 16, 64
"""Of released rows and partners that tie, so many are drawn: a share of the belief is left out,
none is favoured."""


@frozen(kw_only=True)
class LinkabilityOptions:
    """Options of ``linkability``.

    neighbours: how many released rows may link a row, nearest first (and all that tie with the
    last); farther ones count less, in proportion to the distance.
    """

    neighbours: int = field(default=1, validator=[validators.ge(1), validators.le(_ROWS)])


def attack(
    challenge: LinkabilityChallenge, options: LinkabilityOptions, run: Run
) -> LinkabilityAnswer:
    """Link each left row to the right rows with which it makes the row nearest to a released one.

    A left and a right row together are a whole row; its distance to a released row is the mean over
    the columns of both. Partners that tie share the mass. Every left row claims a link, so that
    rates are rates of people; a claim is the belief in a partner, less the more of them tie, times
    ``(1 - distance / next distance)**3``: 1 for a copy, and near 0 for most of the others, whose
    next row is not much farther. The surest claims are the ones to look at.
    """
    space = Space.of(challenge.left, challenge.right, challenge.synthetic)
    left, right = space.encode(challenge.left), space.encode(challenge.right)
    released = space.encode(challenge.synthetic)
    if not len(released):
        return _nothing(len(left))
    # How far the best right row is from each released row: what a link through it costs at least.
    gap = nearest_distance(released, right, columns=tuple(right.columns))
    ratio = len(right.columns) / max(1, len(left.columns))
    found = nearest(
        left,
        released,
        _ROWS,
        seed=spawn(run.seed, "released"),
        offset=gap * ratio,
    )
    farthest = 1 + ratio if len(released) <= _ROWS else None
    weight, margin = _weights(found, options.neighbours, farthest)
    belief = _belief(found.index, weight, released, right, spawn(run.seed, "right"))
    return _answer(belief, margin, np.random.default_rng(spawn(run.seed, "ties")))


def _nothing(n: int) -> LinkabilityAnswer:
    return LinkabilityAnswer(partner=np.full((n, 1), -1), mass=np.zeros((n, 1)), claims=np.zeros(n))


def _weights(found: Neighbours, neighbours: int, farthest: float | None) -> tuple[Floats, Floats]:
    """Return the belief in each released row ``[n, rows]`` and the margin ``[n]`` to the next.

    farthest: how far the next one may be, where there are no more released rows.
    """
    far, n = found.distance, len(found.index)
    last = far[:, min(neighbours, far.shape[1]) - 1, None]
    first = far[:, :1]
    weight = np.ones(far.shape)
    np.divide(first, far, out=weight, where=far > first)
    weight[far > last] = 0.0
    # Where more rows tie than were drawn, each is as likely as one of all that tie.
    left_out = found.ties - far.shape[1]
    weight /= weight.sum(axis=1, keepdims=True) + (weight[:, -1] * left_out)[:, None]
    beyond = far[:, -1:] if farthest is None else np.full((n, 1), farthest)
    after = np.concatenate([far, beyond], axis=1)
    following = after[np.arange(n), (far <= last).sum(axis=1)]
    margin = np.zeros(n)
    np.divide(following - first[:, 0], following, out=margin, where=following > 0)
    return weight, margin


def _belief(rows: Ints, weight: Floats, released: Encoded, right: Encoded, seed: int) -> csr_array:
    """Return ``[left, right]``: through each released row, its nearest right rows share alike."""
    counted = weight > 0
    used, at = np.unique(rows[counted], return_inverse=True)
    through = csr_array(
        (weight[counted], (np.nonzero(counted)[0], at)), shape=(len(rows), len(used))
    )
    near = nearest(released.rows(used), right, _PARTNERS, seed=seed, columns=tuple(right.columns))
    tied = near.distance == near.distance[:, :1]
    all_tied = np.maximum(tied.sum(axis=1), np.where(tied.all(axis=1), near.ties, 0))
    row, column = np.nonzero(tied)
    share = csr_array(
        (1 / all_tied[row], (row, near.index[row, column])), shape=(len(used), len(right))
    )
    return csr_array(through @ share)


def _answer(belief: csr_array, margin: Floats, rng: np.random.Generator) -> LinkabilityAnswer:
    """Share each row's mass among the partners that are believed in most, drawn where many."""
    n = belief.shape[0]
    row = np.repeat(np.arange(n), np.diff(belief.indptr))
    most = np.maximum.reduceat(belief.data, belief.indptr[:-1])
    best = np.flatnonzero(belief.data >= most[row] * (1 - 1e-9))
    best = best[np.lexsort((rng.random(len(best)), row[best]))]
    count = np.bincount(row[best], minlength=n)
    nth = np.arange(len(best)) - np.repeat(np.cumsum(count) - count, count)
    best, nth = best[nth < _PARTNERS], nth[nth < _PARTNERS]
    count = np.minimum(count, _PARTNERS)
    partner = np.full((n, count.max(initial=1)), -1)
    partner[row[best], nth] = belief.indices[best]
    mass = (partner >= 0) / count[:, None]
    return LinkabilityAnswer(partner=partner, mass=mass, claims=margin**3 * most)
