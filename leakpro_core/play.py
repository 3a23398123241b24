"""Stage 3: set the stage, let attacks answer, have the referee compare."""

import errno
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from attrs import fields, frozen

from leakpro_core import spill
from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.errors import CannotWrite, LeakProError, NeedsBothSides, NotApplicable
from leakpro_core.files import cannot_write
from leakpro_core.games.membership import (
    AuxiliaryView,
    MembershipAnswer,
    Stage,
    challenge,
    referee,
)
from leakpro_core.plan import Adversary, ChosenAttack
from leakpro_core.protocols import Queryable
from leakpro_core.records import Evidence, Signals
from leakpro_core.references import resolve
from leakpro_core.scene import Scene, obstacle
from leakpro_core.seeds import spawn
from leakpro_core.signals import gather, of_model, take
from leakpro_core.units import RunOf
from leakpro_core.view import Lens, View


@frozen(kw_only=True)
class Played:
    """What came of one attack as one adversary.

    evidence: over all targets; fewer: the same with fewer shadows, over some targets;
    placebos: claims ``[placebos, n]`` on held-out shadows, NaN where not asked.
    """

    attack: ChosenAttack
    adversary: Adversary
    status: str = "finished"
    reason: str = ""
    evidence: Evidence | None = None
    fewer: tuple[tuple[int, Evidence], ...] = ()
    most: Evidence | None = None
    placebos: Floats | None = array(np.float64, optional=True)
    queries_used: int = 0


def play(scene: Scene, attack: ChosenAttack) -> Played:
    """Play one attack against every target, the placebos, and with fewer shadows."""
    blocked = obstacle(scene, attack)
    if blocked is not None:
        return Played(
            attack=attack, adversary=scene.adversary, status="not applicable", reason=blocked
        )
    lens = Lens.of(scene.adversary, attack.offered.offer.probes)
    cast = scene.cast
    try:
        whole = [
            _round(scene, attack, lens, t, np.arange(len(cast.pair)))
            for t in range(len(cast.members))
        ]
        fewer, most = _with_fewer(scene, attack, lens, [e for e, _ in whole])
        placebos = _placebos(scene, attack, lens)
    except (NeedsBothSides, NotApplicable) as error:
        if attack.named:
            raise
        return Played(
            attack=attack, adversary=scene.adversary, status="not applicable", reason=str(error)
        )
    except (CannotWrite, MemoryError):  # of the machine, not of the attack: the run can go on
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise cannot_write(Path(tempfile.gettempdir()), error) from error
        # A plugin may raise anything; the audit goes on and the report says incomplete.
        scene.log.warning("attack failed", attack=attack.label, exc_info=True)
        name = "" if isinstance(error, LeakProError) else f"{type(error).__name__}: "
        return Played(
            attack=attack,
            adversary=scene.adversary,
            status="failed",
            reason=f"{name}{error}".splitlines()[0],
        )
    return Played(
        attack=attack,
        adversary=scene.adversary,
        evidence=join([e for e, _ in whole]),
        fewer=fewer,
        most=most,
        placebos=placebos,
        queries_used=sum(used for _, used in whole),
    )


