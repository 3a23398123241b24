"""The validity controls of one audit: which are run, on what, before and after the attacks."""

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.controls.blind import blind_test
from leakpro_core.controls.canaries import canary_control
from leakpro_core.controls.design import design_control
from leakpro_core.controls.duplicates import duplicate_control
from leakpro_core.controls.placebo import PlaceboResult, placebo_control, placebo_test
from leakpro_core.controls.sample_size import sample_size_control
from leakpro_core.controls.vulnerable import vulnerable_tenth
from leakpro_core.plan import Plan
from leakpro_core.play import Played
from leakpro_core.protocols import Log
from leakpro_core.report import Control
from leakpro_core.scene import Cast, Scene
from leakpro_core.seeds import spawn


@frozen(kw_only=True)
class Validity:
    """What the controls found.

    blind: the blind adversary's claims ``[targets, n]``, NaN where it did not play;
    ordinary: bool ``[n]``, records that are people and not planted; tenth: bool ``[n]`` or None;
    placebos: by adversary and attack label.
    """

    controls: tuple[Control, ...]
    blind: Floats | None = array(np.float64, optional=True)
    strength: AnyArray = array()
    tenth: Bools | None = array(np.bool_, optional=True)
    placebos: dict[tuple[str, str], PlaceboResult]

    @property
    def ordinary(self) -> Bools:
        """Bool ``[n]``: records that are people: not planted, or planted unchanged."""
        result: Bools = self.strength <= 1
        return result


def name_of(played: Played, plan: Plan) -> str:
    """Return the name of an attack's evidence: its label, and the adversary where several stand."""
    label = played.attack.label
    return label if len(plan.adversaries) == 1 else f"{label}@{played.adversary.name}"


def before(plan: Plan, cast: Cast, strength: AnyArray, *, seed: int, log: Log) -> Validity:
    """Run the controls that need no attack."""
    people, members = cast.population, cast.members
    ordinary = strength <= 1
    records = None if people.records is None else people.records
    controls = [
        design_control(
            cast.trained_on[:, ordinary],
            members[0][ordinary],
            seed=seed,
            subjects=people.subjects[ordinary],
        ),
        duplicate_control(
            None if records is None else records[ordinary],
            members[0][ordinary],
            people.subjects[ordinary],
            modality=people.modality,
            seed=seed,
        ),
    ]
    blind = None
    if plan.controls.blind:
        log.info("blind adversary")
        found = blind_test(
            None if records is None else records[ordinary],
            people.labels[ordinary],
            people.classes,
            members[:, ordinary],
            people.subjects[ordinary],
            policy=plan.policy,
            modality=people.modality,
            seed=spawn(seed, "blind"),
        )
        blind = np.full(members.shape, np.nan)
        blind[:, ordinary] = found.claims
        controls.append(found.control)
    else:
        controls.append(_not_run("blind adversary", "The plan switched it off"))
    lens = next(iter(cast.shadows), None)
    margin = None if lens is None or not len(cast.pair) else cast.shadows[lens].margin.mean(axis=2)
    tenth = np.zeros(len(strength), bool)
    chosen = vulnerable_tenth(
        None if margin is None else margin[:, : len(strength)][:, ordinary],
        cast.trained_on[:, ordinary],
        None if records is None else records[ordinary],
        modality=people.modality,
    )
    if chosen is not None:
        tenth[ordinary] = chosen
    return Validity(
        controls=tuple(controls),
        blind=blind,
        strength=strength,
        tenth=None if chosen is None else tenth,
        placebos={},
    )


def after(
    plan: Plan,
    cast: Cast,
    valid: Validity,
    played: Sequence[tuple[Scene, Played]],
    *,
    seed: int,
) -> Validity:
    """Run the controls that look at what the attacks claimed."""
    controls = [*_sample_sizes(plan, cast, valid, [s for s, _ in played]), *valid.controls]
    placebos: dict[tuple[str, str], PlaceboResult] = {}
    for adversary in plan.adversaries:
        scenes = [s for s, p in played if p.adversary.name == adversary.name]
        mine = [p for _, p in played if p.adversary.name == adversary.name]
        claims = {
            p.attack.label: p.placebos[:, valid.ordinary] for p in mine if p.placebos is not None
        }
        if not claims:
            controls.append(
                _not_run("placebo target", "There is no held-out shadow to score", adversary.name)
            )
            continue
        unseen = ~cast.trained_on[scenes[0].placebos]
        found = placebo_test(
            claims,
            unseen[:, valid.ordinary],
            cast.members[:, valid.ordinary],
            cast.population.subjects[valid.ordinary],
            plan.policy,
            seed=spawn(seed, "placebo", adversary.name),
        )
        placebos |= {(adversary.name, label): result for label, result in found.items()}
        control = placebo_control(found, plan.policy)
        without = [p.attack.label for p in mine if p.evidence is not None]
        without = [label for label in without if label not in found]
        if without:
            # A held-out model takes its pair with it, and what is left can be too few shadows.
            more = f"There was no placebo for {', '.join(without)}: too few shadows are left."
            control = evolve(control, statement=f"{control.statement} {more}")
        controls.append(evolve(control, adversary=adversary.name))
    controls.append(_canaries(plan, cast, valid, played, seed))
    return evolve(valid, controls=tuple(controls), placebos=placebos)


def _sample_sizes(
    plan: Plan, cast: Cast, valid: Validity, scenes: Sequence[Scene]
) -> list[Control]:
    """Return whether there are enough people; by adversary where a query budget leaves some out."""
    reached = {s.adversary.name: s.rows[valid.ordinary[s.rows]] for s in scenes}
    whole = int(valid.ordinary.sum())
    if all(len(rows) == whole for rows in reached.values()):
        reached = {"": np.flatnonzero(valid.ordinary)}
    return [
        evolve(
            sample_size_control(
                _by_person(cast.members[0][rows], cast.population.subjects[rows]),
                plan.policy,
                sampled=cast.population.sampling != "all" or len(rows) < whole,
            ),
            adversary=name,
        )
        for name, rows in reached.items()
    ]


def _by_person(members: Bools, subjects: Ints) -> Bools:
    """Return for each person whether any record is a member's, as the judge counts."""
    _, who = np.unique(subjects, return_inverse=True)
    exposed: Bools = np.bincount(who, weights=members) > 0
    return exposed


def _canaries(
    plan: Plan,
    cast: Cast,
    valid: Validity,
    played: Sequence[tuple[Scene, Played]],
    seed: int,
) -> Control:
    if not (valid.strength > 0).any():
        return _not_run("canaries", "They can be planted only where LeakPro trains the targets")
    shape = (len(cast.members), cast.candidates)
    claims = {}
    for one, result in played:
        if result.evidence is not None:
            whole = np.full(shape, np.nan)
            whole[:, one.rows] = result.evidence.claim.reshape(shape[0], -1)
            claims[name_of(result, plan)] = whole
    return canary_control(
        claims, cast.members, valid.strength, plan.policy, seed=spawn(seed, "canaries")
    )


def _not_run(name: str, reason: str, adversary: str = "") -> Control:
    return Control(name=name, result="not run", statement=f"{reason}.", adversary=adversary)
