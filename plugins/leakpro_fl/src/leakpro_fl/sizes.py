"""How many records a batch has, by the shares of its classes: those that make whole counts.

Many records make any shares whole, nearly, so that a fit says nothing unless luck is ruled out.
"""

import math

import numpy as np
from scipy.special import gammaln, logsumexp

from leakpro_core.arrays import Floats, Ints

MOST = 256
"""Records of a batch of unknown size."""

_OFF = 0.25
"""How far from whole any count may be."""

_LIKELY = 0.5
"""Posterior probability from which a size is told."""

_EXACT = 1e-6
"""Error of the shares below which rounding hides how small it is."""

_UNEVEN = (0.1, 1.0, 10.0)
"""Concentrations of the Dirichlet distributions that classes' shares may come of."""

_SCALES = 5.0
"""Span of the logarithm of the size of errors, which may be any."""


def size_told(share: Floats) -> int | None:
    """Return the number of records that shares ``[classes]`` of classes tell, or None if none.

    share: at least 0, sum 1. Of all sizes up to ``MOST`` whose counts are near whole, the most
    probable, if it is more probable than all others together and that shares are of no resolved
    size. A priori a size has the chance 1/b, labels are Dirichlet-multinomial, and errors of shares
    normal, of any scale. Multiples of a size fit as well; labels prefer the smallest.
    """
    sizes = np.arange(1, MOST + 1)
    logs = np.array([_weight(share, int(b)) for b in sizes])
    logs -= np.log(sizes) + math.log(np.sum(1.0 / sizes))
    best = int(np.argmax(logs))
    total = float(np.logaddexp(logsumexp(logs), 0.0))
    return best + 1 if math.exp(logs[best] - total) > _LIKELY else None


def _weight(share: Floats, b: int) -> float:
    """Return the log Bayes factor of ``b`` records against so many that counts say nothing."""
    whole = _whole(b * share)
    off = b * share - whole
    if np.abs(off).max() > _OFF:
        return -math.inf
    there = whole > 0
    d = int(there.sum()) - 1
    # The shares of the same classes, were there no lattice: its density at many records.
    many = _whole(MOST * share[there] / share[there].sum())
    nothing = _chance(many, len(share)) + d * math.log(MOST) - 0.5 * math.log(d + 1)
    told = _chance(whole[there], len(share))
    if d:
        far = max(float(np.linalg.norm(off)) / b, _EXACT)
        ball = d / 2.0 * math.log(math.pi) - float(gammaln(d / 2.0 + 1.0)) + d * math.log(far)
        told -= math.log(d * _SCALES) + ball
    return told - nothing


def _whole(counts: Floats) -> Ints:
    """Return the nearest whole counts with the same sum, by largest remainders."""
    found = np.floor(counts + 1e-12).astype(np.int64)
    left = round(float(counts.sum())) - int(found.sum())
    found[np.argsort(found - counts, kind="stable")[:left]] += 1
    return found


def _chance(counts: Ints, classes: int) -> float:
    """Return the log chance of these counts; classes that are not counted have none."""
    n, a = counts[:, None], np.array(_UNEVEN)
    b, total = counts.sum(), classes * a
    each = gammaln(n + a) - gammaln(a) - gammaln(n + 1.0)
    logs = gammaln(total) - gammaln(b + total) + gammaln(b + 1.0) + each.sum(axis=0)
    return float(logsumexp(logs)) - math.log(len(a))
