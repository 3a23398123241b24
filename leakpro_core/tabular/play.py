"""Stage 3 on tables: one attack as one adversary, before people and before auxiliary rows only."""

import errno
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Floats, array
from leakpro_core.errors import CannotWrite, LeakProError, NotApplicable
from leakpro_core.files import cannot_write
from leakpro_core.games import attribute_inference, copies, linkability, samples, singling_out
from leakpro_core.games.attribute_inference import AttributeAnswer
from leakpro_core.games.copies import CopiesAnswer
from leakpro_core.games.linkability import LinkabilityAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.outcome import Refereed
from leakpro_core.games.samples import TableStage
from leakpro_core.games.singling_out import SinglingOutAnswer
from leakpro_core.plan import Adversary, ChosenAttack, Games
from leakpro_core.protocols import Log
from leakpro_core.references import resolve
from leakpro_core.seeds import spawn
from leakpro_core.tabular.narrow import narrowed
from leakpro_core.tabular.secrets import halves, secrets
from leakpro_core.units import RunOf

T = TypeVar("T")


@frozen(kw_only=True)
class TableScene:
    """One adversary before the people of a release.

    blind: claims of core's blind adversary about original, then control rows, or None; guess:
    whether attacks are also played without the release, by an adversary who is blind.
    """

    stage: TableStage
    adversary: Adversary
    games: Games
    blind: Floats | None = array(np.float64, optional=True)
    guess: bool = True
    seed: int
    log: Log


@frozen(kw_only=True)
class TablePlayed:
    """An attack played by an adversary. status: finished, failed or not applicable."""

    attack: ChosenAttack
    adversary: Adversary
    status: str = "finished"
    reason: str = ""
    refereed: Refereed | None = None


def obstacle(scene: TableScene, attack: ChosenAttack) -> str | None:
    """Return why the attack cannot be played by this adversary, or None if it can."""
    offer, stage = attack.offered.offer, scene.stage
    if not scene.adversary.access.covers(offer.access):
        return (
            f"it needs access to {offer.access.value}, the adversary has {scene.adversary.access}"
        )
    if offer.game not in _GAMES:
        return f"the {offer.game} game is not played on tables by this version"
    if offer.modalities and "tabular" not in offer.modalities:
        return f"it works on {', '.join(sorted(offer.modalities))} records, not on tables"
    if "auxiliary" in offer.needs and stage.auxiliary is None:
        return "it needs auxiliary rows, and the adversary has none"
    if offer.game == "membership" and "candidate records" not in scene.adversary.knows:
        return "it needs the records of the candidates, which the adversary does not know"
    if offer.shadows:
        lacks = {"architecture", "recipe"} - set(scene.adversary.knows)
        if lacks:
            return (
                f"it needs shadow generators, and the adversary lacks {' and '.join(sorted(lacks))}"
            )
        if len(stage.shadows) < offer.shadows:
            return f"it needs {offer.shadows} shadow generators, there are {len(stage.shadows)}"
    return None


def play(scene: TableScene, attack: ChosenAttack) -> TablePlayed:
    """Play one attack; one that raises has failed, which is never "no leak"."""
    ended = partial(TablePlayed, attack=attack, adversary=scene.adversary)
    blocked = obstacle(scene, attack)
    if blocked is not None:
        return ended(status="not applicable", reason=blocked)
    try:
        return ended(refereed=_GAMES[attack.offered.offer.game](scene, attack))
    except NotApplicable as error:
        if attack.named:
            raise
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


# What is asked of an attack, and of the same attack without the release.


def _ask(
    scene: TableScene, attack: ChosenAttack, challenge: object, wanted: type[T], *purpose: str
) -> T:
    where = (scene.adversary.name, attack.label, *purpose)
    seen, codes = narrowed(challenge)
    with tempfile.TemporaryDirectory(prefix="leakpro-") as scratch:
        run = RunOf(seed=spawn(scene.seed, "attack", *where), scratch=Path(scratch), log=scene.log)
        answer = resolve(attack.offered.offer.ref)(seen, attack.options, run)
    if not isinstance(answer, wanted):
        raise TypeError(f"the attack returned {type(answer).__name__}, not a {wanted.__name__}")
    given: T = codes.back(answer, challenge)
    return given


