"""Each hook: what a plugin returns there is what an audit is offered."""

import importlib
import inspect
import sys

import pytest

from leakpro_core import hookspecs, offers
from leakpro_core.plugins import PluginSet
from leakpro_core.vetting.registry import Registry

PLUGIN = """
from leakpro_core import hookimpl
from leakpro_core.offers import {offer}


@hookimpl
def {hook}():
    return [{offer}(name="mine", ref="somewhere.else:work", {arguments})]
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a plugin that implements one hook; return the plugin set that finds it."""
    module = "hookspecs_plugin"
    info = tmp_path / "hookspecs_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hookspecs-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[leakpro.v1]\nmine = {module}\n")
    monkeypatch.syspath_prepend(tmp_path)

    def install(hook: str, offer: str, arguments: str = "") -> PluginSet:
        source = PLUGIN.format(hook=hook, offer=offer, arguments=arguments)
        (tmp_path / f"{module}.py").write_text(source)
        importlib.invalidate_caches()
        return PluginSet.find(Registry(), path=[str(tmp_path)])

    yield install
    sys.modules.pop(module, None)


def test_hook_leakpro_target_loaders(installed):
    found = installed("leakpro_target_loaders", "LoaderOffer").loader("mine")
    expected = offers.LoaderOffer(name="mine", ref="somewhere.else:work")
    assert (expected, "hookspecs-plugin", "1.0") == (found.offer, found.plugin, found.version)


def test_hook_leakpro_shadow_trainers(installed):
    found = installed("leakpro_shadow_trainers", "TrainerOffer").trainer("mine")
    assert offers.TrainerOffer(name="mine", ref="somewhere.else:work") == found.offer


def test_hook_leakpro_attacks(installed):
    arguments = 'game="membership", reference="Nobody 2020"'
    found = installed("leakpro_attacks", "AttackOffer", arguments).attack("mine")
    expected = offers.AttackOffer(
        name="mine", ref="somewhere.else:work", game="membership", reference="Nobody 2020"
    )
    assert expected == found.offer


def test_hook_leakpro_reporters(installed):
    found = installed("leakpro_reporters", "ReporterOffer").reporter("mine")
    assert offers.ReporterOffer(name="mine", ref="somewhere.else:work") == found.offer


def test_hook_leakpro_executors(installed):
    found = installed("leakpro_executors", "ExecutorOffer").executor("mine")
    assert offers.ExecutorOffer(name="mine", ref="somewhere.else:work") == found.offer


def test_an_offer_is_collected_without_importing_what_it_names(installed):
    installed("leakpro_target_loaders", "LoaderOffer")
    assert "somewhere" not in sys.modules


@pytest.mark.parametrize("name", hookspecs.HOOKS)
def test_a_hook_takes_no_arguments(name):
    assert not inspect.signature(getattr(hookspecs, name)).parameters
