"""Who trains on what: balanced halves in complementary pairs, drawn by whole subjects."""

import numpy as np

from leakpro_core.arrays import Bools, Ints
from leakpro_core.records import Population, ShadowPlan
from leakpro_core.seeds import generator


def draw(
    population: Population, *, targets: int, count: int, pool: str, seed: int
) -> tuple[ShadowPlan, list[Ints]]:
    """Return the shadow plan and, for each model, the row numbers that it trains on.

    Models 0 to ``targets - 1`` are targets, each a random half of the candidates on its own: no
    target has its complement among the models. The ``count`` shadows come in complementary
    pairs, so every record is in exactly half of them and column sums say nothing of a target.
    Rows number the candidates first, then the auxiliary records.
    """
    n = len(population.labels)
    auxiliary = population.auxiliary
    own = np.arange(n)
    trained_on = np.zeros((targets + count, n), bool)
    rows: list[Ints] = []
    for model in range(targets):
        trained_on[model] = _half(population.subjects, generator(seed, "target", model))
        rows.append(np.flatnonzero(trained_on[model]))
    others = n + np.arange(0 if auxiliary is None else len(auxiliary.labels))
    for shadow in range(count):
        rng = generator(seed, "shadow pair", shadow // 2)
        chosen = _half(population.subjects if pool == "candidates" else others, rng)
        chosen = ~chosen if shadow % 2 else chosen
        if pool == "candidates":
            trained_on[targets + shadow] = chosen
            rows.append(own[chosen])
        else:
            rows.append(others[chosen])
    pair = np.r_[-1 - np.arange(targets), np.arange(count) // 2]
    plan = ShadowPlan(
        trained_on=trained_on, pair=pair, target=np.arange(targets + count) < targets, pool=pool
    )
    return plan, rows


def _half(subjects: Ints, rng: np.random.Generator) -> Bools:
    """Return about half of the records, whole subjects together, exactly half of the subjects."""
    people, of = np.unique(subjects, return_inverse=True)
    chosen = np.zeros(len(people), bool)
    chosen[rng.permutation(len(people))[: len(people) // 2]] = True
    result: Bools = chosen[of]
    return result