def _without(scene: TableScene, attack: ChosenAttack) -> TableStage | None:
    """Return the stage of an adversary who has everything but the release: auxiliary rows.

    None where there are none, or the attack needs such rows beside a release.
    """
    auxiliary = scene.stage.auxiliary
    if not scene.guess or auxiliary is None or not len(auxiliary):
        return None
    if "auxiliary" in attack.offered.offer.needs:
        return None
    return evolve(scene.stage, released=auxiliary, auxiliary=None, shadows=(), trained_on=None)


def _singling_out(scene: TableScene, attack: ChosenAttack) -> Refereed:
    def ask(stage: TableStage, purpose: str) -> SinglingOutAnswer:
        drawn = singling_out.challenge(stage)
        return _ask(scene, attack, drawn, SinglingOutAnswer, purpose)

    blind = _without(scene, attack)
    return singling_out.referee(
        ask(scene.stage, "release"),
        scene.stage,
        None if blind is None else ask(blind, "blind"),
        attack=attack.label,
    )


def _copies(scene: TableScene, attack: ChosenAttack) -> Refereed:
    def ask(stage: TableStage, purpose: str) -> CopiesAnswer:
        return _ask(scene, attack, copies.challenge(stage), CopiesAnswer, purpose)

    blind = _without(scene, attack)
    return copies.referee(
        ask(scene.stage, "release"),
        scene.stage,
        None if blind is None else ask(blind, "blind"),
        attack=attack.label,
        seed=_order(scene, attack),
    )


def _linkability(scene: TableScene, attack: ChosenAttack) -> Refereed:
    left = halves(scene.stage.original, scene.games.left)

    def ask(stage: TableStage, purpose: str) -> tuple[LinkabilityAnswer, linkability.Secret]:
        drawn, secret = linkability.challenge(stage, left, _order(scene, attack))
        return _ask(scene, attack, drawn, LinkabilityAnswer, purpose), secret

    blind = _without(scene, attack)
    answer, secret = ask(scene.stage, "release")
    guess = None if blind is None else ask(blind, "blind")[0]
    return linkability.referee(answer, secret, guess, attack=attack.label)


def _attribute_inference(scene: TableScene, attack: ChosenAttack) -> Refereed:
    blind = _without(scene, attack)
    parts = []
    for name in secrets(scene.stage.original, scene.stage.control, scene.games.secrets):

        def ask(
            stage: TableStage, purpose: str, name: str = name
        ) -> tuple[AttributeAnswer, attribute_inference.Secret]:
            drawn, secret = attribute_inference.challenge(
                stage, name, scene.games.tolerance, _order(scene, attack, name)
            )
            return _ask(scene, attack, drawn, AttributeAnswer, purpose, name), secret

        answer, secret = ask(scene.stage, "release")
        guess = None if blind is None else ask(blind, "blind")[0]
        parts.append(attribute_inference.referee(answer, secret, guess, attack=attack.label))
    if not parts:
        raise NotApplicable(
            "attribute inference",
            found="no column that varies and can be guessed",
            expected="at least one beside another",
            fix="Name columns in [games] secrets, or state their kinds in [target] columns.",
        )
    return attribute_inference.together(parts)


def _membership(scene: TableScene, attack: ChosenAttack) -> Refereed:
    drawn, secret = samples.challenge(scene.stage, _order(scene, attack))
    answer = _ask(scene, attack, drawn, MembershipAnswer, "release")
    return samples.referee(answer, secret, blind=scene.blind, attack=attack.label)


def _order(scene: TableScene, attack: ChosenAttack, *purpose: str) -> int:
    # The people are the same for all attacks of a game, which are then compared on equal terms.
    return spawn(scene.seed, "order", attack.offered.offer.game, *purpose)


_GAMES: dict[str, Callable[[TableScene, ChosenAttack], Refereed]] = {
    "singling-out": _singling_out,
    "copies": _copies,
    "linkability": _linkability,
    "attribute-inference": _attribute_inference,
    "membership": _membership,
}
