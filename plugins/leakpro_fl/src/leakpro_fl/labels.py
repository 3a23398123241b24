"""The labels of a client's batch, from the gradient of the last linear layer.

With p the softmax of a record's logits and y its label one-hot, the mean loss has the bias gradient
``mean(p - y)``, so class k has ``b (mean(p_k) - bias gradient_k)`` records (Zhao, Mopuri, Bilen
2020, section 3; Wainakh et al. 2022 for batches and the weights). Unknown is the mean of p over the
batch. Here it comes from the update itself: features of the last layer whose gradients, under the
model's own softmax, add up to those that were sent.
"""

import numpy as np
import torch
from attrs import field, frozen
from leakpro_torch.modules import threads
from scipy.optimize import nnls
from torch import Tensor, nn

from leakpro_core.arrays import Floats, Ints
from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_fl.linear import last, passed
from leakpro_fl.procedure import Steps, own, state_of, steps_of
from leakpro_fl.seen import Seen, seen
from leakpro_fl.sizes import MOST, size_told

_PROBES = 80
_AXES = 16
"""Directions of the features in which gradients are compared."""

_AMOUNTS = 800
"""Unknowns of the linear problem: probes times classes."""

_PATH = 6
"""Points between the weights before and after at which the model is asked."""


@frozen(kw_only=True)
class Head:
    """A model's last linear layer. weight, bias: names of its parameters; bias None: it has none.

    features: float64 ``[points, probes, d]``, its inputs for made-up or auxiliary records, with the
    weights at each point of local training; weights ``[points, classes, d]``, biases
    ``[points, classes]``: of the layer there; share ``[points]``: of the update made there.
    """

    weight: str
    bias: str | None
    features: Floats = field(repr=False)
    weights: Floats = field(repr=False)
    biases: Floats = field(repr=False)
    share: Floats = field(repr=False)


def attack(challenge: InversionChallenge, options: object, run: Run) -> InversionAnswer:
    """Claim the labels of the batch, and say no more.

    A claim is minus the distance of the class's count from a whole number.
    ``NotApplicable`` where the labels are known, or nothing tells how many there are.
    """
    if challenge.labels is not None:
        raise NotApplicable(
            "attack 'labels'", found="labels that are known", expected="an adversary without them"
        )
    observed = seen(challenge)
    b = size_of(observed, challenge, seed=run.seed)
    with threads(1):
        counts = counts_of(observed, challenge, b, seed=run.seed)
    labels = nearest_multiset(counts, b)
    whole = np.bincount(labels, minlength=challenge.classes)
    return InversionAnswer(
        labels=labels,
        claims=-np.abs(counts - whole)[labels],
        certified=np.zeros(b, dtype=np.bool_),
    )


def labels_of(observed: Seen, challenge: InversionChallenge, b: int, *, seed: int = 0) -> Ints:
    """Return the labels of a batch of ``b`` records, int64 ``[b]``, sorted.

    Those that the adversary knows, or the multiset that the update tells.
    ``NotApplicable`` where the update has no last linear layer.
    """
    if challenge.labels is not None and len(challenge.labels) == b:
        return challenge.labels
    with threads(1):
        return nearest_multiset(counts_of(observed, challenge, b, seed=seed), b)


def size_of(observed: Seen, challenge: InversionChallenge, *, seed: int = 0) -> int:
    """Return how many records the update was made of: as disclosed, else estimated.

    The smallest number of records that makes whole numbers of the shares of classes.
    ``NotApplicable`` where only the direction of the gradient is known, or the shares are of no
    number of records more than luck would have it.
    """
    if challenge.disclosed.examples is not None:
        return challenge.disclosed.examples
    if challenge.labels is not None:
        return len(challenge.labels)
    what = "the number of records of an update"
    if not observed.scaled:
        raise NotApplicable(
            what,
            found="a gradient without its length",
            expected="the number of examples, or the learning rate",
        )
    with threads(1):
        found = size_told(counts_of(observed, challenge, 1, seed=seed))
    if found is None:
        raise NotApplicable(
            what,
            found="shares of classes that are those of no number of records in particular",
            expected=f"at most {MOST} records whose counts are near whole, or the number disclosed",
        )
    return found


def _off(counts: Floats, b: int) -> float:
    """Return how far counts are from those of a multiset, as a root of the mean square."""
    whole = np.bincount(nearest_multiset(counts, b), minlength=len(counts))
    return float(np.sqrt(np.mean((counts - whole) ** 2)))


