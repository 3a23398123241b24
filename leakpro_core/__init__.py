"""LeakPro: measure what a trained model, an update or a synthetic table gives away about people.

This module stays light: a plugin's ``plugin.py`` imports it, and so does ``leakpro --help``.
"""

import pluggy

__version__ = "1.0.0"

hookimpl = pluggy.HookimplMarker("leakpro")
"""Marks a function in a plugin's ``plugin.py`` as the implementation of a LeakPro hook."""

__all__ = ["__version__", "hookimpl"]
