"""A client's batch and the decoys beside it: how they are drawn, and how far records are apart."""

from collections.abc import Sequence
from math import prod

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.errors import BadArray
from leakpro_core.records import Auxiliary

Groups = Sequence[Sequence[int]]
"""Columns of tabular records that are one category each, one-hot."""

EXACT = 1e-4
"""Relative distance up to which records are equal: what single precision leaves of a division."""

_CLOSE = 1e-4
"""Squared distance, relative to the squared norms, below which their product loses digits."""

_BLOCK = 1 << 22
"""Numbers of float64 in a block of work, at most."""


@frozen(kw_only=True)
class Batch:
    """What core keeps to itself about one batch of b records.

    subject: the number of the batch; records ``[b, ...]``, labels int64 ``[b]``.
    decoys: ``[b + N, ...]`` non-members, decoy_labels int64 ``[b + N]``: the first b are the decoy
    batch of the control arm; the other N are pooled with the batch in the exposed arm and with the
    decoy batch in the control arm, so that in either a reconstruction names one of b + N records.
    control_labels: int64 ``[b]``, of b non-members drawn whatever their class, for "labels".
    scale: float64 ``[columns]`` of tabular records (see ``distance``), else None.
    near, decoy_near: float64 ``[b]``, half of the distance of each record of the batch, and of the
    decoy batch, to its nearest auxiliary record; 0 where there is none.
    source: how many non-members the decoys were drawn from, 0 where it is not known.
    """

    subject: int
    records: AnyArray = array()
    labels: Ints = array(np.int64)
    decoys: AnyArray = array()
    decoy_labels: Ints = array(np.int64)
    control_labels: Ints = array(np.int64)
    scale: Floats | None = array(np.float64, optional=True)
    near: Floats = array(np.float64)
    decoy_near: Floats = array(np.float64)
    source: int = field(default=0)

    @property
    def size(self) -> int:
        """Number of records in the batch, b."""
        return len(self.labels)

    @property
    def null_p(self) -> float:
        """Chance that a reconstruction which knows nothing names one of the batch: b / (b + N)."""
        return self.size / len(self.decoys)


def distance(
    a: AnyArray, b: AnyArray, *, modality: str, scale: Floats | None, groups: Groups = ()
) -> Floats:
    """Return the distance of each of ``a`` to each of ``b``, float64 ``[len(a), len(b)]``.

    Tabular: the root of the mean square over columns of their difference over ``scale``; a one-hot
    group is one column, 1 where the largest entry is another and else 0. Text: the share of
    positions with another token. Anything else: the root of the mean squared difference of values.
    Infinite where a record is not finite. Distances are right to about 1e-10 of their own size, so
    that ties of equal records are ties, whatever the matrix product does.
    """
    if modality == "text":
        return _differing(_rows(a), _rows(b))
    left, right = (_embedded(x, modality, scale, groups) for x in (a, b))
    usable = [np.isfinite(x).all(axis=1) for x in (left, right)]
    if usable[0].all() and usable[1].all():
        return _euclidean(left, right)
    found = np.full((len(a), len(b)), np.inf)
    found[np.ix_(*usable)] = _euclidean(left[usable[0]], right[usable[1]])
    return found


def reached(
    apart: Floats,
    records: AnyArray,
    near: Floats,
    *,
    modality: str,
    scale: Floats | None,
    groups: Groups,
) -> Bools:
    """Return whether something at distance ``apart``, ``[k, n]``, is near enough to be a record.

    Nearer than ``near`` ``[n]``, half of the record's distance to its nearest auxiliary record; or
    equal but for rounding: by ``EXACT`` of the root mean square of its values, of one ``scale``
    where tabular, in all positions where text.
    """
    exact = np.full(len(records), 0.0 if modality == "text" else EXACT)
    if modality not in ("text", "tabular"):
        exact *= np.linalg.norm(_embedded(records, modality, scale, groups), axis=1)
    found: Bools = (apart < near) | (apart <= exact)
    return found


def draw(
    number: int,
    records: AnyArray,
    labels: Ints,
    others: AnyArray,
    other_labels: Ints,
    auxiliary: Auxiliary | None,
    *,
    decoys: int,
    modality: str,
    groups: Groups,
    seed: int,
) -> Batch:
    """Draw the decoys of batch ``number`` from ``others``: non-members, without replacement.

    Classes are matched in proportion: for each record of the batch the decoy batch has one of its
    class and the pool m, so that N = m b, the least such that N >= ``decoys``, or m as large as
    the class with the fewest non-members allows. Why in proportion: within a class of a pool
    records are exchangeable, and each has the same share b / (b + N) of the batch, so that
    whatever a reconstruction knows of classes (all of them, where labels leak), it names one of the
    batch with just that chance, unless it knows more of the batch than its labels. With one decoy
    more for some classes than for others this would not hold.

    Records that are alike stay: the likelier a record is, the more decoys are like it, and to leave
    these out, or to leave one of them, would let who guesses the commonest record name the batch
    too often. Decoys at exactly the same distance as a record of the batch share the hit with it
    (see ``gradient_inversion.referee``); a decoy that is merely alike is not as near as the record
    itself to a reconstruction that is right.

    ``scale`` is taken over batch, decoys and auxiliary together, in which nobody's arm shows.

    ``BadArray`` where a class of the batch has fewer than two non-members for each of its records.
    """
    rng = np.random.default_rng([seed, number])
    rows = _matched(labels, other_labels, decoys, rng)
    chosen = others[rows]
    aside = None if auxiliary is None else auxiliary.records
    scale = None
    if modality == "tabular":
        scale = _scale([records, chosen] + ([] if aside is None else [aside]))
    both = np.concatenate([records, chosen[: len(labels)]])
    near = _near(both, aside, modality=modality, scale=scale, groups=groups)
    return Batch(
        subject=number,
        records=np.array(records),
        labels=np.array(labels),
        decoys=chosen,
        decoy_labels=other_labels[rows],
        control_labels=rng.choice(other_labels, len(labels), replace=False),
        scale=scale,
        near=near[: len(labels)],
        decoy_near=near[len(labels) :],
        source=len(others),
    )


