"""The local executor: results, errors, deaths and interruptions of its worker processes."""

import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve, field, frozen

from leakpro_core.builtin.local import LocalOptions, execute
from leakpro_core.errors import BadRecord, LeakProError, ReferenceNotFound, TrainingFailed
from leakpro_core.memory import available
from leakpro_core.work import Vetting, Work, perform

IN_PROCESS = LocalOptions(workers=0)
ONE = LocalOptions(workers=1)
TWO = LocalOptions(workers=2)


def work(ref: str, *arguments: object) -> Work:
    return Work(ref=ref, arguments=arguments)


def results(works: list[Work], options: LocalOptions) -> dict[int, object]:
    return dict(execute(works, options, None))


class TwoArguments(Exception):
    """An exception that pickles and cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def refuse(record: int) -> None:
    raise BadRecord(f"record {record}", found="NaN", expected="a number", fix="Mend it.")


def raise_two() -> None:
    raise TwoArguments("not", "portable")


def numpy_imported() -> bool:
    return "numpy" in sys.modules


def test_perform_resolves_and_calls():
    assert perform(work("math:hypot", 3, 4)) == 5.0


@pytest.mark.parametrize("options", [IN_PROCESS, ONE, TWO])
def test_results_do_not_depend_on_the_number_of_workers(options):
    works = [work("math:hypot", 3 * n, 4 * n) for n in range(7)]
    assert results(works, options) == {n: 5.0 * n for n in range(7)}


@pytest.mark.parametrize("options", [IN_PROCESS, TWO])
def test_no_work_starts_no_process(options):
    assert results([], options) == {}


def test_zero_workers_run_in_this_process():
    assert results([work("os:getpid")], IN_PROCESS) == {0: os.getpid()}


def test_workers_are_other_processes_and_are_used_again():
    pids = set(results([work("os:getpid")] * 6, TWO).values())
    assert os.getpid() not in pids
    assert len(pids) <= 2


def test_threads_are_set_before_numpy_is_imported():
    options = LocalOptions(workers=1, threads=3)
    works = [work(f"{__name__}:numpy_imported"), work("os:getenv", "OMP_NUM_THREADS")]
    assert results(works, options) == {0: False, 1: "3"}


def test_big_results_come_back_whole():
    assert results([work("builtins:bytes", 5_000_000)], ONE) == {0: bytes(5_000_000)}


@pytest.mark.parametrize("options", [IN_PROCESS, ONE])
def test_a_users_mistake_keeps_its_class_and_message(options):
    with pytest.raises(BadRecord) as caught:
        results([work(f"{__name__}:refuse", 7)], options)
    assert str(caught.value) == "record 7: found NaN, expected a number. Mend it."


def test_other_exceptions_keep_their_class_and_bring_the_workers_traceback():
    with pytest.raises(ValueError, match="math domain error") as caught:
        results([work("math:sqrt", -1)], ONE)
    assert "in perform" in caught.value.__notes__[0]


def test_an_exception_that_cannot_travel_is_told_in_words():
    with pytest.raises(RuntimeError, match="TwoArguments: not portable"):
        results([work(f"{__name__}:raise_two")], ONE)


def test_a_result_that_cannot_travel_is_an_error():
    with pytest.raises((TypeError, pickle.PicklingError)):
        results([work("threading:Lock")], ONE)


def test_an_unknown_reference_is_named():
    with pytest.raises(ReferenceNotFound, match="no_such_module:f"):
        results([work("no_such_module:f")], ONE)


@pytest.mark.parametrize("options", [ONE, TWO])
def test_a_worker_that_dies_is_named_with_its_unit_and_the_fix(options):
    works = [work("math:sqrt", 4), work("os:_exit", 9)]
    with pytest.raises(TrainingFailed, match=r"unit 2 of 2 \(os:_exit\).*exit code 9.*workers = 0"):
        results(works, options)


def test_a_killed_worker_is_named_with_its_signal():
    with pytest.raises(TrainingFailed, match=r"unit 1 of 1 .*SIGKILL.*fewer workers"):
        results([work("signal:raise_signal", signal.SIGKILL)], ONE)


def test_closing_the_iterator_stops_the_workers(tmp_path):
    pids = []
    iterator = execute([work("os:getpid"), work("time:sleep", 60)], TWO, None)
    pids.append(next(iterator)[1])
    start = time.monotonic()
    iterator.close()
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_arguments_are_unpickled_only_after_vetting(tmp_path, monkeypatch):
    (tmp_path / "late_module.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'canary')!r}).touch()\nclass Mark: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from late_module import Mark  # type: ignore[import-not-found]

    (tmp_path / "canary").unlink()
    absent = ((tmp_path / "absent.toml", "0" * 64),)
    refused = Vetting(mode="enforce", registries=absent, path=None, today=date.today())
    unit = evolve(work("builtins:repr", Mark()), vetting=refused)
    with pytest.raises(LeakProError, match=r"absent\.toml"):
        results([unit], ONE)
    assert not (tmp_path / "canary").exists()
    results([evolve(unit, vetting=None)], ONE)
    assert (tmp_path / "canary").exists()


SCRIPT = """
from leakpro_core.builtin.local import LocalOptions, execute
from leakpro_core.work import Work
print("main ran", flush=True)
works = [Work(ref={ref!r}, arguments={arguments!r})] * 2
for position, result in execute(works, LocalOptions(workers=2), None):
    print("result", result, flush=True)
