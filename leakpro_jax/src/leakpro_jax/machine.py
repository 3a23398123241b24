"""Where programs run and where compiled ones are kept; settings that are put back afterwards."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from leakpro_core.errors import BadValue
from leakpro_core.protocols import Log

_THREADS = "PJRT_NPROC"
_UNREADABLE = r"Error reading persistent compilation cache entry for '([^']+)"
_CACHE = {
    "jax_compilation_cache_dir": "",
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": 0,
}


@contextmanager
def settled(device: str, threads: int, log: Log, what: str) -> Iterator[jax.Device]:
    """Run on a device in float32 arithmetic; yield the device.

    threads: of XLA on the CPU. ``BadValue`` names ``what`` where there is no such device.
    """
    try:
        with _threads(threads, log):
            found = jax.devices(device)[0]
    except RuntimeError as error:
        raise BadValue(
            f"{what} device",
            found=repr(device),
            expected="a device of this machine",
            fix='Set device = "cpu".',
        ) from error
    # A process may have asked for doubles, and GPUs multiply in fewer bits unless told.
    with (
        jax.enable_x64(False),
        jax.default_device(found),
        jax.default_matmul_precision("float32"),
    ):
        yield found


@contextmanager
def _threads(count: int, log: Log) -> Iterator[None]:
    """Tell XLA its threads, unless the user did; it listens when it first looks for devices.

    The flag ``--xla_cpu_multi_thread_eigen=false`` would not do: two threads are still used.
    """
    said = os.environ.get(_THREADS)
    if said is not None:
        if said != str(count):
            log.warning("threads of XLA are set already", variable=_THREADS, to=said, asked=count)
        yield
        return
    os.environ[_THREADS] = str(count)
    try:
        yield
    finally:
        del os.environ[_THREADS]  # workers of this process have threads of their own


@contextmanager
def cached(folder: Path | None, log: Log) -> Iterator[None]:
    """Keep compiled programs in a private folder, which other processes and runs read.

    folder: None for the user's cache folder. What a user told JAX itself is kept to.
    """
    before = {name: getattr(jax.config, name) for name in _CACHE}
    if before["jax_compilation_cache_dir"] is not None:
        yield
        return
    place = folder or _cache_home() / "leakpro" / "jax"
    # Compiled programs are code: read only what nobody else can have written.
    wrong = _not_private(place)
    if wrong:
        log.warning("compiled programs are not cached", folder=str(place), because=wrong)
        yield
        return
    _configure(_CACHE | {"jax_compilation_cache_dir": str(place)})
    try:
        with _mended(place, log):
            yield
    finally:
        _configure(before)


@contextmanager
def _mended(folder: Path, log: Log) -> Iterator[None]:
    """Delete entries that JAX says it cannot read; it compiles then, but never replaces them.

    It says so by a warning that names the program, after which its entries are named.
    """
    with warnings.catch_warnings():
        # Whatever the user's filters: they may turn it into an error, or show it once.
        warnings.filterwarnings("always", message=_UNREADABLE)
        others = warnings.showwarning

        def show(message: Warning | str, *place: Any, **more: Any) -> None:
            found = re.match(_UNREADABLE, str(message))
            if found is None:
                others(message, *place, **more)
                return
            log.warning("a cached program is damaged, and compiled again", program=found[1])
            for entry in folder.iterdir():
                if entry.name.startswith(f"{found[1]}-"):
                    entry.unlink(missing_ok=True)

        warnings.showwarning = show
        yield


def _configure(values: dict[str, object]) -> None:
    for name, value in values.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    compilation_cache.reset_cache()  # jax opens it once, and would not look again


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _not_private(folder: Path) -> str:
    """Make the folder where there is none; return why it is not the user's alone, or nothing."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        return error.strerror or str(error)
    if folder.is_symlink() or found.st_uid != os.getuid():
        return "it is a link, or another user's"
    if found.st_mode & 0o077:
        return "others may enter it; chmod 700 makes it private"
    return ""
