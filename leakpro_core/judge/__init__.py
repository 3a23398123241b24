"""The judge: from evidence to findings. The only place where a rate or a verdict is computed.

``rounds``     lines the rounds of all attacks up, by target and subject
``points``     operating points, likelihood-ratio bounds, exclusion
``detection``  the permutation test of the largest statistic
``describe``   AUC, ROC, histogram, strength curve
``measure``    ``judge``: all of these, for all attacks, under one correction
``words``      ``finding``: one word and sentence for a family
``one_by_one`` people whom generators give away, each by a test of its own
``verdict``    ``overall``: the line on top of the report

Success games have their own: ``success_rounds`` (which claims, at which points),
``success_units`` (what of it is independent), ``success_points``, ``success_detection``,
``success`` (``judge_success``) and ``success_words`` (``success_finding``).
"""

from leakpro_core.judge.describe import auc_of_evidence as auc_of
from leakpro_core.judge.describe import still_rising, strength_point, tpr_of
from leakpro_core.judge.measure import Judged, judge
from leakpro_core.judge.one_by_one import ONE, GivenAway, given_away, person_finding, person_note
from leakpro_core.judge.points import PROCEDURE
from leakpro_core.judge.rounds import MAIN, TENTH, Rounds
from leakpro_core.judge.success import JudgedSuccess, judge_success
from leakpro_core.judge.success_excess import excess_of
from leakpro_core.judge.success_rounds import SuccessRounds
from leakpro_core.judge.success_words import success_finding
from leakpro_core.judge.verdict import Overall, overall
from leakpro_core.judge.words import finding
from leakpro_core.report import StrengthPoint

__all__ = [
    "MAIN",
    "ONE",
    "PROCEDURE",
    "TENTH",
    "GivenAway",
    "Judged",
    "JudgedSuccess",
    "Overall",
    "Rounds",
    "StrengthPoint",
    "SuccessRounds",
    "auc_of",
    "excess_of",
    "finding",
    "given_away",
    "judge",
    "judge_success",
    "overall",
    "person_finding",
    "person_note",
    "still_rising",
    "strength_point",
    "success_finding",
    "tpr_of",
]
