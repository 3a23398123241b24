"""The validity panel of an audit of updates: are arms alike, was done what was disclosed?"""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve

from leakpro_core.arrays import Floats
from leakpro_core.controls.blind import blind_test
from leakpro_core.controls.sample_size import sample_size_control
from leakpro_core.errors import LeakProError
from leakpro_core.games.gradient_inversion import Batch, distance
from leakpro_core.judge.numbers import percent, plain
from leakpro_core.judge.success_units import FEWEST
from leakpro_core.plan import Plan
from leakpro_core.protocols import Log
from leakpro_core.records import Population
from leakpro_core.report import Control
from leakpro_core.seeds import generator, spawn
from leakpro_core.statistics.paired import difference, score_interval, units_needed
from leakpro_core.tabular.checks import Checks
from leakpro_core.updates.certified import Checked, close, residual
from leakpro_core.updates.play import INVERSION, MEMBERSHIP
from leakpro_core.updates.stage import UpdateStage

FAILS = 0.01
"""Arms that differ without any update at this p-value break the game; up to alpha it is warned."""

YARDSTICKS = 100
"""Auxiliary records from which what is recovered is measured well enough."""

GUESSES = 200
"""Auxiliary records that stand in the place of reconstructions, at most."""

FLIPPED = 8
"""Batches without which no flip of arms has so small a p-value."""

PERMUTATIONS = 9999

LOOKED_AT = 20_000
"""Records that the blind adversary about membership is fitted on, at most."""


def before(plan: Plan, stage: UpdateStage, seed: int, log: Log) -> Checks:
    """Run the controls that need no attack. Both of the checks' maps are by adversary and family.

    Blind claims are about the population, for membership.
    """
    log.info("validity controls")
    controls: list[Control] = []
    broken: dict[tuple[str, str], str] = {}
    if _asked(plan, INVERSION):
        exchange = exchange_control(plan, stage, seed)
        controls += [size_control(plan, stage), *yardstick_control(stage), exchange]
        if exchange.result == "fail":
            broken |= {(a.name, INVERSION): exchange.statement for a in plan.adversaries}
    disclosure = disclosure_control(stage)
    controls += [] if disclosure is None else [disclosure]
    blind = None
    if _asked(plan, MEMBERSHIP) and stage.rounds and stage.population is not None:
        found, blind = _of_membership(plan, stage.population, seed)
        controls += found
        why = next((c.statement for c in found if c.result == "fail"), None)
        if why is not None:
            for adversary in plan.adversaries:
                broken |= {(adversary.name, family): why for family in MEMBERSHIPS}
    return Checks(controls=tuple(controls), blind=blind, broken=broken, unseen={})


MEMBERSHIPS = ("membership", "membership, most vulnerable tenth")
"""Families of the game of membership."""


def after(checks: Checks, checked: Mapping[tuple[str, str], Checked]) -> Checks:
    """Add what became of the certificates of all attacks, by adversary and label."""
    controls = list(checks.controls)
    for (adversary, label), one in checked.items():
        c = one.certified
        parts = [f"{c.right:,} right", f"{c.wrong:,} wrong"] if c.right or c.wrong else []
        parts += [f"{c.unjudged:,} of batches that were not given"] if c.unjudged else []
        said = f"Of what {label} certified: {', '.join(parts)}."
        controls.append(
            Control(
                name="certificates",
                result="fail" if c.wrong else "warn" if one.refused else "pass",
                statement=" ".join([said, *one.refused[:1]]),
                adversary=adversary,
            )
        )
    return evolve(checks, controls=tuple(controls))


def _asked(plan: Plan, game: str) -> bool:
    return any(attack.offered.offer.game == game for attack in plan.attacks)


def _not_run(name: str, why: str) -> Control:
    return Control(name=name, result="not run", statement=f"{why}.")


# How many batches there are.


def bounded(luck: float, batches: int, confidence: float) -> float:
    """Return the excess that an attack which names records by ``luck`` would be bounded by."""
    limits = score_interval(luck, batches, confidence)
    return difference(luck, limits, luck, limits).high