"""


def script(ref: str, *arguments: object) -> str:
    return SCRIPT.format(ref=ref, arguments=arguments)


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    path = tmp_path / "no_guard.py"
    path.write_text(script("math:sqrt", 4))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["main ran", "result 2.0", "result 2.0", ""]
    assert done.stderr == ""


def test_a_command_line_script_runs_once():
    command = [sys.executable, "-c", script("math:sqrt", 4)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("main ran") == 1


def told(path: Path) -> str:
    """Return code that writes its process's number into ``path``, whole at once, and waits."""
    return (
        f"import os, time; own = {str(path)!r} + str(os.getpid()); "
        f"open(own, 'w').write(str(os.getpid())); os.replace(own, {str(path)!r}); time.sleep(60)"
    )


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_stops_the_workers_without_noise_of_theirs(tmp_path):
    started = tmp_path / "pid"
    line = told(started)
    parent = subprocess.Popen(
        [sys.executable, "-c", script("builtins:exec", line)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has Ctrl-C ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while not (started.exists() and started.read_text()):
        time.sleep(0.05)
    os.killpg(parent.pid, signal.SIGINT)
    _, noise = parent.communicate(timeout=30)
    assert noise.count("KeyboardInterrupt") == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path(started).read_text()), 0)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    started = tmp_path / "pid"
    line = told(started)
    parent = subprocess.Popen([sys.executable, "-c", script("builtins:exec", line)])
    while not (started.exists() and started.read_text()):
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    worker, since = Path("/proc") / started.read_text() / "stat", time.monotonic()
    while worker.exists() and time.monotonic() - since < 30:
        time.sleep(0.05)
    assert not worker.exists()


def test_an_abandoned_iterator_does_not_hold_the_interpreter():
    code = script("math:sqrt", 4).replace("for position, result in ", "kept = ").split(":\n    ")[0]
    done = subprocess.run([sys.executable, "-c", code + "; next(kept)"], timeout=60, check=False)
    assert done.returncode == 0


@frozen
class Noted:
    """A log that remembers."""

    events: list[tuple[str, dict[str, object]]] = field(factory=list)

    def warning(self, event: str, **values: object) -> None:
        self.events.append((event, values))


@frozen
class NotedRun:
    seed: int = 0
    scratch: Path = Path()
    log: Noted = field(factory=Noted)


def test_no_more_workers_are_started_than_memory_has_room_for():
    run, free = NotedRun(), available()
    works = [evolve(work("os:getpid"), memory=round(0.6 * free)) for _ in range(4)]
    assert len(set(dict(execute(works, TWO, run)).values())) == 1
    [(event, values)] = run.log.events
    assert event == "fewer workers than asked for, as memory is short"
    assert (values["workers"], values["asked"], values["unit_bytes"]) == (1, 2, works[0].memory)


def test_a_unit_that_is_larger_than_the_memory_is_tried_all_the_same():
    assert results([evolve(work("math:sqrt", 4), memory=2**60)], TWO) == {0: 2.0}


def test_units_that_fit_run_side_by_side_without_a_word():
    run = NotedRun()
    works = [evolve(work("time:sleep", 0.5), memory=1000) for _ in range(2)]
    assert dict(execute(works, TWO, run)) == {0: None, 1: None}
    assert run.log.events == []
