"""The hooks. Their docstrings are the reference.

A hook takes no arguments and returns *offers*. It is called once per audit, after vetting,
and its offers are sorted by name. A hook does no work: work is the plain function that an
offer names. An exception, a wrapper or a duplicate name stops that plugin, never the others.
"""

from collections.abc import Iterable

import pluggy

from leakpro_core.offers import AttackOffer, ExecutorOffer, LoaderOffer, ReporterOffer, TrainerOffer

hookspec = pluggy.HookspecMarker("leakpro")


@hookspec
def leakpro_target_loaders() -> Iterable[LoaderOffer]:
    """Offer ways to load what was released (stage 1).

    An offer names ``load(options, run) -> Release``. The release holds the target, the
    population of records that the game draws on and, where the plan has them, ready-made shadows.
    """
    raise NotImplementedError


@hookspec
def leakpro_shadow_trainers() -> Iterable[TrainerOffer]:
    """Offer ways to train models by a recipe (stage 2).

    An offer names ``train(data, unit, run) -> Cohort``. Core decides which model trains on
    which records and hands over row numbers; the trainer never learns which of its models are
    targets. Core then queries the cohort and keeps signals, not models.
    """
    raise NotImplementedError


@hookspec
def leakpro_attacks() -> Iterable[AttackOffer]:
    """Offer attacks (stage 3).

    An offer names ``attack(challenge, options, run) -> Answer``. The challenge holds what the
    threat model grants and no secret; the answer holds claims, never a rate or a verdict.
    """
    raise NotImplementedError


@hookspec
def leakpro_reporters() -> Iterable[ReporterOffer]:
    """Offer ways to show a report (stage 4).

    An offer names ``render(report, folder, options) -> tuple[Path, ...]``, the files written.
    Rendering is a pure function of the report.
    """
    raise NotImplementedError


@hookspec
def leakpro_executors() -> Iterable[ExecutorOffer]:
    """Offer places where units of work run.

    An offer names ``execute(works, options, run) -> Iterator[tuple[int, object]]``: pairs of a
    work's position and its result, in any order. Results do not depend on the executor.
    """
    raise NotImplementedError


HOOKS = (
    "leakpro_target_loaders",
    "leakpro_shadow_trainers",
    "leakpro_attacks",
    "leakpro_reporters",
    "leakpro_executors",
)