def _matched(labels: Ints, other_labels: Ints, decoys: int, rng: np.random.Generator) -> Ints:
    """Return rows of non-members: blocks of b, each of the classes of the batch."""
    if not len(labels):
        raise BadArray("a batch of a client", found="no record", expected="at least one")
    classes, kind, count = np.unique(labels, return_inverse=True, return_counts=True)
    there = np.array([np.count_nonzero(other_labels == c) for c in classes])
    blocks = min(1 + -(-decoys // len(labels)), int((there // count).min()))
    if blocks < 2:
        short = int(np.argmin(there / count))
        raise BadArray(
            f"non-members of class {classes[short]}, from whom decoys are drawn",
            found=str(there[short]),
            expected=f"{2 * count[short]} or more, for {count[short]} records of it in a batch of "
            f"{len(labels)}; for {decoys} decoys {count[short] * (1 + -(-decoys // len(labels)))}",
            fix="Give more records that are not the clients', or take smaller batches.",
        )
    rows = np.empty((blocks, len(labels)), np.int64)
    for c, n in enumerate(count):
        mine = rng.choice(np.flatnonzero(other_labels == classes[c]), blocks * n, replace=False)
        rows[:, kind.reshape(-1) == c] = mine.reshape(blocks, n)
    return rows.reshape(-1)


def _scale(parts: Sequence[AnyArray]) -> Floats:
    """Return the standard deviation of each column over all parts, 1 where it is 0."""
    columns = np.concatenate([_rows(p) for p in parts]).astype(np.float64)
    deviation: Floats = columns.std(axis=0)
    # What is one value but for rounding has no scale of its own.
    deviation[deviation <= 1e-12 * np.abs(columns).max(axis=0)] = 1.0
    return deviation


def _near(
    records: AnyArray,
    auxiliary: AnyArray | None,
    *,
    modality: str,
    scale: Floats | None,
    groups: Groups,
) -> Floats:
    """Return half of the distance of each record to its nearest auxiliary record."""
    if auxiliary is None or not len(auxiliary):
        return np.zeros(len(records))
    nearest = np.full(len(records), np.inf)
    step = max(1, _BLOCK // max(1, prod(auxiliary.shape[1:])))
    for start in range(0, len(auxiliary), step):
        part = auxiliary[start : start + step]
        found = distance(records, part, modality=modality, scale=scale, groups=groups)
        np.minimum(nearest, found.min(axis=1), out=nearest)
    nearest[~np.isfinite(nearest)] = 0.0
    return nearest / 2.0


def _rows(x: AnyArray) -> AnyArray:
    """Return each record as one row, where there is none, too."""
    return x.reshape(len(x), prod(x.shape[1:]))


def _embedded(x: AnyArray, modality: str, scale: Floats | None, groups: Groups) -> Floats:
    """Return points whose Euclidean distance is the distance of the records, ``[n, dimensions]``.

    A group's category is a corner at distance 1 from the others; a record with a number that is
    not finite is not finite.
    """
    values: Floats = _rows(x).astype(np.float64)
    width = values.shape[1]
    if modality != "tabular":
        values /= np.sqrt(max(1, width))
        return values
    grouped = sum(len(group) for group in groups)
    with np.errstate(over="ignore"):
        points: Floats = values / (1.0 if scale is None else scale)
    for group in groups:
        members = list(group)
        finite = np.isfinite(values[:, members]).all(axis=1)
        corner = values[:, members].argmax(axis=1)
        points[:, members] = np.where(finite, 0.0, np.nan)[:, None]
        rows = np.flatnonzero(finite)
        points[rows, np.array(members)[corner[rows]]] = np.sqrt(0.5)
    points /= np.sqrt(max(1, width - grouped + len(groups)))
    return points


def _euclidean(a: Floats, b: Floats) -> Floats:
    """Return Euclidean distances ``[len(a), len(b)]`` of finite points."""
    if not a.size or not b.size:
        return np.zeros((len(a), len(b)))
    middle = b.mean(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        a, b = a - middle, b - middle
        norms = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)
        squares = norms - 2.0 * (a @ b.T)
        rows, columns = np.nonzero(squares < _CLOSE * norms)
        step = max(1, _BLOCK // a.shape[1])
        for start in range(0, len(rows), step):
            i, j = rows[start : start + step], columns[start : start + step]
            squares[i, j] = ((a[i] - b[j]) ** 2).sum(axis=1)
    # What is too large for float64 is as far as can be.
    squares[~np.isfinite(squares)] = np.inf
    found: Floats = np.sqrt(squares)
    return found


def _differing(a: AnyArray, b: AnyArray) -> Floats:
    """Return the share of positions at which token sequences differ."""
    found = np.zeros((len(a), len(b)))
    step = max(1, _BLOCK // max(1, b.size))
    for start in range(0, len(a), step):
        part = a[start : start + step, None] != b[None]
        found[start : start + step] = part.mean(axis=2) if b.shape[1] else 0.0
    return found
