"""``leakpro``, ``leakpro attacks`` and ``leakpro plugins`` as a user types them."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from leakpro_core import __version__
from leakpro_core.cli import main
from leakpro_core.testing.conformance import HEAVY
from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting.registry import read

PLUGIN = """
from leakpro_core import hookimpl
from leakpro_core.offers import AttackOffer

@hookimpl
def leakpro_attacks():
    ref, options = "cli_plugin.work:attack", "cli_plugin.work:Options"
    yield AttackOffer(name="tiny", ref=ref, options=options, summary="Guesses.", game="membership",
                      shadows=2, needs=frozenset({"records"}), reference="Doe 2026")
"""

WORK = '''
from attrs import frozen

@frozen(kw_only=True)
class Options:
    """width: of the net."""

    depth: int
    width: float = 2.5
'''


@pytest.fixture
def wheel(tmp_path):
    files = {"cli_plugin/plugin.py": PLUGIN, "cli_plugin/work.py": WORK}
    points = {"tiny": "cli_plugin.plugin"}
    return write_wheel(tmp_path, "leakpro-tiny", files, entry_points=points)


@pytest.fixture
def installed(wheel, tmp_path):
    """Install the tiny plugin into a folder; ``leakpro`` below puts it on the path."""
    site = tmp_path / "site"
    install_wheel(wheel, site)
    return site


def leakpro(*arguments: object, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a fresh process, with ``site`` first on its path."""
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from leakpro_core.cli import main;"
        "sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


# Light


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plugins", "--help"], ["plugins", "list"], ["attacks"]], ids=" ".join
)
def test_listing_with_all_plugins_installed_imports_nothing_heavy(arguments):
    code = (
        "import sys; from leakpro_core.cli import main; code = main();"
        f"print(*[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert run.stderr.split() == []
    assert run.stdout != ""


def test_the_names_of_heavy_modules_are_those_of_the_design():
    assert set(HEAVY) >= {"torch", "jax", "numpy", "pandas", "sdv", "scipy", "structlog"}


# attacks


def test_attacks_are_listed_with_plugin_and_needs(installed):
    run = leakpro("attacks", site=installed)
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("tiny")]
    assert line.split("  ")[0] == "tiny"
    for said in ("membership", "logits, 2 shadows, records", "leakpro-tiny 1.0", "Guesses."):
        assert said in line


def test_one_attack_is_shown_with_its_options(installed):
    run = leakpro("attacks", "tiny", site=installed)
    assert run.returncode == 0
    lines = [" ".join(line.split()) for line in run.stdout.splitlines()]
    assert lines[0] == "tiny: Guesses."
    for line in (
        "reference Doe 2026",
        "depth an integer needed",
        "width a number = 2.5",
        "width: of the net.",
    ):
        assert line in lines


def test_every_attack_of_the_tree_can_be_shown(capsys):
    from leakpro_core.plugins import PluginSet
    from leakpro_core.vetting import Registry

    for offered in PluginSet.find(Registry()).attacks:
        assert main(["attacks", offered.offer.name]) == 0
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert 'one of "online", "offline"' in shown.out


# plugins


def enforce(wheel: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["plugins", "pin", str(wheel), "--approved-by", "dpo@example.org"]) == 0
    path = folder / "registry.toml"
    path.write_text('schema = 1\nmode = "enforce"\n' + capsys.readouterr().out)
    return path


def test_what_pin_prints_is_a_registry_that_lets_the_plugin_run(installed, wheel, tmp_path, capsys):
    registry = enforce(wheel, tmp_path, capsys)
    approval = read(registry).approvals["leakpro-tiny"]
    assert (approval.approved_by, approval.approved_on) == ("dpo@example.org", date.today())
    listed = leakpro("plugins", "list", "--registry", registry, site=installed).stdout
    (line,) = [line for line in listed.splitlines() if line.startswith("leakpro-tiny")]
    assert line.split() == ["leakpro-tiny", "1.0", "verified", "-", "tiny"]
    assert read(registry).sha256 in listed


def test_dates_of_an_approval_can_be_given(wheel, capsys):
    dates = ["--approved-on", "2026-09-01", "--expires-on", "2027-03-01"]
    assert main(["plugins", "pin", str(wheel), *dates]) == 0
    printed = capsys.readouterr().out
    assert "approved_on = 2026-09-01\nexpires_on = 2027-03-01\n" in printed


