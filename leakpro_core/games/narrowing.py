"""What of an update an adversary gets: no more than the plan says that it knows."""

from collections.abc import Collection, Mapping
from typing import Any

from attrs import evolve

from leakpro_core.arrays import AnyArray
from leakpro_core.records import Auxiliary, Disclosed, UpdateRelease

_HOW = (
    "optimiser",
    "lr",
    "momentum",
    "nesterov",
    "weight_decay",
    "epochs",
    "batch_size",
    "shuffled",
    "mode",
    "reduction",
    "clip",
    "clipped",
    "noise",
    "pruned",
    "bits",
)
"""What "hyper-parameters" stands for. The kind of the update, the number of clients, the
normalisation of records and the dtype are seen by whoever runs the federation."""


def disclosed_to(knows: Collection[str], disclosed: Disclosed) -> Disclosed:
    """Return what an adversary who knows only so much is told of how an update came about."""
    hidden: dict[str, Any] = dict.fromkeys(() if "hyper-parameters" in knows else _HOW)
    if "batch size" not in knows:
        hidden["examples"] = None
    return evolve(disclosed, **hidden)


def values_to(
    knows: Collection[str], values: Mapping[str, AnyArray], release: UpdateRelease
) -> dict[str, AnyArray]:
    """Return copies of what was sent, without batch norm's statistics where they are not known."""
    hidden = () if "batch-norm statistics" in knows else release.buffers
    return copied({name: array for name, array in values.items() if name not in hidden})


def auxiliary_to(knows: Collection[str], auxiliary: Auxiliary | None) -> Auxiliary | None:
    """Return the auxiliary records, read-only, or None where the adversary has none."""
    return auxiliary if "auxiliary population" in knows else None


def copied(values: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Return fresh arrays: an attack that changes its own spoils nobody else's."""
    return {name: array.copy() for name, array in values.items()}
