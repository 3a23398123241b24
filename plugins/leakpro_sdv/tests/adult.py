"""Membership challenges on released tables, small and planted or from Adult, for tests."""

from functools import cache

import numpy as np
from attrs import evolve
from leakpro_sdv.plugin import leakpro_attacks
from planted import adult, mixed, plain_run

from leakpro_core.arrays import AnyArray, Bools, Floats
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.references import resolve
from leakpro_core.statistics.roc import auc, tpr_at_fpr
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix, stacked

TABLE_ONLY = ("distance", "neighbour-ratio", "domias", "gen-lra", "marginals", "panel")
EVERY = (*TABLE_ONLY, "shadow-generators")
OF_ROWS = tuple(name for name in EVERY if name != "marginals")
"""Attacks that see a row copied among many that are not."""


def claims(name: str, challenge: SamplesChallenge, seed: int = 0, **options: object) -> Floats:
    """Return the claims of an attack by its offer's name."""
    offer = next(o for o in leakpro_attacks() if o.name == name)
    chosen = None if offer.options is None else resolve(offer.options)(**options)
    answer = resolve(offer.ref)(challenge, chosen, plain_run(seed))
    assert isinstance(answer, MembershipAnswer)
    return answer.claims


def challenge(
    records: Table,
    released: Table,
    auxiliary: Table | None = None,
    shadows: tuple[Table, ...] = (),
    trained_on: Bools | None = None,
) -> SamplesChallenge:
    """Return a challenge; shadows are twins two by two."""
    n = len(records)
    return SamplesChallenge(
        ids=np.arange(n),
        records=evolve(records, subjects=np.arange(n)),
        synthetic=released,
        auxiliary=auxiliary,
        shadows=shadows,
        trained_on=np.zeros((0, n), bool) if trained_on is None else trained_on,
        pair=np.arange(len(shadows)) // 2,
    )


def planted(
    seed: int, *, n: int = 200, copied: float = 0.3, missing: float = 0.0, pairs: int = 0
) -> tuple[SamplesChallenge, Bools]:
    """Return a challenge of n members and n others whose generators copy a share of their rows."""
    rng = np.random.default_rng(seed)
    people = mixed(2 * n, rng, missing)
    members = np.arange(2 * n) < n
    halves = []
    for _ in range(pairs):
        half = rng.permutation(2 * n) < n
        halves += [half, ~half]

    def generated(on: AnyArray) -> Table:
        fitted, fresh = people.rows(on), mixed(n, rng, missing)
        k = int(copied * n)
        return stacked([fitted.rows(rng.permutation(n)[:k]), fresh.rows(np.arange(k, n))])

    drawn = challenge(
        people,
        generated(members),
        mixed(n, rng, missing),
        tuple(generated(on) for on in halves),
        np.array(halves) if halves else None,
    )
    return drawn, members


@cache
def adult_challenge(name: str) -> tuple[SamplesChallenge, Bools]:
    """Return the challenge of an Adult release: 1,200 control rows are known, others candidates."""
    original, control, released = adult("original", "control", name)
    order = np.random.default_rng(0).permutation(len(control))
    people = stacked([original, control.rows(order[1200:])])
    members = np.arange(len(people)) < len(original)
    return challenge(people, released, control.rows(order[:1200])), members


def separation(found: Floats, members: Bools) -> tuple[float, float]:
    """Return the AUC and the TPR at FPR 1%."""
    return auc(found, members).value, tpr_at_fpr(found, members, 0.01).tpr


def gower(a: Table, b: Table) -> Floats:
    """Return ``[a, b]``, distances by the definition, ranges over both tables."""
    x, y = a.matrix(), b.matrix()
    each = []
    for j, column in enumerate(a.columns):
        one, other = x[:, j, None], y[None, :, j]
        if column.measured:
            both = np.concatenate([x[:, j], y[:, j]])
            width = np.nanmax(both) - np.nanmin(both)
            far = np.abs(one - other) / (width if width > 0 else 1.0)
        else:
            far = (one != other).astype(float)
        far = np.where(np.isnan(one) | np.isnan(other), 1.0, far)
        each.append(np.where(np.isnan(one) & np.isnan(other), 0.0, far))
    return np.mean(each, axis=0)


def numbers(matrix: AnyArray) -> Table:
    """Return a table of number columns."""
    matrix = np.asarray(matrix, float)
    columns = tuple(Column(name=f"x{j}", kind=Kind.NUMERIC) for j in range(matrix.shape[1]))
    return from_matrix(columns, matrix)


def codes(values: AnyArray) -> Table:
    """Return a table of one column of levels a to h."""
    column = Column(name="code", kind=Kind.CATEGORICAL, levels=tuple("abcdefgh"))
    return from_matrix((column,), np.asarray(values, float)[:, None])