def size_control(plan: Plan, stage: UpdateStage) -> Control:
    """Return whether there are enough batches; warns where a useless attack is not excluded."""
    batches, confidence = stage.batches, plan.policy.confidence
    if not batches:
        return _not_run("sample size", f"No batch can be judged: {why_unjudged(stage)}")
    n, luck = len(batches), float(np.mean([b.null_p for b in batches]))
    tolerated = plan.policy.excess_tolerance
    high = bounded(luck, n, confidence)
    have = (
        f"{n:,} {'batch' if n == 1 else 'batches'} of {_sizes(batches)}, "
        f"{'' if n == 1 else 'each '}with "
        f"{_range([len(b.decoys) - b.size for b in batches])} decoys"
    )
    what = (
        f"that of 100 reconstructions at most {plain(100.0 * tolerated)} more are nearest to a "
        "record of the client's batch than to one of a decoy batch"
    )
    if n >= FEWEST and high <= tolerated:
        said, result = f"{have}, are enough to show of an attack that knows nothing {what}.", "pass"
    else:
        needed = max(FEWEST, units_needed(luck, tolerated, confidence))
        said = (
            f"{have}, {'is' if n == 1 else 'are'} too few: not even of an attack that knows "
            f"nothing could they show {what}. About {needed:,} batches are enough."
        )
        result = "warn"
    if not stage.release.updates and n < plan.games.batches:
        said += (
            f" {plan.games.batches:,} were asked for; the clients have too few records for more, "
            "since batches that share records count for less."
        )
    return Control(
        name="sample size",
        result=result,
        statement=said,
        sensitivity=f"By luck a reconstruction names a record of the batch {percent(luck)} of the "
        f"time; an attack that does no better would be bounded by an excess of {plain(high)} "
        f"({plain(tolerated)} is tolerated).",
    )


def why_unjudged(stage: UpdateStage) -> str:
    """Return why batches cannot be judged, "" where all can; a sentence without a full stop."""
    return " and ".join(dict.fromkeys(item.why for item in stage.items if item.why))


def _sizes(batches: Sequence[Batch]) -> str:
    sizes = [b.size for b in batches]
    return f"{_range(sizes)} {'record' if max(sizes) == 1 else 'records'}"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def yardstick_control(stage: UpdateStage) -> list[Control]:
    """Return a warning where few auxiliary records say what counts as recovered, else nothing.

    The fewer there are, the farther is the nearest: half of the way is soon gone by what many
    records have in common. With none, only what is equal is recovered.
    """
    aside = stage.auxiliary
    n = 0 if aside is None or aside.records is None else len(aside.records)
    if not stage.batches or not 0 < n < YARDSTICKS:
        return []
    said = (
        f"Recovered is what comes nearer than half of the way to the nearest of only {n:,} "
        f"auxiliary {'record' if n == 1 else 'records'}: what many records have in common may do. "
        f"{YARDSTICKS} or more would tell better."
    )
    return [Control(name="auxiliary records", result="warn", statement=said)]


# Whether the arms are alike without the update.


def exchange_control(plan: Plan, stage: UpdateStage, seed: int) -> Control:
    """Return whether auxiliary records name the batches more often, or less, than decoy batches.

    They stand in the place of reconstructions, and know nothing of the update. Two-sided, by
    flipping which arm is which within each batch: exact where batch and decoy batch can be
    exchanged for one another, and batches share no records. Those that share are left out.
    """
    name, aside = "guesses without the update", stage.auxiliary
    if not plan.controls.blind:
        return _not_run(name, "The plan switched it off")
    if aside is None or aside.records is None or not len(aside.records):
        return _not_run(name, "There are no auxiliary records")
    if not stage.batches:
        return _not_run(name, "No batch can be judged")
    batches = _disjoint(stage)
    if len(batches) < FLIPPED:
        few = "1 batch" if len(batches) == 1 else f"{len(batches)} batches that share no records"
        return _not_run(name, f"With {few} it could tell nothing")
    rows = np.sort(generator(seed, "guesses").permutation(len(aside.records))[:GUESSES])
    shares = np.array([_named(stage, b, aside.records[rows]) for b in batches])
    p = flipped_p(shares[:, 0] - shares[:, 1], spawn(seed, "flips"))
    alpha = 1.0 - plan.policy.confidence
    result = "fail" if p <= FAILS else "warn" if p <= alpha else "pass"
    rates = [percent(x) for x in shares.mean(axis=0)]
    beside = f"name the clients' batches {rates[0]} and decoy batches {rates[1]} of the time"
    said = {
        "pass": f"Records that were in no update {beside}: the arms are alike",
        "warn": f"Records that were in no update {beside}, which luck brings about in one audit of "
        "twenty",
        "fail": f"The clients' records and the decoys differ by themselves: records that were in "
        f"no update {beside}",
    }[result]
    return Control(name=name, result=result, statement=f"{said} (p = {p:.3f}).")


