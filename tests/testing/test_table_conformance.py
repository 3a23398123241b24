"""The checks accept attacks on tables that keep the contract, and each refuses one that breaks it.

The attacks here look for the released row that is nearest in one column of numbers.
"""

import sys
from types import ModuleType

import numpy as np
import pytest
from attrs import evolve

from leakpro_core.errors import NotApplicable
from leakpro_core.games.attribute_inference import AttributeAnswer
from leakpro_core.games.copies import CopiesAnswer
from leakpro_core.games.linkability import LinkabilityAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.singling_out import Predicate, SinglingOutAnswer, Term
from leakpro_core.offers import Access, AttackOffer
from leakpro_core.testing import conformance
from leakpro_core.testing.conformance import ATTACK_CHECKS
from leakpro_core.testing.tables import SHAPES, outcome, simulated_stage


def column(table, name="balance"):
    return np.nan_to_num(table.values[table.index(name)].astype(float), nan=-1e9)


def at(known, released):
    """Return the released row that is nearest in balance, and how far it is."""
    own, theirs = column(known), column(released)
    order = np.lexsort((np.arange(len(theirs)), theirs))
    place = np.clip(np.searchsorted(theirs[order], own), 1, max(len(theirs) - 1, 1))
    sides = order[np.stack([place - 1, np.minimum(place, len(theirs) - 1)])]
    far = np.abs(theirs[sides] - own)
    best = far.argmin(axis=0)
    return sides[best, np.arange(len(own))], far.min(axis=0)


def membership(challenge, options, run):
    return MembershipAnswer(claims=-at(challenge.records, challenge.synthetic)[1])


def singling_out(challenge, options, run):
    number = challenge.synthetic.index("balance")
    values = np.unique(challenge.synthetic.values[number])[: challenge.guesses]
    return SinglingOutAnswer(
        predicates=[Predicate([Term(number, v, v)]) for v in values], claims=np.zeros(len(values))
    )


def copies(challenge, options, run):
    return CopiesAnswer(
        rows=np.arange(len(challenge.synthetic)), claims=np.zeros(len(challenge.synthetic))
    )


def linkability(challenge, options, run):
    left, right, released = challenge.left, challenge.right, challenge.synthetic

    def away(rows, others):
        """Return how many columns differ, of those that both have."""
        return sum(column(rows, n)[:, None] != column(others, n) for n in rows.names)

    row = away(left, released).argmin(axis=1)
    partner = away(right, released)[:, row].argmin(axis=0)[:, None]
    return LinkabilityAnswer(
        partner=partner, mass=np.ones(partner.shape), claims=np.zeros(len(partner))
    )


def attribute_inference(challenge, options, run):
    if challenge.secret.name == "balance":
        raise NotApplicable("balance")
    row, far = at(challenge.known, challenge.synthetic)
    guesses = challenge.synthetic.only([challenge.secret.name]).matrix()[row, 0]
    return AttributeAnswer(guesses=guesses, claims=-far)


def short(challenge, options, run):
    return MembershipAnswer(claims=membership(challenge, options, run).claims[1:])


def infinite(challenge, options, run):
    with np.errstate(divide="ignore"):
        return MembershipAnswer(claims=-np.log(-membership(challenge, options, run).claims))


def wrong_sign(challenge, options, run):
    return MembershipAnswer(claims=-membership(challenge, options, run).claims)


def other_type(challenge, options, run):
    return copies(challenge, options, run)


def unseeded(challenge, options, run):
    noise = np.random.default_rng().normal(size=len(challenge.ids))
    return MembershipAnswer(claims=membership(challenge, options, run).claims + 1e-9 * noise)


def global_randomness(challenge, options, run):
    np.random.random()  # noqa: NPY002
    return membership(challenge, options, run)


def asks_for_auxiliary(challenge, options, run):
    assert challenge.auxiliary is not None
    return copies(challenge, options, run)


def by_order(challenge, options, run):
    """Compare each record with the released row in its place: half of the signal is the order's."""
    claims = membership(challenge, options, run).claims
    return MembershipAnswer(claims=claims - 1e4 * np.arange(len(claims)) % 97)


