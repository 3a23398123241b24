"""The command line. Only this module prints, exits or reads the environment.

Commands import what they need when they run, so that ``leakpro --help`` stays fast.
"""

import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leakpro_core import __version__
from leakpro_core.errors import CannotWrite, LeakProError

if TYPE_CHECKING:
    from leakpro_core.plan import Plan
    from leakpro_core.plugins import PluginSet

INCOMPLETE = 3
USAGE = 64
INTERRUPTED = 130

_ALLOW = "Make it yours to read, or to write where it is the run's, and give the command again."

_REGISTRY = click.option(
    "--registry",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Approved plugins; else the plan's or run's registry, the machine's own, or none.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="leakpro")
def cli() -> None:
    """Measure what a trained model, an update or a synthetic table gives away about people.

    Exit codes: 0 pass, 1 leak, 2 inconclusive, 3 incomplete or invalid, 4 plugin refused,
    64 usage.
    """


@cli.command()
@click.argument("plan", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Of the run; runs/PLAN unless given.",
)
@_REGISTRY
def audit(plan: Path, out: Path | None, registry: Path | None) -> int:
    """Run or continue an audit, write its report and show it."""
    from rich.console import Console

    from leakpro_core.audit import render, run
    from leakpro_core.progress import progress

    resolved, plugins = _resolved(plan, registry)
    folder = out or Path("runs") / plan.stem
    with _terminable(), progress(Console(stderr=True)) as tell:
        report = run(resolved, plugins, folder, progress=tell)
    _show(render(resolved, report, folder))
    return report.exit_code


@cli.command()
@click.argument("plan", metavar="PLAN.toml", type=click.Path(path_type=Path))
@_REGISTRY
def check(plan: Path, registry: Path | None) -> None:
    """Validate a plan and its files; say what an audit can resolve, will play and will cost."""
    from leakpro_core.outlook import outlook
    from leakpro_core.vetting import for_workers

    resolved, plugins = _resolved(plan, registry)
    with _terminable():
        _print(outlook(resolved, for_workers(plugins)))
    _warn(str(problem) for problem in plugins.problems)


@cli.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    metavar="NAMES",
    default="html,json,terminal",
    show_default=True,
    help="Joined by commas.",
)
@_REGISTRY
def report(runs: tuple[Path, ...], formats: str, registry: Path | None) -> None:
    """Write the reports of finished runs again, in the formats named; nothing is computed."""
    from leakpro_core.audit import render_again
    from leakpro_core.store import registry_of

    for run in runs:
        plugins = _plugins(registry, registry_of(run))
        _show(render_again(run, [name.strip() for name in formats.split(",")], plugins))


@cli.command()
@click.argument("name", required=False)
@_REGISTRY
def attacks(name: str | None, registry: Path | None) -> None:
    """List what is installed, from which plugin, and what it needs; or all about one NAME."""
    from leakpro_core.listing import attack_details, attack_lines

    plugins = _plugins(registry)
    if name is None:
        _print(attack_lines(plugins.attacks))
        _warn(str(problem) for problem in plugins.problems)
    else:
        _print(attack_details(plugins.attack(name)))


@cli.group("plugins")
def plugins_group() -> None:
    """Vet plugins, or start a new one."""


@plugins_group.command("list")
@_REGISTRY
def plugins_list(registry: Path | None) -> None:
    """List installed plugins, their offers, and what vetting found."""
    from leakpro_core.listing import plugin_lines

    _print(plugin_lines(_plugins(registry)))


@plugins_group.command("check")
@_REGISTRY
def plugins_check(registry: Path | None) -> int:
    """Vet and load every plugin; exit 4 if one is refused, 64 if one is broken."""
    from leakpro_core.errors import PluginBroken, PluginRefused
    from leakpro_core.listing import problem_lines, registry_line
    from leakpro_core.loading import Status

    plugins = _plugins(registry)
    _print([registry_line(plugins.registry)])
    _print(problem_lines(plugins) or ["Nothing is wrong."])
    if any(plugin.status is Status.REFUSED for plugin in plugins.plugins):
        return PluginRefused.exit_code
    return PluginBroken.exit_code if plugins.problems else 0


