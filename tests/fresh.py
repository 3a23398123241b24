"""Environments made for a test: wheels of this tree, and the libraries of this environment."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

_SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"


def sh(*command: object, cwd: Path) -> str:
    """Run a command that must succeed; return what it says."""
    run = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def environment(folder: Path, *projects: Path) -> Path:
    """Make an environment with the wheels of these projects and nothing else of LeakPro.

    Returns its Python. The wheels lie in ``folder / "wheels"``.
    """
    python = folder / "env" / "bin" / "python"
    sh(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    add(folder, *projects)
    _borrow_libraries(Path(sh(python, "-c", _SITE, cwd=folder).strip()))
    where = sh(python, "-c", "import leakpro_core; print(leakpro_core.__file__)", cwd=folder)
    assert str(folder) in where
    return python


def add(folder: Path, *projects: Path) -> None:
    """Build these projects, and install their wheels into the environment of ``folder``."""
    wheels, python = folder / "wheels", folder / "env" / "bin" / "python"
    before = set(wheels.glob("*.whl"))
    for project in projects:
        build = ["-m", "build", "--no-isolation", "--wheel", "--outdir", wheels, project]
        sh(sys.executable, *build, cwd=folder)
    install = ["-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "-q"]
    sh(sys.executable, *install, *sorted(set(wheels.glob("*.whl")) - before), cwd=folder)


def _borrow_libraries(site: Path) -> None:
    """Let another environment import this one's libraries, but none of LeakPro's own parts."""
    for distribution in importlib.metadata.distributions():
        if distribution.name.startswith("leakpro"):
            continue
        tops = {file.parts[0] for file in distribution.files or ()}
        for top in tops - {"..", "__pycache__"}:
            source, target = Path(str(distribution.locate_file(top))), site / top
            if source.exists() and source.suffix != ".pth" and not target.exists():
                target.symlink_to(source)
