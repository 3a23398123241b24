"""An audit of federated updates, from top to bottom: stage, attack, control, judge, report."""

from leakpro_core.controls.vulnerable import vulnerable_tenth
from leakpro_core.errors import BadValue, NotApplicable
from leakpro_core.files import Shelf
from leakpro_core.plan import Plan
from leakpro_core.plugins import PluginSet
from leakpro_core.protocols import Log
from leakpro_core.records import Release
from leakpro_core.report import RiskReport
from leakpro_core.seeds import spawn
from leakpro_core.store import Store
from leakpro_core.tabular.checks import Checks
from leakpro_core.updates.assemble import assemble
from leakpro_core.updates.certified import check
from leakpro_core.updates.checks import after, before
from leakpro_core.updates.kept import forget
from leakpro_core.updates.looks import Looks, looks
from leakpro_core.updates.planted import looked_for
from leakpro_core.updates.play import (
    INVERSION,
    MEMBERSHIP,
    UpdatePlayed,
    UpdateScene,
    obstacle,
    play,
    scene,
)
from leakpro_core.updates.results import Beheld, counted, residual_of
from leakpro_core.updates.stage import UpdateStage, fingerprint, stage


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
    """Return the report on updates of federated clients.

    One that was interrupted goes on with the first batch that an attack has not answered.
    """
    staged = settle(plan, release)
    store.expect(fingerprint(release, staged))
    refuse_unplayable(plan, staged, log)
    # 2 shadow training: there is none; validity controls that need no attack
    checks = before(plan, staged, spawn(plan.seed, "controls"), log)
    # 3 attack scoring
    scenes = scenes_of(plan, staged, checks, log, store.answers)
    pairs = [(one, attack) for one in scenes for attack in plan.attacks]
    played, beheld = [], {}
    for number, (one, attack) in enumerate(pairs):
        log.info(
            "attacking",
            attack=attack.label,
            adversary=one.adversary.name,
            number=number,
            of=len(pairs),
        )
        outcome = play(one, attack)
        played.append(outcome)
        if outcome.status == "finished":
            key = (one.adversary.name, attack.label)
            beheld[key] = behold(plan, one, outcome)
    certificates = {k: b.checked for k, b in beheld.items() if b.checked is not None}
    checks = after(checks, certificates)
    checks = looked_for(plan, checks, scenes, played, spawn(plan.seed, "planted"), log)
    # the judge
    report = assemble(
        plan,
        plugins,
        release,
        staged,
        checks,
        played,
        beheld,
        store,
        started=started,
        clock=clock,
    )
    # Not before: where the disk is full, say, what was answered is all that there is.
    store.write_report(report)
    forget(store.answers)
    return report


def settle(plan: Plan, release: Release, *, rounds: bool = True) -> UpdateStage:
    """Return what is played; ``BadValue`` for a plan with shadow models, and what ``stage`` raises.

    rounds: whether rounds of training are played where an attack asks for them.
    """
    if plan.shadows is not None:
        raise BadValue(
            "[shadows]",
            found="a trainer",
            expected="none: no attack on updates trains models",
            fix="Remove the table.",
        )
    games = {a.offered.offer.game for a in plan.attacks}
    return stage(
        plan, release, inversion=INVERSION in games, membership=rounds and MEMBERSHIP in games
    )


def refuse_unplayable(plan: Plan, staged: UpdateStage, log: Log) -> None:
    """Raise ``NotApplicable`` for an attack that the plan names and no adversary can play."""
    scenes = scenes_of(plan, staged, None, log)
    for attack in plan.attacks:
        reasons = [obstacle(one, attack) for one in scenes]
        if attack.named and all(reasons):
            raise NotApplicable(
                f"attack {attack.label!r} cannot be played",
                found=str(reasons[0]),
                fix="Give it what it needs, or take it out of the plan.",
            )


def scenes_of(
    plan: Plan,
    staged: UpdateStage,
    checks: Checks | None,
    log: Log,
    answers: Shelf | None = None,
) -> list[UpdateScene]:
    """Return the scene of each adversary; before any control, checks is None.

    answers: where those of attacks are kept.
    """
    people, tenth = staged.population, None
    if checks is not None and people is not None and staged.rounds:
        tenth = vulnerable_tenth(None, None, people.records, modality=people.modality)
    return [
        scene(
            staged,
            adversary,
            blind=None if checks is None else checks.blind,
            tenth=tenth,
            answers=answers,
            seed=spawn(plan.seed, "scene"),
            log=log,
        )
        for adversary in plan.adversaries
    ]


def behold(plan: Plan, one: UpdateScene, outcome: UpdatePlayed) -> Beheld:
    """Return what is told of a finished attack beside its evidence."""
    if outcome.attack.offered.offer.game == MEMBERSHIP:
        return Beheld(looks=Looks())
    confidence, refereed = plan.policy.confidence, outcome.refereed
    return Beheld(
        looks=looks(one, outcome, confidence),
        residual=residual_of(outcome.answers, confidence),
        checked=check(one.stage, outcome.answers, outcome.attack.label),
        counted=None if refereed is None else counted(one.stage, refereed),
    )