def counts_of(observed: Seen, challenge: InversionChallenge, b: int, *, seed: int = 0) -> Floats:
    """Return how many records of each class, float64 ``[classes]``: at least 0, sum ``b``."""
    head = head_of(observed, challenge, seed)
    weight = observed.gradient[head.weight].numpy()
    bias = None if head.bias is None else observed.gradient[head.bias].numpy()
    if not observed.scaled:
        times = _length(head, weight, bias, b)
        weight, bias = times * weight, None if bias is None else times * bias
    return b * _shares(head, weight, bias)


def nearest_multiset(counts: Floats, b: int) -> Ints:
    """Return the multiset of ``b`` labels with the counts that are nearest (L2), sorted, int64.

    Ties go to the smaller class. Exact: a separable convex sum is least where each label in turn
    goes where it helps most.
    """
    whole = np.zeros(len(counts), dtype=np.int64)
    for _ in range(b):
        whole[np.argmax(counts - whole)] += 1
    return np.repeat(np.arange(len(counts)), whole)


def head_of(observed: Seen, challenge: InversionChallenge, seed: int) -> Head:
    """Return the layer whose output is the model's, and what it does with probes.

    ``NotApplicable`` where there is none, or its gradient was not sent.
    """
    module = own(challenge.model, train=challenge.disclosed.mode == "train")
    x = _probes(challenge, np.random.default_rng(seed))
    state = state_of(challenge.before)
    name = last(module, state, x[:2])
    weight, bias = f"{name}.weight", f"{name}.bias"
    if name is None or weight not in observed.gradient:
        raise NotApplicable(
            "labels from the last layer",
            found="no linear layer that gives the logits, with its gradient",
            expected="a torch.nn.Linear at the end of the model",
        )
    fractions, share = _path(observed, challenge)
    features, weights, biases = [], [], []
    for fraction in fractions:
        now = _between(challenge, state, float(fraction))
        features.append(passed(module, now, x, seed=seed)[0][name][0].double().numpy())
        weights.append(now[weight].double().numpy())
        biases.append(now[bias].double().numpy() if bias in now else np.zeros(challenge.classes))
    return Head(
        weight=weight,
        bias=bias if bias in observed.gradient else None,
        features=np.stack(features),
        weights=np.stack(weights),
        biases=np.stack(biases),
        share=share,
    )


def _probes(challenge: InversionChallenge, rng: np.random.Generator) -> Tensor:
    """Return records to ask the model with: auxiliary ones, or made-up ones."""
    auxiliary = challenge.auxiliary
    if auxiliary is not None and auxiliary.records is not None and len(auxiliary.records) > 1:
        chosen = rng.permutation(len(auxiliary.records))[:_PROBES]
        x = torch.from_numpy(np.array(auxiliary.records[chosen]))
        return x if challenge.modality == "text" else x.float()
    shape = challenge.shape
    if challenge.modality == "text":
        return torch.zeros(2, *shape, dtype=torch.int64)
    x = torch.from_numpy(rng.standard_normal((_PROBES, *shape)).astype(np.float32))
    if challenge.modality == "image" and len(shape) == 3:
        # Images are smooth: most probes are coarse noise with a colour of their own.
        coarse = torch.from_numpy(rng.standard_normal((64, shape[0], 4, 4)).astype(np.float32))
        colour = torch.from_numpy(rng.standard_normal((64, shape[0], 1, 1)).astype(np.float32))
        x[:64] = nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear") + 0.3 * colour
    for group in challenge.groups:
        x[:, list(group)] = 0.0
        x[np.arange(_PROBES), rng.choice(group, _PROBES)] = 1.0
    return x


def _between(
    challenge: InversionChallenge, before: dict[str, Tensor], fraction: float
) -> dict[str, Tensor]:
    """Return the weights so far along the straight line from those before to those after."""
    now = dict(before)
    if not fraction:
        return now
    for name, value in state_of(challenge.update).items():
        if name not in challenge.buffers and name in now:
            start = before[name]
            moved = value - start if challenge.disclosed.kind == "weights" else value
            now[name] = start + fraction * moved
    return now


