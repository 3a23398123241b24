"""From ``audit.toml`` to a Plan, in two steps, because the plan names the registry by which the
plugins are vetted, and only vetted plugins say which names and options it may use.

    draft = read(path)            # everything that needs no plugin
    plan = resolve(draft, offers)  # loader, trainer, attacks, executor, reporters

Every mistake is one line that names its place in the plan.
"""

from typing import Any, Protocol, TypeVar

import attrs
from attrs import field, frozen, validators

from leakpro_core import references
from leakpro_core.draft import Draft, Table, read, unique
from leakpro_core.errors import (
    DuplicateName,
    LeakProError,
    PluginBroken,
    UnknownName,
    nearest,
)
from leakpro_core.offers import (
    Access,
    AttackOffer,
    ExecutorOffer,
    LoaderOffer,
    Offer,
    ReporterOffer,
    TrainerOffer,
)
from leakpro_core.options import build, keys
from leakpro_core.plan import (
    Adversary,
    ChosenAttack,
    ChosenExecutor,
    ChosenLoader,
    ChosenReporter,
    ChosenShadows,
    Plan,
    Policy,
)
from leakpro_core.plugins import Offered
from leakpro_core.validation import construct
from leakpro_core.wording import show

T = TypeVar("T")

__all__ = ["Draft", "Offers", "read", "resolve"]

_ACCESS = {"table": Access.SAMPLES, "generator": Access.SAMPLES, "update": Access.UPDATE}
"""What the adversary sees by kind of target where the plan does not say; logits of a model."""

_MANDATORY = {"update": ("gradient-inversion",)}
"""The mandatory families by kind of target where the plan does not say; else the policy's own."""

FORMATS = ("json", "terminal", "html")
"""The formats of the report where the plan names none, as far as they are offered."""

_OFFERED = "one that an installed plugin offers"


class Offers(Protocol):
    """What the installed plugins offer; each method raises UnknownName."""

    @property
    def attacks(self) -> tuple[Offered[AttackOffer], ...]: ...
    @property
    def reporters(self) -> tuple[Offered[ReporterOffer], ...]: ...
    def loader(self, name: str) -> Offered[LoaderOffer]: ...
    def trainer(self, name: str) -> Offered[TrainerOffer]: ...
    def attack(self, name: str) -> Offered[AttackOffer]: ...
    def reporter(self, name: str) -> Offered[ReporterOffer]: ...
    def executor(self, name: str) -> Offered[ExecutorOffer]: ...


# What each table says beside the options of the part that it names.


@frozen(kw_only=True)
class _Target:
    """What is audited.

    loader: the loader by which the target is loaded; the table's other keys are its options.
    """

    loader: str


@frozen(kw_only=True)
class _Shadows:
    """The models that the adversary trains itself. Without this table there are none.

    trainer: the trainer by which models are trained; keys that are not listed are its options.
    count: how many, in complementary pairs.
    pool: whose records they are trained on, "candidates" or "auxiliary".
    """

    trainer: str
    count: int = 16
    pool: str = "candidates"


@frozen(kw_only=True)
class _Execution:
    """Where units of work run.

    executor: the executor; the table's other keys are its options.
    """

    executor: str = "local"


@frozen(kw_only=True)
class _Attack:
    """An attack to play. Without any such table, every attack that applies is played.

    name: the attack; keys that are not listed are its options.
    label: how the report names it, unique in the plan; the attack's name unless given.
    """

    name: str
    label: str | None = None


@frozen(kw_only=True)
class _Report:
    """How the report is shown.

    formats: the reporters; json, terminal and, where it is installed, html unless given.
    """

    formats: tuple[str, ...] | None = field(
        default=None, validator=validators.optional(validators.min_len(1))
    )


@frozen
class _NoOptions:
    """Of an offer that takes none."""


def resolve(draft: Draft, offers: Offers) -> Plan:
    """Return the plan, each name resolved to an offer and its options built and checked."""
    loader = _loader(draft, offers)
    adversaries = draft.adversaries
    if adversaries is None:
        adversaries = (Adversary(access=_ACCESS.get(loader.offered.offer.kind, Access.LOGITS)),)
    attacks = (
        _named_attacks(draft, offers)
        if draft.attacks
        else _all_attacks(draft, offers, loader.offered.offer.kind)
    )
    labels = [attack.label for attack in attacks]
    headline = draft.policy.headline
    if headline is not None and headline not in labels:
        raise UnknownName(
            "[policy] headline",
            found=show(headline),
            expected="the label of an attack of the plan",
            fix=nearest(headline, labels),
        )
    return Plan(
        name=draft.name,
        seed=draft.seed,
        path=draft.path,
        sha256=draft.sha256,
        loader=loader,
        data=draft.data,
        adversaries=adversaries,
        shadows=None if draft.shadows is None else _shadows(draft, draft.shadows, offers),
        executor=_executor(draft, offers),
        attacks=attacks,
        policy=_policy(draft, loader.offered.offer.kind),
        controls=draft.controls,
        games=draft.games,
        reporters=_reporters(draft, offers),
    )


