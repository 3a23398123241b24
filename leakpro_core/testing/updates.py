"""Federated updates made up from a known truth: a client whose model is linear, in numpy alone.

Its gradient tells a batch of one record exactly (``exact``), and one of several not at all by that
formula, so that audits of updates can be tested without a framework.
"""

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Floats, Ints
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.update_membership import UpdateMembershipChallenge
from leakpro_core.protocols import Run
from leakpro_core.records import (
    Auxiliary,
    ClientUpdate,
    Disclosed,
    Population,
    Release,
    Target,
    UpdateRelease,
)

State = Mapping[str, AnyArray]

SERVER = 0.5
"""The learning rate of a server that is sent gradients."""


@frozen(kw_only=True)
class LinearClient:
    """Takes one step on ``weight [classes, features]`` and ``bias [classes]``, by cross-entropy.

    disclosed: what is sent and how, of which kind, lr, reduction and noise are kept to. Records
    are ``[n, ...]`` of any shape; two dimensions with values from 0 to 1 are shown as images.
    """

    disclosed: Disclosed

    def native(self) -> "LinearClient":
        """Return itself: there is no framework."""
        return self

    def update(self, before: State, records: AnyArray, labels: Ints, seed: int) -> State:
        """Return what is sent for these records, float64."""
        sent = gradient(before, records, labels)
        if self.disclosed.reduction == "sum":
            sent = {name: len(labels) * value for name, value in sent.items()}
        if self.disclosed.noise:
            rng = np.random.default_rng(seed)
            scale = self.disclosed.noise * (self.disclosed.clip or 1.0)
            sent = {n: v + scale * rng.standard_normal(v.shape) for n, v in sent.items()}
        if self.disclosed.kind == "gradient":
            return sent
        step = -(self.disclosed.lr or SERVER)
        if self.disclosed.kind == "delta":
            return {name: step * value for name, value in sent.items()}
        return {name: before[name] + step * value for name, value in sent.items()}

    def after(self, before: State, update: State) -> State:
        """Return the model once a server has applied the update."""
        if self.disclosed.kind == "weights":
            return dict(update)
        step = -SERVER if self.disclosed.kind == "gradient" else 1.0
        return {name: before[name] + step * update[name] for name in before}

    def fidelity(self, records: AnyArray, guesses: AnyArray) -> Mapping[str, Floats]:
        """Return the mean absolute error of each pair."""
        n = len(records)
        gap = np.abs(np.asarray(records, np.float64) - np.asarray(guesses, np.float64))
        return {"mean absolute error": gap.reshape(n, -1).mean(axis=1)}

    def shown(self, record: AnyArray) -> bytes | str:
        """Return a PNG of a record of two dimensions, else its values in words."""
        if np.ndim(record) == 2:
            return png(np.asarray(record, np.float64))
        return ", ".join(f"{value:.3g}" for value in np.ravel(record))


def gradient(before: State, records: AnyArray, labels: Ints) -> dict[str, AnyArray]:
    """Return the gradient of the mean cross-entropy of a linear model, float64."""
    x = np.asarray(records, np.float64).reshape(len(records), -1)
    gap = _probabilities(before, x)
    gap[np.arange(len(x)), labels] -= 1.0
    return {"weight": gap.T @ x / len(x), "bias": gap.mean(axis=0)}


def _probabilities(before: State, x: Floats) -> Floats:
    logits = x @ before["weight"].T + before["bias"]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return found


def png(grey: Floats) -> bytes:
    """Return an 8-bit grey PNG of values from 0 to 1, ``[height, width]``."""
    pixels = np.clip(np.round(255.0 * grey), 0, 255).astype(np.uint8)
    height, width = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def simulated_release(
    seed: int,
    *,
    disclosed: Disclosed | None = None,
    members: int = 200,
    others: int = 300,
    auxiliary: int = 100,
    shape: tuple[int, ...] = (16,),
    classes: int = 4,
    received: int = 0,
    truth: bool = True,
    rounds: int = 0,
    shift: float = 0.0,
    strangers: bool = False,
) -> Release:
    """Return a client and the records that it is audited with, standard normal and without groups.

    disclosed: a gradient of one record unless given. received: updates that a server received, of
    ``disclosed.examples`` members each; none where core lets the client make them. truth: whether
    the audit knows what received updates were made of. shift: added to the members' records, by
    which they differ from others without any update. strangers: received updates are of records
    that nobody knows, so that they tell of no member.
    """
    rng = np.random.default_rng(seed)
    how = Disclosed(kind="gradient", examples=1) if disclosed is None else disclosed
    client = LinearClient(disclosed=how)
    before = {
        "weight": 0.1 * rng.standard_normal((classes, int(np.prod(shape)))),
        "bias": np.zeros(classes),
    }
    people = _population(rng, members, others, auxiliary, shape, classes, shift)
    updates: list[ClientUpdate] = []
    now: State = before
    for number in range(received):
        chosen = rng.permutation(members)[: how.examples or members]
        x, y = np.asarray(people.records)[chosen], people.labels[chosen]
        if strangers:
            x = rng.standard_normal(x.shape)
        sent = client.update(now, x, y, number)
        known = {"records": x, "labels": y} if truth else {}
        updates.append(ClientUpdate(before=now, values=sent, **known))
        if rounds:
            now = client.after(now, sent)
    return Release(
        target=Target(kind="update", identity="0" * 64, handle=client, description="simulated"),
        population=people if members else None,
        updates=UpdateRelease(
            updates=tuple(updates),
            disclosed=how,
            before=before,
            rounds=rounds,
            shape=shape,
            classes=classes,
        ),
    )


