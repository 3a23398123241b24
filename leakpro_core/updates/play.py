"""Stage 3 on updates: one attack as one adversary, before each batch, or before all rounds."""

import errno
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools, Floats, array
from leakpro_core.errors import CannotWrite, LeakProError, NotApplicable
from leakpro_core.files import Shelf, cannot_write
from leakpro_core.games import gradient_inversion, update_membership
from leakpro_core.games.gradient_inversion import InversionAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.outcome import Refereed
from leakpro_core.plan import Adversary, ChosenAttack
from leakpro_core.protocols import Log, Native
from leakpro_core.records import UpdateRelease
from leakpro_core.references import resolve
from leakpro_core.seeds import spawn
from leakpro_core.tabular.play import TablePlayed
from leakpro_core.units import RunOf
from leakpro_core.updates import kept
from leakpro_core.updates.answered import check_form, check_told
from leakpro_core.updates.stage import Item, UpdateStage
from leakpro_core.updates.together import joined

T = TypeVar("T", InversionAnswer, MembershipAnswer)

INVERSION, MEMBERSHIP = "gradient-inversion", "membership"

_TOLD = 5.0
"""Seconds after which the log says how many batches are done."""


@frozen(kw_only=True)
class UpdateScene:
    """One adversary before a client's updates.

    guesses: what an adversary says who never saw the update, one for each batch that can be
    judged, None where there is none; blind: claims ``[population]`` of core's blind adversary
    about membership, or None; tenth: bool ``[population]``, the most vulnerable; answers: where
    those of attacks are kept, None where they are not.
    """

    stage: UpdateStage
    adversary: Adversary
    guesses: tuple[InversionAnswer | None, ...] = ()
    blind: Floats | None = array(np.float64, optional=True)
    tenth: Bools | None = array(np.bool_, optional=True)
    answers: Shelf | None = None
    seed: int
    log: Log


@frozen(kw_only=True)
class UpdatePlayed(TablePlayed):
    """An attack played by an adversary. answers: one a batch, None where it could give none."""

    answers: tuple[InversionAnswer | None, ...] = ()


def scene(
    stage: UpdateStage,
    adversary: Adversary,
    *,
    blind: Floats | None,
    tenth: Bools | None,
    answers: Shelf | None = None,
    seed: int,
    log: Log,
) -> UpdateScene:
    """Return the scene of one adversary; who guesses blindly has auxiliary records anyway."""
    guesses: list[InversionAnswer | None] = []
    for batch in stage.batches:
        own = spawn(seed, "guess", adversary.name, batch.subject)
        known = "labels" in adversary.knows
        some = stage.auxiliary is not None and len(stage.auxiliary.labels) > 0
        guesses.append(
            gradient_inversion.guess(batch, stage.auxiliary, own, labels=known)
            if some and stage.auxiliary is not None
            else None
        )
    return UpdateScene(
        stage=stage,
        adversary=adversary,
        guesses=tuple(guesses),
        blind=blind,
        tenth=tenth,
        answers=answers,
        seed=seed,
        log=log,
    )


def obstacle(scene: UpdateScene, attack: ChosenAttack) -> str | None:
    """Return why the attack cannot be played by this adversary, or None if it can."""
    offer, stage, knows = attack.offered.offer, scene.stage, scene.adversary.knows
    if not scene.adversary.access.covers(offer.access):
        return (
            f"it needs access to {offer.access.value}, the adversary has {scene.adversary.access}"
        )
    if offer.game not in (INVERSION, MEMBERSHIP):
        return f"the {offer.game} game is not played on updates by this version"
    if offer.modalities and stage.modality not in offer.modalities:
        return f"it works on {', '.join(sorted(offer.modalities))} records, not on {stage.modality}"
    if offer.shadows:
        return "it needs shadow models, and none are trained for updates"
    if offer.backend is not None and not isinstance(stage.client, Native):
        return f"it needs a model of {offer.backend}, and the target hands out none"
    if "auxiliary" in offer.needs and (
        stage.auxiliary is None or "auxiliary population" not in knows
    ):
        return "it needs auxiliary records, and the adversary has none"
    if offer.game == INVERSION:
        return None if stage.items else "there is no update"
    if "candidate records" not in knows:
        return "it needs the records of the candidates, which the adversary does not know"
    if stage.population is None or stage.population.members is None:
        return "nobody said which records are the clients': [data] members"
    if not (stage.rounds or stage.release.rounds or stage.release.updates):
        return "it needs updates of rounds of training: [target] rounds"
    return None


