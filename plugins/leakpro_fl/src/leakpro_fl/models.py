"""The global model, and whether arrays are those of it: names, shapes, numbers."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from leakpro_torch import weights
from leakpro_torch.modules import build, seeded
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from leakpro_core.arrays import AnyArray
from leakpro_core.errors import BadArray, NotAFactory
from leakpro_core.references import ImportPath
from leakpro_fl.client import arrays_of
from leakpro_fl.formats import read

_LISTED = re.compile(r"(?:arr_)?(\d+)")
_WRAPPED = ("module.", "_orig_mod.")
_MOST = 6


def global_model(
    factory: ImportPath, path: Path | None, what: str = "weights", *, trust: bool, seed: int
) -> tuple[nn.Module, dict[str, AnyArray], tuple[str, ...]]:
    """Return the factory's module in training mode, its arrays by name, and notes.

    path: of the weights; None: those that the factory draws, seeded. Buffers that are missing there
    are the factory's. ``UnsafeFile``, ``NotAFactory``, ``BadArray``, ``MissingFile``.
    """
    with seeded(seed):
        module = build(factory)
    if not any(p.requires_grad for p in module.parameters()):
        raise NotAFactory(
            f"module of {factory.ref!r}",
            found="no parameter that requires a gradient",
            expected="parameters that clients train",
        )
    if path is None:
        if any(is_lazy(p) for p in module.parameters()):
            raise BadArray(
                f"module of {factory.ref!r}",
                found="parameters without a shape (a lazy module)",
                expected="weights, which have the shapes",
                fix="Name the file of the weights.",
            )
        return module.train(), arrays_of(module), ()
    held = read(path, what, trust=trust, home=factory.folder)
    named = f"{what} {path.name}"
    if any(is_lazy(p) for p in module.parameters()):
        weights.fit(module, _tensors(held.arrays), path.name, factory.ref)
        return module.train(), arrays_of(module), held.notes
    found, notes = fitted(held.arrays, module, named, factory.ref, whole=True)
    own = arrays_of(module)
    module.load_state_dict(
        {n: torch.from_numpy(np.array(v)) for n, v in found.items()}, strict=False
    )
    missing = [name for name in own if name not in found]
    if missing:
        notes = (*notes, f"{named} lacks {_some(missing)}; the factory's own values stand there.")
    before = {name: found.get(name, value) for name, value in own.items()}
    return module.train(), before, (*held.notes, *notes)


def fitted(
    arrays: Mapping[str, AnyArray],
    module: nn.Module,
    what: str,
    factory: str,
    *,
    whole: bool = False,
    gradient: bool = False,
) -> tuple[dict[str, AnyArray], tuple[str, ...]]:
    """Return arrays under the module's names and in its order, and notes of how they were found.

    whole: whether parameters that need no gradient must be there too; buffers may be missing.
    gradient: whether arrays without names are more likely those of the parameters alone, than the
    whole state dict. ``BadArray`` names what is missing, unexpected or of another shape, dtype, or
    not finite.
    """
    own = arrays_of(module)
    arrays, notes = _named(arrays, module, own, gradient)
    twice = {name for name in module.state_dict() if name not in own}
    needed = [n for n, p in module.named_parameters() if whole or p.requires_grad]
    wrong = [f"missing {name}" for name in needed if name not in arrays]
    wrong += [f"unexpected {name}" for name in arrays if name not in own and name not in twice]
    wrong += [
        f"{name} of shape {list(arrays[name].shape)} instead of {list(value.shape)}"
        for name, value in own.items()
        if name in arrays and arrays[name].shape != value.shape
    ]
    if wrong:
        raise BadArray(
            f"{what} does not fit the module of {factory!r}",
            found=_some(wrong, "; "),
            expected=f"its {len(needed)} parameters by name",
            fix="Name the factory of the model that was sent, and arrays as its state dict does.",
        )
    found = {name: arrays[name] for name in own if name in arrays}
    for name, values in found.items():
        _check_numbers(values, own[name], f"{what}, {name}")
    return found, notes


def _check_numbers(values: AnyArray, like: AnyArray, what: str) -> None:
    kinds = "f" if like.dtype.kind == "f" else "biuf"
    if values.dtype.kind not in kinds:
        raise BadArray(
            what,
            found=f"dtype {values.dtype}",
            expected=f"numbers such as {like.dtype}",
            fix="Give compressed numbers as what they stand for."
            if values.dtype.kind in "iu"
            else "",
        )
    finite = np.isfinite(values)
    if not finite.all():
        wrong = int(finite.size - finite.sum())
        raise BadArray(
            what,
            found=f"NaN or infinite values, {wrong} of {finite.size}",
            expected="finite numbers",
            fix="Training diverged, or the file is damaged: give another update.",
        )


def _named(
    arrays: Mapping[str, AnyArray], module: nn.Module, own: Mapping[str, AnyArray], gradient: bool
) -> tuple[Mapping[str, AnyArray], tuple[str, ...]]:
    """Return the arrays under the names that the module has for them, if they can be told."""
    if all(name in own for name in arrays):
        return arrays, ()
    places = {name: _LISTED.fullmatch(name) for name in arrays}
    if all(places.values()):
        values = [arrays[n] for n in sorted(arrays, key=lambda n: int(places[n][1]))]  # type: ignore[index]
        return _in_order(values, module, own, gradient)
    for prefix in _WRAPPED:
        if all(name.startswith(prefix) for name in arrays):
            inner = {name.removeprefix(prefix): values for name, values in arrays.items()}
            return _named(inner, module, own, gradient)
    return arrays, ()


def _in_order(
    values: Sequence[AnyArray], module: nn.Module, own: Mapping[str, AnyArray], gradient: bool
) -> tuple[Mapping[str, AnyArray], tuple[str, ...]]:
    state = [name for name, v in module.state_dict().items() if isinstance(v, Tensor)]
    parameters = [name for name, _ in module.named_parameters()]
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    orders = {
        "its parameters": parameters,
        "its parameters that are trained": trained,
        "its state dict": state,
    }
    shapes = {name: tuple(v.shape) for name, v in module.state_dict(keep_vars=True).items()}
    tried = sorted(orders.items(), key=lambda each: (each[1] is state) is gradient)
    fitting = [(said, names) for said, names in tried if len(names) == len(values)]
    if not fitting:
        counts = " or ".join(f"{len(names)} ({said})" for said, names in orders.items())
        raise BadArray(
            "arrays without names",
            found=f"{len(values)}",
            expected=f"as many as the model has: {counts}",
            fix="Write the arrays by their names.",
        )
    said, names = next(
        (
            each
            for each in fitting
            if all(v.shape == shapes.get(n) for n, v in zip(each[1], values, strict=True))
        ),
        fitting[0],
    )
    note = f"The arrays have no names: they were taken in the order of the model, as {said}."
    return dict(zip(names, values, strict=True)), (note,)


def _tensors(arrays: Mapping[str, AnyArray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}


def _some(parts: Sequence[str], between: str = ", ") -> str:
    more = len(parts) - _MOST
    return between.join(parts[:_MOST]) + (f"{between}and {more} more" if more > 0 else "")
