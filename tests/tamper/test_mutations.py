"""Each way to change an approved plugin, or its approval, is refused before any of it runs."""

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType, ModuleType

import pytest
from attrs import frozen
from tiny import PLUGIN, Case

from leakpro_core.errors import PluginRefused, ReferenceNotFound
from leakpro_core.loading import Status
from leakpro_core.references import ImportPath, resolve
from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting.reasons import FIXES, Reason

DIGEST = "0" * 64
CHANGED = "def work(x):\n    return 3 * x\n"


def changed_file(case: Case) -> None:
    case.rewrite("tiny_plugin/work.py", CHANGED)


def changed_data(case: Case) -> None:
    case.rewrite("tiny_plugin/data/words.txt", "other words")


def missing_file(case: Case) -> None:
    (case.package / "work.py").unlink()


def changed_file_with_its_hash_in_record(case: Case) -> None:
    changed_file(case)
    other = write_wheel(case.folder / "other", "leakpro-tiny", {"tiny_plugin/work.py": CHANGED})
    # RECORD now tells the truth about the changed file; it is no source of hashes all the same
    lines = (case.info / "RECORD").read_text().splitlines()
    with_hash = install_wheel(other, case.folder / "elsewhere") / "RECORD"
    truth = with_hash.read_text().splitlines()[0]
    lines = [truth if line.startswith("tiny_plugin/work.py") else line for line in lines]
    (case.info / "RECORD").write_text("\n".join(lines))


def listed_extra_file(case: Case) -> None:
    case.rewrite("tiny_plugin/extra.py", "")
    append_to_record(case, "tiny_plugin/extra.py,,")


def entry_point_to_own_module(case: Case) -> None:
    (case.info / "entry_points.txt").write_text("[leakpro.v1]\ntiny = tiny_plugin.work\n")


def second_entry_point(case: Case) -> None:
    with (case.info / "entry_points.txt").open("a") as file:
        file.write("more = tiny_plugin.work\n")


def entry_point_to_other_distribution(case: Case) -> None:
    (case.info / "entry_points.txt").write_text("[leakpro.v1]\ntiny = numpy.linalg\n")


def file_of_core(case: Case) -> None:
    (case.site / "leakpro_core").mkdir()
    case.rewrite("leakpro_core/more.py", "")
    append_to_record(case, "leakpro_core/more.py,,")


def shared_package(case: Case) -> None:
    other = {"tiny_plugin/guest.py": "", "other_plugin.py": ""}
    wheel = write_wheel(case.folder, "leakpro-other", other, entry_points={"o": "other_plugin"})
    install_wheel(wheel, case.site)


def package_of_a_library(case: Case) -> None:
    install_wheel(write_wheel(case.folder, "library", {"tiny_plugin/guest.py": ""}), case.site)


def named_pipe(case: Case) -> None:
    (case.package / "work.py").unlink()
    os.mkfifo(case.package / "work.py")


def byte_code_without_source(case: Case) -> None:
    case.rewrite("tiny_fast.pyc", "")
    append_to_record(case, "tiny_fast.pyc,,")


def editable(case: Case) -> None:
    origin = {"url": "file:///somewhere", "dir_info": {"editable": True}}
    (case.info / "direct_url.json").write_text(json.dumps(origin))


def no_record(case: Case) -> None:
    (case.info / "RECORD").unlink()


def empty_record(case: Case) -> None:
    (case.info / "RECORD").write_text("")


def record_of_record(case: Case) -> None:
    (case.info / "RECORD").write_text(f"{case.info.name}/RECORD,,\n")


def line_break_in_a_path(case: Case) -> None:
    append_to_record(case, '"tiny_plugin/a\nb.py",,')


def name_that_no_file_can_have(case: Case) -> None:
    append_to_record(case, f"tiny_plugin/{'x' * 5000}.py,,")


def path_spelt_twice(case: Case) -> None:
    append_to_record(case, "tiny_plugin/../tiny_plugin/./work.py,,")


