"""Received updates that were made of the same records: these are one unit, however many rounds."""

from collections.abc import Sequence

import numpy as np
from attrs import evolve

from leakpro_core.arrays import Ints
from leakpro_core.games.gradient_inversion import Batch
from leakpro_core.games.outcome import Refereed


def units(batches: Sequence[Batch]) -> dict[int, int]:
    """Return the unit of each batch by its subject: the first of all that share records with it.

    A client that sends an update a round of the same records gives them away once.
    """
    parent = {batch.subject: batch.subject for batch in batches}

    def root(subject: int) -> int:
        while parent[subject] != subject:
            subject = parent[subject]
        return subject

    holder: dict[bytes, int] = {}
    for batch in batches:
        for record in batch.records:
            first = holder.setdefault(np.ascontiguousarray(record).tobytes(), batch.subject)
            one, other = sorted((root(first), root(batch.subject)))
            parent[other] = one
    return {subject: root(subject) for subject in parent}


def joined(refereed: Refereed, batches: Sequence[Batch]) -> Refereed:
    """Return the rounds with the unit of their batch as the subject, in either arm."""
    known = units(batches)
    e = refereed.evidence
    subject: Ints = np.array(
        [known[s] if s >= 0 else -1 - known[-1 - s] for s in e.subject.tolist()], np.int64
    )
    return evolve(refereed, evidence=evolve(e, subject=subject))
