"""The skeleton of an attack plugin: it builds, installs and passes its tests as it is written."""

import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

from leakpro_core.errors import BadValue, DuplicateName

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/{package}/__init__.py": "__init__.py",
    "src/{package}/plugin.py": "plugin.py",
    "src/{package}/attack.py": "attack.py",
    "tests/test_attack.py": "test_attack.py",
}


def write(distribution: str, folder: Path) -> tuple[Path, ...]:
    """Write the package into ``folder``, which must not hold anything; return the files.

    distribution: such as ``leakpro-myattack``; its attack is then called ``myattack``.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", distribution):
        raise BadValue(
            "plugin name",
            found=repr(distribution),
            expected="lower-case words of letters and digits joined by hyphens",
            fix="For instance leakpro-myattack.",
        )
    package = distribution.replace("-", "_")
    if package == "leakpro_core" or package in sys.stdlib_module_names:
        raise DuplicateName(
            f"plugin name {distribution!r}",
            found=f"a package {package} already",
            fix="Choose another name.",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadValue(
            f"folder {folder}",
            found="something in it",
            expected="a folder that does not exist, or is empty",
            fix="Name another one with --folder.",
        )
    names = {
        "distribution": distribution,
        "package": package,
        "attack": distribution.removeprefix("leakpro-"),
    }
    written = []
    for target, source in _FILES.items():
        path = folder / target.format(package=package)
        path.parent.mkdir(parents=True, exist_ok=True)
        template = Template((files(__package__) / "template" / f"{source}.in").read_text("utf-8"))
        path.write_text(template.substitute(names), "utf-8")
        written.append(path)
    return tuple(written)
