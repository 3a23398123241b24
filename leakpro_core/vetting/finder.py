"""Verified import: the bytes that were hashed are the bytes that are compiled.

A finder at the head of ``sys.meta_path`` answers for every top-level name of a vetted
distribution. Byte-code is neither read nor written for them, so a forged ``.pyc`` is never run;
a package beside a module and a file that was not approved do not exist for it.
"""

import hashlib
import importlib.abc
import io
import posixpath
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, all_suffixes
from importlib.resources.abc import Traversable, TraversableResources
from importlib.util import decode_source
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import IO, Any, final

from attrs import field, frozen

from leakpro_core.vetting.digest import module_file


@frozen(kw_only=True)
class Claim:
    """The top-level names of one distribution, and the only files that may stand behind them.

    site: the folder that paths start from; hashes: SHA-256 (hex) by path;
    refusal: why none of it may be imported, empty where it may; shared: those of the names that
    are another distribution's too, of which a refusal takes nothing but the files listed here.
    """

    distribution: str
    version: str
    site: Path
    hashes: Mapping[str, str] = field(repr=False)
    refusal: str = ""
    tops: frozenset[str]
    shared: frozenset[str] = frozenset()

    def read(self, path: str) -> bytes:
        """Return a file's bytes; ``ImportError`` if they are not those that were hashed."""
        if path not in self.hashes:
            raise FileNotFoundError(f"{path} is not among the approved files of {self._who}")
        data = (self.site / path).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.hashes[path]:
            raise ImportError(
                f"{self.site / path} changed after {self._who} was verified. "
                "Reinstall the approved wheel and start again."
            )
        return data

    def module(self, name: str) -> tuple[str, bool] | None:
        """Return a module's path and whether it is a package; None if there is none."""
        file = module_file(name, self.hashes)
        if file is not None:
            return file, file.endswith("/__init__.py")
        folder = name.replace(".", "/")
        if any(path.startswith(f"{folder}/") and path.endswith(".py") for path in self.hashes):
            return folder, True
        return None

    @property
    def _who(self) -> str:
        return f"{self.distribution} {self.version}"


def tops_of(paths: Iterable[str]) -> frozenset[str]:
    """Return the top-level module names that these files make importable.

    Extension modules and byte-code without source count: they are never loaded, because they
    cannot be compiled from what was hashed, and nothing may be loaded in their place.
    """
    tops = set()
    for path in paths:
        top, inside, _ = path.partition("/")
        if inside or path.endswith(tuple(all_suffixes())):
            tops.add(top if inside else top.partition(".")[0])
    return frozenset(top for top in tops if top.isidentifier())


@final
class VerifiedLoader(importlib.abc.ExecutionLoader):
    """Loads one module of a claim from verified source."""

    def __init__(self, claim: Claim, path: str, *, package: bool) -> None:
        self.claim, self.path, self._package = claim, path, package

    @property
    def sha256(self) -> str | None:
        """What the module's file hashed to; None for a folder without ``__init__.py``."""
        return self.claim.hashes.get(self.path)

    def get_filename(self, fullname: str) -> str:
        if self.sha256 is None:
            raise ImportError(f"{fullname} is a folder without __init__.py", name=fullname)
        return str(self.claim.site / self.path)

    def get_source(self, fullname: str) -> str:
        return "" if self.sha256 is None else decode_source(self.claim.read(self.path))

    def is_package(self, fullname: str) -> bool:
        return self._package

    def get_data(self, path: str) -> bytes:
        """Return a data file, verified too; for ``pkgutil.get_data``."""
        try:
            inside = Path(path).relative_to(self.claim.site)
        except ValueError:
            raise FileNotFoundError(path) from None
        return self.claim.read(inside.as_posix())

    def get_resource_reader(self, fullname: str) -> "VerifiedResources | None":
        return VerifiedResources(self.claim, fullname) if self._package else None


@final
class VerifiedResources(TraversableResources):
    """Data files of a package for ``importlib.resources``, each verified when it is read."""

    def __init__(self, claim: Claim, package: str) -> None:
        self._root = Resource(claim=claim, path=package.replace(".", "/"))

    def files(self) -> "Resource":
        return self._root


@final
@frozen(kw_only=True)
class Resource(Traversable):
    """A file or folder of a claim."""

    claim: Claim = field(repr=False)
    path: str

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    def is_file(self) -> bool:
        return self.path in self.claim.hashes

    def is_dir(self) -> bool:
        return any(path.startswith(f"{self.path}/") for path in self.claim.hashes)

    def iterdir(self) -> "Iterator[Resource]":
        depth = len(PurePosixPath(self.path).parts) + 1
        inside = (p for p in self.claim.hashes if p.startswith(f"{self.path}/"))
        for child in sorted({"/".join(p.split("/")[:depth]) for p in inside}):
            yield Resource(claim=self.claim, path=child)

    def joinpath(self, *descendants: Any) -> "Resource":
        path = posixpath.normpath(posixpath.join(self.path, *map(str, descendants)))
        return Resource(claim=self.claim, path=path)

    def __truediv__(self, child: Any) -> "Resource":
        return self.joinpath(child)

    def read_bytes(self) -> bytes:
        return self.claim.read(self.path)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:
        stream = io.BytesIO(self.read_bytes())
        return stream if "b" in mode else io.TextIOWrapper(stream, *args, **kwargs)


@final
class VerifiedFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of claims, and nothing else under their top-level names."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self.claims = tuple(claims)
        self._by_top = {top: claim for claim in self.claims for top in claim.tops}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.partition(".")[0]
        claim = self._by_top.get(top)
        if claim is None:
            return None
        if claim.refusal:
            if top in claim.shared and module_file(fullname, claim.hashes) is None:
                return None
            raise ModuleNotFoundError(
                f"{fullname} belongs to {claim.distribution} {claim.version}, "
                f"which vetting refused: {claim.refusal}",
                name=fullname,
            )
        module = claim.module(fullname)
        if module is None:
            raise ModuleNotFoundError(
                f"{fullname} is not among the approved files of "
                f"{claim.distribution} {claim.version}",
                name=fullname,
            )
        return _spec(fullname, claim, *module)


def _spec(name: str, claim: Claim, path: str, package: bool) -> ModuleSpec:
    loader = VerifiedLoader(claim, path, package=package)
    file = claim.site / path
    known = loader.sha256 is not None
    spec = ModuleSpec(name, loader, origin=str(file) if known else None, is_package=package)
    spec.has_location = known
    if package:
        spec.submodule_search_locations = [str(file.parent if known else file)]
    return spec


def install(claims: Sequence[Claim], vetted: Collection[str]) -> None:
    """Put one finder for ``claims`` at the head of ``sys.meta_path``, in place of earlier ones.

    Claims of an earlier audit stay in force, but for the distributions that were ``vetted`` again.
    """
    earlier = [finder for finder in sys.meta_path if isinstance(finder, VerifiedFinder)]
    kept = [c for finder in earlier for c in finder.claims if c.distribution not in vetted]
    for finder in earlier:
        sys.meta_path.remove(finder)
    if kept or claims:
        sys.meta_path.insert(0, VerifiedFinder([*kept, *claims]))


def imported_elsewhere(claim: Claim) -> str | None:
    """Return a module of the claim's names that something else has imported, if there is one."""
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] not in claim.tops:
            continue
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if not isinstance(loader, VerifiedLoader):
            return name
        if loader.sha256 != claim.hashes.get(loader.path):
            return name
    return None
