"""Hooks of this plugin; imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import ExecutorOffer


@hookimpl
def leakpro_executors() -> Iterable[ExecutorOffer]:
    """Offer Ray."""
    return [
        ExecutorOffer(
            name="ray",
            ref="leakpro_ray.executor:execute",
            slots="leakpro_ray.options:slots",
            summary="Ray workers, of this machine or of a running cluster.",
            options="leakpro_ray.options:RayOptions",
        )
    ]
