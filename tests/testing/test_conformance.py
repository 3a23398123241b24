"""The checks accept attacks that keep the contract, and each refuses one that breaks it."""

import sys
from types import ModuleType

import numpy as np
import pytest
from attrs import define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.offers import AttackOffer
from leakpro_core.testing import conformance
from leakpro_core.testing.conformance import ATTACK_CHECKS, answer, check_light_import
from leakpro_core.testing.simulation import simulated_challenge
from leakpro_core.testing.strategies import membership_challenges


@frozen(kw_only=True)
class Options:
    """temperature: of the softmax."""

    temperature: float = 2.0


@define(kw_only=True)
class Changeable:
    """Not frozen."""

    temperature: float = 2.0


@frozen(kw_only=True)
class Undocumented:
    temperature: float = 2.0


def claims(challenge):
    return challenge.target.log_p[2.0].astype(float).mean(axis=1)


def good(challenge, options, run):
    return MembershipAnswer(claims=claims(challenge))


def other_arguments(challenge):
    return good(challenge, None, None)


def bare_array(challenge, options, run):
    return claims(challenge)


def too_short(challenge, options, run):
    return MembershipAnswer(claims=claims(challenge)[1:])


def infinite(challenge, options, run):
    with np.errstate(divide="ignore"):
        return MembershipAnswer(claims=-np.log(-np.minimum(claims(challenge), 0.0)))


def global_randomness(challenge, options, run):
    return MembershipAnswer(claims=claims(challenge) + 1e-9 * np.random.normal(size=1))  # noqa: NPY002


def unseeded(challenge, options, run):
    noise = np.random.default_rng().normal(size=len(challenge.ids))
    return MembershipAnswer(claims=claims(challenge) + 1e-9 * noise)


def wrong_sign(challenge, options, run):
    return MembershipAnswer(claims=-claims(challenge))


@pytest.fixture
def offer(monkeypatch):
    """Return an offer of a function or options class of this module."""
    module = ModuleType("conformance_attacks")
    vars(module).update(globals())
    monkeypatch.setitem(sys.modules, "conformance_attacks", module)

    def make(function="good", options="Options", **more) -> AttackOffer:
        return AttackOffer(
            name="attack",
            ref=f"conformance_attacks:{function}",
            options=f"conformance_attacks:{options}",
            game="membership",
            temperature="temperature",
            reference="none",
            **more,
        )

    return make


@pytest.mark.parametrize("check", ATTACK_CHECKS, ids=lambda check: check.__name__)
def test_an_attack_that_keeps_the_contract_passes(check, offer):
    check(offer())


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("check_reference", {"function": "other_arguments"}),
        ("check_options", {"options": "Changeable"}),
        ("check_options", {"options": "Undocumented"}),
        ("check_answer", {"function": "bare_array"}),
        ("check_answer", {"function": "too_short"}),
        ("check_extremes", {"function": "infinite"}),
        ("check_seed", {"function": "global_randomness"}),
        ("check_seed", {"function": "unseeded"}),
        ("check_direction", {"function": "wrong_sign"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_an_attack_that_breaks_it_is_told(check, broken, offer):
    with pytest.raises((AssertionError, TypeError)):
        getattr(conformance, check)(offer(**broken))


def test_an_attack_that_follows_the_order_of_candidates_finds_nothing(offer, monkeypatch):
    """The simulation keeps core's promise: position tells nothing."""
    areas = []
    for seed in range(20):
        challenge, secret = simulated_challenge(seed)
        position = np.arange(len(challenge.ids), dtype=float)
        areas.append(conformance._auc(position, secret))
    assert abs(np.mean(areas) - 0.5) < 0.04


def test_a_light_module_passes():
    check_light_import("leakpro_core.builtin.plugin")


def test_a_heavy_module_is_told():
    with pytest.raises(AssertionError, match=r"leakpro_core\.records imports numpy"):
        check_light_import("leakpro_core.records")


@pytest.mark.parametrize("seed", range(3))
def test_a_simulated_challenge_is_what_a_challenge_is(seed):
    challenge, secret = simulated_challenge(
        seed, records=50, pairs=3, classes=4, queries=2, temperatures=(3.0,), raw_outputs=True
    )
    assert challenge.target.margin.shape == (50, 2)
    assert challenge.shadows.margin.shape == (6, 50, 2)
    assert challenge.shadows.outputs.shape == (6, 50, 2, 4)
    assert set(challenge.target.log_p) == {1.0, 3.0}
    assert challenge.auxiliary.shadows.margin.shape == (6, 25, 2)
    np.testing.assert_array_equal(challenge.trained_on[::2], ~challenge.trained_on[1::2])
    np.testing.assert_array_equal(challenge.pair, [0, 0, 1, 1, 2, 2])
    assert secret.members.sum() == 25


def test_a_simulated_leak_is_there_and_in_the_shadows_too():
    challenge, secret = simulated_challenge(0, leak=5.0, spread=0.1)
    assert conformance._auc(challenge.target.margin[:, 0].astype(float), secret) > 0.99
    inside = challenge.shadows.margin[challenge.trained_on].mean()
    outside = challenge.shadows.margin[~challenge.trained_on].mean()
    assert inside - outside == pytest.approx(5.0, abs=0.2)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_strategy_draws_challenges_that_an_attack_can_be_given(data):
    offer = AttackOffer(
        name="a", ref="leakpro_core.testing.simulation:x", game="g", shadows=4, reference="-"
    )
    challenge, secret = data.draw(membership_challenges(offer))
    n = len(challenge.ids)
    assert n >= 20
    assert len(challenge.pair) >= 4
    assert sorted(challenge.ids) == list(range(n))
    assert secret.members.sum() == n // 2


def test_the_fixture_finds_what_is_installed(leakpro_plugins):
    assert leakpro_plugins.reporter("json").plugin == "leakpro-core"


def test_an_answer_of_another_kind_is_told(offer):
    challenge, _ = simulated_challenge(0, temperatures=(2.0,))
    with pytest.raises(AssertionError, match="returned ndarray, not a MembershipAnswer"):
        answer(offer("bare_array"), challenge)
