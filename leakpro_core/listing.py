"""What is installed, as lines of text for the terminal."""

from collections.abc import Iterator, Sequence
from typing import get_type_hints

import attrs

from leakpro_core.offers import AttackOffer
from leakpro_core.plugins import Offered, PluginSet
from leakpro_core.references import resolve
from leakpro_core.vetting.registry import Mode, Registry
from leakpro_core.wording import show, show_type


def plugin_lines(plugins: PluginSet) -> Iterator[str]:
    """Yield the installed plugins, what became of each, and why."""
    yield registry_line(plugins.registry)
    yield ""
    offers: dict[str, list[str]] = {}
    for kind in ("loaders", "trainers", "attacks", "reporters", "executors"):
        for offered in getattr(plugins, kind):
            offers.setdefault(offered.plugin, []).append(offered.offer.name)
    rows = [("PLUGIN", "VERSION", "STATUS", "CAPABILITIES", "OFFERS")]
    for plugin in plugins.plugins:
        names = ", ".join(dict.fromkeys(offers.get(plugin.name, ()))) or "-"
        capabilities = ", ".join(plugin.capabilities) or "-"
        rows.append((plugin.name, plugin.version, plugin.status.value, capabilities, names))
    yield from columns(rows)
    reasons = problem_lines(plugins)
    if reasons:
        yield ""
        yield from reasons


def problem_lines(plugins: PluginSet) -> list[str]:
    """Return one line for each thing that is wrong, or could not be verified."""
    found = [problem for plugin in plugins.plugins for problem in plugin.problems]
    return list(dict.fromkeys(str(problem) for problem in (*found, *plugins.problems)))


def registry_line(registry: Registry) -> str:
    """Say which registry decides."""
    if registry.path is None:
        return "No registry: plugins are not vetted."
    line = f"Registry {registry.path}, mode {registry.mode}, SHA-256 {registry.sha256}"
    if registry.floor is not None:
        line += f"; {registry.floor.path} is in {Mode.ENFORCE}, so both must approve"
    return line


def attack_lines(attacks: Sequence[Offered[AttackOffer]]) -> Iterator[str]:
    """Yield the attacks and what each needs."""
    rows = [("ATTACK", "GAME", "NEEDS", "PLUGIN", "SUMMARY")]
    for offered in attacks:
        offer = offered.offer
        plugin = f"{offered.plugin} {offered.version}"
        rows.append((offer.name, offer.game, _needs(offer), plugin, offer.summary))
    yield from columns(rows)


def attack_details(offered: Offered[AttackOffer]) -> Iterator[str]:
    """Yield everything about one attack; imports the module of its options."""
    offer = offered.offer
    yield f"{offer.name}: {offer.summary}"
    yield ""
    rows: list[tuple[str, ...]] = [
        ("plugin", f"{offered.plugin} {offered.version}"),
        ("game", offer.game),
        ("needs", _needs(offer)),
        ("records", ", ".join(sorted(offer.modalities)) or "any modality"),
        ("reference", offer.reference),
    ]
    yield from columns(rows)
    if offer.options is None:
        return
    options = resolve(offer.options)
    yield ""
    yield "options"
    types = get_type_hints(options)
    rows = [
        (f"  {field.alias}", show_type(types[field.name]), _default(field))
        for field in attrs.fields(options)
    ]
    yield from columns(rows)
    yield ""
    yield from (f"  {line.strip()}" for line in (options.__doc__ or "").strip().splitlines())


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows with their columns aligned; the last one is not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _needs(offer: AttackOffer) -> str:
    needs = [offer.access.value]
    if offer.shadows:
        needs.append(f"{offer.shadows} shadows" if offer.shadows > 1 else "1 shadow")
    if offer.shadow_access == "models":
        needs.append("their weights")
    needs += sorted(offer.needs)
    if offer.backend:
        needs.append(f"a {offer.backend} model")
    return ", ".join(needs)


def _default(field: "attrs.Attribute[object]") -> str:
    if field.default is attrs.NOTHING:
        return "needed"
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        return ""
    return "not set" if field.default is None else f"= {show(field.default)}"
