"""References: ``package.module:name``, resolved on first use."""

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import field, frozen

from leakpro_core.errors import NotAFactory, ReferenceNotFound, nearest


def resolve(ref: str) -> Any:
    """Return what ``package.module:name`` names in the environment."""
    module_name, _, name = ref.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ReferenceNotFound(
            f"reference {ref!r}",
            found=str(error),  # no such module, or one that vetting keeps from being imported
            expected="an importable module",
            fix="Install what provides it, or mend the reference.",
        ) from error
    return _attribute(module, name, ref)


@frozen
class ImportPath:
    """A user's function, by import path, from the plan's folder or else the environment.

    Modules of the plan's folder are loaded below a package of its own name, so that two audits in
    one process may each have a ``my_models.py``.
    """

    ref: str
    folder: Path = field(repr=False)  # where a project lies changes nothing of what it computes

    def load(self) -> Callable[..., Any]:
        """Return the callable; ``ReferenceNotFound`` says which part is missing."""
        with importable(self.folder), self._not_exiting():
            return self._found()

    def call(self, *arguments: object) -> Any:
        """Call it; it can import its neighbours. ``NotAFactory`` where it ends the program."""
        with importable(self.folder), self._not_exiting():
            return self._found()(*arguments)

    @contextmanager
    def _not_exiting(self) -> Iterator[None]:
        try:
            yield
        except SystemExit as error:
            raise NotAFactory(
                f"import path {self.ref!r}",
                found=f"code that ends the program (SystemExit: {error.code})",
                expected="a module that can be imported, and a function that returns",
                fix='Put what the script does by itself under if __name__ == "__main__".',
            ) from error

    def _found(self) -> Callable[..., Any]:
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
        if self.file is not None:
            importlib.invalidate_caches()  # the file may be as new as this process
            return importlib.import_module(f"{_package(self.folder)}.{module_name}")
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not module_name.startswith(error.name):
                raise ReferenceNotFound(
                    f"import path {self.ref!r}",
                    found=f"its module needs {error.name!r}, which is not installed",
                    fix=f"Install {error.name}.",
                ) from error
            *parents, _ = module_name.split(".")
            near = [".".join([*parents, p.stem]) for p in self._base.parent.glob("*.py")]
            raise ReferenceNotFound(
                f"import path {self.ref!r}",
                found=f"no {'/'.join(module_name.split('.'))}.py in {self.folder}, "
                f"nor one installed: {error}",
                expected="a module in the plan's folder or in the environment",
                fix=nearest(module_name, near) if near else "",
            ) from error

    @property
    def file(self) -> Path | None:
        """The module's file in the plan's folder; None where it is another's, if anybody's."""
        files = (self._base.with_suffix(".py"), self._base / "__init__.py")
        return next((file for file in files if file.is_file()), None)

    @property
    def _base(self) -> Path:
        return self.folder.joinpath(*self.ref.partition(":")[0].split("."))


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let code import the modules of ``folder`` by their plain names, as if it were run there.

    Afterwards the plain names are free: another folder may have modules of the same names. What
    was imported stays below the folder's package, and has its plain name again the next time.
    """
    prefix, before = f"{_package(folder)}.", set(sys.modules)
    sys.path.insert(0, str(folder))
    known = {n.removeprefix(prefix): n for n in before if n.startswith(prefix)}
    # Decided before any is given, or the first of a package's modules would keep out the others.
    plain = {top for top in {name.partition(".")[0] for name in known} if _leads_to(folder, top)}
    for name, full in known.items():
        if name.partition(".")[0] in plain:
            sys.modules[name] = sys.modules[full]
    try:
        yield
    finally:
        with suppress(ValueError):  # where the code that ran took it away itself
            sys.path.remove(str(folder))
        new = set(sys.modules) - before
        for name in [name for name in new if _is_of(folder, name.partition(".")[0], before)]:
            module = sys.modules.pop(name)
            sys.modules.setdefault(prefix + name, module)


def _is_of(folder: Path, top: str, before: "set[str]") -> bool:
    """Whether a new top-level module is one of the folder, and not of an environment inside it."""
    if top in before or top == _package(folder):
        return False
    module, home = sys.modules.get(top), str(folder / top)
    return getattr(module, "__file__", None) == f"{home}.py" or home in getattr(
        module, "__path__", ()
    )


def _leads_to(folder: Path, top: str) -> bool:
    """Whether a plain name would be the folder's: not a plugin's, nor what is imported already."""
    if top in sys.modules:
        return False
    try:
        spec = find_spec(top)
    except ImportError:  # what vetting refused
        return False
    home = str(folder / top)
    found = spec and (
        spec.origin == f"{home}.py" or home in (spec.submodule_search_locations or ())
    )
    return bool(found)


def _package(folder: Path) -> str:
    """Return the name of the package below which the folder's modules are loaded."""
    name = f"_leakpro_user_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _attribute(module: ModuleType, name: str, ref: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise ReferenceNotFound(
            f"reference {ref!r}",
            found=f"no {name!r} in {module.__file__ or module.__name__}",
            fix=nearest(name, [n for n in vars(module) if not n.startswith("_")]),
        ) from None
