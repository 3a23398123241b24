"""The positive control of gradient inversion: do attacks see an update that gives its record away?

Plain gradients of single records of the clients, by the clients' own model and without a defence,
are played to every attack as the audit's batches are. An attack that names no record of these finds
nothing because it does not work here, not because nothing is there.
"""

from collections.abc import Sequence
from contextlib import suppress

import attrs
import numpy as np
from attrs import evolve, field, frozen

from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.errors import BadArray
from leakpro_core.games.naming import LABELS
from leakpro_core.games.outcome import Refereed
from leakpro_core.judge.numbers import listed
from leakpro_core.plan import ChosenAttack, Plan
from leakpro_core.protocols import Client, Log
from leakpro_core.records import Disclosed
from leakpro_core.report import Control
from leakpro_core.seeds import generator, spawn
from leakpro_core.tabular.checks import Checks
from leakpro_core.updates.given import members_of
from leakpro_core.updates.play import INVERSION, UpdatePlayed, UpdateScene, play, scene
from leakpro_core.updates.stage import Item, UpdateStage, with_decoys

NAME = "planted records"

PLANTED = 8
"""Records that are planted, at most; fewer where the audit has fewer batches."""

OFF = "The plan switched it off"
MISSED = (
    "none of its attacks names, more often than luck may, the records that plain gradients of one "
    "record each give away"
)

_WHOLE = 1.0 - 1e-9


@frozen(kw_only=True)
class Asked:
    """A client, and what it discloses."""

    client: Client
    disclosed: Disclosed


def plain(client: Client, disclosed: Disclosed) -> Asked | None:
    """Return the client as it would send the gradient of one record, and what it discloses then.

    No local training, no clipping, noise, pruning or rounding, nobody else's update beside its own,
    layers in evaluation mode. A ``Client`` cannot be told what to do by that protocol; one that is
    an attrs class with a field ``disclosed`` keeps to what stands there. None for any other.
    """
    how = Disclosed(
        kind="gradient",
        examples=1,
        mode="eval",
        reduction="mean",
        mean=disclosed.mean,
        std=disclosed.std,
    )
    kind = type(client)
    if not attrs.has(kind) or "disclosed" not in attrs.fields_dict(kind):
        return None
    return Asked(client=evolve(client, disclosed=how), disclosed=how)  # type: ignore[misc]


@frozen(kw_only=True)
class _Source:
    """Records and labels, and at which rows those of clients are."""

    records: AnyArray = field(repr=False)
    labels: Ints
    rows: Ints


def _sources(stage: UpdateStage) -> list[_Source]:
    people = stage.population
    if people is None or people.records is None:
        return []
    if (inside := np.flatnonzero(members_of(people))).size:
        return [_Source(records=people.records, labels=people.labels, rows=inside)]
    # The same batch comes back in every round of one client.
    given = {
        item.records.tobytes(): (item.records, item.labels)
        for item in stage.judged
        if item.received is not None and item.records is not None and item.labels is not None
    }
    return [_Source(records=x, labels=y, rows=np.arange(len(y))) for x, y in given.values()]


def planted(plan: Plan, stage: UpdateStage, seed: int) -> UpdateStage | str:
    """Return the stage with planted records in the place of batches, or why there is none.

    Each is a record of the clients beside decoys of its class, judged as a batch of one is. Those
    of a class that too few others are of are left out. Where nobody says which records are the
    clients', those of batches that came with received updates are.
    """
    if not plan.games.planted:
        return OFF
    sources = _sources(stage)
    if not sources:
        return "No records are known to be a client's"
    asked = plain(stage.client, stage.release.disclosed)
    if asked is None:
        return "The target's client cannot be asked for a plain gradient"
    release = evolve(stage.release, updates=(), disclosed=asked.disclosed)
    empty = evolve(stage, client=asked.client, release=release, items=(), rounds=(), seed=seed)
    found: list[Item] = []
    rows = np.concatenate([source.rows for source in sources])
    which = np.repeat(np.arange(len(sources)), [len(source.rows) for source in sources])
    for at in generator(seed, "rows").permutation(len(rows)).tolist():
        if len(found) == min(PLANTED, max(1, len(stage.items))):
            break
        source, row = sources[which[at]], int(rows[at])
        x, y = source.records[row : row + 1], source.labels[row : row + 1]
        with suppress(BadArray):
            one = Item(number=len(found), records=x, labels=y, members=np.array([row]))
            found.append(with_decoys(plan, empty, one))
    chances = [item.batch.null_p for item in found if item.batch is not None]
    attacks = sum(a.offered.offer.game == INVERSION for a in plan.attacks)
    if not chances or luck(chances, len(chances)) > (1.0 - plan.policy.confidence) / attacks:
        return "There are too few other records to tell a planted one from"
    try:
        empty.sent(found[0])
    except MemoryError:
        raise
    except Exception as error:  # a third party's client may raise anything
        return f"The client's plain gradient could not be made: {error}".rstrip(".")
    return evolve(empty, items=tuple(found))


