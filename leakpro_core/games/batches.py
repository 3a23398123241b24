"""A client's batch and the decoys beside it: how they are drawn, and how far records are apart."""

from collections.abc import Sequence

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Floats, Ints, array
from leakpro_core.records import Auxiliary

Groups = Sequence[Sequence[int]]


@frozen(kw_only=True)
class Batch:
    """What core keeps to itself about one batch of b records.

    subject: the number of the batch; records ``[b, ...]``, labels int64 ``[b]``.
    decoys: ``[b + N, ...]`` non-members, decoy_labels int64 ``[b + N]``: the first b are the decoy
    batch of the control arm; the other N are pooled with the batch in the exposed arm and with the
    decoy batch in the control arm, so that either arm names one of b + N records.
    control_labels: int64 ``[b]``, of b non-members drawn whatever their class, for "labels".
    scale: float64 ``[columns]`` of tabular records (see ``distance``), else None.
    near, decoy_near: float64 ``[b]``, half of the distance of each record of the batch and of the
    decoy batch to its nearest auxiliary record; 0 where there is none.
    source: how many non-members decoys were drawn from.
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
    """Return the distance of each of ``a`` to each of ``b``, float64 ``[len(a), len(b)]``."""
    raise NotImplementedError


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
    """Draw the decoys of a batch. ``BadArray`` where a class has too few non-members."""
    raise NotImplementedError
