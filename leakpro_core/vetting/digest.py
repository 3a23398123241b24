"""What a distribution ships, and its digest: the same for a wheel and for its installed tree.

Nothing of the distribution is imported. ``RECORD`` is read as a list of names, never as a source
of hashes: who changes a file can change ``RECORD`` too.
"""

import csv
import hashlib
import json
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from attrs import field, frozen

from leakpro_core.errors import MissingFile, PluginRefused
from leakpro_core.vetting.metadata import Metadata, metadata_of
from leakpro_core.vetting.reasons import Reason

_INSTALLER = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""Files of ``.dist-info`` that the installer writes and the wheel does not determine."""


@frozen(kw_only=True)
class Contents:
    """The files that the wheel ships: SHA-256 (hex) by path from site-packages.

    flaws: what must not be there, or is missing, as (reason, what was found);
    sources: the bytes, as they were hashed, of the modules that entry points name.
    """

    metadata: Metadata
    hashes: Mapping[str, str] = field(repr=False)
    flaws: tuple[tuple[Reason, str], ...]
    sources: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the sorted lines ``<sha256 of file>  <path>``."""
        return tree_digest(self.hashes)


def tree_digest(hashes: Mapping[str, str]) -> str:
    """Return the digest of a tree of files; the order in which they were read does not matter."""
    lines = sorted(f"{sha256}  {path}\n" for path, sha256 in hashes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def module_file(name: str, files: Collection[str]) -> str | None:
    """Return the file of a module among ``files``; as in Python, a package beats a module."""
    base = name.replace(".", "/")
    candidates = (f"{base}/__init__.py", f"{base}.py")
    return next((path for path in candidates if path in files), None)


def installed_contents(metadata: Metadata, info: Path) -> Contents:
    """Read an installed tree; ``info`` is its ``.dist-info`` folder."""
    site = info.parent
    if _editable(info):
        return _nothing(metadata, Reason.EDITABLE, "a link to source")
    paths = _recorded(info / "RECORD")
    if paths is None:
        return _nothing(metadata, Reason.NO_RECORD, f"none to read in {info}")
    shipped, flaws = _sort_out(paths, info.name, metadata.scripts)
    flaws += [(Reason.SYMLINK, path) for path in shipped if _linked(site, path)]
    return _contents(metadata, shipped, flaws, lambda path: _regular(site / path))


def _nothing(metadata: Metadata, reason: Reason, found: str) -> Contents:
    return Contents(metadata=metadata, hashes={}, flaws=((reason, found),), sources={})


def wheel_contents(wheel: Path) -> Contents:
    """Read a wheel without installing it; ``PluginRefused`` if it is none."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            files = [item for item in archive.infolist() if not item.is_dir()]
            names = [item.filename for item in files]
            if len(set(names)) != len(names):
                raise zipfile.BadZipFile("two files of one name")
            info = _info_folder(names)
            metadata = metadata_of(info, lambda name: _text(archive, f"{info}/{name}"))
            shipped, flaws = _sort_out(names, info, frozenset())
            flaws += [(Reason.SYMLINK, f.filename) for f in files if _is_link(f)]
            return _contents(metadata, shipped, flaws, archive.open)
    except FileNotFoundError:
        raise MissingFile(f"wheel {wheel}", found="no such file") from None
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise PluginRefused(
            f"wheel {wheel}", found=str(error), expected="a wheel", fix="Build it again."
        ) from None


def _contents(
    metadata: Metadata,
    paths: Collection[str],
    flaws: list[tuple[Reason, str]],
    opened: Callable[[str], IO[bytes]],
) -> Contents:
    hashes, sources = {}, {}
    wanted = {module_file(module, paths) for _, module in metadata.entry_points}
    for path in paths:
        try:
            with opened(path) as file:
                if path in wanted:
                    sources[path] = file.read()
                    hashes[path] = hashlib.sha256(sources[path]).hexdigest()
                else:  # data files may be larger than the memory
                    hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except OSError:
            flaws.append((Reason.DIGEST, f"{path} is listed and cannot be read"))
    return Contents(metadata=metadata, hashes=hashes, flaws=tuple(flaws), sources=sources)


def _sort_out(
    paths: Iterable[str], info: str, scripts: frozenset[str]
) -> tuple[list[str], list[tuple[Reason, str]]]:
    """Return the paths that count for the digest, and those that must not be there."""
    counted, flaws = [], []
    for path in sorted(set(paths)):
        parts = PurePosixPath(path).parts
        if str(PurePosixPath(path)) != path or not parts or not path.isprintable():
            # Two spellings of one path, or a line break in one, would make digests ambiguous.
            flaws.append((Reason.NO_RECORD, f"the path {path!r}"))
        elif path.startswith("/") or ".." in parts:
            # An installer writes scripts of entry points there, and byte-code where
            # PYTHONPYCACHEPREFIX says; all else came from .data/
            if not path.endswith(".pyc") and parts[-1].removesuffix(".exe") not in scripts:
                flaws.append((Reason.DATA, path))
        elif parts[0].lower().endswith(".data"):
            flaws.append((Reason.DATA, path))
        elif len(parts) == 1 and path.lower().endswith(".pth"):
            flaws.append((Reason.PTH, path))
        elif not _cached(parts) and not (
            len(parts) == 2 and parts[0] == info and parts[1] in _INSTALLER
        ):
            counted.append(path)
    return counted, flaws


def _cached(parts: tuple[str, ...]) -> bool:
    """Whether it is byte-code that an installer made; what a wheel ships lies beside the source."""
    return parts[-1].endswith(".pyc") and "__pycache__" in parts


def _regular(path: Path) -> IO[bytes]:
    if not path.is_file():  # a named pipe would never end
        raise OSError
    return path.open("rb")


def _recorded(record: Path) -> list[str] | None:
    try:
        rows = list(csv.reader(record.read_text("utf-8").splitlines(keepends=True)))
    except (OSError, ValueError, csv.Error):
        return None
    return [row[0] for row in rows if row and row[0]] or None


def _editable(info: Path) -> bool:
    try:
        origin = json.loads((info / "direct_url.json").read_text("utf-8"))
        return bool(origin["dir_info"]["editable"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _is_link(item: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(item.external_attr >> 16)


def _linked(site: Path, path: str) -> bool:
    folders = PurePosixPath(path).parents
    try:
        return any((site / part).is_symlink() for part in (path, *(str(f) for f in folders[:-1])))
    except OSError:  # a name that no file can have; reading it will fail
        return False


def _info_folder(names: Iterable[str]) -> str:
    tops = {name.split("/")[0] for name in names if name.endswith(".dist-info/METADATA")}
    if len(tops) != 1:
        raise zipfile.BadZipFile(f"{len(tops)} .dist-info folders with METADATA, not 1")
    return tops.pop()


def _text(archive: zipfile.ZipFile, name: str) -> str:
    try:
        return archive.read(name).decode()
    except (KeyError, ValueError):
        return ""
