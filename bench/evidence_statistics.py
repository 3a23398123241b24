"""Does the judge tell the truth? Coverage, width, false alarms and power, counted.

Writes bench/results/statistics.json. Run from the root: ``python bench/evidence_statistics.py``
(about three CPU minutes). The tests run slices of the functions below.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
from evidence import write
from scipy.stats import norm

from leakpro_core import judge
from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.plan import Policy
from leakpro_core.records import Evidence
from leakpro_core.report import LEAKS, Finding, Word
from leakpro_core.statistics import (
    auc,
    clopper_pearson,
    epsilon_lower,
    epsilon_one_run,
    gdp_mu_lower,
    tpr_at_fpr,
)
from leakpro_core.statistics.intervals import lower_bound, upper_bound
from leakpro_core.statistics.roc import loose_rank, strict_rank, tally, tpr_interval

PATHS = (
    "leakpro_core/judge/describe.py",
    "leakpro_core/judge/detection.py",
    "leakpro_core/judge/measure.py",
    "leakpro_core/judge/numbers.py",
    "leakpro_core/judge/points.py",
    "leakpro_core/judge/rounds.py",
    "leakpro_core/judge/verdict.py",
    "leakpro_core/judge/words.py",
    "leakpro_core/statistics/epsilon.py",
    "leakpro_core/statistics/intervals.py",
    "leakpro_core/statistics/multiplicity.py",
    "leakpro_core/statistics/power.py",
    "leakpro_core/statistics/roc.py",
    "bench/evidence_statistics.py",
)
POLICY = Policy()
ATTACKS = 8

Rng = np.random.Generator
Audit = tuple[tuple[judge.Judged, ...], tuple[Finding, ...]]


# Audits


def evidence(
    claim: Floats, exposed: Bools, cluster: Ints | None = None, subject: Ints | None = None
) -> Evidence:
    """Return rounds of a detection game, one record a subject unless given."""
    n = len(claim)
    none = np.full(n, np.nan)
    return Evidence(
        subject=np.arange(n) if subject is None else subject,
        cluster=np.zeros(n, np.int64) if cluster is None else cluster,
        exposed=exposed,
        claim=claim,
        hit=none,
        blind_claim=none,
        blind_hit=none,
        null_p=none,
    )


def audit(
    claims: Sequence[Floats],
    exposed: Bools,
    tenth: Bools | None = None,
    *,
    seed: int,
    sampling: str = "random",
    cluster: Ints | None = None,
    subject: Ints | None = None,
) -> Audit:
    """Return what the judge measures and finds when these attacks claim this."""
    rounds = [
        judge.Rounds(
            label=f"attack {i}",
            adversary="anybody",
            evidence=evidence(claim, exposed, cluster, subject),
            tenth=tenth,
        )
        for i, claim in enumerate(claims)
    ]
    judged = judge.judge(rounds, POLICY, sampling=sampling, seed=seed)
    return judged, tuple(
        judge.finding(
            judged,
            POLICY,
            adversary="anybody",
            family=family,
            sampling=sampling,
            models=1,
            invalid=None,
            unfinished=(),
        )
        for family in (judge.MAIN, judge.TENTH)
    )


def arms(n: int, rng: Rng) -> Bools:
    """Return half of n rounds, at random, as exposed."""
    return rng.permutation(np.arange(n) < n // 2)


def null_audit(seed: int, n: int = 2000, targets: int = 1) -> Audit:
    """Return an audit of useless attacks: half of them read the same difficulty of records.

    One claims in steps, one abstains often. The tenth are the most difficult records. Several
    targets are asked about the same people.
    """
    rng = np.random.default_rng([1, seed])
    difficulty = np.tile(rng.normal(size=n), targets)
    claims = [
        0.9 * (i < ATTACKS // 2) * difficulty + 0.4 * rng.normal(size=n * targets)
        for i in range(ATTACKS)
    ]
    claims[1] = np.round(claims[1] * 2.0)
    claims[-1][rng.random(n * targets) < 0.7] = np.nan
    return audit(
        claims,
        np.concatenate([arms(n, rng) for _ in range(targets)]),
        difficulty > norm.isf(0.1),
        seed=seed,
        cluster=np.repeat(np.arange(targets), n),
        subject=np.tile(np.arange(n), targets),
    )


def planted_audit(seed: int, n: int = 4000) -> Audit:
    """Return an audit where one attack of eight has a TPR of 5% at an FPR of 1%.

    And nothing else: 4% of the members are lifted into the highest percent, the rest look like
    non-members; the other attacks are useless.
    """
    rng = np.random.default_rng([2, seed])
    exposed = arms(n, rng)
    claims = [rng.random(n) for _ in range(ATTACKS)]
    lifted = exposed & (rng.random(n) < 0.04 / 0.99)
    claims[0][lifted] = 0.99 + 0.01 * rng.random(int(lifted.sum()))
    return audit(claims, exposed, rng.random(n) < 0.1, seed=seed)


def overfitted_audit(seed: int, n: int = 5000) -> Audit:
    """Return an audit of a loss as of an overfitted model, AUC about .82.

    Most non-members' claims lie below all members', but the records easiest for the model are
    nearly as frequent in either arm, so that low FPRs flag hardly more members than others.
    """
    rng = np.random.default_rng([3, seed])
    exposed = arms(n, rng)
    hard = ~exposed & (rng.random(n) < 0.69)
    claim = rng.random(n) - hard
    easiest = rng.random(n) < np.where(exposed, 0.05, 0.04)
    claim[easiest] = 1.0 + rng.random(int(easiest.sum()))
    return audit([claim], exposed, seed=seed)


def share(happened: Sequence[bool] | Bools) -> dict[str, float | int]:
    """Return how often it happened, of how many, with a 95% interval."""
    k, n = int(np.sum(happened)), len(happened)
    found = clopper_pearson(k, n)
    return {"share": k / n, "low": round(found.low, 4), "high": round(found.high, 4), "of": n}


def leak(found: Audit) -> bool:
    """Return whether any finding has a leak word."""
    return any(finding.word in LEAKS for finding in found[1])


# Coverage and width


def binormal(mu: float, fpr: float) -> tuple[float, float]:
    """Return TPR and slope of the ROC of N(mu, 1) against N(0, 1)."""
    z = norm.isf(fpr)
    return float(norm.sf(z - mu)), float(norm.pdf(z - mu) / norm.pdf(z))


def delta_width(mu: float, fpr: float, members: int, nonmembers: int) -> float:
    """Return the width of the delta method's 95% interval of the TPR at an FPR."""
    tpr, slope = binormal(mu, fpr)
    variance = tpr * (1 - tpr) / members + slope**2 * fpr * (1 - fpr) / nonmembers
    return float(2 * norm.isf(0.025) * np.sqrt(variance))


