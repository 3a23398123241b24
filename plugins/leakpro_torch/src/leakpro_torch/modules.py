"""What loader and trainer share: build a module, seed it, ask it."""

import random
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

import leakpro_core
from leakpro_core.arrays import AnyArray, Singles
from leakpro_core.errors import BadArray, BadValue, LeakProError, NotAFactory
from leakpro_core.references import ImportPath

_NOT_THE_USERS = (
    Path(leakpro_core.__file__).parent,
    Path(__file__).parent,
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
)


def build(factory: ImportPath) -> nn.Module:
    """Call a user's factory. ``NotAFactory`` if it raises or returns no ``nn.Module``."""
    try:
        module = factory.call()
    except LeakProError:
        raise
    except Exception as error:
        raise NotAFactory(
            f"factory {factory.ref!r}",
            found=f"it raised {because(error)}",
            expected="a callable without arguments that returns a torch.nn.Module",
        ) from error
    if not isinstance(module, nn.Module):
        raise NotAFactory(
            f"factory {factory.ref!r}",
            found=f"it returned {kind(module)}",
            expected="a torch.nn.Module",
            fix="Name a callable without arguments that returns the untrained module.",
        )
    return module


_TWICE = 16
"""Records that a module is asked for twice."""


def outputs(model: nn.Module, records: AnyArray, batch_size: int, device: str = "cpu") -> Singles:
    """Return the outputs of a module in evaluation mode, float32 ``[n, classes]``.

    records: numbers ``[n, ...]``, given to the module as float32 in batches, without gradients.
    ``BadArray`` where it cannot take them; ``NotAFactory`` where its outputs are drawn.
    """
    parts = []
    with torch.inference_mode():
        check_repeats(model, as_floats(records[: min(_TWICE, batch_size)]).to(device))
        for start in range(0, max(1, len(records)), batch_size):
            batch = as_floats(records[start : start + batch_size]).to(device)
            parts.append(answers(model, batch).float().cpu().numpy())
    return np.concatenate(parts)


def check_repeats(model: nn.Module, batch: torch.Tensor) -> None:
    """``NotAFactory`` where a module in evaluation mode says something else the second time."""
    first, again = (answers(model, batch.clone()).float() for _ in range(2))
    # A GPU may add in another order.
    rtol, atol = (0.0, 0.0) if batch.device.type == "cpu" else (1e-3, 1e-4)
    if not torch.allclose(first, again, rtol=rtol, atol=atol, equal_nan=True):
        raise NotAFactory(
            f"model {type(model).__name__} in evaluation mode",
            found="it gives other outputs each time",
            expected="the same outputs for the same records",
            fix="Pass training=self.training to dropout, and draw nothing in evaluation mode.",
        )


def answers(
    call: Callable[[torch.Tensor], object], batch: torch.Tensor, *models: int
) -> torch.Tensor:
    """Return what is said on a batch, ``[*models, n, classes]``.

    ``BadArray`` where the batch cannot be taken, or what is said has another shape.
    """
    try:
        found = call(batch)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise BadArray(
            f"the model cannot take records of shape {tuple(batch.shape)}",
            found=because(error),
            fix="Give the records in the shape that the model was trained on; it is asked "
            "with float32.",
        ) from error
    shape = (*models, len(batch))
    if not isinstance(found, torch.Tensor) or found.shape[:-1] != shape:
        raise BadArray(
            f"output of the model for {len(batch)} records",
            found=kind(found),
            expected=f"a tensor of shape [{', '.join(map(str, shape))}, classes]",
            fix="A binary model with one logit returns one column.",
        )
    return found


def as_floats(records: AnyArray) -> torch.Tensor:
    """Return a float32 copy of numbers as a tensor."""
    check_numbers(records)
    return torch.from_numpy(records.astype(np.float32))


def check_numbers(records: AnyArray) -> None:
    """``BadArray`` where records are no real numbers."""
    if records.dtype.kind not in "buif":
        raise BadArray("records", found=f"dtype {records.dtype}", expected="numbers")


def kind(value: object) -> str:
    """Return what a value is, as part of a line."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"a value of type {type(value).__name__}"


def because(error: Exception) -> str:
    """Return an exception as part of a line: its kind, first line, place in the user's code."""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.is_relative_to(home) for home in _NOT_THE_USERS):
            return f"{said} ({frame.filename}, line {frame.lineno})"
    return said


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every global generator that a user's code may draw from; put them back afterwards."""
    # The legacy numpy generator too: a user's code may draw from it.
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    first, second, third = (int(n) for n in np.random.SeedSequence(seed).generate_state(3))
    # To ask a GPU that nothing uses for its generator would start it up.
    gpus = range(torch.cuda.device_count() if gpus_in_use() else 0)
    with torch.random.fork_rng(devices=gpus):
        random.seed(first)
        np.random.seed(second)  # noqa: NPY002
        torch.manual_seed(third)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def gpus_in_use() -> bool:
    """Whether this process has started a GPU up."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def check_device(device: str, key: str) -> None:
    """``BadValue`` where this machine has no such device; key: of the plan."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadValue(
            key,
            found=repr(device),
            expected="a device of this machine",
            fix='Set device = "cpu".',
        ) from error


@contextmanager
def arithmetic(dtype: str) -> Iterator[None]:
    """Let matrix products and convolutions of float32 round to TF32, or not, on GPUs.

    Convolutions are those that give the same result each time.
    """
    allowed, cudnn = dtype != "float32", torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    cudnn.allow_tf32, cudnn.deterministic = allowed, True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.deterministic = before[1:]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the threads of one operation; more than one rarely pays for small models."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
