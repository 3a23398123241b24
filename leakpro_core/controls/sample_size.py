"""Whether there are enough records for the false positive rates that the policy declares."""

import math

from leakpro_core.arrays import Bools
from leakpro_core.plan import Policy
from leakpro_core.report import Control
from leakpro_core.statistics.intervals import upper_bound
from leakpro_core.statistics.roc import loose_rank, strict_rank


def nonmembers_needed(fpr: float, confidence: float = 0.95) -> int:
    """Return the fewest non-members that can show a TPR above 0 at ``fpr``.

    ``ln(alpha / 4) / ln(1 - fpr)``: below it even the largest non-member claim is no threshold
    whose FPR is surely small enough.
    """
    return math.ceil(math.log((1 - confidence) / 4) / math.log1p(-fpr))


def excludable(
    fpr: float,
    members: int,
    nonmembers: int,
    confidence: float = 0.95,
    *,
    sampled: bool = True,
) -> float:
    """Return the upper bound of the TPR at ``fpr`` that a useless attack would be given.

    ``alpha / 2`` each for threshold and rate, as the judge does; the attack flags as many members
    as it should. sampled: False where all members are tested, which leaves no error of the rate.
    """
    alpha = 1 - confidence
    rank = int(loose_rank([fpr], nonmembers, alpha / 2)[0])
    if rank > nonmembers:
        return 1.0
    flagged = round(members * rank / (nonmembers + 1))
    return float(upper_bound(flagged, members, alpha / 2)) if sampled else flagged / members


def sample_size_control(members: Bools, policy: Policy, *, sampled: bool = True) -> Control:
    """Return for each declared FPR whether so many records can resolve it; warns if not.

    members: bool ``[n]``, one entry a person that is asked about; sampled: as for ``excludable``.
    The sensitivity is the TPR that a useless attack would be bounded by.
    """
    inside = int(members.sum())
    outside = len(members) - inside
    quarter = (1 - policy.confidence) / 4
    budgets = sorted(policy.tolerance, reverse=True)
    missing = {
        f: nonmembers_needed(f, policy.confidence)
        for f in budgets
        if strict_rank([f], outside, quarter)[0] < 1
    }
    bounds = {
        f: excludable(f, inside, outside, policy.confidence, sampled=sampled) for f in budgets
    }
    loose = [f for f in budgets if f not in missing and bounds[f] > policy.tolerance[f]]
    parts = [
        f"{needed:,} non-members are needed for a lower limit at FPR {f:.4g}"
        for f, needed in missing.items()
    ]
    parts += [
        f"at FPR {f:.4g} the tolerated {policy.tolerance[f]:.2g} could hardly be excluded"
        for f in loose
    ]
    have = f"{inside:,} members and {outside:,} non-members"
    statement = (
        f"With {have} the audit cannot resolve all that the policy asks: {', '.join(parts)}."
        if parts
        else f"{have} are enough for every false positive rate that the policy declares."
    )
    return Control(
        name="sample size",
        result="warn" if parts else "pass",
        statement=statement,
        sensitivity="A useless attack's TPR would be bounded by "
        + ", ".join(f"{bounds[f]:.2g} at FPR {f:.4g}" for f in budgets)
        + ".",
    )
