"""Gradient inversion: records of a client's batch, from the update that the client sent.

Success: the client's batch against a batch of as many other records, by the same procedure. How
records are drawn and how far they are apart: ``batches``; how an answer is compared: ``naming``.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from attrs import field, fields, frozen
from scipy.optimize import linear_sum_assignment

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.games.answers import check_claims, wrong
from leakpro_core.games.batches import Batch, Groups, distance, draw
from leakpro_core.games.naming import IDENTIFIED, LABELS, RECOVERED, Said, rounds, said
from leakpro_core.games.narrowing import auxiliary_to, copied, disclosed_to, values_to
from leakpro_core.games.outcome import Refereed
from leakpro_core.records import (
    Auxiliary,
    ClientUpdate,
    Disclosed,
    Evidence,
    UpdateRelease,
    named_arrays,
)

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

REUSED = 8
"""Times that a non-member may be a decoy, on average, before the report says so. Where the same few
are decoys of all batches, an attack that says the same of each is lucky or not in all at once: at
up to 8 times it passes a test at 5% about as often as it should, at 100 times one time in four
(batches of 64, ``bench/results/inversion_null.json``)."""


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
    """Return what an adversary who ``knows`` so much (``plan.OF_CLIENTS``) gets: no truth.

    Weights and update are copies; auxiliary records are read-only. Labels come sorted, since their
    order would tell which record is which's; they also tell how many records there are.
    """
    labels = update.labels if "labels" in knows else None
    return InversionChallenge(
        model=model,
        before=copied(update.before),
        update=values_to(knows, update.values, release),
        disclosed=disclosed_to(knows, release.disclosed),
        labels=None if labels is None else np.sort(labels),
        buffers=release.buffers,
        shape=shape,
        classes=classes,
        modality=modality,
        groups=release.groups,
        auxiliary=auxiliary_to(knows, auxiliary),
    )


def guess(batch: Batch, auxiliary: Auxiliary, seed: int, *, labels: bool) -> InversionAnswer:
    """Return what an adversary who never saw the update says: auxiliary records, claims 0.

    As many as the batch has, drawn at random, with their labels; where it knows the batch's
    ``labels`` of these, or any where auxiliary has none of a class.
    """
    rng = np.random.default_rng([seed, batch.subject])
    rows = np.empty(batch.size, np.int64)
    every = np.arange(len(auxiliary.labels))
    of = batch.labels if labels else np.zeros(batch.size, np.int64)
    for c in np.unique(of):
        wanted = np.flatnonzero(of == c)
        alike = np.flatnonzero(auxiliary.labels == c) if labels else every
        these = alike if len(alike) else every
        rows[wanted] = rng.choice(these, len(wanted), replace=len(these) < len(wanted))
    return InversionAnswer(
        records=None if auxiliary.records is None else auxiliary.records[rows],
        labels=batch.labels if labels else auxiliary.labels[rows],
        claims=np.zeros(batch.size),
        certified=np.zeros(batch.size, np.bool_),
    )


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

    A subject is a batch, in either arm. Exposed is the client's batch, control the decoy batch:
    each is pooled with the same N decoys. Facets, of which all claims together are the first:

    - "identified", a round a reconstruction (``naming.identified``), luck b / (b + N) in either
      arm, whatever is guessed without the update: the data set's mean, a blurred picture, a flat
      colour. Only what is taken from the batch does better: the flat mean colour of the record
      itself is identified nine times as often in batches of one, twice in batches of eight, and
      hardly ever recovered (CIFAR-10, ``bench/results/inversion_null.json``): identified is not
      recovered;
    - "recovered", a round a record of the arm's batch (``naming.recovered``);
    - "labels", a round a label (``naming.overlap``), where the adversary does not know them and
      some answer has labels; alone where no answer has records.

    Batches of which the attack says nothing, or less than there are records, have rounds all the
    same: abstentions. guesses: the blind adversary's, one a batch, None where there is none; every
    round of a batch is beside the mean of its hits, of "recovered" beside the record's own.
    Notes of the answers are repeated once each.

    ``WrongAnswer`` for an answer that the game has no use for.
    """
    for answer, batch in zip(answers, batches, strict=True):
        if answer is not None:
            _check(answer, batch, attack, modality, classes)
    facets = _facets(answers, labels_known=labels_known)
    parts = []
    for answer, blind, batch in zip(answers, guesses, batches, strict=True):
        theirs, lucky = (_said(a, batch, modality, groups) for a in (answer, blind))
        for number, facet in enumerate(facets):
            for exposed in (True, False):
                columns = rounds(facet, theirs, lucky, batch, exposed=exposed)
                parts.append(columns | {"facet": np.full(len(columns["hit"]), number)})
    evidence = _evidence(parts)
    first = evidence.exposed & (evidence.facet == 0)
    return Refereed(
        evidence=evidence,
        facets=facets,
        nested=True,
        asked=int(first.sum()),
        made=int(np.count_nonzero(~np.isnan(evidence.claim[first]))),
        notes=_notes(answers, batches),
    )


