"""Linkability: two halves of a person's columns, brought together by the release.

Success: people in the training data against control people, all in one challenge.
"""

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Floats, Ints, array
from leakpro_core.errors import BadValue
from leakpro_core.games.answers import check_claims, listed, surest, wrong
from leakpro_core.games.encounters import households, sample_together
from leakpro_core.games.outcome import Exhibit, Refereed
from leakpro_core.games.samples import WITHHELD, People, TableStage, attacked, draw
from leakpro_core.records import Evidence
from leakpro_core.tabular.table import Table

ROUNDING = 1e-9
"""How far the masses of a row may sum to more than 1, for they are sums of floats."""


@frozen(kw_only=True)
class LinkabilityChallenge:
    """What the adversary gets: two column-disjoint tables of the same n people, each shuffled.

    left, right: ``[n]``; synthetic: released rows with all columns; auxiliary: rows of the same
    source with all columns, or None.
    """

    left: Table
    right: Table
    synthetic: Table
    auxiliary: Table | None = None


@frozen(kw_only=True)
class LinkabilityAnswer:
    """Who in ``right`` each row of ``left`` is.

    partner: int64 ``[n, k]``, rows of right, -1 where there is none; mass: float64 ``[n, k]``,
    the belief in each, at most 1 in a row: what ties share; claims: float64 ``[n]``, how sure.
    """

    partner: Ints = array(np.int64)
    mass: Floats = array(np.float64)
    claims: Floats = array(np.float64)


@frozen(kw_only=True)
class Secret:
    """What core keeps to itself.

    left, right: int64 ``[n]``, row i of that half is row ``left[i]``, ``right[i]`` of ``people``;
    names: columns of each half.
    """

    people: People
    left: Ints = array(np.int64)
    right: Ints = array(np.int64)
    names: tuple[tuple[str, ...], tuple[str, ...]]


def challenge(
    stage: TableStage, left: Sequence[str], seed: int
) -> tuple[LinkabilityChallenge, Secret]:
    """Draw people of both arms, with all their rows; both halves are shuffled on their own.

    People of one row are drawn together where they come so (``encounters.households``).

    left: columns of the left half, the others are the right one. ``UnknownName`` for a column that
    is not there, ``BadValue`` for an identifier or free text, or where a half is empty.
    """
    rng = np.random.default_rng(seed)
    table = stage.original
    for column in (table.columns[table.index(name)] for name in left):
        if column.kind in WITHHELD:
            raise BadValue(
                "left half of linkability",
                found=f"{column.name!r}, which is {column.kind.value}",
                expected="columns that attacks are given",
            )
    right = tuple(name for name in attacked(table).names if name not in left)
    if not left or not right:
        raise BadValue(
            "halves of linkability",
            found=f"{len(left)} and {len(right)} columns",
            expected="at least one column in each half",
        )
    # Who has a twin among the candidates shares the credit with it: of both arms alike.
    twins = households(attacked(stage.original), attacked(stage.control))
    people = draw(stage, stage.rounds, rng, sample_together if twins else None)
    n = len(people.rows)
    secret = Secret(
        people=people,
        left=rng.permutation(n),
        right=rng.permutation(n),
        names=(tuple(left), right),
    )

    def half(names: Sequence[str], order: Ints) -> Table:
        # A number of its own for each row: numbers of people would link the halves.
        return evolve(people.table.only(names).rows(order), subjects=np.arange(n))

    given = LinkabilityChallenge(
        left=half(secret.names[0], secret.left),
        right=half(secret.names[1], secret.right),
        synthetic=attacked(stage.released),
        auxiliary=None if stage.auxiliary is None else attacked(stage.auxiliary),
    )
    return given, secret


