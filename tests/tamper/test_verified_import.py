"""What was verified is what runs: forged byte-code and unlisted files do not exist for us."""

import importlib
import importlib.util
import pkgutil
import py_compile
import shutil
import sys
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from tiny import PLUGIN, TODAY, Case

from leakpro_core.builtin.local import LocalOptions, execute
from leakpro_core.errors import LeakProError, PluginRefused, RegistryMalformed
from leakpro_core.loading import Status
from leakpro_core.plugins import PluginSet
from leakpro_core.references import ImportPath, resolve
from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting import Registry, enter_worker, for_workers
from leakpro_core.vetting.finder import VerifiedFinder
from leakpro_core.vetting.pin import pin
from leakpro_core.work import Work


def forged(case: Case) -> str:
    return f"from pathlib import Path\nPath({str(case.canary)!r}).write_text('forged')\n"


@pytest.fixture
def loaded(case: Case) -> PluginSet:
    return case.find()


def test_forged_byte_code_is_never_run(case):
    source = case.package / "work.py"
    (case.folder / "forged.py").write_text(forged(case))
    cached = importlib.util.cache_from_source(str(source))
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(case.folder / "forged.py"), cached, invalidation_mode=unchecked)
    # the machinery of Python itself does run it
    spec = importlib.util.spec_from_file_location("tiny_plugin_work", source)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert case.canary.read_text() == "forged"

    assert resolve(case.find().attack("tiny").offer.ref)(4) == 8
    assert case.canary.read_text() == "approved"


