"""Who is asked about and who is known to be out, and claims from values of everybody."""

from collections.abc import Sequence

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, nn

from leakpro_core.arrays import AnyArray, Floats, Ints
from leakpro_core.games.update_membership import UpdateMembershipChallenge
from leakpro_fl.client import as_inputs

ENOUGH = 20
"""Records of a class that its mean and spread are taken from."""

_FAR = 4.0
"""Standard deviations beyond which a value counts no more, where many are weighed."""


@frozen(kw_only=True)
class Pool:
    """The candidates, then auxiliary records to calibrate on.

    y, x: labels int64 ``[n]`` and records ``[n, ...]``; candidates: how many are; twin: int64
    ``[n]``, the first row that is the same; explain: int64, rows whose gradients explain an update,
    no two the same.
    """

    x: Tensor = field(repr=False)
    y: Tensor = field(repr=False)
    candidates: int
    twin: Tensor = field(repr=False)
    explain: Tensor = field(repr=False)

    @property
    def reference(self) -> slice:
        """Rows on which values are standardised: known to be out, where there are any."""
        return slice(self.candidates if len(self.y) > self.candidates else 0, None)


def pool_of(
    challenge: UpdateMembershipChallenge,
    module: nn.Module,
    *,
    explain: str,
    explainers: int,
    calibrate: int,
    seed: int,
) -> Pool:
    """Return the pool; module: of PyTorch, which says how it takes records.

    explain: "candidates" or "auxiliary", whose gradients explain, at most so many explainers;
    calibrate: auxiliary records at most.
    """
    rng = np.random.default_rng(seed)
    n, auxiliary = len(challenge.labels), challenge.auxiliary
    records: list[AnyArray] = [challenge.records]
    labels: list[Ints] = [challenge.labels]
    if auxiliary is not None and auxiliary.records is not None and len(auxiliary.labels):
        most = max(calibrate, explainers if explain == "auxiliary" else 0)
        rows = np.sort(rng.permutation(len(auxiliary.labels))[:most])
        records.append(auxiliary.records[rows])
        labels.append(auxiliary.labels[rows])
    x, y = np.concatenate(records), np.concatenate(labels)
    twin = _first_equal(x, y)
    able = np.arange(n) if explain == "candidates" else np.arange(n, len(y))
    rows = rng.permutation(able[twin[able] == able])[:explainers]
    return Pool(
        x=as_inputs(module, x),
        y=torch.from_numpy(y),
        candidates=n,
        twin=torch.from_numpy(twin),
        explain=torch.from_numpy(np.sort(rows)),
    )


def _first_equal(x: AnyArray, y: Ints) -> Ints:
    """Return of every row the first row with the same record and label."""
    first: dict[tuple[bytes, int], int] = {}
    keys = ((row.tobytes(), int(label)) for row, label in zip(x, y, strict=True))
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)


def combined(aligned: Sequence[Floats], drops: Sequence[Floats], pool: Pool) -> Floats:
    """Return the claims of the candidates, float64.

    aligned, drops: of each round, values ``[n]`` of everybody in the pool. The two sums are weighed
    as a linear discriminant would, by how far members lie above others. Who is one need not be
    known for that: it is in proportion to how far the candidates' mean lies above that of auxiliary
    records. Drops count only where there are auxiliary records, without which they tell hard
    records from easy ones.
    """
    total = _standard(np.sum([_standard(each, pool) for each in aligned], axis=0), pool)
    claims = total[: pool.candidates]
    if not drops or len(pool.y) - pool.candidates < ENOUGH:
        return claims
    drop = _standard(np.sum([_standard(each, pool) for each in drops], axis=0), pool)
    weights = np.maximum(0.0, [_above(total, pool), _above(drop, pool)])
    if not weights.any():
        weights = np.ones(2)
    weighed: Floats = (weights[0] * total + weights[1] * drop)[: pool.candidates]
    return weighed


def _above(values: Floats, pool: Pool) -> float:
    """Return how far candidates lie above auxiliary records."""
    # Single records far out are not to decide for all.
    inside, outside = np.split(np.clip(values, -_FAR, _FAR), [pool.candidates])
    return float(inside.mean() - outside.mean())


def _standard(values: Floats, pool: Pool) -> Floats:
    """Return values less the mean, over the spread, of auxiliary records of the class.

    Of all auxiliary records where a class has few; of the candidates where there are none.
    """
    y, out = pool.y.numpy(), pool.reference
    found = np.empty(len(y))
    for label in np.unique(y):
        mine = values[out][y[out] == label]
        among = mine if len(mine) >= ENOUGH else values[out]
        spread = float(among.std())
        found[y == label] = (values[y == label] - among.mean()) / (spread if spread > 0 else 1.0)
    return found
