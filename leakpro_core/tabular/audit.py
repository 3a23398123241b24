"""An audit of a released table, from top to bottom: fit, attack, control, judge, report."""

import hashlib
from collections.abc import Sequence

import numpy as np
from attrs import evolve

from leakpro_core import judge
from leakpro_core.arrays import Bools
from leakpro_core.errors import NotApplicable
from leakpro_core.games.samples import TableStage
from leakpro_core.judge.numbers import listed
from leakpro_core.plan import Adversary, ChosenAttack, Plan
from leakpro_core.play import rows_of
from leakpro_core.plugins import PluginSet
from leakpro_core.protocols import Log
from leakpro_core.records import Estimate, Release, TableRelease
from leakpro_core.report import RiskReport, SizePoint
from leakpro_core.seeds import generator, spawn
from leakpro_core.store import Store
from leakpro_core.tabular.assemble import assemble
from leakpro_core.tabular.canaries import apart, check_canaries, looked_for, plant
from leakpro_core.tabular.checks import Checks, after, before
from leakpro_core.tabular.generators import Generated, check_fitting, generate
from leakpro_core.tabular.one_by_one import Budget, Twins, learns, one_by_one
from leakpro_core.tabular.people import by_exposure, most_vulnerable, settle
from leakpro_core.tabular.play import TablePlayed, TableScene, obstacle, play
from leakpro_core.tabular.results import Sized
from leakpro_core.tabular.secrets import few, settled
from leakpro_core.tabular.table import Table
from leakpro_core.vetting import for_workers

GROWTH = (0.25, 0.5)
"""Shares of the released rows on which success attacks are repeated."""


def audit(
    plan: Plan,
    plugins: PluginSet,
    release: Release,
    store: Store,
    log: Log,
    *,
    started: str,
    clock: float,
) -> RiskReport:
    """Return the report on a released table, or on a generator's."""
    assert release.tables is not None
    tables = settle(release.tables, plan.games.auxiliary_share, spawn(plan.seed, "auxiliary"))
    store.expect(fingerprint(tables))
    plan = hidden(plan, tables)
    refuse_unplayable(plan, tables, log)
    # 2 shadow training: targets where there is no table yet, shadow generators; canaries are
    # fitted on with the people, and leave them before anybody is counted
    planted, canaries = plant(plan, tables)
    generated = generate(plan, planted, release.targets, store, for_workers(plugins), log)
    generated, canaries = apart(generated, tables, canaries)
    # validity controls that need no attack
    checks = before(plan, generated.release, spawn(plan.seed, "controls"), log)
    # 3 attack scoring
    scenes = _scenes(plan, generated, checks, log)
    pairs = [(scene, attack) for scene in scenes for attack in plan.attacks]
    played, sized = [], {}
    for number, (scene, attack) in enumerate(pairs):
        log.info(
            "attacking",
            attack=attack.label,
            adversary=scene.adversary.name,
            number=number,
            of=len(pairs),
        )
        one = play(scene, attack)
        played.append(one)
        if one.refereed is not None:
            key = (scene.adversary.name, attack.label)
            sized[key] = _sized(plan, generated, scene, attack, one)
    checks = after(plan, checks, scenes, played, spawn(plan.seed, "controls"), log)
    checks = looked_for(plan, checks, scenes, canaries, spawn(plan.seed, "canaries"), log)
    twins, failed = _one_by_one(plan, generated, pairs, played)
    checks = evolve(checks, failed=(*checks.failed, *failed))
    # the judge
    return assemble(
        plan,
        plugins,
        release,
        generated,
        checks,
        played,
        sized,
        twins,
        store,
        started=started,
        clock=clock,
    )


def fingerprint(release: TableRelease) -> str:
    """Return a hash of all tables of a release."""
    tables = (release.synthetic, release.original, release.control, release.auxiliary)
    columns = [(c.name, c.kind.value, c.levels, c.integer) for c in release.original.columns]
    digest = hashlib.sha256(repr(columns).encode())
    for table in (*tables, release.larger, *release.again):
        if table is None:
            digest.update(b"none\n")
            continue
        digest.update(f"{len(table)}\n".encode())
        for values in (*table.values, table.subjects):
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def hidden(plan: Plan, release: TableRelease) -> Plan:
    """Return the plan with the columns that its games hide (see ``secrets.settled``)."""
    games = settled(plan.games, release.original, release.control, spawn(plan.seed, "secrets"))
    return evolve(plan, games=games)


def refuse_unplayable(plan: Plan, release: TableRelease, log: Log) -> None:
    """Raise ``NotApplicable`` for an attack that the plan names and no adversary can play.

    And whatever ``check_fitting`` and ``check_canaries`` raise.
    """
    check_fitting(plan, release)
    check_canaries(plan, release)
    for attack in plan.attacks:
        reasons = [obstacle(scene, attack) for scene in scenes_before(plan, release, log)]
        if attack.named and all(reasons):
            raise NotApplicable(
                f"attack {attack.label!r} cannot be played",
                found=str(reasons[0]),
                fix="Give it what it needs, or take it out of the plan.",
            )


def scenes_before(plan: Plan, release: TableRelease, log: Log) -> list[TableScene]:
    """Return scenes without generators, for what only depends on how many there will be."""
    count = 0 if plan.shadows is None else plan.shadows.count
    nobody = release.original.rows(np.zeros(0, np.int64))
    blank = Generated(
        release=release,
        synthetic=release.original if release.synthetic is None else release.synthetic,
        shadows=(nobody,) * count,
        trained_on=np.zeros((count, len(release.original) + len(release.control)), bool),
        pair=np.arange(count),
    )
    none = np.zeros(len(release.original), bool), np.zeros(len(release.control), bool)
    return [_scene(plan, blank, none, None, a, log) for a in plan.adversaries]