def rate_coverage(n: int, rate: float, repetitions: int, rng: Rng) -> Bools:
    """Return whether Clopper-Pearson's 95% interval covers the rate."""
    k = rng.binomial(n, rate, repetitions)
    return (lower_bound(k, n, 0.025) <= rate) & (rate <= upper_bound(k, n, 0.025))


def tpr_limits(
    mu: float, fpr: float, n: int, repetitions: int, rng: Rng, each: float = 0.025
) -> tuple[Floats, Floats]:
    """Return 95% limits of the TPR at an FPR, n members and n non-members, binormal.

    each: spent on each threshold and each rate; ``tpr_at_fpr`` spends 0.0125. Order statistics
    are drawn as such (Beta), so that large n cost nothing.
    """

    def beyond(f: Floats) -> Floats:
        return np.asarray(norm.sf(norm.isf(f) - mu))

    strict, loose = (int(rank(fpr, n, each)) for rank in (strict_rank, loose_rank))
    tight = rng.beta(strict, n + 1 - strict, repetitions) if strict else np.zeros(repetitions)
    wide = tight + (1 - tight) * rng.beta(loose - strict, n + 1 - loose, repetitions)
    above = rng.binomial(n, beyond(tight))
    more = (beyond(wide) - beyond(tight)) / (1 - beyond(tight))
    reached = above + rng.binomial(n - above, more)
    return lower_bound(above, n, each), upper_bound(reached, n, each)


