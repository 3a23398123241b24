import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import PLUGIN, TODAY, WORK, Case

from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting.pin import pin


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    site = tmp_path / "site"
    wheel = write_wheel(
        tmp_path,
        "leakpro-tiny",
        {
            "tiny_plugin/__init__.py": "",
            "tiny_plugin/plugin.py": PLUGIN.format(canary=str(tmp_path / "canary")),
            "tiny_plugin/work.py": WORK,
            "tiny_plugin/data/words.txt": "approved words",
        },
        entry_points={"tiny": "tiny_plugin.plugin"},
    )
    info = install_wheel(wheel, site)
    approval = pin(str(wheel), by="privacy-office@example.org", today=TODAY, expires=None)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "")
    modules, finders = set(sys.modules), list(sys.meta_path)
    yield Case(folder=tmp_path, site=site, wheel=wheel, info=info, approval=approval)
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("tiny_plugin", "other_plugin"):
            del sys.modules[name]