def referee(
    answer: LinkabilityAnswer, secret: Secret, blind: LinkabilityAnswer | None, *, attack: str
) -> Refereed:
    """Compare an answer with the secret; rounds come in the order of original, then control.

    A hit is the mass on the rows of the same person, so that ties share the credit; by luck it is
    the person's share of the right half. An abstention hits nothing. ``WrongAnswer`` for shapes
    that do not fit, partners that there are not or that are named twice by one row, masses that
    are negative or sum to more than 1 in a row, infinite claims.
    """
    people, n = secret.people, len(secret.left)
    back = np.argsort(secret.left)
    hit, claim = (values[back] for values in _hits(answer, secret, attack))
    nothing = np.full(n, np.nan)
    blind_hit = blind_claim = nothing
    if blind is not None:
        found = _hits(blind, secret, f"{attack}, blind")
        blind_hit, blind_claim = (values[back] for values in found)
    rows_of_person = np.unique(people.table.subjects, return_inverse=True, return_counts=True)
    evidence = Evidence(
        subject=people.table.subjects,
        cluster=np.zeros(n, np.int64),
        exposed=people.exposed,
        claim=claim,
        hit=hit,
        blind_claim=blind_claim,
        blind_hit=blind_hit,
        null_p=rows_of_person[2][rows_of_person[1]] / n,
    )
    return Refereed(
        evidence=evidence,
        facets=("",),
        asked=n,
        made=int(np.count_nonzero(~np.isnan(claim))),
        exhibits=_exhibits(evidence, secret),
        tenth=people.tenth,
    )


def _hits(answer: LinkabilityAnswer, secret: Secret, attack: str) -> tuple[Floats, Floats]:
    """Return the mass on the true person and the claim of each left row, in its order."""
    _check(answer, len(secret.left), attack)
    subjects = secret.people.table.subjects
    partner = subjects[secret.right][answer.partner]
    true = (partner == subjects[secret.left][:, None]) & (answer.partner >= 0)
    mass = np.where(true, answer.mass, 0.0).sum(axis=1)
    abstains = np.isnan(answer.claims)
    return np.where(abstains, 0.0, np.minimum(mass, 1.0)), answer.claims


def _check(answer: LinkabilityAnswer, n: int, attack: str) -> None:
    check_claims(answer.claims, n, attack)
    partner, mass = answer.partner, answer.mass
    if partner.ndim != 2 or len(partner) != n or mass.shape != partner.shape:
        raise wrong(
            attack,
            f"partners of shape {partner.shape} and masses of shape {mass.shape}",
            f"({n}, k), both",
        )
    outside = np.argwhere((partner < -1) | (partner >= n))
    if outside.size:
        i, j = outside[0]
        raise wrong(
            attack, f"partner {partner[i, j]} of row {i}", f"-1, or a row from 0 to {n - 1}"
        )
    ordered = np.sort(partner, axis=1)
    twice = np.argwhere((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0))
    if twice.size:
        i, j = twice[0]
        raise wrong(attack, f"partner {ordered[i, j]} twice in row {i}", "each partner once")
    bad = np.flatnonzero(
        ~np.isfinite(mass).all(axis=1) | (mass < 0).any(axis=1) | (mass.sum(axis=1) > 1 + ROUNDING)
    )
    if bad.size:
        raise wrong(
            attack,
            f"masses of row {bad[0]} that sum to {mass[bad[0]].sum():g}, or a negative one",
            "masses from 0 that sum to 1 at most",
        )


def _exhibits(evidence: Evidence, secret: Secret) -> tuple[Exhibit, ...]:
    # A true partner that got less than half of the mass was not named.
    named = evidence.exposed & (evidence.hit > 0.5)
    halves = [secret.people.table.only(names) for names in secret.names]
    return tuple(
        Exhibit(
            claim=f"{listed(halves[0].shown(i))} is the person with {listed(halves[1].shown(i))}",
            truth=secret.people.table.shown(i),
            subject=int(evidence.subject[i]),
            sure=float(evidence.claim[i]),
            facet="",
        )
        for i in surest(evidence.claim, named, evidence.subject).tolist()
    )