def _path(observed: Seen, challenge: InversionChallenge) -> tuple[Floats, Floats]:
    """Return at which fractions of the update gradients were taken, and how much each counts."""
    if observed.single or challenge.disclosed.kind == "gradient":
        return np.zeros(1), np.ones(1)
    how = steps_of(challenge.disclosed) or Steps(lr=1.0)
    examples = challenge.disclosed.examples
    own_ = None if examples is None else examples // challenge.disclosed.clients
    count = _PATH if own_ is None else how.count(own_)
    # With one gradient all along: how far it has gone before each step, and how far each step goes.
    speed = np.array([(1 - how.momentum ** (t + 1)) / (1 - how.momentum) for t in range(count)])
    gone = np.concatenate([[0.0], np.cumsum(speed)])
    chosen = np.unique(np.linspace(0, count - 1, min(count, _PATH)).astype(int))
    weight = speed[::-1][chosen]
    return gone[chosen] / gone[-1], weight / weight.sum()


def _softmax(logits: Floats) -> Floats:
    each: Floats = np.exp(logits - logits.max(axis=-1, keepdims=True))
    each /= each.sum(axis=-1, keepdims=True)
    return each


def _own_features(head: Head, weight: Floats, bias: Floats | None) -> Floats:
    """Return features that the update itself suggests, ``[k, d]``.

    Where all records have nearly one vector of features, as in an untrained model, every row of the
    weight gradient is that vector times the bias gradient. Without a bias its length is unknown.
    """
    if bias is not None:
        square = float(bias @ bias)
        return np.outer(np.ones(1), bias @ weight / square) if square > 0 else weight[:0]
    mean = head.features[0].mean(axis=0)
    axis = np.linalg.svd(weight, full_matrices=False)[2][0]
    length = float(np.linalg.norm(mean)) * (1.0 if axis @ mean >= 0 else -1.0)
    return np.outer([1.0, 0.5, 0.75, 1.25, 1.5], length * axis)


def _shares(head: Head, weight: Floats, bias: Floats | None) -> Floats:
    """Return each class's share of the batch: at least 0, sum 1.

    Records of every class with the features of every probe, in amounts of at least 0, such that the
    gradients of the layer add up to those that were sent: a linear problem.
    """
    classes, points = weight.shape[0], len(head.share)
    features = head.features[:, :: -(-head.features.shape[1] // max(1, _AMOUNTS // classes))]
    extra = _own_features(head, weight, bias)
    features = np.concatenate([features, np.repeat(extra[None], points, axis=0)], axis=1)
    # The bias counts as a feature that is always there, as long as the features together.
    centre = features[0].mean(axis=0)
    unit = float(np.linalg.norm(centre)) or 1.0
    always = 0.0 if bias is None else unit
    about = features[0] if bias is None else features[0] - centre
    axes = np.linalg.svd(about, full_matrices=False)[2][:_AXES]
    rows: Floats = np.zeros((1 + len(axes), classes, features.shape[1], classes))
    for here, w, c, share in zip(features, head.weights, head.biases, head.share, strict=True):
        # Of a record with these features: how it moves each logit of each class's record.
        pull = _softmax(here @ w.T + c)[:, None, :] - np.eye(classes)
        along = np.hstack([np.full((len(here), 1), always), here @ axes.T])
        rows += share * np.einsum("mck,mf->fkmc", pull, along)
    sums = np.full((1, features.shape[1] * classes), 10.0 * unit)
    sent = np.vstack([np.zeros(classes) if bias is None else always * bias, axes @ weight.T])
    left = np.vstack([rows.reshape(sent.size, -1), sums])
    amounts = nnls(left, np.append(sent.reshape(-1), 10.0 * unit), maxiter=50 * left.shape[1])[0]
    found: Floats = amounts.reshape(-1, classes).sum(axis=0)
    found /= found.sum()
    return found


def _length(head: Head, weight: Floats, bias: Floats | None, b: int) -> float:
    """Return what a gradient of unknown length is to be multiplied by, for ``b`` records.

    Counts sum to b whatever the length; they are whole and at least 0 at few lengths only. Of
    those, the longest: at length 0 every batch looks like the model's own prediction.
    """
    extra = _own_features(head, weight, bias)
    if not len(extra):
        return 1.0
    moved = weight @ extra[0] / (extra[0] @ extra[0]) if bias is None else bias
    p = np.zeros(len(weight))
    for w, c, share in zip(head.weights, head.biases, head.share, strict=True):
        p += share * _softmax(w @ extra[0] + c)
    up = moved > 0
    longest = float(np.min(p[up] / moved[up])) if up.any() else 1.0
    lengths = longest * np.linspace(0.05, 1.0, 200)
    off = np.array([_off(np.maximum(b * (p - length * moved), 0.0), b) for length in lengths])
    return float(lengths[np.flatnonzero(off <= off.min() + 0.02)[-1]])
