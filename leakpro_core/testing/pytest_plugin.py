"""pytest plugin for authors of LeakPro plugins."""