def looked_for(
    plan: Plan,
    checks: Checks,
    scenes: Sequence[UpdateScene],
    played: Sequence[UpdatePlayed],
    seed: int,
    log: Log,
) -> Checks:
    """Play attacks that finished on planted records, and say what they see of them.

    An adversary of whose attacks none sees them is said to find nothing for that reason (``unseen``
    of the checks), and so is every one where the plan switches planted records off.
    """
    controls: list[Control] = []
    unseen: dict[tuple[str, str], str] = {}
    failed: list[str] = []
    for one in scenes:
        name = one.adversary.name
        attacks = [p.attack for p in played if _finished(p, name)]
        if not attacks:
            continue
        stage = planted(plan, one.stage, seed)
        if isinstance(stage, str):
            more = "" if stage == OFF else ", so that finding nothing may be the attacks' own doing"
            controls.append(_control(name, "not run", f"{stage}{more}."))
            if stage == OFF:
                unseen[name, INVERSION] = f"no planted record was looked for: {_clause(stage)}"
            continue
        found = _tried(stage, one, attacks, spawn(seed, "scene"), log)
        control, seen = judged(stage, found, 1.0 - plan.policy.confidence, name)
        controls.append(control)
        if not seen:
            unseen[name, INVERSION] = MISSED
        failed += [
            f"attack {p.attack.label} failed in a control: {p.reason}"
            for p in found
            if p.status == "failed"
        ]
    return evolve(
        checks,
        controls=(*checks.controls, *controls),
        unseen={**checks.unseen, **unseen},
        failed=(*checks.failed, *dict.fromkeys(failed)),
    )


def judged(
    stage: UpdateStage, played: Sequence[UpdatePlayed], alpha: float, adversary: str
) -> tuple[Control, bool]:
    """Return the control, and whether some attack names more of the planted records than by luck.

    A record is named where the surest claim about its update is right, and no other record is as
    near. By luck, that is one of the pool; of a label, one of the most frequent class. Who names
    labels shows nothing of attacks that make records: where there are any, one of them has to.
    """
    n = len(stage.items)
    of_records = {p.attack.label for p in played if p.refereed is None or _first(p) != LABELS}
    seen: list[str] = []
    missed: list[str] = []
    parts: list[str] = []
    for p in played:
        label = p.attack.label
        if p.refereed is None:
            missed.append(label)
            parts.append(f"{label} could not be played ({p.reason.rstrip('.')})")
            continue
        count = named(p.refereed)
        # Of many attacks that see nothing, one may have luck.
        right = luck(_chances(stage, p.refereed.facets[0]), count) <= alpha / len(played)
        lucky = ", as luck may" if count and not right else ""
        parts.append(f"{label} named {'none' if not count else f'{count} of {n}{lucky}'}")
        (seen if right else missed).append(label)
    what = "1 record was planted," if n == 1 else f"{n} records were planted, each"
    said = f"{what} in a plain gradient without a defence: {', '.join(parts)}."
    if missed:
        none = "it finds" if len(missed) == 1 else "they find"
        said += f" Of {listed(missed)}, that {none} nothing says nothing."
    result = "pass" if not missed else "warn" if seen else "fail"
    counted = of_records.intersection(seen) if of_records else seen
    return _control(adversary, result, said), bool(counted)


def named(refereed: Refereed) -> int:
    """Return of how many batches the surest claim of the first facet is right."""
    e = refereed.evidence
    mine = e.exposed & ~np.isnan(e.claim)
    if e.facet is not None:
        mine &= e.facet == 0
    rows = np.flatnonzero(mine)
    rows = rows[np.argsort(-e.claim[rows], kind="stable")]
    first = np.unique(e.cluster[rows], return_index=True)[1]
    return int((e.hit[rows[first]] >= _WHOLE).sum())


def luck(chances: Sequence[float], count: int) -> float:
    """Return the chance of at least so many of independent events with these chances."""
    number = np.ones(1)
    for chance in chances:
        number = np.convolve(number, [1.0 - chance, chance])
    return float(min(1.0, number[count:].sum()))


def _chances(stage: UpdateStage, facet: str) -> list[float]:
    people = stage.population
    if facet == LABELS and people is not None:
        inside = members_of(people)
        of = people.labels[inside] if inside.any() else people.labels
        return [float(np.bincount(of).max() / len(of))] * len(stage.items)
    return [item.batch.null_p for item in stage.items if item.batch is not None]


def _first(p: UpdatePlayed) -> str:
    return "" if p.refereed is None else p.refereed.facets[0]


def _finished(p: UpdatePlayed, adversary: str) -> bool:
    theirs = p.adversary.name == adversary and p.attack.offered.offer.game == INVERSION
    return theirs and p.status == "finished"


def _tried(
    stage: UpdateStage, like: UpdateScene, attacks: Sequence[ChosenAttack], seed: int, log: Log
) -> list[UpdatePlayed]:
    one = scene(
        stage, like.adversary, blind=None, tenth=None, answers=like.answers, seed=seed, log=log
    )
    found = []
    for attack in attacks:
        log.info("control", attack=attack.label, adversary=like.adversary.name)
        found.append(play(one, attack))
    return found


def _clause(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:]}"


def _control(adversary: str, result: str, statement: str) -> Control:
    return Control(name=NAME, result=result, statement=statement, adversary=adversary)