def test_a_plugin_that_is_refused_is_exit_4_and_says_how_to_mend_it(
    installed, wheel, tmp_path, capsys
):
    registry = enforce(wheel, tmp_path, capsys)
    (installed / "cli_plugin" / "work.py").write_text("print('changed')\n")
    run = leakpro("plugins", "check", "--registry", registry, site=installed)
    assert run.returncode == 4
    assert "leakpro-tiny 1.0: files differ from what was approved: found" in run.stdout
    assert "Reinstall the approved wheel" in run.stdout

    used = leakpro("attacks", "tiny", "--registry", registry, site=installed)
    assert used.returncode == 4
    assert used.stdout == ""
    assert len(used.stderr.splitlines()) == 1
    assert "leakpro-tiny 1.0 is refused" in used.stderr


def test_a_plugin_that_is_broken_is_exit_64(installed):
    (installed / "cli_plugin" / "plugin.py").write_text("1 / 0\n")
    run = leakpro("plugins", "check", site=installed)
    assert run.returncode == 64
    assert "leakpro-tiny 1.0: raises on import: found ZeroDivisionError" in run.stdout
    warned = leakpro("attacks", site=installed)
    assert warned.returncode == 0
    assert "leakpro-tiny 1.0: raises on import" in warned.stderr


def test_plugins_that_are_as_they_should_be_are_exit_0(installed):
    run = leakpro("plugins", "check", site=installed)
    assert run.returncode == 0
    assert run.stdout.splitlines() == ["No registry: plugins are not vetted.", "Nothing is wrong."]


def test_a_malformed_registry_is_exit_4_and_one_line(tmp_path, capsys):
    path = tmp_path / "registry.toml"
    path.write_text('schema = 1\nmode = "enforced"\n')
    assert main(["plugins", "list", "--registry", str(path)]) == 4
    assert capsys.readouterr().err == (
        f"leakpro: {path}: mode: found 'enforced', expected off, warn or enforce\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["attack"], "No such command 'attack'. Did you mean 'attacks'?"),
        (["attacks", "--all"], "No such option"),
        (["plugins", "pin"], "Missing argument 'WHEEL|NAME...'"),
        (["plugins", "pin", "nowhere.whl"], "wheel nowhere.whl: found no such file"),
        (["plugins", "pin", "leakpro-nothing"], "no plugin 'leakpro-nothing' is installed"),
        (["plugins", "new", "My Attack"], "plugin name: found 'My Attack'"),
        (["plugins", "new", "leakpro-core"], "plugin name 'leakpro-core': found a package"),
        (["attacks", "nothing"], "attack 'nothing' is unknown"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_and_exit_64(arguments, said, capsys):
    assert main(arguments) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith(f"leakpro: {said}")


def test_no_command_shows_the_help_and_is_exit_64(capsys):
    assert main([]) == 64
    assert "Commands:" in "".join(capsys.readouterr())


def test_version_and_help_are_exit_0(capsys):
    assert (main(["--version"]), main(["--help"])) == (0, 0)
    assert f"leakpro, version {__version__}" in capsys.readouterr().out


def test_new_names_the_files_that_it_wrote(tmp_path, capsys):
    folder = tmp_path / "x"
    assert main(["plugins", "new", "leakpro-myattack", "--folder", str(folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert str(folder / "src" / "leakpro_myattack" / "attack.py") in printed
    assert [Path(line).is_file() for line in printed] == [True] * len(printed)


def test_new_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["plugins", "new", "leakpro-myattack", "--folder", str(tmp_path)]) == 64
    assert "found something in it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_refusal_cannot_hide_itself_from_the_terminal(installed, tmp_path):
    (tmp_path / "registry.toml").write_text('schema = 1\nmode = "enforce"\n')
    (info,) = installed.glob("*.dist-info")
    name = (info / "METADATA").read_text().replace("1.0", "1.0\x1b[1A\x1b[2K")
    (info / "METADATA").write_text(name)
    run = leakpro("plugins", "check", "--registry", tmp_path / "registry.toml", site=installed)
    assert run.returncode == 4
    assert r"leakpro-tiny 1.0\x1b[1A\x1b[2K: not listed in the registry" in run.stdout
