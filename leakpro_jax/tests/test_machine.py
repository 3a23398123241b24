"""Threads, settings that are put back, and a cache that nobody else can write."""

import os
import subprocess
import sys
import warnings

import jax
import pytest
from leakpro_jax.machine import cached, settled


class Kept:
    """A log that keeps its warnings."""

    def __init__(self):
        self.warnings = []

    def debug(self, event, **values):
        pass

    info = debug

    def warning(self, event, **values):
        self.warnings.append((event, values))


@pytest.fixture
def log():
    return Kept()


def compiled():
    jax.clear_caches()
    return jax.jit(lambda x: x * 3 + 1)(2.0)


def test_programs_are_kept_in_a_private_folder_and_found_again(tmp_path, log):
    folder = tmp_path / "one" / "two"
    with cached(folder, log):
        compiled()
    kept = {file.name for file in folder.iterdir()}
    assert any(name.startswith("jit_") for name in kept)
    assert folder.stat().st_mode & 0o777 == 0o700
    with cached(folder, log):
        compiled()
    assert {file.name for file in folder.iterdir() if "-cache" in file.name} <= kept
    assert jax.config.jax_compilation_cache_dir is None
    assert log.warnings == []


def test_damaged_programs_are_compiled_again_and_replaced(tmp_path, log):
    with cached(tmp_path / "cache", log):
        compiled()
    whole = {file: file.stat().st_size for file in (tmp_path / "cache").iterdir()}
    for file, size in whole.items():
        os.truncate(file, size // 2)
    with cached(tmp_path / "cache", log):
        compiled()
    assert {event for event, _ in log.warnings} == {
        "a cached program is damaged, and compiled again"
    }
    assert all(file.stat().st_size > size // 2 + 1 for file, size in whole.items())
    log.warnings.clear()
    with cached(tmp_path / "cache", log):
        compiled()
    assert log.warnings == []


def test_other_warnings_are_the_users(tmp_path, log):
    with pytest.warns(UserWarning, match="of the user"), cached(tmp_path / "cache", log):
        warnings.warn("of the user", UserWarning, stacklevel=1)
    assert log.warnings == []


def test_unless_told_otherwise_below_the_users_cache_folder(tmp_path, log, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with cached(None, log):
        compiled()
    assert list((tmp_path / "cache" / "leakpro" / "jax").iterdir()) != []


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_folder_that_others_can_write_is_not_read(kind, tmp_path, log):
    folder = tmp_path / "cache"
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o755)
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.write_text("")
    with cached(folder, log):
        assert jax.config.jax_compilation_cache_dir is None
    ((event, values),) = log.warnings
    assert event == "compiled programs are not cached"
    assert values["because"]


def test_a_cache_of_the_users_own_is_kept_to(tmp_path, log):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        with cached(tmp_path / "other", log):
            assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
    assert not (tmp_path / "other").exists()


def test_arithmetic_is_in_float32_and_put_back(log):
    with settled("cpu", 1, log, "[target]") as device:
        assert device.platform == "cpu"
        assert jax.config.jax_default_matmul_precision == "float32"
        assert jax.numpy.ones(1, float).dtype == "float32"
    assert jax.config.jax_default_matmul_precision is None
    assert "PJRT_NPROC" not in os.environ


THREADS = """
import sys, time
from leakpro_core.testing.conformance import PlainRun
from leakpro_jax.machine import settled
import jax
with settled("cpu", int(sys.argv[1]), PlainRun(seed=0, scratch=None).log, ""):
    square = jax.numpy.ones((1500, 1500))
    product = jax.jit(lambda a: a @ a)
    product(square).block_until_ready()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(4):
        product(square).block_until_ready()
    print((time.process_time() - cpu) / (time.perf_counter() - wall))
"""


def test_one_thread_is_one_thread():
    """Two threads on a machine with cores to spare would read 2."""
    environment = {k: v for k, v in os.environ.items() if k != "PJRT_NPROC"}
    done = subprocess.run(
        [sys.executable, "-c", THREADS, "1"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert float(done.stdout) < 1.3


def test_threads_that_the_user_set_are_kept_and_said(monkeypatch, log):
    monkeypatch.setenv("PJRT_NPROC", "3")
    with settled("cpu", 1, log, "[target]"):
        pass
    ((event, values),) = log.warnings
    assert event == "threads of XLA are set already"
    assert (values["to"], values["asked"]) == ("3", 1)
    assert os.environ["PJRT_NPROC"] == "3"
