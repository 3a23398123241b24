"""Exact records from the gradient of a fully connected first layer, with a certificate.

One record: each row of the weight gradient is the record times the entry of the bias gradient
(Phong et al. 2018, section 3). Batches before a ReLU: by rank and sparsity, see ``spear``. Several
steps of local training change nothing of that: every step adds to the same span.
"""

import math

import numpy as np
import torch
from attrs import field, frozen, validators
from leakpro_torch.modules import threads
from scipy.optimize import nnls
from torch import Tensor

from leakpro_core.arrays import Bools
from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_fl import certificate, low_rank, spear
from leakpro_fl.certificate import Match, Sender, Sent, match
from leakpro_fl.linear import first, slopes
from leakpro_fl.seen import seen


@frozen(kw_only=True)
class ExactOptions:
    """Options of attack "exact".

    samples: starts of the search for records of a batch, at most, where they are 16 and the layer
    has 200 neurons; fewer of more records, as each costs more.
    """

    samples: int = field(default=8192, validator=validators.ge(1))


@frozen(kw_only=True)
class _Case:
    """What is attacked: an update, its first layer's part and the span of that.

    matrix: float64 ``[m, d + 1]``, gradients of the layer's weight and bias side by side; known:
    bool, which entries were sent; size: of the batch, None where it is not known; senders: clients
    in float64 and float32.
    """

    challenge: InversionChallenge = field(repr=False)
    senders: tuple[Sender, Sender] = field(repr=False)
    sent: Sent = field(repr=False)
    layer: str
    matrix: Tensor = field(repr=False)
    known: Tensor = field(repr=False)
    span: low_rank.Span = field(repr=False)
    size: int | None


@frozen(kw_only=True)
class _Trial:
    """Records ``[r, d]`` that were tried, with what speaks for them.

    derivatives: of the loss by the layer's outputs, ``[rows of the span, r]``; directions:
    ``[r, r]``, by which they follow from the span; counts: int64 ``[r, classes]``, how often each
    is in the batch with each label; agreement: least share over
    records of rows that are 0, of those where the model says so; match: None where the client
    cannot be run again.
    """

    records: Tensor = field(repr=False)
    derivatives: Tensor = field(repr=False)
    directions: Tensor = field(repr=False)
    counts: Tensor = field(repr=False)
    agreement: float
    match: Match | None

    @property
    def residual(self) -> float:
        """Return the update's; where there is none, by how much zeros disagree."""
        return 1.0 - self.agreement if self.match is None else self.match.residual

    @property
    def settled(self) -> bool:
        """Whether there is nothing more to look for."""
        if self.match is None:
            return self.agreement >= _AGREE
        return self.match.within or self.agreement >= _SETTLED


_AGREE = 0.8
"""Agreement of zeros from which records are right; over local steps some neurons switch."""

_SETTLED = 0.97
"""Agreement of zeros from which nothing more is looked for though the update is not matched."""

_MASK = 0.9
"""Agreement of zeros of one step from which a record may be certified."""

_COARSE = 1e-5
"""Relative noise of an update from which records gain by a fit to the model's own derivatives."""

_UNREPEATED = (
    "Exact records of a client that took steps over parts of its records are not certified: in "
    "which step a record was is not known."
)


def attack(challenge: InversionChallenge, options: ExactOptions, run: Run) -> InversionAnswer:
    """Reconstruct the batch's records, float32, each as often as it is in the batch.

    Claims are minus the logarithm of the residual. Certified are records that meet every condition
    of ``certificate``. Where a batch cannot be taken apart, the answer is records that a neuron saw
    alone. ``NotApplicable`` where there are none of these either, no linear layer with a bias is
    given the records, batches pass nothing like a ReLU there, or the client did not descend by
    gradients.
    """
    with threads(1):
        case = _case(challenge)
        if isinstance(case, Tensor):
            return _answer_alone(challenge, case)
        best = _sought(case, options, run.seed)
        if best is None:
            return _answer_alone(challenge, case.matrix)
        certified = _certified(case, best)
    counts = best.counts.numpy()
    rows = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
    return InversionAnswer(
        records=best.records.numpy().astype(np.float32).reshape(-1, *challenge.shape)[rows],
        labels=np.repeat(np.tile(np.arange(counts.shape[1]), len(counts)), counts.reshape(-1)),
        claims=np.full(len(rows), -math.log(max(best.residual, 1e-12))),
        certified=certified[rows],
        residual=math.nan if best.match is None else best.match.residual,
        notes=() if case.senders[0].repeatable else (_UNREPEATED,),
    )