@plugins_group.command("pin")
@click.argument("plugins", metavar="WHEEL|NAME...", nargs=-1, required=True)
@click.option("--approved-by", metavar="WHO", default="", help="Who answers for it.")
@click.option("--approved-on", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="Today.")
@click.option("--expires-on", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="Never.")
def plugins_pin(
    plugins: tuple[str, ...],
    approved_by: str,
    approved_on: datetime | None,
    expires_on: datetime | None,
) -> None:
    """Print the registry table that approves a wheel file or an installed plugin.

    Nothing of it is run, and a wheel need not be installed.
    """
    from leakpro_core.vetting.pin import pin
    from leakpro_core.vetting.registry import to_toml

    for plugin in plugins:
        approval = pin(
            plugin,
            by=approved_by,
            today=approved_on.date() if approved_on else date.today(),
            expires=expires_on.date() if expires_on else None,
        )
        click.echo(to_toml(approval))


@plugins_group.command("new")
@click.argument("name")
@click.option(
    "--folder", metavar="DIR", type=click.Path(path_type=Path), help="Where; ./NAME unless given."
)
def plugins_new(name: str, folder: Path | None) -> None:
    """Write the package of a new attack plugin, such as leakpro-myattack."""
    from leakpro_core.skeleton import write

    _print(map(str, write(name, Path(name) if folder is None else folder)))


def _plugins(*registries: Path | None) -> "PluginSet":
    from leakpro_core.plugins import PluginSet
    from leakpro_core.vetting import choose

    return PluginSet.find(choose(*registries))


def _resolved(path: Path, registry: Path | None) -> "tuple[Plan, PluginSet]":
    from leakpro_core.draft import read
    from leakpro_core.parser import resolve

    draft = read(path)
    plugins = _plugins(registry, draft.registry)
    return resolve(draft, plugins), plugins


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end an audit as Ctrl-C does: workers stop, copies of records are deleted."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(files: Iterable[Path]) -> None:
    """Print the text report if there is one, and where the others are."""
    for file in files:
        text = file.suffix == ".txt"
        _print(file.read_text("utf-8").split("\n") if text else [f"report: {file}"])


def _print(lines: Iterable[str]) -> None:
    from leakpro_core.wording import printable

    try:
        for line in lines:
            click.echo(printable(line))
    except BrokenPipeError:
        # Whoever read has read enough; what the command found is in its exit code all the same.
        from leakpro_core.progress import discard

        discard(sys.stdout)


def _warn(lines: Iterable[str]) -> None:
    from leakpro_core.wording import printable

    with suppress(OSError):
        for line in lines:
            click.echo(printable(f"leakpro: {line}"), err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; a user's mistake is one line on stderr."""
    try:
        result = cli.main(args=arguments, prog_name="leakpro", standalone_mode=False)
    except LeakProError as error:
        denied = isinstance(error, CannotWrite) and isinstance(error.__cause__, PermissionError)
        told = CannotWrite(error.what, found=error.found, fix=_ALLOW) if denied else error
        _warn([" ".join(str(told).split())])
        return USAGE if denied else error.exit_code
    except click.ClickException as error:
        message = error.format_message()
        # Without any argument, click's message is the whole help.
        click.echo(message if "\n" in message else f"leakpro: {message} See --help.", err=True)
        return USAGE
    except click.Abort:
        _warn(["interrupted; an audit goes on from there with the same command"])
        return INTERRUPTED
    except PermissionError as error:
        denied_file = CannotWrite(f"file {error.filename}", found=error.strerror or "", fix=_ALLOW)
        _warn([str(denied_file)])
        return USAGE
    except (OSError, MemoryError) as error:
        _warn([f"the machine refuses: {str(error) or 'out of memory'}. What is finished is kept."])
        return INCOMPLETE
    except Exception:
        # 1 would say that a leak was found.
        traceback.print_exc()
        _warn(["this is a mistake in LeakPro or a plugin, please report it. Nothing is concluded."])
        return INCOMPLETE
    return result if isinstance(result, int) else 0
