"""Vetting: only what was approved runs. Change control with evidence, not a sandbox.

``registry`` what was approved; ``metadata`` and ``digest`` what is installed; ``decide`` whether
they agree; ``finder`` that only those bytes are imported; ``workers`` the same in other processes.
"""

from leakpro_core.vetting.reasons import Problem, Reason
from leakpro_core.vetting.registry import Mode, Registry, choose
from leakpro_core.vetting.workers import enter_worker, for_workers

__all__ = ["Mode", "Problem", "Reason", "Registry", "choose", "enter_worker", "for_workers"]
