"""The Ray executor: results, errors, deaths, addresses that do not answer, nothing left behind."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve, frozen
from conftest import free_port
from helpers import Run, gone, marked, work
from leakpro_ray.executor import execute
from leakpro_ray.options import RayOptions
from leakpro_ray.remote import caller, remote_function

from leakpro_core.builtin.local import LocalOptions
from leakpro_core.builtin.local import execute as execute_locally
from leakpro_core.errors import (
    BadRecord,
    BadValue,
    PluginRefused,
    ReferenceNotFound,
    RegistryMalformed,
    TrainingFailed,
)
from leakpro_core.plugins import PluginSet
from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting import for_workers
from leakpro_core.vetting.pin import pin
from leakpro_core.vetting.registry import read, to_toml
from leakpro_core.work import Vetting, Work, pack


def results(works: list[Work], options: RayOptions, run: Run) -> dict[int, object]:
    return dict(execute(works, options, run))


def test_no_work_starts_nothing(run, mark):
    assert results([], RayOptions(), run) == {}
    assert marked(mark) == []


def test_a_ray_of_its_own_does_what_the_local_executor_does(run, mark, tmp_path):
    values, more, kept = tmp_path / "values.npy", tmp_path / "more.npy", tmp_path / "kept"
    np.save(values, np.arange(300_000.0))
    np.save(more, np.ones(10))
    kept.mkdir()
    works = [
        *(work("math:hypot", 3 * n, 4 * n) for n in range(5)),
        # The file goes with the first: the others have what was put once.
        *(work("total", str(values), data=(values, more)) for _ in range(3)),
        work("builtins:dict", ((("ones", np.ones(3)),)), results=kept),
        work("die_once", str(tmp_path), 4.0),
        work("os:getenv", "OMP_NUM_THREADS"),
        evolve(work("address_and_plugins"), memory=2**60),
    ]
    found = results(works, RayOptions(threads=2, cpus=1), run)
    total = 299_999 * 300_000 / 2 + 10
    assert [found[n] for n in range(5)] == [0.0, 5.0, 10.0, 15.0, 20.0]
    assert [found[n] for n in range(5, 8)] == [(total, False)] * 3
    assert np.array_equal(np.load(kept / f"{found[8]['ones']}.npy"), np.ones(3))
    assert found[9] == 8.0
    assert found[10] == "2"
    assert found[11] == ("127.0.0.1", [])
    [(event, values)] = run.log.events
    assert event == "a worker died: its unit is tried again"
    assert values["unit"] == "unit 10 of 12 (helpers:die_once)"
    same = [*works[:5], works[9], works[10]]
    locally = dict(execute_locally(same, LocalOptions(workers=2, threads=2), None))
    assert [locally[n] for n in range(7)] == [found[n] for n in (0, 1, 2, 3, 4, 9, 10)]
    assert gone(mark)
    assert list(run.scratch.iterdir()) == []


def test_a_ray_of_its_own_admits_nobody_else(run):
    assert results([work("admitted")], RayOptions(), run) == {0: {"token": True, "address": False}}


def test_a_running_cluster_does_the_same(run, mark, cluster, tmp_path):
    values = tmp_path / "values.npy"
    np.save(values, np.arange(10.0))
    works = [work("total", "/nowhere", data=(values, values)), work("die_once", str(tmp_path), 4.0)]
    found = results([*works, work("os:getcwd")], RayOptions(address=cluster), run)
    assert (found[0], found[1]) == ((90.0, False), 8.0)
    assert gone(mark)


def test_a_users_mistake_keeps_its_class_and_message(run, cluster):
    with pytest.raises(BadRecord) as caught:
        results([work("refuse", 7)], RayOptions(address=cluster), run)
    assert str(caught.value) == "record 7: found NaN, expected a number. Mend it."


@pytest.mark.parametrize(
    ("unit", "kind", "message"),
    [
        (work("raise_two"), RuntimeError, "TwoArguments: not portable"),
        (work("threading:Lock"), (TypeError, pickle.PicklingError), "pickle"),
        (work("no_such_module:f"), ReferenceNotFound, "no_such_module:f"),
    ],
    ids=["unportable", "result", "reference"],
)
def test_other_exceptions_are_told(unit, kind, message, run, cluster):
    with pytest.raises(kind, match=message):
        results([unit], RayOptions(address=cluster), run)


def test_a_unit_whose_workers_die_is_named_after_the_last_retry(run, cluster):
    works = [work("math:sqrt", 4), work("signal:raise_signal", signal.SIGKILL)]
    message = r"unit 2 of 2 \(signal:raise_signal\): found its worker process died 2 times"
    with pytest.raises(TrainingFailed, match=message):
        results(works, RayOptions(address=cluster, retries=1), run)
    assert len(run.log.events) == 1


def test_no_more_units_run_at_once_than_there_are_workers(run, cluster):
    works = [work("times") for _ in range(4)]
    found = results(works, RayOptions(address=cluster, workers=1), run)
    spans = sorted(found.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_closing_the_iterator_stops_the_units(run, mark, cluster, tmp_path):
    works = [work("math:sqrt", 4), work("say_and_sleep", str(tmp_path))]
    iterator = execute(works, RayOptions(address=cluster), run)
    assert next(iterator) == (0, 2.0)
    while not (started := list(tmp_path.glob("*.pid"))):
        time.sleep(0.1)
    iterator.close()
    deadline = time.monotonic() + 20
    while (alive := Path(f"/proc/{started[0].stem}").exists()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive
    assert marked(mark) == []


def test_a_plugin_that_changes_in_the_middle_of_an_audit_is_refused(run, cluster, tmp_path):
    wheel = write_wheel(
        tmp_path,
        "leakpro-tiny",
        {"tiny_plugin/plugin.py": "", "tiny_plugin/work.py": "def work(x):\n    return 2 * x\n"},
        entry_points={"tiny": "tiny_plugin.plugin"},
    )
    site, path = tmp_path / "site", tmp_path / "registry.toml"
    install_wheel(wheel, site)
    approval = pin(str(wheel), by="", today=date.today(), expires=None)
    path.write_text(f'schema = 1\nmode = "enforce"\n{to_toml(approval)}')
    plugins = PluginSet.find(read(path), path=[str(site)])
    changed = f"from pathlib import Path\nPath({str(tmp_path / 'canary')!r}).touch()\n"
    works = [
        work("tiny_plugin.work:work", 4, vetting=for_workers(plugins)),
        work("rewrite", str(site / "tiny_plugin" / "work.py"), changed),
        work("tiny_plugin.work:work", 4, vetting=for_workers(plugins)),
    ]
    iterator = execute(works, RayOptions(address=cluster, workers=1), run)
    assert [next(iterator), next(iterator)] == [(0, 8), (1, None)]
    with pytest.raises(PluginRefused, match=r"worker process: leakpro-tiny 1\.0: files differ"):
        next(iterator)
    assert not (tmp_path / "canary").exists()


def test_plugins_are_verified_before_their_classes_are_unpickled(run, tmp_path):
    absent = ((tmp_path / "absent.toml", "0" * 64),)
    refused = Vetting(mode="enforce", registries=absent, path=None, today=date.today())
    payload = pack(work("builtins:repr", Touch(tmp_path / "canary")))
    here = caller(own=False)
    told = (here.versions, None, None)
    answered, error = remote_function()(*told, pickle.dumps(refused), payload)
    assert (answered, type(error)) == (False, RegistryMalformed)
    assert not (tmp_path / "canary").exists()
    remote_function()(*told, pickle.dumps(None), payload)
    assert (tmp_path / "canary").exists()


@frozen
class Touch:
    """What leaves a canary where it is unpickled."""

    path: Path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_resources_that_this_machine_lacks_are_an_error(run, mark):
    message = r"nodes with 4 CPUs and 0 GPUs, expected 2 CPUs and 64 GPUs on one node"
    with pytest.raises(BadValue, match=message):
        results([work("math:sqrt", 4)], RayOptions(cpus=2, gpus=64), run)
    assert gone(mark)


def test_resources_that_a_cluster_lacks_are_an_error_after_the_timeout(run, cluster):
    options = RayOptions(address=cluster, cpus=64, timeout=8)
    with pytest.raises(BadValue, match="nodes with 2 CPUs and 0 GPUs, expected 64 CPUs and 0 GPUs"):
        results([work("math:sqrt", 4)], options, run)
    [(event, values)] = run.log.events
    assert event == "no node of the cluster has room for a unit yet"
    assert values == {"needed": {"CPU": 64, "GPU": 0}, "seconds": 8}


def test_an_address_where_nobody_is_is_said_at_once(run, mark):
    options, start = RayOptions(address=f"127.0.0.1:{free_port()}"), time.monotonic()
    with pytest.raises(BadValue, match=r"address '127.*Connection refused, expected a running Ray"):
        results([work("math:sqrt", 4)], options, run)
    assert time.monotonic() - start < 5
    assert marked(mark) == []


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_that_is_no_ray_is_said_within_the_timeout(scheme, run, mark):
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = RayOptions(address=f"{scheme}127.0.0.1:{server.getsockname()[1]}", timeout=6)
        start = time.monotonic()
        with pytest.raises(BadValue, match=r"address '(ray://)?127.*expected a running Ray"):
            results([work("math:sqrt", 4)], options, run)
        assert time.monotonic() - start < 6 + 20
    assert gone(mark)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers import Run, work
from leakpro_ray.executor import execute
from leakpro_ray.options import RayOptions
print("main ran", flush=True)
works = [work("say_and_sleep", {folder!r})] * 2
list(execute(works, RayOptions(), Run(scratch=Path({folder!r}))))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind_whatever_ends_the_audit(ending, mark, run):
    tests = str(Path(__file__).parent)
    code = SCRIPT.format(tests=tests, folder=str(run.scratch))
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has Ctrl-C ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while len(list(run.scratch.glob("*.pid"))) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    (os.killpg if ending is signal.SIGINT else os.kill)(parent.pid, ending)
    said, noise = parent.communicate(timeout=60)
    assert said == "main ran\n"
    assert noise.count("Error") + noise.count("KeyboardInterrupt") == (ending is signal.SIGINT)
    assert gone(mark, 30)


def test_a_worker_of_other_versions_refuses():
    here = caller(own=False)
    told = {**here.versions, "leakpro-core": "0.9"}
    nothing = (None, None, pickle.dumps(None), b"")
    assert remote_function()(told, *nothing) == (None, here.versions)
    absent = {**here.versions, "no-such-distribution": "1.0"}
    answered, found = remote_function()(absent, *nothing)
    assert (answered, found["no-such-distribution"]) == (None, "not installed")