def _case(challenge: InversionChallenge) -> _Case | Tensor:
    """Return what is attacked; the matrix alone where its span cannot be told from noise."""
    observed, disclosed = seen(challenge), challenge.disclosed
    if disclosed.kind != "gradient" and disclosed.optimiser == "adam":
        raise NotApplicable(
            "exact records", found="steps of Adam", expected="a gradient, or steps of SGD"
        )
    double = Sender.of(challenge, observed, torch.float64)
    drawn = torch.Generator().manual_seed(0)
    probe = torch.randn(4, *challenge.shape, generator=drawn, dtype=torch.float64)
    layer = first(double.module, double.state, probe)
    names = f"{layer}.weight", f"{layer}.bias"
    if layer is None or any(name not in observed.gradient for name in names):
        raise NotApplicable(
            "exact records",
            found="no linear layer with a bias that is given the records, in the update",
            expected="a fully connected first layer",
        )
    there = certificate.known(challenge, observed)
    matrix, known = (
        torch.cat([values[names[0]], values[names[1]][:, None]], dim=1)
        for values in (observed.gradient, there)
    )
    size = disclosed.examples
    if size is None and challenge.labels is not None:
        size = len(challenge.labels)
    span = (
        low_rank.span_of(matrix, size) if known.all() else low_rank.completed(matrix, known, size)
    )
    if span is None:
        return matrix
    if span.rank > 1 and not bool(
        (slopes(double.module, double.state, probe, layer)[1] == 0).any()
    ):
        raise NotApplicable(
            "exact records of a batch of several",
            found="an activation after the first layer that is never off",
            expected="a ReLU",
        )
    noise = torch.zeros(len(matrix), dtype=torch.float64)
    noise[span.rows] = span.noise
    return _Case(
        challenge=challenge,
        senders=(double, Sender.of(challenge, observed, torch.float32)),
        sent=Sent(observed=observed, known=there, weight=names[0], bias=names[1], noise=noise),
        layer=layer,
        matrix=matrix,
        known=known,
        span=span,
        size=size,
    )


def _sought(case: _Case, options: ExactOptions, seed: int) -> _Trial | None:
    """Return the best of the records that the search proposes, None where it proposes none."""
    cost = (case.span.rank / 16) ** 3 * len(case.span.rows) / 200
    starts = max(64, int(options.samples / max(1.0, cost)))
    best = None
    for q in spear.columns(case.span, starts, torch.Generator().manual_seed(seed)):
        tried = _tried(case, q)
        if tried is not None and (best is None or tried.residual < best.residual):
            best = tried
        if best is not None and best.settled:
            break
    return best


def _tried(case: _Case, q: Tensor) -> _Trial | None:
    """Return the records that sparse directions ``q [r, r]`` give; None where they give none."""
    span = case.span
    sides = torch.linalg.inv(q) @ span.right
    if not bool(sides.isfinite().all()) or bool((sides[:, -1] == 0).any()):
        return None
    derivatives = span.left @ (q * sides[:, -1])
    tried = _weighed(case, sides[:, :-1] / sides[:, -1:], derivatives, q)
    noise = float(span.noise.norm() * math.sqrt(span.right.shape[1]) / span.left.norm())
    if noise > _COARSE and case.sent.observed.single and tried.agreement >= _AGREE:
        polished = _weighed(case, _fitted(case, tried), derivatives, q)
        return min(tried, polished, key=lambda each: each.residual)
    return tried


def _weighed(case: _Case, records: Tensor, derivatives: Tensor, q: Tensor) -> _Trial:
    """Return a trial of records ``[r, d]``, whose derivatives follow from the span by ``q``."""
    x = records.reshape(-1, *case.challenge.shape)
    double = case.senders[0]
    p, slope = slopes(double.module, double.state, x, case.layer)
    slope = slope[:, :, case.span.rows]
    counts = _counts(case, derivatives, p, slope)
    zero, off = low_rank.zeros(case.span, q), (slope == 0).all(dim=1).T
    found = None
    if double.repeatable:
        rows = torch.arange(len(x)).repeat_interleave(counts.sum(dim=1))
        labels = torch.arange(counts.shape[1]).repeat(len(x)).repeat_interleave(counts.flatten())
        found = match(case.senders, case.sent, x[rows], labels)
    return _Trial(
        records=records,
        derivatives=derivatives,
        directions=q,
        counts=counts,
        agreement=float(((zero & off).sum(dim=0) / off.sum(dim=0).clamp(min=1)).min())
        if bool(off.any())
        else 1.0,
        match=found,
    )