def _population(
    rng: np.random.Generator,
    members: int,
    others: int,
    auxiliary: int,
    shape: tuple[int, ...],
    classes: int,
    shift: float,
) -> Population:
    n = members + others
    records, labels = rng.standard_normal((n, *shape)), rng.integers(classes, size=n)
    records[:members] += shift
    more = None
    if auxiliary:
        more = Auxiliary(
            records=rng.standard_normal((auxiliary, *shape)),
            labels=rng.integers(classes, size=auxiliary),
        )
    return Population(
        records=records,
        labels=labels,
        subjects=np.arange(n),
        members=np.arange(n) < members,
        classes=classes,
        auxiliary=more,
    )


# Attacks.


def exact(challenge: InversionChallenge, options: None, run: Run) -> InversionAnswer:
    """Return the record of a batch of one: a row of the weights' gradient over that of the bias.

    Certified where it gives the update that was sent, up to its scale. Of a batch of several it is
    no record (Phong et al. 2018, section 3).
    """
    seen = _as_gradient(challenge)
    row = int(np.argmax(np.abs(seen["bias"])))
    record = (seen["weight"][row] / seen["bias"][row]).reshape(1, *challenge.shape)
    label = np.array([int(np.argmin(seen["bias"]))])
    residual = _turned(seen, gradient(challenge.before, record, label))
    return InversionAnswer(
        records=record,
        labels=label,
        claims=np.array([-np.log(residual + 1e-300)]),
        certified=np.array([residual < 1e-6]),
        residual=residual,
    )


def guess(challenge: InversionChallenge, options: None, run: Run) -> InversionAnswer:
    """Return standard normal records, whatever was sent."""
    rng = np.random.default_rng(run.seed)
    count = challenge.disclosed.examples or 1
    return InversionAnswer(
        records=rng.standard_normal((count, *challenge.shape)),
        labels=rng.integers(challenge.classes, size=count),
        claims=rng.random(count),
        certified=np.zeros(count, np.bool_),
    )


def aligned(challenge: UpdateMembershipChallenge, options: None, run: Run) -> MembershipAnswer:
    """Return how well each record's gradient aligns with the updates, summed over rounds."""
    claims = np.zeros(len(challenge.labels))
    x = np.asarray(challenge.records, np.float64).reshape(len(claims), -1)
    for one in challenge.rounds:
        seen = _as_gradient(one, challenge.disclosed)
        gap = _probabilities(one.before, x)
        gap[np.arange(len(x)), challenge.labels] -= 1.0
        claims += np.einsum("ij,ij->i", gap @ seen["weight"], x) + gap @ seen["bias"]
    return MembershipAnswer(claims=claims)


def _as_gradient(
    seen: InversionChallenge | ClientUpdate, disclosed: Disclosed | None = None
) -> dict[str, AnyArray]:
    """Return what was sent as a gradient, up to its scale."""
    if isinstance(seen, InversionChallenge):
        sent, how = seen.update, seen.disclosed
    else:
        assert disclosed is not None
        sent, how = seen.values, disclosed
    if how.kind == "gradient":
        return dict(sent)
    if how.kind == "delta":
        return {name: -value for name, value in sent.items()}
    return {name: seen.before[name] - value for name, value in sent.items()}


def _turned(one: State, other: State) -> float:
    """Return the sine of the angle between two updates: 0 where they are alike but for scale."""
    a, b = (np.concatenate([x[n].ravel() for n in sorted(x)]) for x in (one, other))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(np.linalg.norm(a - (a @ b) * b)) if a @ b > 0 else 1.0