def tied_coverage(fpr: float, n: int, repetitions: int, rng: Rng) -> tuple[Bools, Bools]:
    """Return whether the limits cover the TPR at an FPR of claims in steps; judge's, function's.

    Claims are N(1, 1) and N(0, 1) rounded to quarters; the truth is the best whole tie group.
    """
    steps = np.arange(-20, 40) / 4.0
    false = norm.sf(steps - 0.125)
    truth = norm.sf(steps[false <= fpr].min() - 1.125)
    exposed = np.arange(2 * n) < n
    covered = np.empty((repetitions, 2), np.bool_)
    for i in range(repetitions):
        claim = np.round(4.0 * (rng.normal(size=2 * n) + exposed)) / 4.0
        low, high = tpr_interval(tally(claim, exposed), [fpr])
        point = tpr_at_fpr(claim, exposed, fpr)
        covered[i] = low[0] <= truth <= high[0], point.low <= truth <= point.high
    return covered[:, 0], covered[:, 1]


def _by_count(bound: Callable[[int, int], float], first: Ints, second: Ints, truth: float) -> Bools:
    """Return whether a lower bound lies below the truth, computed once for each pair of counts."""
    pairs, index = np.unique(np.stack([first, second]), axis=1, return_inverse=True)
    below = np.array([bound(int(a), int(b)) <= truth + 1e-9 for a, b in pairs.T])
    return below[index.reshape(-1)]


def epsilon_coverage(epsilon: float, fpr: float, n: int, repetitions: int, rng: Rng) -> Bools:
    """Return whether ``epsilon_lower`` holds for a mechanism that is tight at this FPR."""
    tpr = min(np.exp(epsilon) * fpr, 1 - np.exp(-epsilon) * (1 - fpr))
    tp, fp = rng.binomial(n, tpr, repetitions), rng.binomial(n, fpr, repetitions)
    return _by_count(lambda a, b: epsilon_lower(a, n, b, n), tp, fp, epsilon)


def gdp_coverage(mu: float, fpr: float, n: int, repetitions: int, rng: Rng) -> Bools:
    """Return whether ``gdp_mu_lower`` holds for a Gaussian mechanism."""
    tp = rng.binomial(n, binormal(mu, fpr)[0], repetitions)
    fp = rng.binomial(n, fpr, repetitions)
    return _by_count(lambda a, b: gdp_mu_lower(a, n, b, n), tp, fp, mu)


def one_run_coverage(epsilon: float, guesses: int, repetitions: int, rng: Rng) -> Bools:
    """Return whether ``epsilon_one_run`` holds for randomised response, its tight case."""
    right = rng.binomial(guesses, np.exp(epsilon) / (1 + np.exp(epsilon)), repetitions)
    return _by_count(lambda v, _: epsilon_one_run(1000, guesses, v), right, right * 0, epsilon)


def auc_coverage(mu: float, n: int, repetitions: int, rng: Rng) -> Bools:
    """Return whether the DeLong interval covers the AUC, n members and n non-members."""
    exposed = np.arange(2 * n) < n
    truth = norm.cdf(mu / np.sqrt(2))
    covered = np.empty(repetitions, np.bool_)
    for i in range(repetitions):
        found = auc(rng.normal(size=2 * n) + mu * exposed, exposed)
        covered[i] = found.low <= truth <= found.high
    return covered


RATES = ((100, 0.01), (100, 0.3), (1000, 0.001), (1000, 0.05), (20000, 0.001))
BINORMAL = (
    (1.0, 0.01, 1000),
    (2.0, 0.001, 5000),
    (0.0, 0.01, 5000),
    (0.3, 0.01, 10000),
    (1.0, 0.01, 5000),
    (2.0, 0.01, 5000),
    (3.0, 0.01, 5000),
    (2.0, 0.001, 50000),
    (0.0, 0.1, 1000),
    (1.0, 0.1, 1000),
    (2.0, 0.1, 1000),
)
"""mu, FPR, n; widths are compared where f n >= 50."""


