"""Plugins are found by their metadata, and nothing else about them is looked at."""

from pathlib import Path

import pytest

from leakpro_core.vetting.metadata import find, is_module


def install(site: Path, folder: str, entry_points: str, metadata: str = "") -> Path:
    info = site / folder
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(entry_points)
    if metadata:
        (info / "METADATA").write_text(metadata)
    return info


TINY = "[leakpro.v1]\ntiny = tiny.plugin\n"


def test_name_version_and_entry_points(tmp_path):
    text = "[console_scripts]\nrun = a:b\n[leakpro.v1]\nb = x.plugin\na = x.more\n"
    install(tmp_path, "x-1.dist-info", text, "Name: LeakPro_X\nVersion: 2.0\n")
    (found,) = find([str(tmp_path)])
    assert (found.name, found.metadata.version) == ("leakpro-x", "2.0")
    assert found.metadata.entry_points == (("a", "x.more"), ("b", "x.plugin"))
    assert found.metadata.scripts == {"run"}


def test_without_metadata_the_folder_names_it(tmp_path):
    install(tmp_path, "leakpro_x-1.2.dist-info", TINY)
    (found,) = find([str(tmp_path)])
    assert (found.name, found.metadata.version) == ("leakpro-x", "1.2")


@pytest.mark.parametrize(
    "text", ["", "[other]\na = b\n", "[leakpro.v2]\na = b\n", "# leakpro.v1\n"]
)
def test_others_are_no_plugins(text, tmp_path):
    install(tmp_path, "x-1.dist-info", text)
    assert find([str(tmp_path)]) == ()


@pytest.mark.parametrize(
    "text", ["[leakpro.v1]\nno equals sign", "[leakpro.v1]\na = b\na = c\n", "leakpro.v1"]
)
def test_unreadable_entry_points_are_no_module(text, tmp_path):
    install(tmp_path, "x-1.dist-info", text)
    (found,) = find([str(tmp_path)])
    assert [is_module(module) for _, module in found.metadata.entry_points] == [False]


def test_the_first_on_the_path_is_the_plugin_and_the_others_are_told(tmp_path):
    first = install(tmp_path / "a", "x-1.dist-info", TINY)
    second = install(tmp_path / "b", "X-2.dist-info", "")
    (found,) = find([str(tmp_path / "a"), str(tmp_path / "b")])
    assert (found.info, found.others) == (first, (second,))


def test_one_folder_twice_on_the_path_is_one_folder(tmp_path):
    install(tmp_path / "a", "x-1.dist-info", TINY)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (found,) = find([str(tmp_path / name) for name in ("a", "a", "link", "nowhere")])
    assert found.others == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", True),
        ("a.b", True),
        ("a.b:c", False),
        ("a.b [x]", False),
        ("", False),
        ("a..b", False),
    ],
)
def test_entry_points_name_modules(value, expected):
    assert is_module(value) == expected
