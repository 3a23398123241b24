"""The generated pages: each function returns Markdown, read from the code and nowhere else."""

import inspect
from types import ModuleType

import attrs
import click
from records import described, explained, table

from leakpro_core import errors, hookspecs, offers, plan, protocols, records, report
from leakpro_core.games import GAMES, membership

OFFERS = {
    "leakpro_target_loaders": offers.LoaderOffer,
    "leakpro_shadow_trainers": offers.TrainerOffer,
    "leakpro_attacks": offers.AttackOffer,
    "leakpro_reporters": offers.ReporterOffer,
    "leakpro_executors": offers.ExecutorOffer,
}

MEMBERSHIP = (
    membership.MembershipChallenge,
    membership.AuxiliaryView,
    membership.MembershipAnswer,
)

TABLES = {
    "data": plan.DataPlan,
    "[adversary]": plan.Adversary,
    "policy": plan.Policy,
    "controls": plan.Controls,
}


def hooks() -> str:
    """Return every hook with its exact arguments and the offer that it returns."""
    parts = []
    for name in hookspecs.HOOKS:
        spec = getattr(hookspecs, name)
        arguments = ", ".join(inspect.signature(spec).parameters)
        parts += [
            f"### `{name}({arguments})`",
            explained(spec.__doc__)[0],
            f"#### `{OFFERS[name].__name__}`",
            described(OFFERS[name]),
        ]
    return _page(parts)


def boundary() -> str:
    """Return the records and protocols that cross the boundary between core and plugins."""
    parts = ["### Records"]
    parts += [_section(kind) for kind in (*MEMBERSHIP, *_classes(records))]
    parts.append("### Protocols")
    for kind in vars(protocols).values():
        if inspect.isclass(kind) and kind.__module__ == protocols.__name__:
            parts += [f"#### `{kind.__name__}`", explained(kind.__doc__)[0], _methods(kind)]
    return _page(parts)


def error_classes() -> list[type[errors.LeakProError]]:
    """Return every error class, in the order of the file."""
    kinds = vars(errors).values()
    return [
        k
        for k in kinds
        if inspect.isclass(k)
        and issubclass(k, errors.LeakProError)
        and k is not errors.LeakProError
    ]


def every_error() -> str:
    """Return every error, what it means and its exit code."""
    parts = []
    for kind in error_classes():
        parts += [
            f"### `{kind.__name__}`",
            explained(kind.__doc__)[0],
            f"Exit code {kind.exit_code}.",
        ]
    return _page(parts)


def report_schema() -> str:
    """Return every record of report.json."""
    kinds: list[type] = [report.RiskReport]
    kinds += [k for k in _classes(report) if k is not report.RiskReport]
    words = table(("word",), [(f"`{word}`",) for word in report.Word])
    parts = [f"Schema version {report.SCHEMA_VERSION}.", *map(_section, kinds)]
    return _page([*parts, _section(records.Estimate), "#### `Word`", words])


def games() -> str:
    """Return the table of games."""
    header = ("game", "kind", "exposed", "control", "blind adversary", "played")
    rows = [
        (g.name, g.kind, g.exposed, g.control, g.blind, "yes" if g.module else "not yet")
        for g in GAMES
    ]
    return table(header, rows) + "\n"


def command_line() -> str:
    """Return the help of every command."""
    from leakpro_core.cli import main

    return _page(_commands(main, "leakpro", None))


def _commands(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=88)
    parts = [f"### `{context.command_path}`", f"```text\n{command.get_help(context)}\n```"]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                parts += _commands(found, child, context)
    return parts


def _classes(module: ModuleType) -> list[type]:
    members = vars(module).values()
    return [
        m
        for m in members
        if inspect.isclass(m) and attrs.has(m) and m.__module__ == module.__name__
    ]


def _section(kind: type) -> str:
    return f"#### `{kind.__name__}`\n\n{described(kind)}"


def _methods(kind: type) -> str:
    lines = []
    for name, method in vars(kind).items():
        target = method.fget if isinstance(method, property) else method
        if inspect.isfunction(target) and not name.startswith("_"):
            said = explained(target.__doc__)[0].replace("\n\n", " ").replace("\n", " ")
            lines.append(f"- `{name}`" + (f": {said}" if said else ""))
    return "\n".join(lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES = {
    "hooks": hooks,
    "boundary": boundary,
    "errors": every_error,
    "report": report_schema,
    "games": games,
    "cli": command_line,
}
