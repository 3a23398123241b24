"""Worker processes verify again: they trust neither the parent's memory nor old byte-code."""

import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from leakpro_core.errors import PluginRefused, RegistryMalformed
from leakpro_core.vetting.decide import vet
from leakpro_core.vetting.reasons import refusal
from leakpro_core.vetting.registry import Mode, Registry, read
from leakpro_core.work import Vetting

if TYPE_CHECKING:
    from leakpro_core.plugins import PluginSet


def for_workers(plugins: "PluginSet") -> Vetting:
    """Return what workers need to rebuild the same decisions; call it once per audit.

    In enforce it makes a private folder for byte-code, which goes when ``plugins`` does.
    """
    registry = plugins.registry
    bytecode = None
    if registry.mode is Mode.ENFORCE:
        bytecode = Path(tempfile.mkdtemp(prefix="leakpro-bytecode-"))
        weakref.finalize(plugins, shutil.rmtree, bytecode, ignore_errors=True)
    return Vetting(
        mode=registry.mode.value,
        registries=tuple(
            (layer.path.resolve(), layer.sha256) for layer in registry.layers if layer.path
        ),
        path=plugins.path,
        today=plugins.today,
        needed=tuple(p.name for p in plugins.plugins if p.status == "verified"),
        bytecode=bytecode,
    )


def enter_worker(vetting: Vetting) -> None:
    """Verify again in this process, before anything of a plugin is imported or unpickled.

    ``RegistryMalformed`` if the registry changed since the audit began, ``PluginRefused`` if a
    plugin did. May be called any number of times.
    """
    if vetting.mode == Mode.OFF:
        return
    registry = _same_registry(vetting)
    if vetting.bytecode is not None:
        _keep_bytecode_in(vetting.bytecode)
    path = sys.path if vetting.path is None else vetting.path
    vetted = {each.found.name: each for each in vet(registry, path, vetting.today)}
    for name in vetting.needed:
        if name not in vetted:
            raise PluginRefused(
                f"worker process: {name}",
                found="not installed here",
                expected="the wheel that was approved, on every machine",
            )
        if not vetted[name].verified:
            raise refusal(vetted[name].problems[0], "worker process: ")


def _same_registry(vetting: Vetting) -> Registry:
    layers = [read(path) for path, _ in vetting.registries]
    for layer, (path, sha256) in zip(layers, vetting.registries, strict=True):
        if layer.sha256 != sha256:
            raise RegistryMalformed(
                f"worker process: registry {path} changed since the audit began",
                found=layer.sha256,
                expected=sha256,
                fix="Run the audit again.",
            )
    return evolve(layers[0], mode=Mode(vetting.mode), floor=layers[1] if layers[1:] else None)


def _keep_bytecode_in(folder: Path) -> None:
    """Read and write byte-code there only; on another machine the folder is made anew."""
    if sys.pycache_prefix == str(folder):
        return
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        private = status.st_uid == os.getuid() and not status.st_mode & 0o077
    except OSError:
        private = False
    if not private:
        raise PluginRefused(
            f"worker process: folder for byte-code {folder}",
            found="a folder that others may write to, or that cannot be made",
            expected="a private one",
        )
    sys.pycache_prefix = str(folder)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)  # for processes that this one starts
