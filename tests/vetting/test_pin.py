"""What ``leakpro plugins pin`` prints is what vetting accepts."""

from datetime import date

import pytest

from leakpro_core.errors import PluginRefused, UnknownName
from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting.pin import pin
from leakpro_core.vetting.registry import Approval

TODAY = date(2026, 11, 23)
PLUGIN = "from leakpro_core import hookimpl\n@hookimpl\ndef leakpro_reporters():\n    1 / 0\n"


@pytest.fixture
def wheel(tmp_path):
    return write_wheel(tmp_path, "Leakpro_Tiny", {"tiny.py": PLUGIN}, entry_points={"tiny": "tiny"})


def approve(plugin, **more):
    return pin(str(plugin), by="someone", today=TODAY, expires=None, **more)


def test_a_wheel_is_pinned_without_being_installed_or_run(wheel):
    approval = approve(wheel)
    assert approval == Approval(
        name="leakpro-tiny",
        version="1.0",
        entry_points=(("tiny", "tiny"),),
        hooks=("leakpro_reporters",),
        sha256=approval.sha256,
        approved_by="someone",
        approved_on=TODAY,
    )


def test_the_installed_plugin_gives_the_same_table(wheel, tmp_path):
    install_wheel(wheel, tmp_path / "site")
    assert approve("LeakPro.Tiny", path=[str(tmp_path / "site")]) == approve(wheel)


def test_a_name_that_is_not_installed(wheel, tmp_path):
    install_wheel(wheel, tmp_path / "site")
    with pytest.raises(UnknownName, match="Did you mean 'leakpro-tiny'"):
        approve("leakpro-tony", path=[str(tmp_path / "site")])


def test_a_wheel_that_is_no_plugin(tmp_path):
    wheel = write_wheel(tmp_path, "other", {"other.py": ""})
    with pytest.raises(PluginRefused, match=r"no entry point of the group leakpro\.v1"):
        approve(wheel)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tiny.pth": "import tiny"}, "ships a .pth file"),
        ({"leakpro_tiny-1.0.data/scripts/x": ""}, "ships .data/ files"),
        ({"tiny.py": PLUGIN.replace("hookimpl\nd", "hookimpl(wrapper=True)\nd")}, "hook wrapper"),
    ],
)
def test_what_no_registry_could_approve_is_not_pinned(files, message, tmp_path):
    wheel = write_wheel(
        tmp_path, "leakpro-tiny", {"tiny.py": PLUGIN, **files}, entry_points={"tiny": "tiny"}
    )
    with pytest.raises(PluginRefused) as caught:
        approve(wheel)
    assert message in str(caught.value)
    assert "leakpro-tiny 1.0" in str(caught.value)
