"""Gradient inversion: records of a client's batch, from the update that the client sent.

Success: the client's batch against a batch of as many other records, by the same procedure.
"""

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.records import Auxiliary, Disclosed, named_arrays

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