def too_many(challenge, options, run):
    predicates = [Predicate([Term(0, v, v)]) for v in range(challenge.guesses + 1)]
    return SinglingOutAnswer(predicates=predicates, claims=np.zeros(len(predicates)))


def lists(challenge, options, run):
    """Leave out all but the rows at the start, where a leak has no reason to be."""
    return CopiesAnswer(rows=np.full(2, 0), claims=np.zeros(2))


@pytest.fixture
def offer(monkeypatch):
    """Return an offer of a function of this module."""
    module = ModuleType("table_attacks")
    vars(module).update(globals())
    monkeypatch.setitem(sys.modules, "table_attacks", module)

    def make(function, game="membership", **more) -> AttackOffer:
        return AttackOffer(
            name="attack",
            ref=f"table_attacks:{function}",
            game=game,
            access=Access.SAMPLES,
            reference="none",
            **more,
        )

    return make


@pytest.mark.parametrize("check", ATTACK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("game", ["membership", "singling-out", "copies", "linkability"])
def test_an_attack_that_keeps_the_contract_passes(check, game, offer):
    check(offer(game.replace("-", "_"), game))


@pytest.mark.parametrize(
    ("check", "function", "game"),
    [
        ("check_answer", "short", "membership"),
        ("check_answer", "other_type", "membership"),
        ("check_answer", "asks_for_auxiliary", "copies"),
        ("check_answer", "too_many", "singling-out"),
        ("check_answer", "lists", "copies"),
        ("check_extremes", "infinite", "membership"),
        ("check_seed", "unseeded", "membership"),
        ("check_seed", "global_randomness", "membership"),
        ("check_direction", "wrong_sign", "membership"),
        ("check_order", "by_order", "membership"),
    ],
)
def test_an_attack_that_breaks_it_is_told(check, function, game, offer):
    with pytest.raises(AssertionError):
        getattr(conformance, check)(offer(function, game))


def test_what_is_not_applicable_is_an_answer_to_extremes_alone(offer):
    refuses = offer("attribute_inference", "attribute-inference")
    conformance.check_extremes(refuses)
    with pytest.raises(NotApplicable):
        conformance.check_direction(refuses)


@pytest.mark.parametrize("leak", [0.0, 0.5, 1.0])
def test_a_simulated_leak_is_as_large_as_said(leak, offer):
    gain = outcome(offer("copies", "copies"), simulated_stage(0, leak=leak, rounds=240)).gain
    assert gain == pytest.approx(leak, abs=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_people_of_a_simulated_stage_are_of_one_arm_each(shape):
    stage = simulated_stage(0, shape=shape, pairs=2)
    everybody = [stage.original, stage.control, stage.auxiliary]
    subjects = np.concatenate([table.subjects for table in everybody])
    assert len(np.unique(subjects)) == len(subjects)
    assert [table.columns for table in everybody] == [stage.released.columns] * 3
    np.testing.assert_array_equal(stage.trained_on[::2], ~stage.trained_on[1::2])
    assert len(stage.shadows) == 4


def test_shapes_are_what_they_say():
    stages = {shape: simulated_stage(1, shape=shape, leak=0.0) for shape in SHAPES}
    people = {shape: stage.original.matrix()[:, :5] for shape, stage in stages.items()}
    assert np.isnan(people["missing"]).mean() == pytest.approx(0.5, abs=0.05)
    assert len(np.unique(people["tied"][:, 0])) < 10
    assert (people["equal"] == people["equal"][0]).all()
    constant = stages["constant"].original
    assert all(len(np.unique(v)) == 1 for v in constant.values[6:])
    assert len(stages["few"].released) == 3


def test_the_gain_of_nobody_is_nothing(offer):
    stage = simulated_stage(0)
    found = outcome(offer("copies", "copies"), stage)
    silent = evolve(
        found.refereed.evidence, claim=np.full(len(found.refereed.evidence.claim), np.nan)
    )
    assert evolve(found, refereed=evolve(found.refereed, evidence=silent)).gain == 0.0