def matching(answer: InversionAnswer, batch: Batch, *, modality: str, groups: Groups) -> Ints:
    """Return the reconstruction that the Hungarian method gives each record, int64 ``[b]``.

    The sum of distances is least; -1 for records that get none. For exhibits only: it looks at the
    truth, so that nothing follows from it.
    """
    given = np.full(batch.size, -1)
    if answer.records is None or not len(answer.records):
        return given
    apart = distance(
        answer.records, batch.records, modality=modality, scale=batch.scale, groups=groups
    )
    finite = np.isfinite(apart)
    # Farther than all the others together: taken last.
    far = 1.0 + float(apart[finite].max(initial=0.0)) * (1 + min(apart.shape))
    rows, columns = linear_sum_assignment(np.where(finite, apart, far))
    there = finite[rows, columns]
    given[columns[there]] = rows[there]
    return given


def certificate(
    answer: InversionAnswer, batch: Batch, *, modality: str, groups: Groups
) -> tuple[int, int]:
    """Return how many certified reconstructions are right, and how many are wrong.

    Right: near enough to a record of the batch, as for "recovered".
    """
    said_so = _said(answer, batch, modality, groups)
    count = int(answer.certified.sum())
    if said_so is None or said_so.near is None:
        return 0, count
    right = int(said_so.near[answer.certified, : batch.size].any(axis=1).sum())
    return right, count - right


def _check(answer: InversionAnswer, batch: Batch, attack: str, modality: str, classes: int) -> None:
    records, labels, b = answer.records, answer.labels, batch.size
    said_of = records if records is not None else labels
    k = 0 if said_of is None else len(said_of)
    most = 4 * b + 64
    if k > most:
        raise wrong(attack, f"{k} reconstructions", f"at most {most} of a batch of {b}")
    check_claims(answer.claims, k, attack)
    if answer.certified.shape != (k,):
        raise wrong(attack, f"certified of shape {answer.certified.shape}", f"({k},)")
    if records is not None:
        shape = (k, *batch.records.shape[1:])
        if records.shape != shape:
            raise wrong(attack, f"records of shape {records.shape}", str(shape))
        kinds, expected = ("iu", "whole numbers") if modality == "text" else ("fiu", "numbers")
        if records.dtype.kind not in kinds:
            raise wrong(attack, f"records of dtype {records.dtype}", expected)
    if labels is not None:
        if labels.shape != (k,):
            raise wrong(attack, f"labels of shape {labels.shape}", f"({k},)")
        outside = np.flatnonzero((labels < 0) | (labels >= classes))
        if outside.size:
            raise wrong(attack, f"label {labels[outside[0]]}", f"one from 0 to {classes - 1}")


def _facets(answers: Sequence[InversionAnswer | None], *, labels_known: bool) -> tuple[str, ...]:
    there = [answer for answer in answers if answer is not None]
    labels = not labels_known and any(answer.labels is not None for answer in there)
    records = any(answer.records is not None for answer in there)
    if not records and labels:
        return (LABELS,)
    return (IDENTIFIED, RECOVERED, LABELS) if labels else (IDENTIFIED, RECOVERED)


def _said(
    answer: InversionAnswer | None, batch: Batch, modality: str, groups: Groups
) -> Said | None:
    if answer is None:
        return None
    return said(
        answer.records, answer.labels, answer.claims, batch, modality=modality, groups=groups
    )


def _evidence(parts: Sequence[Mapping[str, AnyArray]]) -> Evidence:
    names = [f.name for f in fields(Evidence) if f.name != "round"]
    return Evidence(**{n: np.concatenate([np.zeros(0), *(p[n] for p in parts)]) for n in names})


def _notes(answers: Sequence[InversionAnswer | None], batches: Sequence[Batch]) -> tuple[str, ...]:
    notes = dict.fromkeys(note for a in answers if a is not None for note in a.notes)
    drawn = sum(len(batch.decoys) for batch in batches)
    source = max((batch.source for batch in batches), default=0)
    if source and drawn > REUSED * source:
        notes[
            f"Decoys of {len(batches)} batches are {drawn:,} draws from {source:,} non-members: an "
            "attack that says the same of every batch may look better, or worse, than it is."
        ] = None
    return tuple(notes)
