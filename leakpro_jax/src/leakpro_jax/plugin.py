"""Hooks of this plugin; imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import LoaderOffer, TrainerOffer


@hookimpl
def leakpro_target_loaders() -> Iterable[LoaderOffer]:
    """Offer JAX models."""
    return [
        LoaderOffer(
            name="jax",
            ref="leakpro_jax.loader:load",
            summary="a JAX model: a factory (Equinox, or parameters and a function) and weights",
            options="leakpro_jax.options:LoaderOptions",
        )
    ]


@hookimpl
def leakpro_shadow_trainers() -> Iterable[TrainerOffer]:
    """Offer training with JAX."""
    return [
        TrainerOffer(
            name="jax",
            ref="leakpro_jax.trainer:train",
            trial="leakpro_jax.trial:trial",
            summary="JAX classifiers by a built-in recipe, whole epochs of a cohort compiled",
            options="leakpro_jax.options:TrainerOptions",
            backend="jax",
        )
    ]