def _scenes(plan: Plan, generated: Generated, checks: Checks, log: Log) -> list[TableScene]:
    release = generated.release
    tenth = most_vulnerable(release.original, release.control, spawn(plan.seed, "tenth"))
    return [_scene(plan, generated, tenth, checks, a, log) for a in plan.adversaries]


def _scene(
    plan: Plan,
    generated: Generated,
    tenth: tuple[Bools, Bools],
    checks: Checks | None,
    adversary: Adversary,
    log: Log,
) -> TableScene:
    release = generated.release
    return TableScene(
        stage=TableStage(
            released=generated.synthetic,
            original=release.original,
            control=release.control,
            auxiliary=release.auxiliary if "auxiliary population" in adversary.knows else None,
            tenth_original=tenth[0],
            tenth_control=tenth[1],
            rounds=plan.games.rounds,
            shadows=generated.shadows,
            trained_on=generated.trained_on,
            pair=generated.pair,
        ),
        adversary=adversary,
        games=plan.games,
        blind=None if checks is None else checks.blind,
        seed=spawn(plan.seed, "scene"),
        log=log,
    )


def _one_by_one(
    plan: Plan,
    generated: Generated,
    pairs: Sequence[tuple[TableScene, ChosenAttack]],
    played: Sequence[TablePlayed],
) -> tuple[list[Twins], list[str]]:
    """Return what attacks that learn from shadow generators tell of single people.

    And which of them failed at it, in sentences: that leaves the audit incomplete.
    """
    able = [
        (scene, attack)
        for (scene, attack), one in zip(pairs, played, strict=True)
        if one.refereed is not None and learns(attack)
    ]
    if not able:
        return [], []
    release = generated.release
    ranked = by_exposure(release.original, release.control, spawn(plan.seed, "tenth"))
    told, failed = [], []
    for scene, attack in able:
        budget = Budget.of(plan, attack, len(able))
        told.append(one_by_one(scene, attack, ranked, budget))
        wanted = budget.tested(len(generated.shadows) // 2, len(ranked))
        if wanted and not told[-1].people.size:
            failed.append(f"one person at a time, {told[-1].reason}")
    return told, failed


# Other releases, and more or fewer rows.


def _sized(
    plan: Plan, generated: Generated, scene: TableScene, attack: ChosenAttack, whole: TablePlayed
) -> Sized:
    """Return how the attack fares on other releases and other numbers of rows."""
    offer, release = attack.offered.offer, generated.release
    again = [(f"release {i + 2}", table) for i, table in enumerate(release.again)]
    sizes = smaller(generated.synthetic, generator(plan.seed, "growth"))
    if release.larger is not None:
        sizes.append((f"{len(release.larger):,} rows", release.larger))
    scene, notes = evolve(scene, guess=False, blind=None), []
    if offer.game == "attribute-inference":
        # Each release costs a column an attack: a few columns show how the excess changes.
        scene = evolve(scene, games=few(scene.games, release.original))
        if scene.games != plan.games:
            notes.append(
                f"How the excess changes with the release is that of {listed(scene.games.secrets)}"
            )
        whole = _about(whole, scene.games.secrets)
    own = _figure(plan, whole, "this release", len(generated.synthetic))

    def points(tables: Sequence[tuple[str, Table]]) -> list[SizePoint]:
        found = []
        for label, table in tables:
            if not len(table):
                continue
            stage = evolve(scene.stage, released=table)
            one = play(evolve(scene, stage=stage), attack)
            found += _figure(plan, one, label, len(table))
        return found

    spread = [*own, *points(again)] if again else []
    if offer.game == "membership":
        return Sized(spread=tuple(spread))
    growth = sorted([*own, *points(sizes)], key=lambda p: p.rows)
    return Sized(spread=tuple(spread), growth=tuple(growth), notes=tuple(notes))


def _about(played: TablePlayed, names: Sequence[str]) -> TablePlayed:
    """Return what came of the rounds about some facets."""
    found = played.refereed
    if found is None or found.evidence.facet is None:
        return played
    kept = np.isin(found.evidence.facet, [found.facets.index(n) for n in names])
    part = evolve(
        found,
        evidence=rows_of(found.evidence, kept),
        tenth=None if found.tenth is None else found.tenth[kept],
    )
    return evolve(played, refereed=part)


def smaller(released: Table, rng: np.random.Generator) -> list[tuple[str, Table]]:
    """Return shares of a release by name, each within the next.

    Where rows belong to sequences or families, whole ones are drawn.
    """
    owners, who = np.unique(released.subjects, return_inverse=True)
    order = rng.permutation(len(owners))
    what = "rows" if len(owners) == len(released) else "subjects"
    shares = [(share, np.isin(who, order[: int(share * len(owners))])) for share in GROWTH]
    return [(f"{share:.0%} of the {what}", released.rows(chosen)) for share, chosen in shares]


def _figure(plan: Plan, played: TablePlayed, label: str, rows: int) -> list[SizePoint]:
    """Return the excess over control of all claims; of a detection game, of the AUC over 1/2."""
    if played.refereed is None:
        return []
    if played.attack.offered.offer.game == "membership":
        excess = over_half(judge.auc_of(played.refereed.evidence, plan.policy))
    else:
        found = judge.excess_of(played.refereed, plan.policy)
        if found is None:
            return []
        excess = found
    return [SizePoint(label=label, rows=rows, excess=excess)]


def over_half(area: Estimate) -> Estimate:
    """Return how far an AUC is above that of a useless attack."""
    return evolve(
        area,
        value=area.value - 0.5,
        low=area.low - 0.5,
        high=area.high - 0.5,
        method=f"AUC above 1/2; {area.method}",
    )
