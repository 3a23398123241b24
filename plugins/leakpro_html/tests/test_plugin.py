"""How the plugin offers, and how it loads."""

import importlib
import importlib.util
import subprocess
import sys
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import leakpro_html
import pytest
import sample
from leakpro_html import plugin
from leakpro_html.render import page, render

from leakpro_core.references import resolve

PACKAGE = Path(str(leakpro_html.__file__)).parent


def test_the_offer_leads_to_render() -> None:
    (offer,) = plugin.leakpro_reporters()
    assert offer.name == "html"
    assert render is resolve(offer.ref)


def test_listing_imports_neither_templates_nor_charts() -> None:
    code = (
        "import sys, leakpro_html.plugin as p; list(p.leakpro_reporters());"
        "sys.exit(sorted({'jinja2', 'matplotlib', 'numpy', 'scipy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


class Kept(SourceLoader):
    """A loader that serves only what it was given, as one that verifies would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: bytes | str) -> bytes:
        return Path(str(path)).read_bytes()


class Finder:
    """Finds the package's modules and serves them by ``Kept``."""

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        first, _, rest = name.partition(".")
        if first != "leakpro_html":
            return None
        file = PACKAGE / f"{rest}.py" if rest else PACKAGE / "__init__.py"
        return importlib.util.spec_from_file_location(
            name,
            file,
            loader=Kept(file),
            submodule_search_locations=None if rest else [str(PACKAGE)],
        )


def test_a_loader_that_is_no_file_loader_serves_the_templates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = page(sample.smallest())
    for name in [n for n in sys.modules if n.partition(".")[0] == "leakpro_html"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    fresh = importlib.import_module("leakpro_html.render")
    assert isinstance(fresh.__loader__, Kept)
    assert expected == fresh.page(sample.smallest())
