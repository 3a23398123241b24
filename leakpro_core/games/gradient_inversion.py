"""Gradient inversion: records of a client's batch, from the update that the client sent.

Success: the client's batch against a batch of as many other records, by the same procedure.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.games.batches import Batch, Groups, distance, draw
from leakpro_core.games.outcome import Refereed
from leakpro_core.records import Auxiliary, ClientUpdate, Disclosed, UpdateRelease, named_arrays

__all__ = [
    "IDENTIFIED",
    "LABELS",
    "RECOVERED",
    "Batch",
    "InversionAnswer",
    "InversionChallenge",
    "certificate",
    "challenge",
    "distance",
    "draw",
    "guess",
    "matching",
    "referee",
]

IDENTIFIED = "identified"
"""The facet of reconstructions that are nearer to a record of the batch than to any other."""

RECOVERED = "recovered"
"""The facet of records of the batch that some reconstruction is near enough to."""

LABELS = "labels"
"""The facet of labels of the batch, where the adversary does not know them."""


@frozen(kw_only=True)
class InversionChallenge:
    """What the adversary gets.

    model: the framework's own object, which must not be changed; before: the global model by name;
    update: what was sent, by the same names; disclosed: what the adversary knows of how it came
    about, ``examples`` the number of records if it knows it.
    labels: int64 ``[b]``, sorted, or None where the adversary does not know them; buffers: names
    that are no parameters; shape: of a record; classes; modality: "image", "tabular" or "text"
    (int64 tokens).
    groups: columns of tabular records that are one category each, one-hot.
    auxiliary: records of the same source that are in no update, or None.
    """

    model: object
    before: Mapping[str, AnyArray] = field(converter=named_arrays, eq=False, repr=False)
    update: Mapping[str, AnyArray] = field(converter=named_arrays, eq=False, repr=False)
    disclosed: Disclosed
    labels: Ints | None = array(np.int64, optional=True)
    buffers: tuple[str, ...] = ()
    shape: tuple[int, ...]
    classes: int
    modality: str
    groups: tuple[tuple[int, ...], ...] = ()
    auxiliary: Auxiliary | None = None


@frozen(kw_only=True)
class InversionAnswer:
    """What the adversary says of the batch.

    records: ``[k, ...]``, reconstructions, k as many as it makes; None where it says labels only.
    labels: int64 ``[k]``, of the reconstructions; of the batch, in any order, where ``records`` is
    None; None where it says nothing of them.
    claims: float64 ``[k]``, how sure of each; NaN abstains.
    certified: bool ``[k]``, reconstructions that are shown to be right by the update alone.
    residual: relative distance of the update that the reconstructions give from the one that was
    sent, by the adversary's own measure; NaN where it has none. notes: sentences for the report.
    """

    records: AnyArray | None = array(optional=True)
    labels: Ints | None = array(np.int64, optional=True)
    claims: Floats = array(np.float64)
    certified: Bools = array(np.bool_)
    residual: float = float("nan")
    notes: tuple[str, ...] = ()


def challenge(
    update: ClientUpdate,
    release: UpdateRelease,
    *,
    model: object,
    knows: Collection[str],
    shape: tuple[int, ...],
    classes: int,
    modality: str,
    auxiliary: Auxiliary | None,
) -> InversionChallenge:
    """Return what an adversary who ``knows`` so much gets of an update: copies, and no truth."""
    raise NotImplementedError


def guess(batch: Batch, auxiliary: Auxiliary, seed: int, *, labels: bool) -> InversionAnswer:
    """Return what an adversary who never saw the update says: auxiliary records, claims 0.

    labels: whether it knows the batch's labels and takes records of these where there are some.
    """
    raise NotImplementedError


def referee(
    answers: Sequence[InversionAnswer | None],
    batches: Sequence[Batch],
    guesses: Sequence[InversionAnswer | None],
    *,
    attack: str,
    modality: str,
    groups: Groups,
    classes: int,
    labels_known: bool,
) -> Refereed:
    """Compare one attack's answers, one a batch (None: none could be given), with the batches.

    guesses: the blind adversary's, one a batch, None where there is none.
    ``WrongAnswer`` for an answer that the game has no use for.
    """
    raise NotImplementedError


def matching(answer: InversionAnswer, batch: Batch, *, modality: str, groups: Groups) -> Ints:
    """Return the reconstruction that the Hungarian method gives each record, int64 ``[b]``.

    -1 where it gives none. For exhibits only: it looks at the truth, so that nothing follows.
    """
    raise NotImplementedError


def certificate(
    answer: InversionAnswer, batch: Batch, *, modality: str, groups: Groups
) -> tuple[int, int]:
    """Return how many certified reconstructions are right, and how many are wrong."""
    raise NotImplementedError
