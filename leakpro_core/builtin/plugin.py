"""Hooks of the built-in parts, an ordinary plugin; imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import ExecutorOffer, LoaderOffer, ReporterOffer


@hookimpl
def leakpro_target_loaders() -> Iterable[LoaderOffer]:
    """Offer recorded outputs, and targets that core trains."""
    yield LoaderOffer(
        name="arrays",
        ref="leakpro_core.builtin.arrays:load",
        summary="Outputs of a model and of shadow models that you already have, in an npz file.",
        options="leakpro_core.builtin.arrays:ArraysOptions",
    )
    yield LoaderOffer(
        name="trained",
        ref="leakpro_core.builtin.trained:load",
        summary="Targets that are trained by the shadows' recipe: audits a training procedure.",
        options="leakpro_core.builtin.trained:TrainedOptions",
    )


@hookimpl
def leakpro_reporters() -> Iterable[ReporterOffer]:
    """Offer the machine-readable report and the summary on the terminal."""
    yield ReporterOffer(
        name="json",
        ref="leakpro_core.builtin.json_report:render",
        summary="The whole report, for machines.",
    )
    yield ReporterOffer(
        name="terminal",
        ref="leakpro_core.builtin.terminal:render",
        summary="The verdict and the operating points, as text.",
    )


@hookimpl
def leakpro_executors() -> Iterable[ExecutorOffer]:
    """Offer this machine."""
    yield ExecutorOffer(
        name="local",
        ref="leakpro_core.builtin.local:execute",
        slots="leakpro_core.builtin.local:slots",
        summary="Worker processes on this machine.",
        options="leakpro_core.builtin.local:LocalOptions",
    )
