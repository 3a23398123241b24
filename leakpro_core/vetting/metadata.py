"""Which plugins are installed, from metadata alone: a distribution is asked, never imported."""

import configparser
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path

from attrs import field, frozen

from leakpro_core.vetting.registry import normalised

GROUP = "leakpro.v1"
_SCRIPTS = ("console_scripts", "gui_scripts")


@frozen(kw_only=True)
class Metadata:
    """What a distribution says of itself.

    entry_points: pairs of name and module of the group ``leakpro.v1``, sorted;
    scripts: names of the commands that an installer writes for it.
    """

    name: str
    version: str
    entry_points: tuple[tuple[str, str], ...]
    scripts: frozenset[str] = frozenset()


@frozen(kw_only=True)
class Found:
    """An installed plugin: the first distribution of its name on the path.

    info: its ``.dist-info`` folder; others: those of further distributions of the same name.
    """

    metadata: Metadata
    info: Path
    others: tuple[Path, ...] = field(default=())

    @property
    def name(self) -> str:
        """The distribution's normalised name."""
        return self.metadata.name


def find(path: Sequence[str]) -> tuple[Found, ...]:
    """Return the distributions with entry points of the group, sorted by name."""
    infos = [(info, _name_of_folder(info)) for info in _infos(path)]
    plugins: dict[str, tuple[Path, Metadata]] = {}
    again: dict[str, list[Path]] = {}
    for info, _ in infos:
        if GROUP in _read(info / "entry_points.txt"):
            metadata = metadata_of(info.name, lambda name, info=info: _read(info / name))  # type: ignore[misc]
            if metadata.entry_points:
                if metadata.name in plugins:
                    again.setdefault(metadata.name, []).append(info)
                else:
                    plugins[metadata.name] = info, metadata
    for info, name in infos:
        if name in plugins and info != plugins[name][0] and info not in again.get(name, ()):
            again.setdefault(name, []).append(info)
    return tuple(
        Found(metadata=metadata, info=info, others=tuple(again.get(name, ())))
        for name, (info, metadata) in sorted(plugins.items())
    )


def shared_tops(
    tops: Collection[str], path: Sequence[str], plugins: Collection[str]
) -> dict[str, set[str]]:
    """Return which of the top-level names are those of other distributions too, and of which."""
    shared: dict[str, set[str]] = {}
    for info in _infos(path):
        name = _name_of_folder(info)
        if name not in plugins:
            listed = f"\n{_read(info / 'RECORD')}\n{_read(info / 'top_level.txt')}\n"
            for top in tops:
                if any(f"\n{top}{end}" in listed for end in ("/", ".py,", "\n")):
                    shared.setdefault(top, set()).add(name)
    return shared


def metadata_of(info: str, read: Callable[[str], str]) -> Metadata:
    """Return the metadata in the folder called ``info``; ``read`` returns "" for missing files."""
    headers = HeaderParser().parsestr(read("METADATA") or read("PKG-INFO"))
    name, _, version = info.rpartition(".")[0].partition("-")
    sections = _sections(read("entry_points.txt"))
    return Metadata(
        name=normalised(headers.get("Name") or name),
        version=headers.get("Version") or version,
        entry_points=tuple(sorted(sections.get(GROUP, {}).items())),
        scripts=frozenset(script for group in _SCRIPTS for script in sections.get(group, {})),
    )


def is_module(value: str) -> bool:
    """Whether an entry point names a module, and nothing in it."""
    return all(part.isidentifier() for part in value.split("."))


def _sections(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # Not readable is not the same as empty: whoever looks at it must be told.
        return {GROUP: {"unreadable": str(error).splitlines()[0]}} if GROUP in text else {}
    return {section: dict(parser[section]) for section in parser.sections()}


def _infos(path: Sequence[str]) -> Iterator[Path]:
    folders = dict.fromkeys(Path(entry or ".").resolve() for entry in path)
    for folder in folders:
        try:
            names = sorted(f for f in folder.iterdir() if f.suffix in (".dist-info", ".egg-info"))
        except OSError:
            continue
        yield from (f for f in names if f.is_dir())


def _name_of_folder(info: Path) -> str:
    return normalised(re.split(r"-(?=\d)|\.egg-info$", info.name)[0])


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""
