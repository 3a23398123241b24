"""Fixtures for authors of LeakPro plugins; pytest finds this module by itself.

It is part of every pytest run in the environment, so it imports nothing until a fixture is used.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from leakpro_core.plugins import PluginSet


@pytest.fixture(scope="session")
def leakpro_plugins() -> "PluginSet":
    """All installed plugins and what they offer, without a registry."""
    from leakpro_core.plugins import PluginSet
    from leakpro_core.vetting import Registry

    return PluginSet.find(Registry())
