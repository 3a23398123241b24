"""The view: what an adversary's access lets through of the target's outputs, and at what cost."""

import numpy as np
from attrs import define, frozen

from leakpro_core.arrays import AnyArray, Floats, Singles
from leakpro_core.errors import BudgetExceeded
from leakpro_core.offers import Access
from leakpro_core.plan import Adversary
from leakpro_core.protocols import Queryable

_UNSURE = 1e-3
"""Probability that a label alone leaves to the other classes; any value gives the same ranking."""


@frozen
class Lens:
    """How outputs are seen: access, top_k, decimals, and the probes that are sent.

    An adversary sees its own shadows through the same lens as the target.
    """

    access: Access
    top_k: int | None = None
    decimals: int | None = None
    probes: str | None = None

    @classmethod
    def of(cls, adversary: Adversary, probes: str | None) -> "Lens":
        """Return the lens of an adversary; lenses that show the same are equal."""
        access, decimals = adversary.access, adversary.decimals
        if access is Access.WEIGHTS or (access is Access.CONFIDENCES and decimals is None):
            # Confidences determine logits up to a shift, which no signal depends on.
            access = Access.LOGITS
        top_k = (adversary.top_k or 1) if access is Access.TOP_K else None
        return cls(access, top_k, None if access is Access.LABELS else decimals, probes)

    def show(self, outputs: Singles, kind: str) -> tuple[Singles, str]:
        """Return outputs ``[..., classes]`` as this lens shows them, and their kind."""
        if self.access is Access.LOGITS:
            shown = outputs if self.decimals is None else np.round(outputs, self.decimals)
            return shown, kind
        p = probabilities(outputs, kind)
        if self.access is Access.LABELS:
            rest = _UNSURE / (p.shape[-1] - 1)
            p = np.where(_top(p, 1), 1.0 - _UNSURE, rest)
        if self.access is Access.TOP_K:
            kept = _top(p, self.top_k or 1)
            left = np.where(kept, 0.0, p).sum(-1, keepdims=True)
            others = np.maximum((~kept).sum(-1, keepdims=True), 1)
            p = np.where(kept, p, left / others)
        if self.decimals is not None:
            half = 0.5 * 10.0**-self.decimals
            p = np.clip(np.round(p, self.decimals), half, 1.0 - half)
        return p.astype(np.float32), "probabilities"


def probabilities(outputs: Singles, kind: str) -> Floats:
    """Return probabilities ``[..., classes]`` in float64; one column becomes two."""
    values = outputs.astype(np.float64)
    if kind == "probabilities":
        one = values.shape[-1] == 1
        return np.concatenate([1.0 - values, values], axis=-1) if one else values
    if values.shape[-1] == 1:
        values = np.concatenate([np.zeros_like(values), values], axis=-1)
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    result: Floats = values / values.sum(axis=-1, keepdims=True)
    return result


def _top(p: Floats, k: int) -> AnyArray:
    k = min(k, p.shape[-1])
    kept = np.zeros(p.shape, bool)
    # A stable sort, so that ties are cut the same way for every record.
    np.put_along_axis(kept, np.argsort(-p, axis=-1, kind="stable")[..., :k], True, axis=-1)
    return kept


@define
class View:
    """The target behind an adversary's access: answers within the lens, counts, and stops.

    For adaptive attacks. ``used`` counts the queries asked so far.
    """

    _target: Queryable
    _kind: str
    _lens: Lens
    _budget: int | None
    used: int = 0

    def query(self, records: AnyArray) -> Singles:
        """Return what is shown for ``records [n, ...]``; ``BudgetExceeded`` past the budget."""
        if self._budget is not None and self.used + len(records) > self._budget:
            raise BudgetExceeded(
                "queries of the target",
                found=f"{self.used + len(records)}",
                expected=f"at most {self._budget}",
                fix="Raise the adversary's queries, or use an attack that asks less.",
            )
        self.used += len(records)
        return self._lens.show(self._target.query(records), self._kind)[0]
