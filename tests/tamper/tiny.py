"""A tiny plugin, installed and approved, whose code leaves a canary whenever it runs."""

from datetime import date
from pathlib import Path

from attrs import evolve, frozen

from leakpro_core.loading import Plugin
from leakpro_core.plugins import PluginSet
from leakpro_core.vetting.registry import Approval, Registry, read, to_toml

TODAY = date(2026, 11, 23)

PLUGIN = """
from pathlib import Path
from leakpro_core import hookimpl
from leakpro_core.offers import AttackOffer

Path({canary!r}).write_text("approved")

@hookimpl
def leakpro_attacks():
    return [AttackOffer(name="tiny", ref="tiny_plugin.work:work", game="membership", reference="-")]
"""

WORK = "def work(x):\n    return 2 * x\n"


@frozen(kw_only=True)
class Case:
    """A site folder with the plugin, and the registry that approves it."""

    folder: Path
    site: Path
    wheel: Path
    info: Path
    approval: Approval

    @property
    def canary(self) -> Path:
        return self.folder / "canary"

    @property
    def package(self) -> Path:
        return self.site / "tiny_plugin"

    def registry(self, *, mode: str = "enforce", **changes: object) -> Registry:
        """Write and read a registry; ``changes`` are made to the plugin's approval."""
        path = self.folder / "registry.toml"
        table = to_toml(evolve(self.approval, **changes))
        path.write_text(f'schema = 1\nmode = "{mode}"\n{table}')
        return read(path)

    def find(self, *, mode: str = "enforce", **changes: object) -> PluginSet:
        registry = self.registry(mode=mode, **changes)
        return PluginSet.find(registry, path=[str(self.site)], today=TODAY)

    def plugin(self, plugins: PluginSet) -> Plugin:
        return next(p for p in plugins.plugins if p.name == "leakpro-tiny")

    def rewrite(self, path: str, text: str) -> None:
        (self.site / path).write_text(text)
