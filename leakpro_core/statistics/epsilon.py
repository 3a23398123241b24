"""Lower bounds of epsilon by attacks. None is a guarantee of differential privacy.

``epsilon_lower`` and ``gdp_mu_lower`` are for independent runs: each trial trains its own model.
One model allows ``epsilon_one_run`` only.
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, bdtrc, expit, log_ndtr, ndtr, ndtri

from leakpro_core.statistics.intervals import clopper_pearson


def epsilon_lower(
    tp: int,
    members: int,
    fp: int,
    nonmembers: int,
    delta: float = 0.0,
    confidence: float = 0.95,
) -> float:
    """Return a lower bound of epsilon from independent trials (Kairouz, Oh, Viswanath 2015).

    ``max(ln((TPR - delta) / FPR), ln((TNR - delta) / FNR), 0)`` at the corner of the
    Clopper-Pearson rectangle, ``alpha / 2`` for each rate, so both directions hold together.
    """
    tpr = clopper_pearson(tp, members, confidence).low
    fpr = clopper_pearson(fp, nonmembers, confidence).high
    return max(_log_ratio(tpr - delta, fpr), _log_ratio(1.0 - fpr - delta, 1.0 - tpr), 0.0)


def epsilon_ceiling(
    members: int, nonmembers: int, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """Return the most that ``epsilon_lower`` could show with so many trials: a perfect attack."""
    return epsilon_lower(members, members, 0, nonmembers, delta, confidence)


def epsilon_one_run(
    canaries: int, guesses: int, correct: int, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """Return a lower bound of epsilon from one run (Steinke, Nasr, Jagielski 2023, theorem 5.2).

    Holds where each canary was included by its own fair coin and the number of guesses was fixed
    beforehand. ``ValueError`` for counts that cannot be.
    """
    if not 0 <= correct <= guesses <= canaries:
        raise ValueError(f"{correct} correct of {guesses} guesses of {canaries} canaries")
    alpha = 1.0 - confidence

    def excess(epsilon: float) -> float:
        return one_run_p_value(canaries, guesses, correct, epsilon, delta) - alpha

    if excess(0.0) >= 0.0:
        return 0.0
    high = 1.0
    while excess(high) < 0.0:
        high *= 2.0
    return float(brentq(excess, 0.0, high, xtol=1e-12))


def one_run_p_value(
    canaries: int, guesses: int, correct: int, epsilon: float, delta: float = 0.0
) -> float:
    """Return the p-value of "the run is (epsilon, delta)-DP" given the guesses that came true.

    ``min(1, P[B >= v] + 2 m delta max_i P[v - i <= B < v] / i)``, B binomial over the guesses with
    rate ``e^epsilon / (1 + e^epsilon)``.
    """
    if correct == 0:
        return 1.0
    rate = float(expit(epsilon))
    beta = float(bdtrc(correct - 1, guesses, rate))
    if delta == 0.0:
        return min(1.0, beta)
    below = bdtr(np.arange(correct, dtype=np.float64), guesses, rate)
    steps = np.arange(1, correct + 1)
    # P[v - i <= B < v] = P[B <= v - 1] - P[B <= v - i - 1]
    mass = below[correct - 1] - np.append(below[: correct - 1][::-1], 0.0)
    return min(1.0, beta + 2.0 * canaries * delta * float((mass / steps).max()))


def gdp_mu_lower(
    tp: int, members: int, fp: int, nonmembers: int, confidence: float = 0.95
) -> float:
    """Return a lower bound of mu if the mechanism is Gaussian (Nasr et al. 2023); 0 at least.

    ``Phi^-1(1 - FPR) - Phi^-1(FNR)`` at the corner of the Clopper-Pearson rectangle.
    """
    tpr = clopper_pearson(tp, members, confidence).low
    fpr = clopper_pearson(fp, nonmembers, confidence).high
    return max(0.0, float(ndtri(tpr) - ndtri(fpr))) if tpr > 0.0 and fpr < 1.0 else 0.0


def gdp_epsilon(mu: float, delta: float) -> float:
    """Return the epsilon of mu-Gaussian DP at delta (Dong, Roth, Su 2022, corollary 1).

    Infinite at delta 0 unless mu is 0.
    """
    if mu <= 0.0:
        return 0.0
    if delta <= 0.0:
        return math.inf

    def excess(epsilon: float) -> float:
        tail = math.exp(epsilon + float(log_ndtr(-epsilon / mu - mu / 2.0)))
        return float(ndtr(-epsilon / mu + mu / 2.0)) - tail - delta

    if excess(0.0) <= 0.0:
        return 0.0
    high = 1.0
    while excess(high) > 0.0:
        high *= 2.0
    return float(brentq(excess, 0.0, high, xtol=1e-12))


def _log_ratio(numerator: float, denominator: float) -> float:
    if numerator <= 0.0:
        return -math.inf
    return math.log(numerator / denominator) if denominator > 0.0 else math.inf