def pth(case: Case) -> None:
    case.rewrite("tiny.pth", "import tiny_plugin.plugin\n")
    append_to_record(case, "tiny.pth,,")


def data_folder(case: Case) -> None:
    (case.site / "leakpro_tiny-1.0.data").mkdir()
    case.rewrite("leakpro_tiny-1.0.data/x.py", "")
    append_to_record(case, "leakpro_tiny-1.0.data/x.py,,")


def file_outside(case: Case) -> None:
    append_to_record(case, "../../bin/tiny,,")


def symlinked_file(case: Case) -> None:
    (case.package / "work.py").rename(case.folder / "work.py")
    (case.package / "work.py").symlink_to(case.folder / "work.py")


def symlinked_package(case: Case) -> None:
    case.package.rename(case.folder / "tiny_plugin")
    case.package.symlink_to(case.folder / "tiny_plugin")


def two_distributions(case: Case) -> None:
    shutil.copytree(case.info, case.site / "leakpro_tiny-1.1.dist-info")


def two_distributions_one_without_entry_points(case: Case) -> None:
    other = case.site / "Leakpro.Tiny-0.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: leakpro.tiny\nVersion: 0.9\n")


def two_entry_points(case: Case) -> None:
    files = {"other_plugin.py": ""}
    wheel = write_wheel(case.folder, "leakpro-other", files, entry_points={"tiny": "other_plugin"})
    install_wheel(wheel, case.site)


def wrapper(case: Case) -> None:
    source = PLUGIN.format(canary=str(case.canary)).replace("@hookimpl", "@hookimpl(wrapper=True)")
    case.rewrite("tiny_plugin/plugin.py", source)


def already_imported(case: Case) -> None:
    sys.modules["tiny_plugin"] = ModuleType("tiny_plugin")


def already_imported_with_forged_loader(case: Case) -> None:
    module = ModuleType("tiny_plugin.work")
    module.__file__ = str(case.package / "work.py")
    sys.modules["tiny_plugin.work"] = module


def append_to_record(case: Case, line: str) -> None:
    with (case.info / "RECORD").open("a") as file:
        file.write(f"{line}\n")


def nothing(case: Case) -> None:
    """The installed files stay; it is the approval that does not fit."""


@frozen
class Row:
    reason: Reason
    change: Callable[[Case], None]
    approval: Mapping[str, object] = MappingProxyType({})

    @property
    def id(self) -> str:
        change = "" if self.change is nothing else f"-{self.change.__name__}"
        return self.reason.name + change + "".join(f"-{key}" for key in self.approval)


ROWS = (
    Row(Reason.UNLISTED, nothing, {"name": "leakpro-different"}),
    Row(Reason.NO_DIGEST, nothing, {"sha256": ()}),
    Row(Reason.VERSION, nothing, {"version": "1.1"}),
    Row(Reason.EXPIRED, nothing, {"expires_on": date(2026, 11, 22)}),
    Row(Reason.DIGEST, nothing, {"sha256": (DIGEST,)}),
    Row(Reason.DIGEST, changed_file),
    Row(Reason.DIGEST, changed_data),
    Row(Reason.DIGEST, missing_file),
    Row(Reason.DIGEST, changed_file_with_its_hash_in_record),
    Row(Reason.DIGEST, listed_extra_file),
    Row(Reason.DIGEST, named_pipe),
    Row(Reason.DIGEST, name_that_no_file_can_have),
    Row(Reason.DIGEST, byte_code_without_source),
    Row(Reason.DIGEST, record_of_record),
    Row(Reason.ENTRY_POINT, entry_point_to_own_module),
    Row(Reason.ENTRY_POINT, second_entry_point),
    Row(Reason.ENTRY_POINT, nothing, {"entry_points": (("tiny", "tiny_plugin.other"),)}),
    Row(Reason.FOREIGN_MODULE, entry_point_to_other_distribution),
    Row(Reason.FOREIGN_MODULE, file_of_core),
    Row(Reason.FOREIGN_MODULE, shared_package),
    Row(Reason.FOREIGN_MODULE, package_of_a_library),
    Row(Reason.EDITABLE, editable),
    Row(Reason.NO_RECORD, no_record),
    Row(Reason.NO_RECORD, empty_record),
    Row(Reason.NO_RECORD, line_break_in_a_path),
    Row(Reason.NO_RECORD, path_spelt_twice),
    Row(Reason.PTH, pth),
    Row(Reason.DATA, data_folder),
    Row(Reason.DATA, file_outside),
    Row(Reason.SYMLINK, symlinked_file),
    Row(Reason.SYMLINK, symlinked_package),
    Row(Reason.TWO_DISTRIBUTIONS, two_distributions),
    Row(Reason.TWO_DISTRIBUTIONS, two_distributions_one_without_entry_points),
    Row(Reason.TWO_ENTRY_POINTS, two_entry_points),
    Row(Reason.HOOK, nothing, {"hooks": ("leakpro_reporters",)}),
    Row(Reason.WRAPPER, wrapper),
    Row(Reason.IMPORTED, already_imported),
    Row(Reason.IMPORTED, already_imported_with_forged_loader),
)