def _disjoint(stage: UpdateStage) -> list[Batch]:
    """Return batches in which no record is that was in one before, where core drew them."""
    met: set[int] = set()
    found = []
    for item in stage.judged:
        mine = set() if item.members is None else set(item.members.tolist())
        if item.batch is not None and not mine & met:
            found.append(item.batch)
        met |= mine
    return found


def _named(stage: UpdateStage, batch: Batch, records: Floats) -> tuple[float, float]:
    """Return how often records name one of the batch, and of the decoy batch, each by its pool."""
    b = batch.size
    pool = np.concatenate([batch.records, batch.decoys])
    apart = distance(
        records, pool, modality=stage.modality, scale=batch.scale, groups=stage.release.groups
    )
    shares = []
    for own in (slice(0, b), slice(b, 2 * b)):
        arm = np.concatenate([apart[:, own], apart[:, 2 * b :]], axis=1)
        tied = arm <= arm.min(axis=1, keepdims=True) * (1.0 + 1e-8)
        shares.append(float((tied[:, :b].sum(axis=1) / tied.sum(axis=1)).mean()))
    return shares[0], shares[1]


def flipped_p(gaps: Floats, seed: int) -> float:
    """Return the two-sided p-value of a mean of ``[n]`` gaps whose signs are as likely either."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (PERMUTATIONS, len(gaps)))
    observed = abs(float(gaps.sum()))
    beyond = np.abs(signs @ gaps) >= observed - 1e-9
    return float((1 + beyond.sum()) / (1 + PERMUTATIONS))


# Whether what was disclosed is what was done.


def disclosure_control(stage: UpdateStage) -> Control | None:
    """Return how near core comes to updates that were received by what was disclosed of them.

    None where core makes the updates itself. Warns where it does not come near: whoever believes
    what was disclosed is then misled, attacks like core.
    """
    if not stage.release.updates:
        return None
    name, apart = "disclosure", []
    for item in stage.items:
        if item.records is None or item.labels is None:
            continue
        sent = stage.sent(item)
        seed = spawn(stage.seed, "disclosed", item.number)
        try:
            again = stage.client.update(sent.before, item.records, item.labels, seed)
        except LeakProError as error:
            return _not_run(name, f"The update could not be computed again: {error}".rstrip("."))
        apart.append(residual(sent, again, stage.release))
    if not apart:
        return _not_run(name, "The batches that updates were made of were not given")
    worst, wanted = max(apart), close(stage.release)
    same = worst <= wanted
    said = (
        "By what was disclosed, core computes from the client's batch what was received"
        if same
        else "What was disclosed does not describe the update: computed from the client's batch it "
        "is another"
    )
    more = "" if same else _drawn(stage)
    return Control(
        name=name,
        result="pass" if same else "warn",
        statement=f"{said} (relative residual {worst:.2g}, {wanted:g} counts as the same).{more}",
    )


def _drawn(stage: UpdateStage) -> str:
    how = stage.release.disclosed
    if how.noise or how.shuffled:
        what = "Noise" if how.noise else "The order of shuffled records"
        return f" {what} is drawn anew, and may be the reason."
    return ""


# Membership.


def _of_membership(
    plan: Plan, people: Population, seed: int
) -> tuple[list[Control], Floats | None]:
    members = people.members
    assert members is not None
    who = np.unique(people.subjects, return_inverse=True)[1]
    inside = np.bincount(who, weights=members) > 0
    controls = [evolve(sample_size_control(inside, plan.policy), name="sample size of membership")]
    if not plan.controls.blind:
        return [*controls, _not_run("blind adversary", "The plan switched it off")], None
    looked = np.sort(generator(seed, "looked at").permutation(len(members))[:LOOKED_AT])
    found = blind_test(
        None if people.records is None else people.records[looked],
        people.labels[looked],
        people.classes,
        members[looked],
        people.subjects[looked],
        policy=plan.policy,
        modality=people.modality,
        seed=spawn(seed, "blind"),
    )
    claims = np.full(len(members), np.nan)
    claims[looked] = found.claims.reshape(-1)
    return [*controls, found.control], claims