def play(scene: UpdateScene, attack: ChosenAttack) -> UpdatePlayed:
    """Play one attack; one that raises has failed, which is never "no leak".

    One that says that it does not apply is not applicable, to this adversary.
    """
    ended = partial(UpdatePlayed, attack=attack, adversary=scene.adversary)
    blocked = obstacle(scene, attack)
    if blocked is not None:
        return ended(status="not applicable", reason=blocked)
    try:
        if attack.offered.offer.game == MEMBERSHIP:
            return ended(refereed=_membership(scene, attack))
        answers = _inverted(scene, attack)
        return ended(answers=answers, refereed=_refereed(scene, attack, answers))
    except NotApplicable as error:
        return ended(status="not applicable", reason=str(error))
    except (CannotWrite, MemoryError):  # of the machine, not of the attack: the run can go on
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise cannot_write(Path(tempfile.gettempdir()), error) from error
        # A plugin may raise anything; the audit goes on and the report says incomplete.
        scene.log.warning("attack failed", attack=attack.label, exc_info=True)
        name = "" if isinstance(error, LeakProError) else f"{type(error).__name__}: "
        lines = f"{name}{error}".splitlines() or [type(error).__name__]
        return ended(status="failed", reason=lines[0])


def _inverted(scene: UpdateScene, attack: ChosenAttack) -> tuple[InversionAnswer | None, ...]:
    """Return an answer for each batch, None where the attack says that it does not apply to it.

    ``NotApplicable`` where it applies to none.
    """
    answers: list[InversionAnswer | None] = []
    refused: NotApplicable | None = None
    items, told = scene.stage.items, time.monotonic()
    for item in items:
        try:
            answers.append(_answer(scene, attack, item))
        except NotApplicable as error:
            refused = error
            answers.append(None)
        if time.monotonic() - told > _TOLD:
            told = time.monotonic()
            scene.log.info("batch", attack=attack.label, number=len(answers), of=len(items))
    if refused is not None and all(answer is None for answer in answers):
        raise refused
    return tuple(answers)


def _answer(scene: UpdateScene, attack: ChosenAttack, item: Item) -> InversionAnswer:
    stage = scene.stage
    drawn = gradient_inversion.challenge(
        stage.sent(item),
        stage.release,
        model=_model(stage),
        knows=scene.adversary.knows,
        shape=stage.shape,
        classes=stage.classes,
        modality=stage.modality,
        auxiliary=stage.auxiliary,
    )
    answer = _ask(scene, attack, drawn, InversionAnswer, item.number)
    if item.batch is None:  # else the referee checks it
        check_form(answer, stage, attack.label)
    return answer


def _refereed(
    scene: UpdateScene, attack: ChosenAttack, answers: tuple[InversionAnswer | None, ...]
) -> Refereed | None:
    """Return the answers compared with the batches; None where none can be judged."""
    stage = scene.stage
    if not stage.batches:
        return None
    found = gradient_inversion.referee(
        [answers[item.number] for item in stage.judged],
        stage.batches,
        scene.guesses,
        attack=attack.label,
        modality=stage.modality,
        groups=stage.release.groups,
        classes=stage.classes,
        labels_known="labels" in scene.adversary.knows,
    )
    # Batches that core draws share few records, by design; rounds of a client may share all.
    return joined(found, stage.batches) if stage.release.updates else found


def _membership(scene: UpdateScene, attack: ChosenAttack) -> Refereed:
    stage = scene.stage
    people = stage.population
    assert people is not None
    assert people.members is not None
    # The order is the same for all attacks, which are then compared on equal terms.
    drawn, secret = update_membership.challenge(
        people,
        people.members,
        stage.rounds,
        _of_rounds(stage, people.members),
        model=_model(stage),
        knows=scene.adversary.knows,
        auxiliary=stage.auxiliary,
        seed=spawn(scene.seed, "order", MEMBERSHIP),
    )
    answer = _ask(scene, attack, drawn, MembershipAnswer, "rounds")
    return update_membership.referee(
        answer, secret, blind=scene.blind, attack=attack.label, tenth=scene.tenth
    )


def _of_rounds(stage: UpdateStage, members: Bools) -> UpdateRelease:
    """Return the release with the examples that rounds are made of: where core plays them, all."""
    release = stage.release
    if release.updates:
        return release
    return evolve(release, disclosed=evolve(release.disclosed, examples=int(members.sum())))


def _model(stage: UpdateStage) -> object:
    return stage.client.native() if isinstance(stage.client, Native) else None


def _ask(
    scene: UpdateScene,
    attack: ChosenAttack,
    challenge: object,
    wanted: type[T],
    *purpose: str | int,
) -> T:
    seed = spawn(scene.seed, "attack", scene.adversary.name, attack.label, *purpose)
    key = kept.key_of(attack.label, scene.adversary.name, seed)
    known = None if scene.answers is None else kept.recall(scene.answers, key, wanted)
    if known is not None:
        return known
    with tempfile.TemporaryDirectory(prefix="leakpro-") as scratch:
        run = RunOf(seed=seed, scratch=Path(scratch), log=scene.log)
        answer = resolve(attack.offered.offer.ref)(challenge, attack.options, run)
    if not isinstance(answer, wanted):
        raise TypeError(f"the attack returned {type(answer).__name__}, not a {wanted.__name__}")
    if isinstance(answer, InversionAnswer):
        check_told(answer, attack.label)
    if scene.answers is not None:
        kept.keep(scene.answers, key, answer)
    return answer