def join(parts: Sequence[Evidence]) -> Evidence:
    """Return the rounds of several targets as one evidence."""
    if len(parts) == 1:
        return parts[0]
    names = [a.name for a in fields(Evidence) if getattr(parts[0], a.name) is not None]
    return Evidence(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def rows_of(evidence: Evidence, rounds: Bools) -> Evidence:
    """Return the evidence of some rounds."""
    names = [a.name for a in fields(Evidence) if getattr(evidence, a.name) is not None]
    return Evidence(**{n: getattr(evidence, n)[rounds] for n in names})


def _stage(
    scene: Scene,
    attack: ChosenAttack,
    lens: Lens,
    target: Signals,
    members: Bools,
    keep: Ints,
) -> Stage:
    """Return the stage of one target before the shadows ``keep``."""
    cast, n = scene.cast, scene.cast.candidates
    if {"architecture", "recipe"} - set(scene.adversary.knows):
        keep = keep[:0]
    shadows = cast.shadows[lens]
    auxiliary = None
    others = cast.population.auxiliary
    seen = target.margin.shape[0] > n
    if others is not None and seen and "auxiliary population" in scene.adversary.knows:
        spare = n + scene.auxiliary
        auxiliary = AuxiliaryView(
            labels=others.labels[scene.auxiliary],
            records=None
            if others.records is None
            else spill.chosen(others.records, scene.auxiliary),
            target=take(target, spare),
            shadows=gather(shadows, keep, spill.Order.of(spare))
            if shadows.margin.shape[1] > n
            else None,
        )
    return Stage(
        population=cast.population,
        members=members,
        target=target,
        shadows=shadows,
        trained_on=cast.trained_on,
        pair=cast.pair,
        keep=keep,
        auxiliary=auxiliary,
        weights=cast.weights if attack.offered.offer.shadow_access == "models" else {},
    )


def _answer(
    scene: Scene,
    attack: ChosenAttack,
    stage: Stage,
    purpose: tuple[str | int, ...],
    *,
    blind: Floats | None = None,
    cluster: int = 0,
    query: View | None = None,
    rows: Ints | None = None,
) -> Evidence:
    # The order's seed and the attack's seed are of different purposes: neither gives the other.
    where = (scene.adversary.name, attack.label, *purpose)
    drawn, secret = challenge(
        stage,
        scene.rows if rows is None else rows,
        spawn(scene.seed, "order", *where),
        records="candidate records" in scene.adversary.knows,
        query=query,
    )
    with tempfile.TemporaryDirectory(prefix="leakpro-") as scratch:
        run = RunOf(seed=spawn(scene.seed, "attack", *where), scratch=Path(scratch), log=scene.log)
        try:
            answer = resolve(attack.offered.offer.ref)(drawn, attack.options, run)
        except NeedsBothSides as error:
            raise _by_record(error, attack, stage) from error
    if not isinstance(answer, MembershipAnswer):
        raise TypeError(f"the attack returned {type(answer).__name__}, not a MembershipAnswer")
    return referee(answer, secret, blind=blind, cluster=cluster, attack=attack.label)


def _by_record(error: NeedsBothSides, attack: ChosenAttack, stage: Stage) -> NeedsBothSides:
    """Return the error with the record's own number; the attack knows the shuffled order only."""
    lacking = np.flatnonzero(~_both_sides(stage))
    if not lacking.size:
        return error
    record, others = int(lacking[0]), len(lacking) - 1
    many = "every" if stage.trained_on[stage.kept, record].any() else "no"
    more = f", and {others} more records lack a side" if others else ""
    return NeedsBothSides(
        f"attack {attack.label!r}, record {record}",
        found=f"trained on by {many} shadow of {len(stage.kept)}{more}",
        expected="shadows trained with it and shadows trained without it",
        fix=error.fix,
    )


def _both_sides(stage: Stage) -> Bools:
    """Return which records some of the stage's shadows were trained on, and some were not."""
    models = np.zeros(stage.trained_on.shape[1], np.int64)
    for model in stage.kept:  # one at a time: no copy of the whole design
        models += stage.trained_on[model]
    return np.asarray((models > 0) & (models < len(stage.kept)))


def _round(
    scene: Scene, attack: ChosenAttack, lens: Lens, target: int, keep: Ints
) -> tuple[Evidence, int]:
    cast = scene.cast
    released = cast.released
    view = None
    if released is not None and isinstance(released.handle, Queryable):
        spent = (len(scene.rows) + len(scene.auxiliary)) * cast.targets[lens].margin.shape[-1]
        budget = scene.adversary.queries
        left = None if budget is None else max(0, budget - spent)
        view = View(released.handle, released.outputs, lens, left)
    evidence = _answer(
        scene,
        attack,
        _stage(
            scene, attack, lens, of_model(cast.targets[lens], target), cast.members[target], keep
        ),
        ("target", target, len(keep)),
        blind=None if scene.blind is None else scene.blind[target],
        cluster=target,
        query=view,
    )
    return evidence, 0 if view is None else view.used


def _with_fewer(
    scene: Scene, attack: ChosenAttack, lens: Lens, whole: list[Evidence]
) -> tuple[tuple[tuple[int, Evidence], ...], Evidence | None]:
    """Return evidence with 1, 2, 4, ... shadows in whole pairs, over at most four targets."""
    least, models = attack.offered.offer.shadows, len(scene.cast.pair)
    if not scene.curve or not least:
        return (), None
    targets = range(min(4, len(whole)))
    pairs = scene.cast.pair
    order = np.argsort([int(np.flatnonzero(pairs == p)[0]) for p in pairs], kind="stable")
    fewer = []
    size = 1
    while size < models:
        kept = np.sort(order[:size])
        if size >= least and _whole_pairs(pairs, kept):
            # Without complementary pairs, so few shadows can leave a record without a side.
            with suppress(NeedsBothSides):
                parts = [_round(scene, attack, lens, t, kept)[0] for t in targets]
                fewer.append((size, join(parts)))
        size *= 2
    return tuple(fewer), join(whole[: len(targets)])


def _whole_pairs(pair: Ints, kept: Ints) -> bool:
    return not np.isin(np.delete(pair, kept), pair[kept]).any()


def _placebos(scene: Scene, attack: ChosenAttack, lens: Lens) -> Floats | None:
    """Score held-out shadows exactly as the target, each without itself and its twin.

    Records that lack a side without them are left out where the attack needs both.
    """
    cast, n = scene.cast, scene.cast.candidates
    offer = attack.offered.offer
    if not len(scene.placebos):
        return None
    claims = np.full((len(scene.placebos), n), np.nan)
    for number, shadow in enumerate(scene.placebos):
        keep = np.flatnonzero(cast.pair != cast.pair[shadow])
        pseudo = of_model(cast.shadows[lens], int(shadow))
        knows_others = pseudo.margin.shape[0] > n
        if len(keep) < offer.shadows or ("auxiliary" in offer.needs and not knows_others):
            return None
        stage = _stage(scene, attack, lens, pseudo, cast.trained_on[shadow], keep)
        some = scene.rows[_both_sides(stage)[scene.rows]]
        for rows in (scene.rows, some) if some.size else (scene.rows,):
            with suppress(NeedsBothSides):
                evidence = _answer(scene, attack, stage, ("placebo", number), rows=rows)
                claims[number, rows] = evidence.claim
                break
    return None if np.isnan(claims).all() else claims