def measure() -> dict[str, object]:
    """Return all figures."""
    rng = np.random.default_rng(20)
    many = 20_000
    widths, function_widths = {}, {}
    coverage = {
        f"Clopper-Pearson, n {n}, rate {p:g}": share(rate_coverage(n, p, many, rng))
        for n, p in RATES
    }
    for mu, fpr, n in BINORMAL:
        low, high = tpr_limits(mu, fpr, n, many, rng)
        truth = binormal(mu, fpr)[0]
        name = f"TPR at FPR {fpr:g}, mu {mu:g}, n {n}"
        coverage[name] = share((low <= truth) & (truth <= high))
        if fpr * n >= 50:
            delta = delta_width(mu, fpr, n, n)
            widths[name] = round(float((high - low).mean()) / delta, 3)
            low, high = tpr_limits(mu, fpr, n, many, rng, each=0.0125)
            function_widths[name] = round(float((high - low).mean()) / delta, 3)
    for fpr in (0.01, 0.1):
        of_judge, of_function = tied_coverage(fpr, 500, 10_000, rng)
        coverage[f"TPR at FPR {fpr:g}, claims in steps, n 500"] = share(of_judge)
        coverage[f"tpr_at_fpr at FPR {fpr:g}, claims in steps, n 500"] = share(of_function)
    for epsilon, fpr in ((0.5, 0.3), (2.0, 0.01), (2.0, 0.1)):
        coverage[f"epsilon_lower, epsilon {epsilon:g}, FPR {fpr:g}, n 500"] = share(
            epsilon_coverage(epsilon, fpr, 500, many, rng)
        )
    for epsilon, guesses in ((0.5, 200), (2.0, 100), (4.0, 500)):
        coverage[f"epsilon_one_run, epsilon {epsilon:g}, {guesses} guesses"] = share(
            one_run_coverage(epsilon, guesses, many, rng)
        )
    coverage["gdp_mu_lower, mu 1, FPR 0.01, n 500"] = share(gdp_coverage(1.0, 0.01, 500, many, rng))
    coverage["AUC, mu 0.5, n 200"] = share(auc_coverage(0.5, 200, 10_000, rng))
    clock = time.process_time()
    null = [leak(null_audit(seed)) for seed in range(1000)]
    seconds = (time.process_time() - clock) / len(null)
    clock = time.process_time()
    null_audit(0, n=20_000)
    large = time.process_time() - clock
    planted = [leak(planted_audit(seed)) for seed in range(300)]
    overfitted = [overfitted_audit(seed) for seed in range(200)]
    losses = [judged[0] for judged, _ in overfitted]
    words = [findings[0].word for _, findings in overfitted]
    return {
        "coverage_95": coverage,
        "width_over_delta_method": widths,
        "width_of_tpr_at_fpr_over_delta_method": function_widths,
        "null_audits_with_a_leak_word": share(null),
        "null_audits_of_4_targets_with_a_leak_word": share(
            [leak(null_audit(seed, n=500, targets=4)) for seed in range(300)]
        ),
        "planted_leaks_found": share(planted),
        "overfitted_loss": {
            "auc": round(float(np.mean([j.auc.value for j in losses])), 3),
            "likelihood_ratio_bound_at_fpr_0.01": round(
                float(np.mean([j.points[1].likelihood_low for j in losses])), 2
            ),
            "tpr_bound_at_fpr_0.01": round(
                float(np.mean([j.exclusion[1].high for j in losses])), 3
            ),
            "leak_word": share([word in LEAKS for word in words]),
            "weak": share([word is Word.WEAK for word in words]),
        },
        "cpu_seconds_of_8_attacks_by_rounds": {"2000": round(seconds, 3), "20000": round(large, 3)},
    }


if __name__ == "__main__":
    print(write("statistics", measure(), PATHS))
