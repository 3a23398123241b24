"""Which predicates are light, and how sure to be of them.

A light predicate is not expected to match anybody by chance: the referee asks for a weight of at
most 1 / (10 people), so that luck isolates a person in at most about 9% of tries. That few
matches were counted cannot show it, where there are not ten times as many rows as people: so the
product of the terms' shares has to be as small too.
"""

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, Floats, Ints, array
from leakpro_core.games.singling_out import SinglingOutAnswer
from leakpro_sdv.predicates import (
    LUCK,
    Conjunctions,
    Pool,
    log_weight,
    matches,
    predicates,
    row_likeness,
)

_NEGLIGIBLE = 0.01
"""Below so many people that match by chance, a predicate is as sure as any."""


@frozen(kw_only=True)
class Built:
    """Predicates around released rows. rows: int64 ``[k]``; log_weight: float64 ``[k]``."""

    these: Conjunctions
    rows: Ints = array(np.int64)
    log_weight: Floats = array(np.float64)

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, chosen: Ints | Bools) -> "Built":
        """Return some of them, in that order."""
        return Built(
            these=self.these.some(chosen),
            rows=self.rows[chosen],
            log_weight=self.log_weight[chosen],
        )


def light(pool: Pool, rows: Ints, variants: Sequence[Conjunctions], wanted: int) -> Built:
    """Return at most ``wanted`` light predicates, each once, in the order of their rows.

    rows: int64 ``[k]``; variants: of ``k`` predicates each, the widest first, of which the first
    that is light is taken. Where these are fewer than a tenth of those wanted, the least likely
    of those that few rows match make up the tenth.
    """
    strict = joined([])
    rest: list[Ints] = []
    for begin in range(0, len(rows), max(2 * wanted, 1)):
        part = np.arange(begin, min(begin + 2 * wanted, len(rows)))
        good, bad = _first_light(pool, rows[part], [v.some(part) for v in variants], LUCK)
        strict, rest = distinct(joined([strict, good])), [*rest, part[bad]]
        if len(strict) >= wanted:
            break
    least = -(-wanted // 10)
    if len(strict) >= least:
        return strict.some(np.arange(min(len(strict), wanted)))
    left = np.concatenate([np.zeros(0, np.int64), *rest])
    others, _ = _first_light(pool, rows[left], [variants[-1].some(left)], np.inf)
    rare = distinct(others.some(np.argsort(others.log_weight, kind="stable")))
    return joined([strict, rare.some(np.arange(min(len(rare), least - len(strict))))])


def _first_light(
    pool: Pool, rows: Ints, variants: Sequence[Conjunctions], luck: float
) -> tuple[Built, Ints]:
    """Return the light ones, and the places of rows that have none."""
    last = variants[-1]
    columns, low, high = last.columns.copy(), last.low.copy(), last.high.copy()
    found, weight = np.zeros(len(rows), np.bool_), np.zeros(len(rows))
    for these in variants:
        estimate = log_weight(pool, these)
        tried = np.flatnonzero(~found & (estimate <= np.log(luck / pool.people)))
        good = tried[few_matches(pool, these.some(tried))]
        columns[good], low[good], high[good] = (
            these.columns[good], these.low[good], these.high[good],
        )  # fmt: skip
        found[good], weight[good] = True, estimate[good]
    whole = Conjunctions(columns=columns, low=low, high=high)
    return Built(these=whole, rows=rows, log_weight=weight).some(found), np.flatnonzero(~found)


def few_matches(pool: Pool, these: Conjunctions) -> Bools:
    """Return which match no more people than the referee allows, own row apart; bool ``[k]``.

    Where there are auxiliary rows, released rows that repeat each other count as one: a generator
    that repeats a person's row gives the person away all the more.
    """
    released, auxiliary = matches(pool, these)
    around = 1 + int(pool.released * LUCK / pool.people)
    few: Bools = (released <= around) & (auxiliary <= pool.allowed)
    return few


def joined(parts: Sequence[Built]) -> Built:
    """Return predicates of any numbers of terms, one after the other."""
    terms = max((p.these.columns.shape[1] for p in parts), default=1)

    def padded(name: str, fill: int) -> Ints:
        arrays = [getattr(p.these, name) for p in parts]
        return np.concatenate(
            [np.zeros((0, terms), np.int64)]
            + [np.pad(a, ((0, 0), (0, terms - a.shape[1])), constant_values=fill) for a in arrays]
        )

    return Built(
        these=Conjunctions(
            columns=padded("columns", -1),
            low=padded("low", 0).astype(np.int32),
            high=padded("high", 0).astype(np.int32),
        ),
        rows=np.concatenate([np.zeros(0, np.int64), *(p.rows for p in parts)]),
        log_weight=np.concatenate([np.zeros(0), *(p.log_weight for p in parts)]),
    )


def distinct(built: Built) -> Built:
    """Return each predicate once: the first of those that say the same."""
    these = built.these
    whole = np.concatenate([these.columns, these.low, these.high], axis=1)
    first = np.unique(whole, axis=0, return_index=True)[1]
    return built.some(np.sort(first))


def answer(pool: Pool, built: Built) -> SinglingOutAnswer:
    """Claim predicates: surer the more their rows resemble people's, and the lighter they are."""
    return SinglingOutAnswer(
        predicates=predicates(pool, built.these),
        claims=sureness(pool, built.rows, built.log_weight),
    )


def sureness(pool: Pool, rows: Ints, log_weight: Floats) -> Floats:
    """Return the claims of predicates around released rows, in units of log-likelihood ratios."""
    by_chance = np.maximum(log_weight + np.log(pool.people), np.log(_NEGLIGIBLE))
    claims: Floats = row_likeness(pool)[rows] - by_chance
    return claims
