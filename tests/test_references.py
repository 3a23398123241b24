"""A user's own modules: found in the plan's folder, with their neighbours, two plans apart."""

import sys
from pathlib import Path

import pytest

from leakpro_core.errors import NotAFactory, ReferenceNotFound
from leakpro_core.references import ImportPath


def write(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_function_is_found_in_the_folder(tmp_path) -> None:
    write(tmp_path, mine="def one(): return 1\n")
    assert ImportPath("mine:one", tmp_path).call() == 1


def test_arguments_reach_the_function(tmp_path) -> None:
    write(tmp_path, mine="def add(a, b): return a + b\n")
    assert ImportPath("mine:add", tmp_path).call(2, 3) == 5


def test_a_neighbour_can_be_imported_on_top(tmp_path) -> None:
    write(tmp_path, near_a="N = 7\n", mine="from near_a import N\ndef one(): return N\n")
    assert ImportPath("mine:one", tmp_path).call() == 7


def test_a_neighbour_can_be_imported_when_the_function_runs(tmp_path) -> None:
    write(tmp_path, near_b="N = 7\n", mine="def one():\n    from near_b import N\n    return N\n")
    assert ImportPath("mine:one", tmp_path).call() == 7


def test_a_neighbour_is_run_once(tmp_path) -> None:
    write(
        tmp_path,
        near_c="SEEN = []\n",
        mine="def one():\n    import near_c\n    near_c.SEEN.append(1)\n    return near_c.SEEN\n",
    )
    path = ImportPath("mine:one", tmp_path)
    path.call()
    assert path.call() == [1, 1]


def test_a_package_can_import_its_own_modules_either_way(tmp_path) -> None:
    write(
        tmp_path,
        pkg____init__="",
        pkg__parts="N = 7\n",
        pkg__mine="from .parts import N\nfrom pkg.parts import N as M\ndef one(): return N + M\n",
    )
    assert ImportPath("pkg.mine:one", tmp_path).call() == 14


def test_a_folder_without_init_is_a_package_too(tmp_path) -> None:
    write(tmp_path, bare__parts="N = 7\n", bare__mine="from .parts import N\ndef one(): return N\n")
    assert ImportPath("bare.mine:one", tmp_path).call() == 7


def test_two_folders_have_modules_and_neighbours_of_the_same_names(tmp_path) -> None:
    for name in ("a", "b"):
        write(
            tmp_path / name,
            near=f"N = {name!r}\n",
            mine="import near\ndef one():\n    import near as late\n    return near.N + late.N\n",
        )
    a, b = (ImportPath("mine:one", tmp_path / name) for name in ("a", "b"))
    assert [a.call(), b.call(), a.call()] == ["aa", "bb", "aa"]


def test_nothing_of_the_folder_stays_importable(tmp_path) -> None:
    write(tmp_path, near_e="", mine="import near_e\ndef one(): ...\n")
    path = list(sys.path)
    ImportPath("mine:one", tmp_path).call()
    assert "near_e" not in sys.modules
    assert "mine" not in sys.modules
    assert path == sys.path


def test_what_the_environment_has_stays_as_it_is(tmp_path) -> None:
    import json

    write(tmp_path, json="raise RuntimeError\n", mine="import json\ndef one(): return json\n")
    assert json is ImportPath("mine:one", tmp_path).call()
    assert json is sys.modules["json"]


def test_a_script_that_ends_the_program_is_a_mistake(tmp_path) -> None:
    write(tmp_path, mine="import sys\nsys.exit(2)\n", other="def one(): raise SystemExit\n")
    with pytest.raises(NotAFactory, match=r"SystemExit: 2.*__main__"):
        ImportPath("mine:one", tmp_path).load()
    with pytest.raises(NotAFactory, match="ends the program"):
        ImportPath("other:one", tmp_path).call()


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("mime:one", r"no mime.py in .* Did you mean 'mine'\?"),
        ("pkg.mime:one", r"no pkg/mime.py in .* Did you mean 'pkg.mine'\?"),
        ("mine:on", r"no 'on' in .*mine.py. Did you mean 'one'\?"),
        ("mine:N", "found int, expected a callable"),
    ],
)
def test_what_is_missing_is_named(tmp_path, ref, message) -> None:
    write(tmp_path, mine="N = 3\ndef one(): ...\n", pkg__mine="")
    with pytest.raises(ReferenceNotFound, match=message):
        ImportPath(ref, tmp_path).load()
