"""Membership game: was this record in the training data?

Detection: the claims of members and non-members are compared.
"""

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen

from leakpro_core import spill
from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.errors import WrongAnswer
from leakpro_core.protocols import Queryable
from leakpro_core.records import Evidence, Population, Signals
from leakpro_core.signals import gather, gathered, take


@frozen(kw_only=True)
class AuxiliaryView:
    """What the adversary has of records that are certainly no members.

    target: signals ``[n_auxiliary, queries]``; shadows: ``[models, n_auxiliary, queries]`` or None.
    """

    labels: Ints = array(np.int64)
    records: AnyArray | None = array(optional=True)
    target: Signals
    shadows: Signals | None = None


@frozen(kw_only=True)
class MembershipChallenge:
    """What the adversary gets; row i of every array is candidate i, in an order of core's own.

    ids: opaque int64 ``[n]``; labels: int64 ``[n]``; classes: number of classes;
    records: ``[n, ...]`` where the adversary knows them;
    target: signals ``[n, queries]``;
    shadows: signals ``[models, n, queries]``, with zero models where there are none;
    trained_on: bool ``[models, n]``; pair: int64 ``[models]``: twins, trained on complementary
    halves, share a number, and whoever calibrates on shadows leaves out whole pairs;
    auxiliary: None where the adversary has none;
    weights: parameters of the shadows ``[models, ...]`` by name, where the attack asks for models;
    query: the target behind the adversary's access and budget, for adaptive attacks.
    """

    ids: Ints = array(np.int64)
    labels: Ints = array(np.int64)
    classes: int
    records: AnyArray | None = array(optional=True)
    target: Signals
    shadows: Signals
    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)
    auxiliary: AuxiliaryView | None = None
    weights: Mapping[str, AnyArray] = field(factory=dict, repr=False)
    query: Queryable | None = None


@frozen(kw_only=True)
class MembershipAnswer:
    """One claim a candidate, float64 ``[n]``: higher: surer that it is a member; NaN: abstains."""

    claims: Floats = array(np.float64)


@frozen(kw_only=True)
class Secret:
    """What core keeps to itself.

    order: int64 ``[n]``, challenge row i is record ``order[i]`` of the population;
    members: bool ``[n]`` and subjects: int64 ``[n]``, in the challenge's order.
    """

    order: Ints = array(np.int64)
    members: Bools = array(np.bool_)
    subjects: Ints = array(np.int64)


@frozen(kw_only=True)
class Stage:
    """Everything about one target that core draws a challenge from.

    target ``[n, queries]``, shadows ``[models, n, queries]``, trained_on ``[models, n]`` and
    pair ``[models]``: of all shadows that there are, and perhaps of more records behind the n;
    keep: numbers of the shadows that a challenge holds, all of them where None: neither the
    target nor its complement twin; weights: of all shadows, where the attack asks for models.
    """

    population: Population
    members: Bools = array(np.bool_)
    target: Signals
    shadows: Signals
    trained_on: Bools = array(np.bool_)
    pair: Ints = array(np.int64)
    keep: Ints | None = array(np.int64, optional=True)
    auxiliary: AuxiliaryView | None = None
    weights: Mapping[str, AnyArray] = field(factory=dict, repr=False)

    @property
    def kept(self) -> Ints:
        """Numbers of the shadows that a challenge holds."""
        return np.arange(len(self.pair)) if self.keep is None else self.keep


def challenge(
    stage: Stage, rows: Ints, seed: int, *, records: bool, query: Queryable | None = None
) -> tuple[MembershipChallenge, Secret]:
    """Draw a challenge over the population's ``rows``: fresh copies in a secret order.

    Each array is copied once, a model at a time, and large ones lie in files without a name.

    records: whether the adversary knows the candidate records.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    people, keep, rows_in_order = stage.population, stage.kept, spill.Order.of(order)
    drawn = MembershipChallenge(
        ids=rng.permutation(len(order)),
        labels=people.labels[order],
        classes=people.classes,
        records=spill.chosen(people.records, order)
        if records and people.records is not None
        else None,
        target=take(stage.target, order),
        shadows=gather(stage.shadows, keep, rows_in_order),
        trained_on=gathered(stage.trained_on, keep, rows_in_order),
        pair=stage.pair[keep],
        auxiliary=stage.auxiliary,
        weights={name: values[keep] for name, values in stage.weights.items()},
        query=query,
    )
    secret = Secret(order=order, members=stage.members[order], subjects=people.subjects[order])
    return drawn, secret


def referee(
    answer: MembershipAnswer, secret: Secret, *, blind: Floats | None, cluster: int, attack: str
) -> Evidence:
    """Compare an answer with the secret; rounds come in the population's order.

    blind: claims ``[population]`` of the blind adversary, None where there is none.
    ``WrongAnswer`` if the claims are not one number (or NaN) for each candidate.
    """
    claims = answer.claims
    n = len(secret.order)
    if claims.shape != (n,):
        raise WrongAnswer(
            f"answer of attack {attack!r}", found=f"shape {claims.shape}", expected=f"({n},)"
        )
    infinite = np.flatnonzero(np.isinf(claims))
    if infinite.size:
        raise WrongAnswer(
            f"answer of attack {attack!r}",
            found=f"an infinite claim for candidate {infinite[0]}",
            expected="finite claims, or NaN to abstain",
        )
    back = np.argsort(secret.order)
    return rounds(
        secret.subjects[back],
        secret.members[back],
        claims[back],
        blind=None if blind is None else blind[np.sort(secret.order)],
        cluster=cluster,
    )


def rounds(
    subjects: Ints, members: Bools, claims: Floats, *, blind: Floats | None, cluster: int
) -> Evidence:
    """Return the rounds of one target: subjects, members, claims and blind claims ``[n]``."""
    n = len(claims)
    nothing = np.full(n, np.nan)
    return Evidence(
        subject=subjects,
        cluster=np.full(n, cluster),
        exposed=members,
        claim=claims,
        hit=nothing,
        blind_claim=nothing if blind is None else blind,
        blind_hit=nothing,
        null_p=nothing,
    )
