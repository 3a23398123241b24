"""Is an update what it is declared to be? A wrong kind turns every answer into its opposite."""

from collections.abc import Mapping

import numpy as np

from leakpro_core.arrays import AnyArray, Floats
from leakpro_core.records import ClientUpdate, Disclosed
from leakpro_fl.seen import read

_ALIKE = 0.9
_UNLIKE = 0.5
_MAJORITY = 0.8
_CLASSES = 5
_SMALL = 1e-3
_COUNTED = 1e-2


def doubts(
    update: ClientUpdate, disclosed: Disclosed, buffers: tuple[str, ...], what: str
) -> tuple[str, ...]:
    """Return what speaks against the declared kind, as sentences for the report.

    First by size and direction: a gradient or delta hardly points where the weights themselves do
    (cosine above .9, length within a factor of 2), and weights after local training do (cosine
    above .5). Then by the last layer's bias, see ``contradicted``.
    """
    names = [n for n in update.values if n not in buffers]
    moved = _flat({n: update.values[n] for n in names})
    old = _flat({n: update.before[n] for n in names})
    lengths = float(np.linalg.norm(moved)), float(np.linalg.norm(old))
    if not lengths[0]:
        return (f"{what} is zero everywhere: nothing can be read from it.",)
    alike = float(moved @ old) / (lengths[0] * lengths[1]) if lengths[1] else None
    if alike is not None and disclosed.kind == "weights" and alike < _UNLIKE:
        return (
            f"{what} is declared weights, but hardly points where the global model does (cosine "
            f"{alike:.2f}): is it a delta, or another model's?",
        )
    near = 0.5 <= lengths[0] / lengths[1] <= 2.0 if lengths[1] else False
    if alike is not None and disclosed.kind != "weights" and near and alike > _ALIKE:
        return (
            f"{what} is declared a {disclosed.kind}, but looks like weights: its cosine with the "
            f"global model is {alike:.2f}.",
        )
    if disclosed.kind == "weights" and np.array_equal(moved, old):
        return (f"{what} is the global model unchanged: nothing can be read from it.",)
    if disclosed.noise:
        return ()
    as_gradient = read(update, disclosed, buffers)
    last = as_gradient.gradient[names[-1]].numpy()
    found = contradicted(last, disclosed.examples, scaled=as_gradient.scaled)
    other = {
        "gradient": "is it a delta, whose sign is the opposite one?",
        "delta": "is it a gradient, whose sign is the opposite one, or are its learning rate and "
        "steps others?",
        "weights": "is the global model another one, or are the two exchanged?",
    }[disclosed.kind]
    return () if not found else (f"{what} is declared a {disclosed.kind}, but {found}: {other}",)


def contradicted(bias: Floats, examples: int | None, *, scaled: bool) -> str:
    """Return why ``bias`` is no gradient of a last bias by the mean loss; "" where it may be one.

    bias: float64 ``[classes]``, the update as a gradient; examples: records of all clients, or None
    where not known; scaled: whether its length is that of a gradient.

    The gradient of the cross-entropy by the last bias is, averaged over records and steps, softmax
    minus the share of the class. So it sums to 0; where it does not, nothing is said. It is above 0
    for each class that no record has, and its positive entries sum to at most 1. Three tests, on
    entries of at least a hundredth of the largest:

    1. more entries below 0 than there are records: impossible;
    2. positive entries that sum to more than 1.05, where ``scaled``: impossible but for rounding;
    3. at least 5 classes and more than .8 of the entries below 0: a batch of few classes with the
       sign turned.

    What is declared rightly is hardly ever doubted, and about half of what is declared wrongly is
    not: batches of many classes look alike with the sign turned. ``bench/declared.py`` counts. So
    no doubt is no proof.
    """
    sizes = np.abs(bias)
    if bias.ndim != 1 or len(bias) < 2 or not sizes.max() > 0:
        return ""
    if abs(bias.sum()) > _SMALL * sizes.sum():
        return ""
    counted = bias[sizes >= _COUNTED * sizes.max()]
    below = int((counted < 0).sum())
    if examples is not None and below > examples:
        return (
            f"by the last layer's bias at least {below} classes are among {examples} "
            f"record{'s' * (examples > 1)}"
        )
    if scaled and counted[counted > 0].sum() > 1.05:
        return "the last layer's bias moved further than it can"
    if len(counted) >= _CLASSES and below > _MAJORITY * len(counted):
        return f"by the last layer's bias {below} of {len(counted)} classes are in the batch"
    return ""


def _flat(arrays: Mapping[str, AnyArray]) -> Floats:
    return np.concatenate([np.asarray(v, np.float64).reshape(-1) for v in arrays.values()])
