"""The scene before an attack: all models as signals, one adversary, what it can reach."""

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.offers import Access
from leakpro_core.plan import Adversary, ChosenAttack
from leakpro_core.protocols import Log, Recorded
from leakpro_core.records import Population, Signals, Target
from leakpro_core.seeds import generator
from leakpro_core.view import Lens


@frozen(kw_only=True)
class Cast:
    """All models of an audit, as signals by lens; candidates first, then auxiliary records.

    members: bool ``[targets, n]``; targets: ``[targets, n + auxiliary, queries]``;
    shadows: ``[models, n + auxiliary, queries]``, only the first n where the auxiliary records'
    shadow outputs are unknown; trained_on: bool ``[models, n]``; pair: int64 ``[models]``;
    weights: parameters of the shadows ``[models, ...]`` by name, kept where an attack asks.
    """

    population: Population
    members: Bools = array(np.bool_)
    released: Target | None
    targets: Mapping[Lens, Signals]
    shadows: Mapping[Lens, Signals]
    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)
    weights: Mapping[str, AnyArray] = field(factory=dict, repr=False)

    @property
    def candidates(self) -> int:
        """Number of candidate records."""
        return len(self.population.labels)


@frozen(kw_only=True)
class Scene:
    """One adversary before the cast: what is common to all its attacks.

    rows: the candidates that its query budget reaches; blind: claims ``[targets, n]`` or None.
    """

    cast: Cast
    adversary: Adversary
    rows: Ints = array(np.int64)
    auxiliary: Ints = array(np.int64)
    blind: Floats | None = array(np.float64, optional=True)
    placebos: Ints = array(np.int64)
    curve: bool
    seed: int
    log: Log


def scene(
    cast: Cast,
    adversary: Adversary,
    *,
    blind: Floats | None,
    placebos: int,
    curve: bool,
    seed: int,
    log: Log,
) -> Scene:
    """Return the scene; where queries run short, draw the records that the budget reaches."""
    people = cast.population
    spare = 0 if people.auxiliary is None else len(people.auxiliary.labels)
    queries = max(s.margin.shape[-1] for s in cast.targets.values())
    rows, others = np.arange(cast.candidates), np.arange(spare)
    asked = (cast.candidates + spare) * queries
    if adversary.queries is not None and asked > adversary.queries:
        share = adversary.queries / asked
        rng = generator(seed, "budget", adversary.name)
        rows = np.sort(rng.permutation(rows)[: int(share * cast.candidates)])
        others = np.sort(rng.permutation(others)[: int(share * spare)])
    models = len(cast.pair)
    chosen = generator(seed, "placebo").permutation(models)[: min(placebos, models)]
    return Scene(
        cast=cast,
        adversary=adversary,
        rows=rows,
        auxiliary=others,
        blind=blind,
        placebos=np.sort(chosen),
        curve=curve,
        seed=seed,
        log=log,
    )


def obstacle(scene: Scene, attack: ChosenAttack) -> str | None:
    """Return why the attack cannot be played by this adversary, or None if it can."""
    offer, adversary, cast = attack.offered.offer, scene.adversary, scene.cast
    people = cast.population
    if not adversary.access.covers(offer.access):
        return f"it needs access to {offer.access.value}, the adversary has {adversary.access}"
    reached = cast.members[:, scene.rows]
    if not reached.any() or reached.all():
        return (
            f"the adversary's queries reach {reached.shape[1]} candidates, "
            "and not both members and non-members"
        )
    if offer.modalities and people.modality not in offer.modalities:
        return f"it works on {', '.join(sorted(offer.modalities))} records, not {people.modality}"
    if offer.shadows:
        lacks = {"architecture", "recipe"} - set(adversary.knows)
        if lacks:
            return f"it needs shadow models, and the adversary lacks {' and '.join(sorted(lacks))}"
        if len(cast.pair) < offer.shadows:
            return f"it needs {offer.shadows} shadow models, there are {len(cast.pair)}"
    if "records" in offer.needs:
        if people.records is None:
            return "it needs the raw records, which are not given"
        if "candidate records" not in adversary.knows:
            return "it needs the raw records, which the adversary does not know"
    if "auxiliary" in offer.needs:
        if not len(scene.auxiliary):
            return "it needs auxiliary records, and there are none"
        if "auxiliary population" not in adversary.knows:
            return "it needs auxiliary records, which the adversary does not know"
    recorded = isinstance(getattr(cast.released, "handle", None), Recorded)
    if offer.probes and recorded:
        return "it needs extra queries of the model, of which only recorded outputs exist"
    if offer.shadow_access == "models" and recorded:
        return "it needs the shadow models themselves, and only their recorded outputs exist"
    if offer.access is Access.WEIGHTS or offer.backend:
        return "attacks on weights are not played by this version"
    return None
