"""Loss attack (Yeom et al. 2018, section 3.2): a model fits its training data better."""

import numpy as np

from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge
from leakpro_core.protocols import Run


def attack(challenge: MembershipChallenge, options: None, run: Run) -> MembershipAnswer:
    """Claim the log-probability of the true class, the mean over queries."""
    log_p = challenge.target.log_p[1.0].astype(np.float64)
    return MembershipAnswer(claims=log_p.mean(axis=1))