def _policy(draft: Draft, kind: str) -> Policy:
    if draft.mandatory or kind not in _MANDATORY:
        return draft.policy
    return attrs.evolve(draft.policy, mandatory=_MANDATORY[kind])


# Tables that name an offer.


def _split(header: type[T], table: Table, draft: Draft, at: str) -> tuple[T, Table]:
    """Return what the table says itself, and the options of the part that it names."""
    own = keys(header)
    said = {key: value for key, value in table.items() if key in own}
    rest = {key: value for key, value in table.items() if key not in own}
    return build(header, said, at=at, folder=draft.path.parent), rest


def _find(find: Any, name: str, at: str) -> Any:
    try:
        return find(name)
    except UnknownName as error:
        raise UnknownName(
            at, found=show(name), expected=error.expected or _OFFERED, fix=error.fix
        ) from None


def _options(offered: Offered[Any], table: Table, draft: Draft, at: str, header: type) -> object:
    offer: Offer = offered.offer
    wanted = _NoOptions if offer.options is None else _options_class(offered, offer.options)
    built: object = build(wanted, table, at=at, folder=draft.path.parent, also=keys(header))
    return None if offer.options is None else built


def _options_class(offered: Offered[Any], ref: str) -> type:
    try:
        wanted = references.resolve(ref)
        found = show(str(wanted))
    except LeakProError as error:
        wanted, found = None, str(error)
    except Exception as error:  # whatever a plugin's module raises while it is imported
        wanted, found = None, f"{type(error).__name__}: {' '.join(str(error).split())}"
    if not (isinstance(wanted, type) and attrs.has(wanted)):
        raise PluginBroken(
            f"options of {offered.offer.name!r} in {offered.plugin} {offered.version}",
            found=found,
            expected=f"{ref} to be a frozen attrs class",
        )
    return wanted


def _loader(draft: Draft, offers: Offers) -> ChosenLoader:
    at = "[target]"
    said, rest = _split(_Target, draft.target, draft, at)
    offered = _find(offers.loader, said.loader, f"{at} loader")
    return ChosenLoader(offered=offered, options=_options(offered, rest, draft, at, _Target))


def _shadows(draft: Draft, table: Table, offers: Offers) -> ChosenShadows:
    at = "[shadows]"
    said, rest = _split(_Shadows, table, draft, at)
    offered = _find(offers.trainer, said.trainer, f"{at} trainer")
    options = _options(offered, rest, draft, at, _Shadows)
    return construct(
        ChosenShadows, at, offered=offered, options=options, count=said.count, pool=said.pool
    )


def _executor(draft: Draft, offers: Offers) -> ChosenExecutor:
    at = "[execution]"
    said, rest = _split(_Execution, draft.execution, draft, at)
    offered = _find(offers.executor, said.executor, f"{at} executor")
    return ChosenExecutor(offered=offered, options=_options(offered, rest, draft, at, _Execution))


def _named_attacks(draft: Draft, offers: Offers) -> tuple[ChosenAttack, ...]:
    chosen = []
    for number, table in enumerate(draft.attacks or (), start=1):
        at = f"[[attacks]] {number}"
        said, rest = _split(_Attack, table, draft, at)
        offered = _find(offers.attack, said.name, f"{at} name")
        at = f"{at} ({said.name})"
        label = said.name if said.label is None else said.label
        options = _options(offered, rest, draft, at, _Attack)
        chosen.append(construct(ChosenAttack, at, label=label, offered=offered, options=options))
    unique("attacks", "label", [attack.label for attack in chosen])
    return tuple(chosen)


def _all_attacks(draft: Draft, offers: Offers, kind: str) -> tuple[ChosenAttack, ...]:
    """Return every attack on tables or on updates; of models every one of the membership game."""
    apart = _ACCESS.get(kind)
    attacks = [
        a
        for a in offers.attacks
        if (
            a.offer.access is apart
            if apart
            else a.offer.access not in _ACCESS.values() and a.offer.game == "membership"
        )
    ]
    if not attacks:
        others = "of the membership game"
        what = {"table": "on tables", "generator": "on tables", "update": "on updates"}.get(
            kind, others
        )
        _find(offers.attack, what, "attacks")  # says which plugin was refused
    return tuple(
        ChosenAttack(
            label=offered.offer.name,
            offered=offered,
            options=_options(offered, {}, draft, f"attack {offered.offer.name}", _Attack),
            named=False,
        )
        for offered in attacks
    )


def _reporters(draft: Draft, offers: Offers) -> tuple[ChosenReporter, ...]:
    at = "[report]"
    said = build(_Report, draft.report, at=at, folder=draft.path.parent)
    names = said.formats
    if names is None:
        there = {reporter.offer.name for reporter in offers.reporters}
        names = tuple(name for name in FORMATS if name in there)
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DuplicateName(f"{at} formats", found=f"{show(name)} twice", expected="once")
    chosen = [_find(offers.reporter, name, f"{at} formats") for name in names]
    return tuple(
        ChosenReporter(
            offered=each, options=_options(each, {}, draft, f"{at} {each.offer.name}", _Report)
        )
        for each in chosen
    )
