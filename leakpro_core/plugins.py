"""PluginSet: find, vet, load, collect. Built, passed and forgotten; there is no global one."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Generic, TypeVar

from attrs import field, frozen

from leakpro_core.errors import (
    DuplicateName,
    HookUnknown,
    LeakProError,
    PluginBroken,
    PluginRefused,
    UnknownName,
    nearest,
)
from leakpro_core.loading import Plugin, Status, load, load_builtin
from leakpro_core.offers import (
    AttackOffer,
    ExecutorOffer,
    LoaderOffer,
    Offer,
    ReporterOffer,
    TrainerOffer,
)
from leakpro_core.vetting.decide import vet
from leakpro_core.vetting.reasons import Problem, Reason, problem
from leakpro_core.vetting.registry import Registry

_KINDS: dict[type[Offer], str] = {
    LoaderOffer: "loader",
    TrainerOffer: "trainer",
    AttackOffer: "attack",
    ReporterOffer: "reporter",
    ExecutorOffer: "executor",
}

OfferT = TypeVar("OfferT", bound=Offer)


@frozen(kw_only=True)
class Offered(Generic[OfferT]):
    """An offer and whose it is: the distribution's normalised name and its version."""

    offer: OfferT
    plugin: str
    version: str


@frozen(kw_only=True)
class Clash:
    """A name that several plugins offer, and that nobody can use until all but one are gone."""

    kind: str
    name: str
    plugins: tuple[str, ...]