def _counts(case: _Case, derivatives: Tensor, p: Tensor, slope: Tensor) -> Tensor:
    """Return how often each record is in the batch with each label, int64 ``[r, classes]``.

    A record's derivatives are the sum over its labels of what the model gives for one of that
    label. p: ``[r, classes]``; slope: ``[r, classes, m]``, see ``linear.slopes``.
    """
    shares = torch.zeros_like(p)
    for j, (mine, chance, by_class) in enumerate(zip(derivatives.T, p, slope, strict=True)):
        each = (chance @ by_class)[:, None] - by_class.T
        amounts = torch.from_numpy(nnls(each.numpy(), mine.numpy())[0])
        # Labels in the proportions of the model's own prediction give nothing.
        shares[j] = amounts - (amounts / chance.clamp(min=1e-300)).min() * chance
    total = shares.sum(dim=1).clamp(min=1e-300)
    unit = total.min() if case.size is None or not case.sent.observed.scaled else 1.0 / case.size
    counts = (shares / unit).round().clamp(max=1e6).long()
    likely = torch.nn.functional.one_hot(shares.argmax(dim=1), shares.shape[1])
    if int(counts.sum()) > 2 * max(len(counts), case.size or 0):
        return likely  # no batch of that size
    return torch.where(counts.sum(dim=1, keepdim=True) > 0, counts, likely)


def _fitted(case: _Case, tried: _Trial) -> Tensor:
    """Return records ``[r, d]`` fitted to the update by the model's own derivatives for them."""
    double, span = case.senders[0], case.span
    x = tried.records.reshape(-1, *case.challenge.shape)
    p, slope = slopes(double.module, double.state, x, case.layer)
    pull = torch.einsum("rc,rcm->rm", p, slope)
    total = tried.counts.sum(dim=1, keepdim=True)
    left = total * pull - torch.einsum("rc,rcm->rm", tried.counts.double(), slope)
    left = left[:, span.rows].T / tried.counts.sum()
    sides = low_rank.right_of(case.matrix[span.rows], case.known[span.rows], left, span.noise)
    return sides[:, :-1] / sides[:, -1].mean()


def _certified(case: _Case, best: _Trial) -> Bools:
    """Return which records meet every condition of ``certificate``, bool ``[r]``."""
    total = best.counts.sum(dim=1)
    whole = case.size is None or int(total.sum()) == case.size
    masks = best.agreement >= _MASK or not case.sent.observed.single
    if best.match is None or not (best.match.within and whole and masks):
        return np.zeros(len(total), dtype=np.bool_)
    # A number of every record of which too few products were sent is not shown.
    whole = bool((case.known.sum(dim=0) > case.span.rank).all())
    span, zero = case.span, low_rank.zeros(case.span, best.directions)
    alone = [
        certificate.determined(span.left, span.noise, best.directions[:, j], zero[:, j])
        for j in range(len(total))
    ]
    blur = certificate.blurred(best.derivatives, span.noise, best.records)
    certified: Bools = ((total == 1) & (blur < certificate.BLUR)).numpy() & np.array(alone)
    return certified & whole


def _answer_alone(challenge: InversionChallenge, matrix: Tensor) -> InversionAnswer:
    """Return the records that several neurons saw alone, none of them certified."""
    sides = low_rank.alone(matrix)
    if not len(sides):
        raise NotApplicable(
            "exact records",
            found="a batch or noise that hides the rank of the first layer's gradient, and no "
            "neurons that saw one record alone",
            expected="fewer records than the layer has neurons, and little noise",
        )
    if challenge.disclosed.examples is not None:
        sides = sides[: challenge.disclosed.examples]
    records = (sides[:, :-1] / sides[:, -1:]).numpy().astype(np.float32)
    return InversionAnswer(
        records=records.reshape(-1, *challenge.shape),
        claims=np.zeros(len(records)),
        certified=np.zeros(len(records), dtype=np.bool_),
        notes=("A batch could not be taken apart; only records that neurons saw alone are given.",),
    )
