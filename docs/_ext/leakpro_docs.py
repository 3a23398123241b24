"""Reference pages from the code itself, written to docs/_generated before Sphinx reads."""

import shutil
from pathlib import Path
from typing import Any

import pages
from sphinx.application import Sphinx

from leakpro_core import skeleton

FOLDER = Path(__file__).parents[1] / "_generated"


def write_pages(app: Sphinx) -> None:
    """Write the skeleton of a plugin, and every generated page whose text has changed."""
    FOLDER.mkdir(exist_ok=True)
    shutil.rmtree(FOLDER / "leakpro-myattack", ignore_errors=True)
    skeleton.write("leakpro-myattack", FOLDER / "leakpro-myattack")
    for name, page in pages.PAGES.items():
        path, text = FOLDER / f"{name}.md", page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
