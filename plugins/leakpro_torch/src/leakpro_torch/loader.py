"""Loader "torch": a PyTorch model as the target of an audit."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen
from torch import nn

from leakpro_core.arrays import AnyArray, Singles
from leakpro_core.errors import MissingFile, MissingKey
from leakpro_core.protocols import Run
from leakpro_core.records import Release, Target
from leakpro_core.references import importable
from leakpro_torch.modules import arithmetic, build, check_device, outputs, seeded, threads
from leakpro_torch.options import LoaderOptions
from leakpro_torch.weights import fit, read


@frozen(kw_only=True)
class TorchModel:
    """A module in evaluation mode; Queryable, Weights and Native."""

    module: nn.Module
    device: str
    batch_size: int
    threads: int

    def query(self, records: AnyArray) -> Singles:
        """Return the module's outputs on ``records`` ``[n, ...]``, float32 ``[n, classes]``."""
        with threads(self.threads), arithmetic("float32"):
            return outputs(self.module, records, self.batch_size, self.device)

    def parameters(self) -> Mapping[str, AnyArray]:
        """Return copies of the module's parameters and buffers, by name."""
        return {
            name: t.cpu().float().numpy().copy() for name, t in self.module.state_dict().items()
        }

    def native(self) -> nn.Module:
        """Return the module itself."""
        return self.module


def load(options: LoaderOptions, run: Run) -> Release:
    """Return the model of ``options``; its identity is the SHA-256 of the weights file.

    ``UnsafeFile``, ``NotAFactory``, ``BadArray`` (weights that do not fit), ``MissingFile``.
    """
    content = _content(options.weights)
    module, notes = _module(options, content, run.seed)
    check_device(options.device, "[target] device")
    handle = TorchModel(
        module=module.to(options.device),
        device=options.device,
        batch_size=options.batch_size,
        threads=options.threads,
    )
    # Shadows are trained on logits: a factory whose module ends in a softmax is not theirs.
    architecture = options.factory if options.outputs == "logits" else None
    target = Target(
        kind="model",
        identity=hashlib.sha256(content).hexdigest(),
        handle=handle,
        outputs=options.outputs,
        description=f"PyTorch module {type(module).__name__} from {options.weights.name}",
        architecture=architecture,
        parameters=sum(p.numel() for p in module.parameters()),
    )
    return Release(target=target, notes=notes)


def _content(path: Path) -> bytes:
    # Read once: what is hashed is what is loaded.
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"weights {path}", found=error.strerror or str(error)) from error


def _module(options: LoaderOptions, content: bytes, seed: int) -> tuple[nn.Module, tuple[str, ...]]:
    name = options.weights.name
    home = options.weights.parent if options.factory is None else options.factory.folder
    with importable(home):  # a pickled module is of a class of the user's
        loaded, trusted = read(content, name, trust=options.trust)
    notes = (f"{name} was trusted: it could run code while it was loaded.",) if trusted else ()
    if isinstance(loaded, nn.Module):
        return loaded, notes
    if options.factory is None:
        raise MissingKey(
            "[target] factory",
            found=f"a state dict in {name}",
            expected="the import path of a callable that builds the module",
            fix='Set factory = "my_models:build".',
        )
    with seeded(seed):
        module = build(options.factory)
    return fit(module, loaded, name, options.factory.ref).eval(), notes