@frozen(kw_only=True)
class PluginSet:
    """The plugins of one audit and what they offer, sorted by name.

    path: where distributions were looked for, None: on ``sys.path``; today: the day that
    approvals had to hold on; clashes: names that were dropped because two plugins offer them.
    """

    registry: Registry
    plugins: tuple[Plugin, ...] = ()
    loaders: tuple[Offered[LoaderOffer], ...] = ()
    trainers: tuple[Offered[TrainerOffer], ...] = ()
    attacks: tuple[Offered[AttackOffer], ...] = ()
    reporters: tuple[Offered[ReporterOffer], ...] = ()
    executors: tuple[Offered[ExecutorOffer], ...] = ()
    clashes: tuple[Clash, ...] = ()
    path: tuple[str, ...] | None = None
    today: date = field(factory=date.today)

    @classmethod
    def find(
        cls, registry: Registry, *, path: Sequence[str] | None = None, today: date | None = None
    ) -> "PluginSet":
        """Find the installed plugins, vet them, import those that may run, collect their offers.

        path: folders of installed distributions; ``sys.path`` unless given. A plugin that is
        refused or broken leaves the rest working and is in ``problems``.
        """
        today = today or date.today()
        vetted = vet(registry, sys.path if path is None else path, today)
        loaded = (load_builtin(), *map(load, vetted))
        usable, clashes = _distinct(
            Offered(offer=offer, plugin=plugin.name, version=plugin.version)
            for plugin, offers in loaded
            for offer in offers
        )
        return cls(
            registry=registry,
            plugins=tuple(plugin for plugin, _ in loaded),
            loaders=_of(LoaderOffer, usable),
            trainers=_of(TrainerOffer, usable),
            attacks=_of(AttackOffer, usable),
            reporters=_of(ReporterOffer, usable),
            executors=_of(ExecutorOffer, usable),
            clashes=clashes,
            path=None if path is None else tuple(path),
            today=today,
        )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with refused and broken plugins, and with names that clash."""
        return tuple(
            found
            for plugin in self.plugins
            for found in (*plugin.problems, *self._clashes_of(plugin))
            if plugin.status in (Status.REFUSED, Status.BROKEN) or found.reason is Reason.DUPLICATE
        )

    def loader(self, name: str) -> Offered[LoaderOffer]:
        """Return a target loader; ``UnknownName``, or why the plugin that has it cannot run."""
        return self._named("loader", self.loaders, name)

    def trainer(self, name: str) -> Offered[TrainerOffer]:
        """Return a shadow trainer; errors as for ``loader``."""
        return self._named("trainer", self.trainers, name)

    def attack(self, name: str) -> Offered[AttackOffer]:
        """Return an attack; errors as for ``loader``."""
        return self._named("attack", self.attacks, name)

    def reporter(self, name: str) -> Offered[ReporterOffer]:
        """Return a reporter; errors as for ``loader``."""
        return self._named("reporter", self.reporters, name)

    def executor(self, name: str) -> Offered[ExecutorOffer]:
        """Return an executor; errors as for ``loader``."""
        return self._named("executor", self.executors, name)

    def _named(self, kind: str, offers: tuple[Offered[OfferT], ...], name: str) -> Offered[OfferT]:
        for offered in offers:
            if offered.offer.name == name:
                return offered
        for clash in self.clashes:
            if (clash.kind, clash.name) == (kind, name):
                raise DuplicateName(
                    f"{kind} {name!r}",
                    found=f"{' and '.join(clash.plugins)} both offer it",
                    expected="one plugin that does",
                    fix="Uninstall one of the two, or rename its offer.",
                )
        raise self._unknown(kind, name, [offered.offer.name for offered in offers])

    def _unknown(self, kind: str, name: str, known: list[str]) -> LeakProError:
        """Return the error for a name that no plugin offers; it may be of one that cannot run."""
        what = f"{kind} {name!r}"
        for status, error in ((Status.REFUSED, PluginRefused), (Status.BROKEN, PluginBroken)):
            idle = [plugin.problems[0] for plugin in self.plugins if plugin.status is status]
            if idle:
                # the one that sounds like it first
                idle.sort(key=lambda problem: name not in problem.distribution)
                return _because(error, what, idle, nearest(name, known))
        return UnknownName(
            f"{what} is unknown: no installed plugin offers it", fix=nearest(name, known)
        )

    def _clashes_of(self, plugin: Plugin) -> Iterator[Problem]:
        for clash in self.clashes:
            if plugin.name in clash.plugins:
                found = f"{clash.kind} {clash.name!r} offered by {' and '.join(clash.plugins)}"
                yield problem(plugin.name, plugin.version, Reason.DUPLICATE, found)


def _because(
    kind: type[LeakProError], what: str, idle: Sequence[Problem], hint: str
) -> LeakProError:
    first, status = idle[0], "refused" if kind is PluginRefused else "broken"
    if first.reason is Reason.UNKNOWN_HOOK:
        kind = HookUnknown
    others = ", ".join(f"{other.distribution} {other.version}" for other in idle[1:])
    more = f" (and {others}: see `leakpro plugins check`)" if others else ""
    return kind(
        f"{what} is not offered by any loaded plugin, and {first.distribution} {first.version} "
        f"is {status}{more}: {first.reason}",
        found=first.found,
        expected=first.expected,
        fix=f"{first.fix} {hint}",
    )


def _distinct(
    offered: Iterable[Offered[Offer]],
) -> tuple[list[Offered[Offer]], tuple[Clash, ...]]:
    """Return the offers whose name is theirs alone, sorted by name, and the names that are not."""
    by_name: dict[tuple[str, str], list[Offered[Offer]]] = defaultdict(list)
    for each in offered:
        by_name[_KINDS[type(each.offer)], each.offer.name].append(each)
    clashes = tuple(
        Clash(kind=kind, name=name, plugins=tuple(each.plugin for each in sides))
        for (kind, name), sides in sorted(by_name.items())
        if len(sides) > 1
    )
    return [sides[0] for _, sides in sorted(by_name.items()) if len(sides) == 1], clashes


def _of(kind: type[OfferT], offered: Iterable[Offered[Offer]]) -> tuple[Offered[OfferT], ...]:
    return tuple(each for each in offered if isinstance(each.offer, kind))  # type: ignore[misc]
