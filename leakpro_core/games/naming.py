"""How what is said of a batch becomes rounds: identified, recovered, labels.

All functions know only distances, claims and labels; what is said without the batch has the same
chances in either arm (see ``batches.draw``).
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.games.batches import Batch, Groups, distance, reached

IDENTIFIED = "identified"
"""The facet of reconstructions that are nearer to a record of the batch than to any other."""

RECOVERED = "recovered"
"""The facet of records of the batch that some reconstruction is near enough to."""

LABELS = "labels"
"""The facet of labels of the batch, where the adversary does not know them."""

_TIE = 1e-8
"""Relative difference of distances that tie; they are right to about 1e-10."""


@frozen(kw_only=True)
class Said:
    """What is said of a batch, compared with it.

    claims float64 ``[k]``; labels int64 ``[k]`` or None; apart: float64 ``[k, 2 b + N]``, distance
    of each reconstruction to batch, decoy batch and other decoys, None where there are no
    reconstructions; near: bool ``[k, 2 b]``, whether it is near enough to be one of the former two.
    """

    claims: Floats = array(np.float64)
    labels: Ints | None = array(np.int64, optional=True)
    apart: Floats | None = array(np.float64, optional=True)
    near: Bools | None = array(np.bool_, optional=True)


def said(
    records: AnyArray | None,
    labels: Ints | None,
    claims: Floats,
    batch: Batch,
    *,
    modality: str,
    groups: Groups,
) -> Said:
    """Compare an answer with a batch and its decoys."""
    if records is None:
        return Said(claims=claims, labels=labels)
    scale, b = batch.scale, batch.size
    pool = np.concatenate([batch.records, batch.decoys])
    apart = distance(records, pool, modality=modality, scale=scale, groups=groups)
    near = reached(
        apart[:, : 2 * b],
        pool[: 2 * b],
        np.concatenate([batch.near, batch.decoy_near]),
        modality=modality,
        scale=scale,
        groups=groups,
    )
    return Said(claims=claims, labels=labels, apart=apart, near=near)


def rounds(
    facet: str, theirs: Said | None, lucky: Said | None, batch: Batch, *, exposed: bool
) -> dict[str, AnyArray]:
    """Return the columns of the evidence for one facet and arm of a batch; None: nothing is said.

    lucky: what the blind adversary says; every round is beside the mean of its hits, and a record
    that is to be recovered beside its own.
    """
    claim, hit = asked(facet, theirs, batch, exposed=exposed)
    n = len(claim)
    luck = asked(facet, lucky, batch, exposed=exposed)[1]
    if facet != RECOVERED:
        made = luck[~np.isnan(luck)]
        luck = np.full(n, made.mean() if len(made) else np.nan)
    return {
        # Units are batches, and a decoy batch is another one.
        "subject": np.full(n, batch.subject if exposed else -1 - batch.subject),
        "cluster": np.full(n, batch.subject),
        "exposed": np.full(n, exposed),
        "claim": claim,
        "hit": hit,
        "blind_claim": np.where(np.isnan(luck), np.nan, 0.0),
        "blind_hit": luck,
        "null_p": np.full(n, batch.null_p if facet == IDENTIFIED else np.nan),
    }


def asked(facet: str, what: Said | None, batch: Batch, *, exposed: bool) -> tuple[Floats, Floats]:
    """Return claims and hits of the rounds of a facet in an arm, b or more; NaN: an abstention."""
    b = batch.size
    none = np.full(b, np.nan)
    if what is None:
        return none, none
    mine = slice(0, b) if exposed else slice(b, 2 * b)
    if facet == LABELS:
        truth = batch.labels if exposed else batch.control_labels
        return (none, none) if what.labels is None else overlap(what.labels, what.claims, truth)
    if what.apart is None or what.near is None:
        return none, none
    own = what.apart[:, mine]
    if facet == RECOVERED:
        return recovered(own, what.near[:, mine], what.claims)
    pool = np.concatenate([own, what.apart[:, 2 * b :]], axis=1)
    claim, hit = identified(pool, b, what.claims)
    missing = np.full(max(0, b - len(claim)), np.nan)
    return np.concatenate([claim, missing]), np.concatenate([hit, missing])


def identified(apart: Floats, b: int, claims: Floats) -> tuple[Floats, Floats]:
    """Return claims and hits ``[k]`` of reconstructions, each of which names its nearest record.

    apart: float64 ``[k, b + N]``, distances to a batch of b records, then to decoys. A hit where
    the nearest is of the batch; among several that are nearest, the share of them that is. A
    reconstruction at no finite distance is a miss.

    A record that is named again is not another hit: of the reconstructions that name the same the
    surest counts, and the others are abstentions, so that who repeats the surest one does not do
    better. They are not misses, but where abstentions are: each of the different records that were
    named is one of the batch with chance b / (b + N) then, however often it was named.
    """
    claim, hit = claims.copy(), np.zeros(len(claims))
    least = apart.min(axis=1, initial=np.inf)
    rows = np.flatnonzero(np.isfinite(least) & ~np.isnan(claims))
    rows = rows[np.argsort(-claims[rows], kind="stable")]
    tied: Bools = apart[rows] <= (1.0 + _TIE) * least[rows][:, None]
    hit[rows] = tied[:, :b].sum(axis=1) / tied.sum(axis=1)
    first = np.unique(np.packbits(tied, axis=1), axis=0, return_index=True)[1]
    claim[np.delete(rows, first)] = np.nan
    hit[np.isnan(claim)] = np.nan
    return claim, hit


def recovered(apart: Floats, near: Bools, claims: Floats) -> tuple[Floats, Floats]:
    """Return claims and hits ``[b]`` of records, of each whether a reconstruction is near enough.

    apart, near: ``[k, b]``. The claim is that of the nearest reconstruction; an abstention where
    there is none.
    """
    sure = np.flatnonzero(~np.isnan(claims))
    sure = sure[np.argsort(-claims[sure], kind="stable")]
    b = apart.shape[1]
    claim, hit = np.full(b, np.nan), np.full(b, np.nan)
    if len(sure):
        there = np.isfinite(apart[sure].min(axis=0))
        nearest = sure[apart[sure].argmin(axis=0)]
        claim[there] = claims[nearest[there]]
        hit[there] = np.any(near[sure][:, there], axis=0)
    return claim, hit


def overlap(labels: Ints, claims: Floats, truth: Ints) -> tuple[Floats, Floats]:
    """Return claims and hits ``[b]`` of labels that are said to be those of b records.

    Of more than b the surest count. As many labels of a class are hits, the surest first, as
    records have it: a multiset, since nobody says which record has which. Labels that are not said
    are abstentions.
    """
    b = len(truth)
    made = np.flatnonzero(~np.isnan(claims))
    made = made[np.argsort(-claims[made], kind="stable")][:b]
    claim, hit = np.full(b, np.nan), np.full(b, np.nan)
    claim[: len(made)], hit[: len(made)] = claims[made], 0.0
    for c in np.unique(truth):
        hit[np.flatnonzero(labels[made] == c)[: np.count_nonzero(truth == c)]] = 1.0
    return claim, hit
