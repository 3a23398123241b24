"""Controls that play every attack again: on a known null, and on planted leaks."""

from collections.abc import Callable, Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core import judge
from leakpro_core.games.samples import PEOPLE, TableStage
from leakpro_core.judge.numbers import listed, percent
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.report import Control
from leakpro_core.seeds import spawn
from leakpro_core.tabular.play import TablePlayed, TableScene, play
from leakpro_core.tabular.secrets import few
from leakpro_core.tabular.weigh import Weighed, weigh

TRIED = 1000
"""People of each arm that are attacked in a control, at most; of membership twice as many are
asked about, for its most vulnerable tenth."""

FEWEST = 20
"""People of an arm without which a control is not played."""

FAILS = 0.01
"""A known null that an attack calls a leak at this p-value breaks it; up to alpha it warns."""


def plant(stage: TableStage, share: float, seed: int) -> TableStage:
    """Return the stage with a share of the released rows replaced by original rows, verbatim."""
    rng = np.random.default_rng(seed)
    count = round(share * len(stage.released))
    where = rng.permutation(len(stage.released))[:count]
    whose = rng.permutation(len(stage.original))
    source = stage.original.rows(np.resize(whose, count))
    values = []
    for mine, theirs in zip(stage.released.values, source.values, strict=True):
        mixed = mine.copy()
        mixed[where] = theirs
        values.append(mixed)
    return evolve(stage, released=evolve(stage.released, values=tuple(values)), shadows=())


def halved(stage: TableStage, seed: int) -> TableStage:
    """Return the stage with one half of the control's people in the place of the original."""
    people = np.unique(stage.control.subjects)
    drawn = np.random.default_rng(seed).permutation(people)[: len(people) // 2]
    first = np.isin(stage.control.subjects, drawn)
    return evolve(
        stage,
        original=stage.control.rows(first),
        control=stage.control.rows(~first),
        tenth_original=stage.tenth_control[first],
        tenth_control=stage.tenth_control[~first],
        shadows=(),
    )


@frozen(kw_only=True)
class Tried:
    """What came of the attacks in a control. failed: sentences."""

    found: tuple[Weighed, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the attacks that were judged."""
        return tuple(dict.fromkeys(w.label for w in self.found))

    @property
    def games(self) -> set[str]:
        """Games of which something was judged."""
        return {_game(w.family) for w in self.found}


def tried(
    plan: Plan,
    scene: TableScene,
    change: Callable[[TableStage, int], TableStage],
    seed: int,
    log: Log,
) -> Tried:
    """Play every attack on a changed stage and judge it; none where people are too few."""
    stage = change(scene.stage, seed)
    if min(len(np.unique(t.subjects)) for t in (stage.original, stage.control)) < FEWEST:
        return Tried()
    scene = evolve(
        scene,
        stage=evolve(stage, trained_on=None, pair=None),
        games=few(plan.games, scene.stage.original),
        blind=None,
        guess=False,
        seed=seed,
        log=log,
    )
    played: list[TablePlayed] = []
    for attack in plan.attacks:
        log.info("control", attack=attack.label, adversary=scene.adversary.name)
        most = 2 * TRIED // PEOPLE if attack.offered.offer.game == "membership" else TRIED
        fewer = evolve(scene.stage, rounds=min(most, stage.rounds))
        # An attack that was named is refused by the audit itself where it cannot be played.
        played.append(play(evolve(scene, stage=fewer), evolve(attack, named=False)))
    return Tried(
        found=weigh(played, plan.policy, spawn(seed, "judge")),
        failed=tuple(
            f"attack {p.attack.label} failed in a control: {p.reason}"
            for p in played
            if p.status == "failed"
        ),
    )


def _game(family: str) -> str:
    return "membership" if family in (judge.MAIN, judge.TENTH) else family


def _members(adversary: str, game: str, why: str) -> dict[tuple[str, str], str]:
    """Return the reason by adversary and family; the membership game has two families."""
    families = (judge.MAIN, judge.TENTH) if game == "membership" else (game,)
    return {(adversary, family): why for family in families}


def null_control(
    tried: Tried, families: Sequence[str], plan: Plan, adversary: str
) -> tuple[Control, dict[tuple[str, str], str]]:
    """Return the control, and which families it breaks, with the reason."""
    name, alpha = "known null", 1.0 - plan.policy.confidence
    broken: dict[tuple[str, str], str] = {}
    for game in families:
        if game not in tried.games:
            why = "none of its attacks could be played between two halves of the control people"
            broken |= _members(adversary, game, why)
    if not tried.found:
        return not_run(name, "No attack could be played on it", adversary), broken
    worst = min(tried.found, key=lambda w: w.p_value)
    caught = [w for w in tried.found if w.p_value <= FAILS]
    broken |= {
        (adversary, w.family): f"{w.label} finds a leak between two halves of the control people, "
        "where there is none"
        for w in caught
    }
    result = "fail" if caught else "warn" if worst.p_value <= alpha else "pass"
    names = list(dict.fromkeys(w.label for w in caught))
    said = {
        "pass": "No attack finds a leak between two halves of the control people",
        "warn": f"{worst.label} finds what might be a leak between two halves of the control "
        "people, which luck brings about in one audit of twenty",
        "fail": f"{listed(names)} finds a leak between two halves of the control people, where "
        "there is none",
    }[result]
    chance = f"smallest p = {worst.p_value:.3f} over {len(tried.labels)} attacks"
    missed = [game for game in families if game not in tried.games]
    more = f" {_told(missed).capitalize()} could not be played on it." if missed else ""
    return Control(
        name=name,
        result="warn" if missed and result == "pass" else result,
        statement=f"{said} ({chance}).{more}",
        adversary=adversary,
    ), broken


def planted_control(
    tried: Tried, families: Sequence[str], plan: Plan, adversary: str, share: float
) -> tuple[Control, dict[tuple[str, str], str]]:
    """Return the control, and which families did not see the leak, with the reason."""
    name, alpha = f"planted {percent(share)}", 1.0 - plan.policy.confidence
    what = f"{percent(share)} of the released rows were replaced by original rows"
    seen = {w.family for w in tried.found if w.p_value <= alpha}
    judged = list(dict.fromkeys(w.family for w in tried.found))
    unplayed = [game for game in families if game not in tried.games]
    blind = [family for family in (*judged, *unplayed) if family not in seen]
    unseen: dict[tuple[str, str], str] = {}
    for family in blind:
        why = f"its attacks do not see it when {what}"
        unseen |= (
            {(adversary, family): why}
            if family in judged
            else _members(adversary, family, f"none of its attacks could be played when {what}")
        )
    if not tried.found:
        return not_run(name, "No attack could be played on it", adversary), unseen
    by = list(dict.fromkeys(w.label for w in tried.found if w.p_value <= alpha))
    caught = f"found by {listed(by)}" if by else "no attack found it"
    missed = f"; nothing was seen by {_told(blind)}" if blind and by else ""
    return Control(
        name=name,
        result="pass" if not blind else "warn" if by else "fail",
        statement=f"{what[0].upper()}{what[1:]}: {caught}{missed}.",
        sensitivity=f"A leak of {percent(share)} is within reach of {_told(sorted(seen))}."
        if seen
        else "",
        adversary=adversary,
    ), unseen


def _told(families: Sequence[str]) -> str:
    """Return families in words; the name of one has a comma of its own."""
    return listed([family.replace(", ", " of the ") for family in families])


def not_run(name: str, why: str, adversary: str) -> Control:
    """Return that a control was not played, and why."""
    return Control(name=name, result="not run", statement=f"{why}.", adversary=adversary)
