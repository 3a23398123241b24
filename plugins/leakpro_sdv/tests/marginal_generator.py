"""A generator that copies marginals of two or three columns, for tests and figures.

As the structures of PrivBayes: each column is drawn given one or two that are drawn before it,
those of the most mutual information with it; given one, they are a Chow-Liu tree.
"""

from itertools import combinations

import numpy as np
from adult import challenge
from attrs import field, frozen
from planted import adult

from leakpro_core.arrays import Bools, Floats, Ints
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.tabular.table import Table, stacked

MOST = 1000
"""Cells of a marginal of three columns, at most: larger ones would hold one person a cell."""


@frozen(kw_only=True)
class Recipe:
    """How to fit.

    given: columns that a column is drawn given, at most; bins: of numbers, of equal shares of the
    people, or of equal width; noise: scale of the Laplace noise on each count.
    """

    given: int = 1
    bins: int = 10
    equal_width: bool = False
    noise: float = 0.0


@frozen(kw_only=True, eq=False)
class Binned:
    """codes: a list of int64 ``[people]``, one a column; sizes: how many codes each has.

    cuts: ends of the bins of number columns, None for the others.
    """

    codes: list[Ints]
    sizes: list[int]
    cuts: list[Floats | None] = field(repr=False)


def release(people: Table, rows: int, recipe: Recipe, seed: int) -> Table:
    """Fit the generator on people without missing values, and sample."""
    rng = np.random.default_rng(seed)
    binned = _binned(people, recipe)
    drawn: dict[int, Ints] = {}
    for column, given in structure(binned, recipe.given):
        size = binned.sizes[column]
        known, before = np.zeros(len(people), np.int64), np.zeros(rows, np.int64)
        cells = 1
        for other in given:
            known = known * binned.sizes[other] + binned.codes[other]
            before = before * binned.sizes[other] + drawn[other]
            cells *= binned.sizes[other]
        count = np.bincount(known * size + binned.codes[column], minlength=cells * size)
        noise = rng.laplace(0.0, recipe.noise, count.shape) if recipe.noise else 0.0
        table = np.maximum(count + noise, 0.0).reshape(cells, size)
        # Noise may lead to where nobody is.
        table[table.sum(axis=1) == 0] = np.bincount(binned.codes[column], minlength=size)
        below = np.cumsum(table, axis=1)[before]
        drawn[column] = (rng.random(rows)[:, None] * below[:, -1:] >= below).sum(axis=1)
    values = [
        drawn[j] if cut is None else _numbers(cut, drawn[j], people.columns[j].integer, rng)
        for j, cut in enumerate(binned.cuts)
    ]
    return Table(columns=people.columns, values=tuple(values), subjects=np.arange(rows))


def structure(binned: Binned, most: int) -> list[tuple[int, tuple[int, ...]]]:
    """Return each column with those that it is drawn given, in the order of drawing."""
    found: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    known: dict[tuple[int, tuple[int, ...]], float] = {}
    while len(found) < len(binned.codes):
        placed = [column for column, _ in found]
        best = (-np.inf, 0, (0,))
        for column in set(range(len(binned.codes))) - set(placed):
            for given in (g for k in range(1, most + 1) for g in combinations(placed, k)):
                if (column, given) not in known:
                    known[column, given] = _information(binned, column, given)
                best = max(best, (known[column, given], column, given))
        found.append(best[1:])
    return found


def drawn(
    recipe: Recipe, n: int, rows: int, seed: int, auxiliary: int = 3000
) -> tuple[SamplesChallenge, Bools]:
    """Return a challenge of n people of Adult behind a release, and n others."""
    pool = stacked(adult("original", "control"))
    order = np.random.default_rng([35, seed]).permutation(len(pool))
    people, known = pool.rows(order[: 2 * n]), pool.rows(order[2 * n :][:auxiliary])
    released = release(people.rows(np.arange(n)), rows, recipe, seed)
    return challenge(people, released, known), np.arange(2 * n) < n


def _information(binned: Binned, column: int, given: tuple[int, ...]) -> float:
    """Return mutual information; minus infinity where the marginal has too many cells."""
    known, cells = np.zeros(len(binned.codes[0]), np.int64), 1
    for other in given:
        known, cells = (
            known * binned.sizes[other] + binned.codes[other],
            cells * binned.sizes[other],
        )
    if len(given) > 1 and cells * binned.sizes[column] > MOST:
        return -np.inf
    joint = known * binned.sizes[column] + binned.codes[column]
    return _entropy(known) + _entropy(binned.codes[column]) - _entropy(joint)


def _entropy(codes: Ints) -> float:
    share = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(share * np.log(share)).sum())


def _binned(people: Table, recipe: Recipe) -> Binned:
    codes, sizes, cuts = [], [], []
    for column, values in zip(people.columns, people.values, strict=True):
        if not column.measured:
            found, size, cut = values, len(column.levels), None
        else:
            at = np.arange(recipe.bins + 1) / recipe.bins
            low, high = values.min(), values.max()
            cut = low + at * (high - low) if recipe.equal_width else np.quantile(values, at)
            cut = np.unique(cut)
            size = max(len(cut) - 1, 1)
            found = np.clip(np.searchsorted(cut, values, "right") - 1, 0, size - 1)
        codes.append(np.asarray(found, np.int64))
        sizes.append(size)
        cuts.append(cut)
    return Binned(codes=codes, sizes=sizes, cuts=cuts)


def _numbers(cut: Floats, codes: Ints, integer: bool, rng: np.random.Generator) -> Floats:
    """Return numbers, evenly from their bins."""
    high = cut[np.minimum(codes + 1, len(cut) - 1)]
    found = cut[codes] + (high - cut[codes]) * rng.random(len(codes))
    return np.floor(found) if integer else found
