"""A run folder belongs to the plan and to every file that the plan leads to."""

from pathlib import Path

import pytest

from leakpro_core.parser import read, resolve
from leakpro_core.plugins import PluginSet
from leakpro_core.summary import describe, libraries
from leakpro_core.vetting import choose

PLAN = """\
schema = 1
[target]
loader = "torch"
factory = "net.models:build"
weights = "target.safetensors"
[data]
path = "x.npy"
labels = "y.npy"
members = "members.npy"
"""

FILES = (
    "audit.toml",
    "target.safetensors",
    "x.npy",
    "y.npy",
    "members.npy",
    "neighbour.py",
    "net/models.py",
    "net/deep/parts.py",
    "other/__init__.py",
    "other/parts.py",
)


@pytest.fixture(scope="module")
def plugins() -> PluginSet:
    return PluginSet.find(choose())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PLAN if name == "audit.toml" else "\n")
    return tmp_path


def identity(folder: Path, plugins: PluginSet) -> object:
    return describe(resolve(read(folder / "audit.toml"), plugins), plugins)["sha256"]


@pytest.mark.parametrize("name", FILES)
def test_it_belongs_to_the_content_of_each_file(folder, plugins, name) -> None:
    before = identity(folder, plugins)
    assert before == identity(folder, plugins)
    (folder / name).write_text((folder / name).read_text() + "# changed\n")
    assert before != identity(folder, plugins)


def test_libraries_of_an_extra_belong_to_it(tmp_path, plugins) -> None:
    pytest.importorskip("sdv", reason="the extra leakpro-sdv[sdv] is not installed")
    (tmp_path / "audit.toml").write_text(
        'schema = 1\n[target]\nloader = "table"\nsynthetic = "s.csv"\noriginal = "o.csv"\n'
        'control = "c.csv"\n[[attacks]]\nname = "copies"\n'
    )
    plan = resolve(read(tmp_path / "audit.toml"), plugins)
    assert {"sdv", "ctgan", "copulas", "rdt", "torch"} <= {name for name, _ in libraries(plan)}
