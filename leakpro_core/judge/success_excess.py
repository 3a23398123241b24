"""Description of one attack alone, which decides nothing: its excess over control."""

from leakpro_core.games.outcome import Refereed
from leakpro_core.judge.success_points import success_point
from leakpro_core.judge.success_rounds import SuccessRounds, sample_of
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate


def excess_of(refereed: Refereed, policy: Policy) -> Estimate | None:
    """Return the excess of all claims together, uncorrected; None where an arm has too few."""
    alone = SuccessRounds(label="attack", adversary="", game="", refereed=refereed)
    sample = sample_of(alone, 0)
    for units in sample.points:
        if units.facet == "" and units.coverage == "all claims":
            return success_point(units, sample, 0.5, policy.confidence).excess
    return None
