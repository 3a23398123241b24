"""Loading one plugin: import its modules, walk its hook implementations, collect its offers.

Implementations are walked, not called through ``pm.hook.x()``: so each offer is known to be its
plugin's, and a plugin that fails takes nothing else down.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import partial
from types import ModuleType

import pluggy
from attrs import evolve, frozen

from leakpro_core import __version__, hookspecs
from leakpro_core.errors import nearest
from leakpro_core.offers import (
    AttackOffer,
    ExecutorOffer,
    LoaderOffer,
    Offer,
    ReporterOffer,
    TrainerOffer,
)
from leakpro_core.vetting.decide import Vetted, unapproved_hooks
from leakpro_core.vetting.metadata import is_module
from leakpro_core.vetting.reasons import Problem, Reason, problem
from leakpro_core.vetting.registry import Mode

BUILTIN = "leakpro-core"

_OFFERS: dict[str, type[Offer]] = {
    "leakpro_target_loaders": LoaderOffer,
    "leakpro_shadow_trainers": TrainerOffer,
    "leakpro_attacks": AttackOffer,
    "leakpro_reporters": ReporterOffer,
    "leakpro_executors": ExecutorOffer,
}


class Status(StrEnum):
    """What became of a plugin. Unvetted: without a registry; unverified: not approved (warn)."""

    BUILT_IN = "built in"
    VERIFIED = "verified"
    UNVETTED = "unvetted"
    UNVERIFIED = "unverified"
    REFUSED = "refused"
    BROKEN = "broken"


@frozen(kw_only=True)
class Plugin:
    """An installed plugin; problems: why it was refused, is broken or could not be verified.

    digest: of its files as they were found, empty where nobody looked.
    """

    name: str
    version: str
    status: Status
    hooks: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    digest: str = ""


Loaded = tuple[Plugin, tuple[Offer, ...]]


class _Faulty(Exception):
    """The plugin cannot be used."""

    def __init__(self, reason: Reason, found: str, *, expected: str = "", fix: str = "") -> None:
        super().__init__(found)
        self.reason, self.found, self.expected, self.fix = reason, found, expected, fix


def load_builtin() -> Loaded:
    """Load core's own parts: a plugin like any other, always there and not vetted apart."""
    plugin = Plugin(name=BUILTIN, version=__version__, status=Status.BUILT_IN)
    return _load(plugin, ("leakpro_core.builtin.plugin",), None)


def load(vetted: Vetted) -> Loaded:
    """Load a plugin, unless vetting refused it. Never raises: what is wrong is in its problems."""
    metadata = vetted.found.metadata
    plugin = Plugin(
        name=metadata.name,
        version=metadata.version,
        status=_status(vetted),
        capabilities=vetted.approvals[0].capabilities if vetted.approvals else (),
        problems=vetted.problems,
        digest=vetted.digest,
    )
    if vetted.refused:
        return plugin, ()
    return _load(plugin, [module for _, module in metadata.entry_points], vetted)


def _status(vetted: Vetted) -> Status:
    if vetted.refused:
        return Status.REFUSED
    if vetted.mode is Mode.OFF:
        return Status.UNVETTED
    return Status.VERIFIED if vetted.verified else Status.UNVERIFIED


def _load(plugin: Plugin, modules: Iterable[str], vetted: Vetted | None) -> Loaded:
    try:
        hooks = [hook for module in modules for hook in _hooks(_import(module), plugin.name)]
        plugin = evolve(plugin, hooks=tuple(sorted({hook.name for hook in hooks})))
        if vetted is not None:
            plugin = _with_late_hooks(plugin, vetted)
        if plugin.status is Status.REFUSED:
            return plugin, ()
        return plugin, tuple(offer for hook in hooks for offer in _offers(hook))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # looking at a module runs its code, which may raise anything
        fault = error if isinstance(error, _Faulty) else _Faulty(Reason.RAISES, _said(error))
        report = partial(problem, plugin.name, plugin.version, fault.reason, fault.found)
        found = report(expected=fault.expected, fix=fault.fix)
        return evolve(plugin, status=Status.BROKEN, problems=(found, *plugin.problems)), ()


def _with_late_hooks(plugin: Plugin, vetted: Vetted) -> Plugin:
    """Compare hooks again: those made at run time do not show in the source that vetting read."""
    late = unapproved_hooks(vetted.found.metadata, vetted.approvals, plugin.hooks)
    problems = tuple(dict.fromkeys((*plugin.problems, *late)))
    status = _status(evolve(vetted, problems=problems))
    return evolve(plugin, problems=problems, status=status)


@frozen
class _Hook:
    name: str
    function: Callable[[], object]


def _import(module: str) -> ModuleType:
    if not is_module(module):
        raise _Faulty(
            Reason.ENTRY_POINT,
            repr(module),
            expected="a module: package.plugin",
            fix="Mend the entry point in the plugin's pyproject.toml.",
        )
    return importlib.import_module(module)


def _hooks(module: ModuleType, plugin: str) -> Iterator[_Hook]:
    """Yield the module's hook implementations; a manager of its own keeps plugins apart."""
    manager = pluggy.PluginManager("leakpro")
    manager.add_hookspecs(hookspecs)
    for name in dir(module):
        options = manager.parse_hookimpl_opts(module, name)
        if options is None:
            continue
        hook = options.get("specname") or name
        if options.get("wrapper") or options.get("hookwrapper"):
            raise _Faulty(Reason.WRAPPER, hook)
        if hook not in hookspecs.HOOKS:
            raise _Faulty(
                Reason.UNKNOWN_HOOK,
                f"{hook} in {module.__name__}",
                fix=nearest(hook, hookspecs.HOOKS),
            )
    try:
        manager.register(module, name=plugin)
    except pluggy.PluginValidationError as error:
        raise _Faulty(Reason.SIGNATURE, _said(error)) from error
    for caller in manager.get_hookcallers(module) or ():
        for implementation in caller.get_hookimpls():
            yield _Hook(caller.name, implementation.function)


def _offers(hook: _Hook) -> tuple[Offer, ...]:
    kind = _OFFERS[hook.name]
    expected = f"{kind.__name__} records"
    try:
        result = hook.function()
        if not isinstance(result, Iterable):
            raise _Faulty(Reason.NOT_OFFERS, f"{result!r} from {hook.name}", expected=expected)
        offers = tuple(result)
    except (_Faulty, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _Faulty(Reason.HOOK_RAISES, f"{_said(error)} in {hook.name}") from error
    for offer in offers:
        if type(offer) is not kind:
            raise _Faulty(Reason.NOT_OFFERS, f"{offer!r} from {hook.name}", expected=expected)
    return offers


def _said(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
