"""The generated pages: each function returns Markdown, read from the code and nowhere else."""

import inspect
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import get_args

import attrs
import click
import figures
from records import described, explained, table

from leakpro_core import draft, errors, hookspecs, offers, parser, plan, protocols, records, report
from leakpro_core.games import GAMES, membership
from leakpro_core.offers import Offer
from leakpro_core.plugins import PluginSet
from leakpro_core.references import ImportPath, resolve
from leakpro_core.testing.conformance import ATTACK_CHECKS
from leakpro_core.vetting.reasons import EXPECTED, FIXES, Reason
from leakpro_core.vetting.registry import Registry

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
            f"## `{name}({arguments})`",
            explained(spec.__doc__)[0],
            f"### `{OFFERS[name].__name__}`",
            described(OFFERS[name]),
        ]
    return _page(parts)


def boundary() -> str:
    """Return the records and protocols that cross the boundary between core and plugins."""
    parts = ["### Records"]
    parts += [_section(kind, "####") for kind in (*MEMBERSHIP, *_classes(records))]
    parts.append("### Protocols")
    for kind in vars(protocols).values():
        if inspect.isclass(kind) and kind.__module__ == protocols.__name__:
            parts += [f"#### `{kind.__name__}`", explained(kind.__doc__)[0], _methods(kind)]
    return _page(parts)


def plan_keys() -> str:
    """Return every table of a plan, and the options of every installed offer."""
    installed = PluginSet.find(Registry())
    parts = ["## Top level", described(draft._Top)]
    for name, kind in TABLES.items():
        parts += [f"## `[{name}]`", described(kind)]
    for name, header, key, offered in (
        ("target", parser._Target, "loader", installed.loaders),
        ("shadows", parser._Shadows, "trainer", installed.trainers),
        ("[attacks]", parser._Attack, "name", installed.attacks),
        ("execution", parser._Execution, "executor", installed.executors),
        ("report", parser._Report, "formats", installed.reporters),
    ):
        parts += [f"## `[{name}]`", described(header)]
        parts += [_options(one.offer, one.plugin, key) for one in offered]
    return _page(parts)


def options_of(offer: Offer) -> list[type]:
    """Return the options class of an offer, and the classes of the tables in it."""
    if offer.options is None:
        return []
    kinds = [resolve(offer.options)]
    for kind in kinds:
        for attribute in attrs.fields(attrs.resolve_types(kind)):
            inner = (attribute.type, *get_args(attribute.type))
            kinds += [k for k in inner if attrs.has(k) and k is not ImportPath]
    return kinds


def _options(offer: Offer, plugin: str, naming: str) -> str:
    kinds = options_of(offer)
    parts = [f'### `{naming} = "{offer.name}"`', f"{_sentence(offer.summary)} From `{plugin}`."]
    if not any(attrs.fields(kind) for kind in kinds):
        return "\n\n".join([*parts, "No options."])
    for kind in kinds:
        parts += [f"#### `{kind.__name__}`"] if kind is not kinds[0] else []
        parts.append(described(kind))
    return "\n\n".join(parts)


def attacks() -> str:
    """Return every installed attack and what it needs."""
    parts = []
    for offered in PluginSet.find(Registry()).attacks:
        offer = offered.offer
        needs = [f"access to {offer.access}", f"at least {offer.shadows} shadow models"]
        needs += sorted(
            f"{need} of candidates" if need == "records" else f"{need} records"
            for need in offer.needs
        )
        parts += [
            f"## `{offer.name}`",
            _sentence(offer.summary),
            f"Game: {offer.game}. Needs {', '.join(needs)}.",
            f"Source: {offer.reference}. Plugin: `{offered.plugin}`.",
        ]
    return _page(parts)


def checks() -> str:
    """Return what LeakPro's own tests of attacks check."""
    lines = [f"- {inspect.getdoc(check)}" for check in ATTACK_CHECKS]
    return "\n".join(lines) + "\n"


def reasons() -> str:
    """Return every reason of vetting, what was expected and the fix."""
    rows = [(str(r), EXPECTED.get(r, "as approved"), FIXES.get(r, "")) for r in Reason]
    return table(("reason", "expected", "fix"), rows) + "\n"


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
            f"## `{kind.__name__}`",
            explained(kind.__doc__)[0],
            f"Exit code {kind.exit_code}.",
        ]
    return _page(parts)


def report_schema() -> str:
    """Return every record of report.json."""
    kinds: list[type] = [report.RiskReport]
    kinds += [k for k in _classes(report) if k is not report.RiskReport]
    words = table(("word",), [(f"`{word}`",) for word in report.Word])
    parts = [f"Schema version {report.SCHEMA_VERSION}.", *(_section(kind, "##") for kind in kinds)]
    return _page([*parts, _section(records.Estimate, "##"), "## `Word`", words])


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
    from leakpro_core.cli import cli

    return _page(_commands(cli, "leakpro", None))


def _commands(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=88)
    parts = [f"## `{context.command_path}`", f"```text\n{command.get_help(context)}\n```"]
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


def _section(kind: type, level: str) -> str:
    return f"{level} `{kind.__name__}`\n\n{described(kind)}"


def _methods(kind: type) -> str:
    lines = []
    for name, method in vars(kind).items():
        target = method.fget if isinstance(method, property) else method
        if inspect.isfunction(target) and not name.startswith("_"):
            said = explained(target.__doc__)[0].replace("\n\n", " ").replace("\n", " ")
            lines.append(f"- `{name}`" + (f": {said}" if said else ""))
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "hooks": hooks,
    "boundary": boundary,
    "plan": plan_keys,
    "attacks": attacks,
    "errors": every_error,
    "report": report_schema,
    "games": games,
    "cli": command_line,
    "checks": checks,
    "reasons": reasons,
    "evidence": partial(figures.page, speed=False),
    "performance": partial(figures.page, speed=True),
}
