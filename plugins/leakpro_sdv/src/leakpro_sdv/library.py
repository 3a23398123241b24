"""SDV as this plugin calls it: the right version, silent, and drawn from one seed.

Nothing here imports SDV or pandas before it is called: plans are checked without them.
"""

import importlib
import io
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from leakpro_core.errors import ReferenceNotFound
from leakpro_core.seeds import spawn

INSTALL = "pip install 'leakpro-sdv[sdv]'"


def check_installed() -> str:
    """Return the version of SDV; ``ReferenceNotFound`` where there is none, or not a 2.x.

    Distributions are asked for their metadata, not imported.
    """
    try:
        found = version("sdv")
    except PackageNotFoundError:
        raise ReferenceNotFound(
            "synthesizers of SDV",
            found="no sdv in this environment",
            expected="SDV 2.x",
            fix=f"Install it: {INSTALL}.",
        ) from None
    if found.partition(".")[0] != "2":
        raise ReferenceNotFound(
            "synthesizers of SDV",
            found=f"sdv {found}",
            expected="SDV 2.x, whose interface differs",
            fix=f'Install it: {INSTALL}. Rows of an older SDV are audited by loader = "table".',
        )
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what SDV prints and warns of from the terminal, and from being an error of ours.

    It prints alerts and progress bars, and warns of its own defaults and of pandas' future: a user
    of LeakPro can do nothing about either. Only calls of SDV stand inside: the streams are the
    whole process's.
    """
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def module(name: str) -> Any:
    """Return a module of SDV, imported on the first call."""
    with quiet():  # what SDV imports warns too
        found = importlib.import_module(name)
    # SDV's progress bars would lock among processes, by a semaphore that an executor's worker
    # leaves behind when it is ended: Python complains of it on the user's terminal.
    bars = importlib.import_module("tqdm").tqdm
    if not hasattr(bars, "_lock"):
        bars.set_lock(threading.RLock())
    return found


@contextmanager
def seeded(seed: int, threads: int = 1) -> Iterator[None]:
    """Let numpy's, Python's and torch's global generators start from ``seed``, and put them back.

    SDV fits by them. threads: of an operation of torch: their number changes its sums. What it
    would do in processes of its own, which outlive a worker that is ended, it does in this one.
    """
    import torch

    joblib = importlib.import_module("joblib")
    before = (
        np.random.get_state(),  # noqa: NPY002
        random.getstate(),
        torch.get_num_threads(),
    )
    cards = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=cards), joblib.parallel_config("sequential"):
        try:
            np.random.seed(spawn(seed, "numpy"))  # noqa: NPY002
            random.seed(spawn(seed, "python"))
            torch.manual_seed(spawn(seed, "torch"))
            torch.set_num_threads(threads)
            yield
        finally:
            np.random.set_state(before[0])  # noqa: NPY002
            random.setstate(before[1])
            torch.set_num_threads(before[2])


def because(error: BaseException) -> str:
    """Return what an exception says, in one short line, or else its class."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