def test_byte_code_is_not_written_either(case, loaded, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    resolve(loaded.attack("tiny").offer.ref)
    assert list(case.package.rglob("*.pyc")) == []


def test_a_package_beside_a_module_is_not_imported(case, loaded):
    (case.package / "work").mkdir()
    case.rewrite("tiny_plugin/work/__init__.py", forged(case))
    assert resolve("tiny_plugin.work:work")(4) == 8
    assert case.canary.read_text() == "approved"


def test_a_package_beside_the_plugin_itself_is_not_imported(case):
    (case.package / "plugin").mkdir()
    case.rewrite("tiny_plugin/plugin/__init__.py", forged(case))
    assert case.plugin(case.find()).status is Status.VERIFIED
    assert case.canary.read_text() == "approved"


@pytest.mark.parametrize("path", ["tiny_plugin/extra.py", "tiny_plugin/extra.so"])
def test_an_unlisted_file_is_not_importable(path, case, loaded):
    case.rewrite(path, forged(case))
    message = r"tiny_plugin\.extra is not among the approved files of leakpro-tiny 1\.0"
    with pytest.raises(ModuleNotFoundError, match=message):
        importlib.import_module("tiny_plugin.extra")
    assert case.canary.read_text() == "approved"


def test_an_unlisted_data_file_is_not_readable(case, loaded):
    case.rewrite("tiny_plugin/data/more.txt", "more")
    with pytest.raises(FileNotFoundError, match=r"data/more\.txt is not among"):
        (files("tiny_plugin") / "data" / "more.txt").read_text()


def test_a_module_that_changes_after_it_was_verified_is_not_run(case, loaded):
    case.rewrite("tiny_plugin/work.py", forged(case))
    with pytest.raises(ImportError, match=r"work\.py changed after leakpro-tiny 1\.0 was verified"):
        importlib.import_module("tiny_plugin.work")
    assert case.canary.read_text() == "approved"


def test_data_files_are_read_by_importlib_resources(case, loaded):
    root = files("tiny_plugin")
    assert sorted(child.name for child in root.iterdir()) == [
        "__init__.py",
        "data",
        "plugin.py",
        "work.py",
    ]
    words = root.joinpath("data", "words.txt")
    assert (words.name, words.is_file(), words.is_dir()) == ("words.txt", True, False)
    assert (root / "data").is_dir()
    assert words.read_text(encoding="utf-8") == "approved words"
    with words.open(encoding="utf-8") as text, words.open("rb") as binary:
        assert text.read().encode() == binary.read()
    with as_file(words) as path:
        assert path.read_bytes() == b"approved words"


def test_data_files_are_read_by_pkgutil(case, loaded):
    assert pkgutil.get_data("tiny_plugin", "data/words.txt") == b"approved words"


@pytest.mark.parametrize(
    "read",
    [
        lambda: (files("tiny_plugin") / "data/words.txt").read_bytes(),
        lambda: pkgutil.get_data("tiny_plugin", "data/words.txt"),
    ],
    ids=["importlib.resources", "pkgutil"],
)
def test_a_data_file_that_changes_is_not_read(read, case, loaded):
    case.rewrite("tiny_plugin/data/words.txt", "other words")
    with pytest.raises(ImportError, match=r"words\.txt changed after leakpro-tiny 1\.0"):
        read()


def test_no_path_leads_out_of_the_distribution(case, loaded):
    with pytest.raises(FileNotFoundError):
        (files("tiny_plugin") / ".." / ".." / "registry.toml").read_text()
    with pytest.raises(FileNotFoundError):
        pkgutil.get_data("tiny_plugin", "../../registry.toml")


def test_a_folder_without_init_is_a_package(case):
    wheel = write_wheel(
        case.folder,
        "leakpro-tiny",
        {"tiny_plugin/plugin.py": "", "tiny_plugin/deep/deeper/end.py": "VALUE = 7\n"},
        version="2.0",
        entry_points={"tiny": "tiny_plugin.plugin"},
    )
    site = case.folder / "site2"
    install_wheel(wheel, site)
    approval = pin(str(wheel), by="", today=TODAY, expires=None)
    changes = {"version": "2.0", "sha256": approval.sha256, "hooks": ()}
    plugins = PluginSet.find(case.registry(**changes), path=[str(site)], today=TODAY)
    assert case.plugin(plugins).status is Status.VERIFIED
    assert importlib.import_module("tiny_plugin.deep.deeper.end").VALUE == 7
    assert (files("tiny_plugin.deep") / "deeper" / "end.py").is_file()


@pytest.mark.parametrize("name", ["tiny_fast.cpython-311-x86_64-linux-gnu.so", "tiny_fast.pyc"])
def test_nothing_stands_in_for_what_cannot_be_compiled_from_source(name, case):
    files = {"tiny_plugin/plugin.py": PLUGIN.format(canary=str(case.canary)), name: ""}
    points = {"tiny": "tiny_plugin.plugin"}
    wheel = write_wheel(case.folder, "leakpro-tiny", files, version="2.0", entry_points=points)
    shutil.rmtree(case.site)
    install_wheel(wheel, case.site)
    sha256 = pin(str(wheel), by="", today=TODAY, expires=None).sha256
    assert case.plugin(case.find(version="2.0", sha256=sha256)).status is Status.VERIFIED
    (case.site / "tiny_fast").mkdir()
    case.rewrite("tiny_fast/__init__.py", forged(case))
    with pytest.raises(ModuleNotFoundError, match="tiny_fast is not among the approved files"):
        importlib.import_module("tiny_fast")


def test_a_refused_plugin_does_not_take_a_library_with_it(case):
    files = {"numpy/evil.py": ""}
    wheel = write_wheel(case.folder, "evil", files, entry_points={"evil": "numpy.evil"})
    install_wheel(wheel, case.site)
    plugins = case.find()
    assert [p.name for p in plugins.plugins if p.status is Status.REFUSED] == ["evil"]
    assert finders()[0].find_spec("numpy", None) is None
    with pytest.raises(ModuleNotFoundError, match=r"numpy\.evil belongs to evil 1\.0"):
        finders()[0].find_spec("numpy.evil", None)


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_modules_of_the_plan_do_not_stand_in_for_a_plugins(first, case, loaded):
    folder = case.folder / "plan"
    (folder / "tiny_plugin").mkdir(parents=True)
    for name in ("__init__", "work", "mine"):
        (folder / "tiny_plugin" / f"{name}.py").write_text("def work(x): return 'own'\n")
    (folder / "mine.py").write_text(
        "def work(x):\n    from tiny_plugin import work\n    return work.work(x)\n"
    )
    if not first:
        resolve("tiny_plugin.work:work")
    for _ in range(2):
        assert ImportPath("tiny_plugin.work:work", folder).call(4) == "own"
        assert ImportPath("tiny_plugin.mine:work", folder).call(4) == "own"
        assert ImportPath("mine:work", folder).call(4) == 8
    assert resolve("tiny_plugin.work:work")(4) == 8
    assert "tiny_plugin.mine" not in sys.modules


def finders() -> list[VerifiedFinder]:
    return [finder for finder in sys.meta_path if isinstance(finder, VerifiedFinder)]


def test_two_audits_in_one_process_share_one_finder(case, loaded):
    first = resolve("tiny_plugin.work:work")
    again = case.find()
    assert case.plugin(again).status is Status.VERIFIED
    assert resolve(again.attack("tiny").offer.ref) is first
    assert len(finders()) == 1
    assert sys.meta_path[0] is finders()[0]


def test_a_second_audit_refuses_what_has_changed_since_the_first(case, loaded):
    resolve("tiny_plugin.work:work")
    case.rewrite("tiny_plugin/work.py", forged(case))
    assert case.plugin(case.find()).status is Status.REFUSED


def test_without_a_registry_no_finder_is_left(case, loaded):
    PluginSet.find(Registry(), path=[str(case.site)])
    assert finders() == []


def serve(vetting):
    """Do a unit of work in a spawned process, by the real local executor."""
    work = Work(ref="tiny_plugin.work:work", arguments=(4,), vetting=vetting)
    return dict(execute([work], LocalOptions(workers=1), run=None))


def test_a_spawned_worker_verifies_again_and_works(case, loaded):
    assert serve(for_workers(loaded)) == {0: 8}


def test_a_spawned_worker_refuses_what_changed_since_the_audit_began(case, loaded):
    vetting = for_workers(loaded)
    case.rewrite("tiny_plugin/work.py", forged(case))
    with pytest.raises(PluginRefused, match=r"worker process: leakpro-tiny 1\.0: files differ"):
        serve(vetting)
    assert case.canary.read_text() == "approved"


def test_a_spawned_worker_never_runs_forged_byte_code(case, loaded):
    vetting = for_workers(loaded)
    cached = importlib.util.cache_from_source(str(case.package / "work.py"))
    (case.folder / "forged.py").write_text(forged(case))
    py_compile.compile(str(case.folder / "forged.py"), cached)
    assert serve(vetting) == {0: 8}
    assert case.canary.read_text() == "approved"


def test_a_worker_refuses_a_registry_that_changed_since_the_audit_began(case, loaded):
    vetting = for_workers(loaded)
    case.registry(mode="warn")
    with pytest.raises(RegistryMalformed, match="changed since the audit began"):
        enter_worker(vetting)


def test_a_worker_refuses_a_plugin_that_is_gone(case, loaded):
    vetting = for_workers(loaded)
    (case.info / "entry_points.txt").unlink()
    with pytest.raises(PluginRefused, match="worker process: leakpro-tiny: found not installed"):
        enter_worker(vetting)


def test_workers_keep_byte_code_in_a_private_folder(case, loaded):
    vetting = for_workers(loaded)
    enter_worker(vetting)
    folder = Path(sys.pycache_prefix)
    assert folder == vetting.bytecode
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_worker_refuses_a_folder_for_byte_code_that_others_may_write_to(case, loaded):
    vetting = for_workers(loaded)
    vetting.bytecode.chmod(0o777)
    with pytest.raises(LeakProError, match="a folder that others may write to"):
        enter_worker(vetting)


def test_the_folder_for_byte_code_goes_with_the_plugin_set(case):
    plugins = case.find()
    folder = for_workers(plugins).bytecode
    assert folder.is_dir()
    del plugins
    assert not folder.exists()


def test_without_enforcement_workers_share_byte_code_as_usual(case):
    assert for_workers(case.find(mode="warn")).bytecode is None
