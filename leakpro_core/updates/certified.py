"""What an attack demonstrates by the update alone, checked by core: no truth is needed for it.

An attack certifies reconstructions as the only records that the update allows. Core cannot prove
that, but whether they give the update that was sent: the client's own procedure is asked.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Floats
from leakpro_core.errors import LeakProError
from leakpro_core.games import gradient_inversion
from leakpro_core.games.gradient_inversion import InversionAnswer
from leakpro_core.records import ClientUpdate, UpdateRelease
from leakpro_core.report import Certified
from leakpro_core.seeds import spawn
from leakpro_core.updates.stage import Item, UpdateStage

CLOSE = 1e-3
"""Relative residual at which reconstructions reproduce an update, fixed beforehand."""

CLOSE_IN_HALVES = 1e-2
"""The same of updates that were sent as float16 or bfloat16."""


@frozen(kw_only=True)
class Checked:
    """The certificates of one attack as one adversary.

    certified: what became of them; shown: records of ``batches`` whose certificate stands: core
    reproduces the update by them, and the client's batch, where it was given, agrees; residual:
    the largest of these; refused: why others do not stand, sentences.
    """

    certified: Certified
    shown: int = 0
    batches: int = 0
    residual: float = 0.0
    refused: tuple[str, ...] = ()


def check(
    stage: UpdateStage, answers: Sequence[InversionAnswer | None], attack: str
) -> Checked | None:
    """Return what became of an attack's certificates; None where it gives none.

    One that the truth shows to be wrong discredits all of the attack's: none is then shown.
    """
    right = wrong = unjudged = shown = batches = 0
    largest, refused = 0.0, []
    for item in stage.items:
        answer = answers[item.number]
        if answer is None or answer.records is None or not answer.certified.any():
            continue
        count = int(answer.certified.sum())
        if item.batch is None:
            unjudged += count
        else:
            good, bad = gradient_inversion.certificate(
                answer, item.batch, modality=stage.modality, groups=stage.release.groups
            )
            right, wrong = right + good, wrong + bad
        found = reproduced(stage, item, answer)
        if isinstance(found, float) and found <= close(stage.release):
            shown, batches, largest = shown + count, batches + 1, max(largest, found)
        else:
            refused.append(_refusal(attack, item, found, close(stage.release)))
    if not right + wrong + unjudged:
        return None
    result = Certified(right=right, wrong=wrong, unjudged=unjudged)
    if wrong:
        why = f"{wrong:,} of the certificates of {attack} are wrong, so none of them is believed."
        return Checked(certified=result, refused=(why,))
    return Checked(
        certified=result, shown=shown, batches=batches, residual=largest, refused=tuple(refused)
    )


def close(release: UpdateRelease) -> float:
    """Return the relative residual at which an update counts as reproduced."""
    halves = ("float16", "bfloat16")
    return CLOSE_IN_HALVES if release.disclosed.dtype in halves else CLOSE


def reproduced(stage: UpdateStage, item: Item, answer: InversionAnswer) -> float | str:
    """Return how far the update that reconstructions give is from the one that was sent.

    Relative, see ``residual``; or why that cannot be told.
    """
    examples, labels = stage.release.disclosed.examples, answer.labels
    if answer.records is None or labels is None:
        return "the attack gives no labels beside them"
    if examples is not None and len(answer.records) != examples:
        return f"they are {len(answer.records):,} records, and the update is of {examples:,}"
    sent = stage.sent(item)
    try:
        again = stage.client.update(
            sent.before, answer.records, labels, spawn(stage.seed, "certificate", item.number)
        )
        return residual(sent, again, stage.release)
    except LeakProError as error:
        return str(error).rstrip(".")


def residual(sent: ClientUpdate, again: Mapping[str, AnyArray], release: UpdateRelease) -> float:
    """Return the L2 distance of two updates over the length of the first, parameters only.

    Of weights that are sent, that of how they moved: they hardly differ from those before.
    Infinite where nothing was sent.
    """
    names = [
        name
        for name, value in sent.values.items()
        if name not in release.buffers and name in again and value.dtype.kind == "f"
    ]
    one, other = (_moved(sent.before, values, names, release) for values in (sent.values, again))
    length = float(np.linalg.norm(one))
    return float(np.linalg.norm(other - one)) / length if length else float("inf")


def _moved(
    before: Mapping[str, AnyArray],
    values: Mapping[str, AnyArray],
    names: Sequence[str],
    release: UpdateRelease,
) -> Floats:
    weights = release.disclosed.kind == "weights"
    parts = [np.zeros(0)]
    for name in names:
        value = np.asarray(values[name], np.float64)
        parts.append(np.ravel(value - np.asarray(before[name], np.float64) if weights else value))
    return np.concatenate(parts)


def _refusal(attack: str, item: Item, found: float | str, wanted: float) -> str:
    if isinstance(found, float):
        found = (
            f"the update that they give differs from the one that was sent by {found:.2g} of its "
            f"length, and {wanted:g} is asked for"
        )
    return f"What {attack} certified of batch {item.number + 1} was not accepted: {found}."
