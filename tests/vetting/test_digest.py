"""The digest of a wheel is that of its installed tree, and of nothing else."""

import hashlib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakpro_core.errors import LeakProError, MissingFile, PluginRefused
from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting.digest import (
    _sort_out,
    installed_contents,
    module_file,
    tree_digest,
    wheel_contents,
)
from leakpro_core.vetting.metadata import find
from leakpro_core.vetting.reasons import Reason

FILES = {
    "tiny_plugin/__init__.py": "",
    "tiny_plugin/plugin.py": "A = 1\n",
    "tiny_plugin/x.bin": "§",
}


@pytest.fixture
def wheel(tmp_path):
    points = {"tiny": "tiny_plugin.plugin"}
    return write_wheel(tmp_path, "leakpro-tiny", FILES, entry_points=points)


@pytest.fixture
def info(wheel, tmp_path):
    return install_wheel(wheel, tmp_path / "site")


def installed(info):
    (found,) = find([str(info.parent)])
    return installed_contents(found.metadata, info)


HASHES = st.dictionaries(
    st.text(st.characters(exclude_categories=("C",)), min_size=1),
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)


def test_digest_is_that_of_the_sorted_lines():
    hashes = {"b.py": "0" * 64, "a.py": "f" * 64}
    lines = f"{'0' * 64}  b.py\n{'f' * 64}  a.py\n"
    assert tree_digest(hashes) == hashlib.sha256(lines.encode()).hexdigest()


@given(HASHES, st.randoms())
def test_digest_does_not_depend_on_the_order_of_reading(hashes, random):
    items = list(hashes.items())
    random.shuffle(items)
    assert tree_digest(dict(items)) == tree_digest(hashes)


@given(HASHES, HASHES)
def test_different_trees_have_different_digests(one, other):
    assert (tree_digest(one) == tree_digest(other)) == (one == other)


def test_wheel_and_installed_tree_have_one_digest(wheel, info):
    assert wheel_contents(wheel).digest == installed(info).digest
    assert wheel_contents(wheel).hashes == installed(info).hashes


def test_entry_points_count(info):
    assert f"{info.name}/entry_points.txt" in installed(info).hashes


def test_what_installers_write_does_not_count(wheel, info):
    before = wheel_contents(wheel).digest
    names = ("INSTALLER", "REQUESTED", "direct_url.json")
    cached = "tiny_plugin/__pycache__/plugin.cpython-311.pyc"
    with (info / "RECORD").open("a") as record:
        for name in names:
            (info / name).write_text("{}")
            record.write(f"{info.name}/{name},,\n")
        record.write(f"{cached},,\n../../../prefix/plugin.cpython-311.pyc,,\n")
    (info.parent / cached).parent.mkdir()
    (info.parent / cached).write_bytes(b"anything")
    assert installed(info).digest == before
    assert installed(info).flaws == ()


def test_the_script_of_an_own_entry_point_is_no_flaw(tmp_path, info):
    with (info / "entry_points.txt").open("a") as file:
        file.write("[console_scripts]\ntiny = tiny_plugin.plugin:main\n")
    with (info / "RECORD").open("a") as record:
        record.write("../../../bin/tiny,,\n../../../share/tiny,,\n../../../bin/other,,\n")
    assert installed(info).flaws == ((Reason.DATA, "../../../bin/other"),)


def test_hashes_in_record_are_not_believed(info):
    before = installed(info).digest
    record = info / "RECORD"
    record.write_text(record.read_text().replace("sha256=", "sha256=AAAA"))
    assert installed(info).digest == before


def test_a_wheel_that_is_not_there():
    with pytest.raises(MissingFile):
        wheel_contents(Path("nowhere-1.0-py3-none-any.whl"))


@given(st.binary())
def test_bytes_that_are_no_wheel_are_one_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "x-1.0-py3-none-any.whl"
    path.write_bytes(data)
    with pytest.raises(LeakProError):
        wheel_contents(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_two_files_of_one_name_is_refused(wheel):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_plugin/plugin.py", "A = 2\n")
    with pytest.raises(PluginRefused, match="two files of one name"):
        wheel_contents(wheel)


def test_a_wheel_with_two_info_folders_is_refused(wheel):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("numpy-9.9.dist-info/METADATA", "Name: numpy\n")
    with pytest.raises(PluginRefused, match=r"2 \.dist-info folders"):
        wheel_contents(wheel)


def test_a_link_in_a_wheel_is_a_flaw(wheel):
    link = zipfile.ZipInfo("tiny_plugin/link.py")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(link, "plugin.py")
    assert wheel_contents(wheel).flaws == ((Reason.SYMLINK, "tiny_plugin/link.py"),)


@given(st.lists(st.text() | st.sampled_from([".", "..", "/", "a/../b", "x.pth", "a.data/b"])))
def test_every_path_counts_or_is_a_flaw_or_byte_code(paths):
    counted, flaws = _sort_out(paths, "tiny-1.0.dist-info", frozenset())
    said = {found for _, found in flaws}
    rest = set(paths) - set(counted) - said - {p for p in paths if f"the path {p!r}" in said}
    assert [path for path in rest if not path.endswith(".pyc")] == []
    assert len(set(counted)) == len(counted)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("a/b.py",), "a/b.py"),
        (("a/b/__init__.py",), "a/b/__init__.py"),
        (("a/b.py", "a/b/__init__.py"), "a/b/__init__.py"),
        (("a/b.pyc", "a/b.so"), None),
    ],
)
def test_the_file_of_a_module(files, expected):
    assert module_file("a.b", files) == expected


@pytest.mark.parametrize("origin", ["", "3", '{"dir_info": 3}', "[" * 200_000], ids=len)
def test_an_origin_that_nobody_can_read_says_nothing(origin, wheel, info):
    (info / "direct_url.json").write_text(origin)
    assert installed(info).digest == wheel_contents(wheel).digest