def test_the_untouched_plugin_runs(case):
    plugins = case.find()
    assert case.plugin(plugins).status is Status.VERIFIED
    assert plugins.attack("tiny").plugin == "leakpro-tiny"
    assert case.canary.read_text() == "approved"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_mutation_is_refused_with_its_reason_and_does_not_run(row, case):
    (case.folder / "other").mkdir()
    row.change(case)
    plugins = case.find(**row.approval)
    plugin = case.plugin(plugins)
    assert plugin.status is Status.REFUSED
    assert row.reason in [problem.reason for problem in plugin.problems]
    assert not case.canary.exists()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_error_names_distribution_reason_and_fix(row, case):
    (case.folder / "other").mkdir()
    row.change(case)
    plugins = case.find(**row.approval)
    first = case.plugin(plugins).problems[0]
    with pytest.raises(PluginRefused, match=r"leakpro-tiny 1\.0 is refused") as caught:
        plugins.attack("tiny")
    assert caught.value.exit_code == 4
    assert first.reason in str(caught.value)
    assert FIXES[first.reason] in str(caught.value)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_nothing_else_can_import_what_was_refused(row, case):
    (case.folder / "other").mkdir()
    row.change(case)
    case.find(**row.approval)
    with pytest.raises(ImportError):
        importlib.import_module("tiny_plugin.plugin")
    assert not case.canary.exists()


def test_a_function_of_the_plan_may_not_be_a_refused_plugins(case):
    case.find(sha256=(DIGEST,))
    with pytest.raises(ReferenceNotFound, match=r"leakpro-tiny 1\.0, which vetting refused: files"):
        ImportPath("tiny_plugin.work:work", case.folder).load()
    with pytest.raises(ReferenceNotFound, match=r"leakpro-tiny 1\.0, which vetting refused: files"):
        resolve("tiny_plugin.work:work")


def test_every_refusal_has_a_row():
    reasons = list(Reason)
    refusals = reasons[: reasons.index(Reason.RAISES)]
    assert {row.reason for row in ROWS} == set(refusals)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_warn_shows_the_same_reason_and_lets_it_run(row, case):
    (case.folder / "other").mkdir()
    row.change(case)
    plugin = case.plugin(case.find(mode="warn", **row.approval))
    assert row.reason in [problem.reason for problem in plugin.problems]
    assert plugin.status in (Status.UNVERIFIED, Status.BROKEN)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_off_looks_at_nothing(row, case):
    (case.folder / "other").mkdir()
    row.change(case)
    plugin = case.plugin(case.find(mode="off", **row.approval))
    assert plugin.status in (Status.UNVETTED, Status.BROKEN)
