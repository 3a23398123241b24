"""Hooks of this plugin; imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import LoaderOffer, TrainerOffer


@hookimpl
def leakpro_target_loaders() -> Iterable[LoaderOffer]:
    """Offer PyTorch models."""
    return [
        LoaderOffer(
            name="torch",
            ref="leakpro_torch.loader:load",
            summary="a PyTorch model: a factory and its weights, or a trusted file",
            options="leakpro_torch.options:LoaderOptions",
        )
    ]


@hookimpl
def leakpro_shadow_trainers() -> Iterable[TrainerOffer]:
    """Offer training with PyTorch."""
    return [
        TrainerOffer(
            name="torch",
            ref="leakpro_torch.trainer:train",
            summary="PyTorch classifiers by a built-in recipe or the user's own train function",
            options="leakpro_torch.options:TrainerOptions",
            backend="torch",
            trial="leakpro_torch.trial:trial",
        )
    ]
