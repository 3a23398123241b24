"""Pure functions over numpy: every interval, bound and test that the judge uses."""

from leakpro_core.statistics.epsilon import (
    epsilon_ceiling,
    epsilon_lower,
    epsilon_one_run,
    gdp_epsilon,
    gdp_mu_lower,
)
from leakpro_core.statistics.intervals import (
    Interval,
    clopper_pearson,
    likelihood_ratio_lower,
    newcombe_difference,
    ppv,
    ppv_interval,
    wilson,
)
from leakpro_core.statistics.multiplicity import holm
from leakpro_core.statistics.power import records_needed, trials_to_exclude
from leakpro_core.statistics.roc import (
    OperatingPoint,
    Roc,
    auc,
    auc_difference,
    roc,
    tpr_at_fpr,
)

__all__ = [
    "Interval",
    "OperatingPoint",
    "Roc",
    "auc",
    "auc_difference",
    "clopper_pearson",
    "epsilon_ceiling",
    "epsilon_lower",
    "epsilon_one_run",
    "gdp_epsilon",
    "gdp_mu_lower",
    "holm",
    "likelihood_ratio_lower",
    "newcombe_difference",
    "ppv",
    "ppv_interval",
    "records_needed",
    "roc",
    "tpr_at_fpr",
    "trials_to_exclude",
    "wilson",
]
