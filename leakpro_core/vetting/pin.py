"""What to approve: a plugin's table for the registry, from a wheel file or an installed tree."""

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from leakpro_core.errors import PluginRefused, UnknownName, nearest
from leakpro_core.hookspecs import HOOKS
from leakpro_core.vetting.digest import Contents, installed_contents, wheel_contents
from leakpro_core.vetting.hooks import entry_hooks
from leakpro_core.vetting.metadata import GROUP, find
from leakpro_core.vetting.reasons import Reason, problem, refusal
from leakpro_core.vetting.registry import Approval, normalised


def pin(
    plugin: str, *, by: str, today: date, expires: date | None, path: Sequence[str] | None = None
) -> Approval:
    """Return the approval of a wheel file, or else of the installed plugin of that name.

    Nothing of it is run. ``PluginRefused`` names what no registry could approve, such as a
    ``.pth`` file. path: where installed plugins are looked for, ``sys.path`` unless given.
    """
    contents = (
        wheel_contents(Path(plugin))
        if plugin.endswith(".whl")
        else _installed(plugin, sys.path if path is None else path)
    )
    metadata, hooks = contents.metadata, entry_hooks(contents)
    if not metadata.entry_points:
        raise PluginRefused(
            f"{plugin} is no LeakPro plugin",
            found=f"no entry point of the group {GROUP}",
            expected="at least one",
        )
    for reason, found in contents.flaws:
        raise refusal(problem(metadata.name, metadata.version, reason, found))
    for hook in hooks:
        if hook.wrapper:
            raise refusal(problem(metadata.name, metadata.version, Reason.WRAPPER, hook.name))
    return Approval(
        name=metadata.name,
        version=metadata.version,
        entry_points=metadata.entry_points,
        hooks=tuple(hook for hook in HOOKS if hook in {h.name for h in hooks}),
        sha256=(contents.digest,),
        approved_by=by,
        approved_on=today,
        expires_on=expires,
    )


def _installed(plugin: str, path: Sequence[str]) -> Contents:
    plugins = {found.name: found for found in find(path)}
    found = plugins.get(normalised(plugin))
    if found is None:
        raise UnknownName(f"no plugin {plugin!r} is installed", fix=nearest(plugin, [*plugins]))
    return installed_contents(found.metadata, found.info)
