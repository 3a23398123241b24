"""Loader "client": a client's procedure, by which core makes updates of batches of its records."""

import hashlib
import json
from collections.abc import Mapping

import attrs
from leakpro_torch.modules import check_device
from torch import nn

from leakpro_core.arrays import AnyArray
from leakpro_core.protocols import Run
from leakpro_core.records import Disclosed, Release, Target, UpdateRelease
from leakpro_fl.client import TorchClient, buffers_of
from leakpro_fl.defences import said_of_noise
from leakpro_fl.models import global_model
from leakpro_fl.options import ClientOptions


def load(options: ClientOptions, run: Run) -> Release:
    """Return a client without updates; core draws batches of its records.

    The target's identity is the SHA-256 of the global model and of what the client does.
    ``UnsafeFile``, ``NotAFactory``, ``BadArray`` (weights that do not fit), ``MissingFile``.
    """
    module, before, notes = global_model(
        options.factory, options.weights, trust=options.trust, seed=run.seed
    )
    check_device(options.device, "[target] device")
    disclosed = options.disclosed()
    handle = TorchClient(
        module=module,
        disclosed=disclosed,
        groups=options.groups,
        device=options.device,
        threads=options.threads,
    )
    source = "as its factory made it" if options.weights is None else f"of {options.weights.name}"
    release = UpdateRelease(
        disclosed=disclosed,
        before=before,
        rounds=options.rounds,
        buffers=buffers_of(module),
        groups=options.groups,
    )
    target = Target(
        kind="update",
        identity=identity(disclosed, {"before": before}),
        handle=handle,
        description=f"what a client sends of {type(module).__name__}, {source}: {said(disclosed)}",
        parameters=count(module),
    )
    return Release(target=target, updates=release, notes=(*notes, *said_of_noise(disclosed)))


def identity(disclosed: Disclosed, models: Mapping[str, Mapping[str, AnyArray]]) -> str:
    """Return the SHA-256 (hex) over what was disclosed and all named arrays."""
    digest = hashlib.sha256(json.dumps(attrs.asdict(disclosed), sort_keys=True).encode())
    for part, arrays in models.items():
        for name, values in arrays.items():
            digest.update(repr((part, name, values.dtype.str, values.shape)).encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


def count(module: nn.Module) -> int:
    """Return the number of a module's parameters."""
    return sum(p.numel() for p in module.parameters())


def said(disclosed: Disclosed) -> str:
    """Return what a client sends, in words."""
    of = "an unknown number of" if disclosed.examples is None else str(disclosed.examples)
    whose = "" if disclosed.clients == 1 else f", the mean over {disclosed.clients} clients"
    kind = {
        "gradient": "the gradient",
        "delta": "the change of its weights",
        "weights": "its weights after local training",
    }[disclosed.kind]
    return f"{kind} on {of} records{whose}"
