"""References: ``package.module:name``, resolved on first use."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen

from leakpro_core.errors import ReferenceNotFound


def resolve(ref: str) -> Any:
    """Return what ``package.module:name`` names in the environment."""
    module_name, _, name = ref.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ReferenceNotFound(
            f"reference {ref!r}",
            found=f"no module {error.name!r}",
            expected="an importable module",
            fix="Install what provides it, or mend the reference.",
        ) from error
    return _attribute(module, name, ref)


@frozen
class ImportPath:
    """A user's function, by import path, from the plan's folder or else the environment.

    A file of the plan's folder is loaded under a name of its own, so that two audits in one
    process may each have a ``my_models.py``; its neighbours can be imported while it loads.
    """

    ref: str
    folder: Path

    def load(self) -> Callable[..., Any]:
        """Return the callable; ``ReferenceNotFound`` says which part is missing."""
        module_name, _, name = self.ref.partition(":")
        if not name:
            raise ReferenceNotFound(
                f"import path {self.ref!r}", expected="the form 'package.module:callable'"
            )
        found = _attribute(self._module(module_name), name, self.ref)
        if not callable(found):
            raise ReferenceNotFound(
                f"import path {self.ref!r}", found=type(found).__name__, expected="a callable"
            )
        return found  # type: ignore[no-any-return]

    def _module(self, module_name: str) -> ModuleType:
        base = self.folder.joinpath(*module_name.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return _load_file(module_name, path, self.folder)
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not module_name.startswith(error.name):
                raise ReferenceNotFound(
                    f"import path {self.ref!r}",
                    found=f"its module needs {error.name!r}, which is not installed",
                    fix=f"Install {error.name}.",
                ) from error
            raise ReferenceNotFound(
                f"import path {self.ref!r}",
                found=f"no {module_name}.py in {self.folder} and no such module installed",
                expected="a module in the plan's folder or in the environment",
            ) from error


def _attribute(module: ModuleType, name: str, ref: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        from leakpro_core.errors import nearest

        raise ReferenceNotFound(
            f"reference {ref!r}",
            found=f"no {name!r} in {module.__file__ or module.__name__}",
            fix=nearest(name, [n for n in vars(module) if not n.startswith("_")]),
        ) from None


def _load_file(module_name: str, path: Path, folder: Path) -> ModuleType:
    tag = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    unique = f"_leakpro_user_{tag}_{module_name.replace('.', '_')}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise ReferenceNotFound(f"file {path}", expected="a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        with _importable(folder):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
