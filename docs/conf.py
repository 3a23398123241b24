"""Sphinx settings: MyST pages, furo theme, reference pages generated from the code."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "LeakPro"
copyright = "the LeakPro authors"  # noqa: A001
extensions = ["myst_parser", "leakpro_docs"]
exclude_patterns = ["_build", "_generated", "_ext"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "LeakPro"
