"""Attacks on updates that break a promise are told, and those that keep them pass."""

import numpy as np
import pytest
from attrs import evolve

from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.offers import Access, AttackOffer
from leakpro_core.records import Disclosed
from leakpro_core.testing import conformance, updates
from leakpro_core.testing.update_checks import UPDATE_CHECKS, Case
from leakpro_core.testing.updates import simulated_release

CHECKS = {check.__name__.removeprefix("check_"): check for check in UPDATE_CHECKS}


def case(kind="gradient", lr=None):
    how = Disclosed(kind=kind, examples=1, lr=lr, mode="eval", reduction="mean")
    return Case(release=simulated_release(0, disclosed=how, members=40, others=120, shape=(60,)))


def offer(function, game="gradient-inversion", **more):
    own = f"leakpro_core.testing.updates:{function}"
    ref = own if hasattr(updates, function) else f"test_update_conformance:{function}"
    return AttackOffer(
        name=function.replace("_", "-"),
        ref=ref,
        game=game,
        access=Access.UPDATE,
        reference="none",
        **more,
    )


# Attacks that break one promise each.


def careful(challenge, options, run):
    """Return what ``exact`` does where there is something to divide by."""
    bias = challenge.update.get("bias")
    if challenge.disclosed.kind == "weights" and bias is not None:
        bias = challenge.before["bias"] - bias
    if "weight" not in challenge.update or not np.abs(bias).max() > 0:
        raise NotApplicable("exact", found="an update of nothing")
    return updates.exact(challenge, options, run)


def crashes_without_labels(challenge, options, run):
    return evolve(careful(challenge, options, run), labels=challenge.labels + 0)


def crashes_without_lr(challenge, options, run):
    assert challenge.disclosed.mode is not None
    return careful(challenge, options, run)


def other_shape(challenge, options, run):
    answer = careful(challenge, options, run)
    return evolve(answer, records=answer.records[:, :-1])


def unseeded(challenge, options, run):
    answer = careful(challenge, options, run)
    return evolve(answer, claims=np.random.default_rng().random(1))


def global_randomness(challenge, options, run):
    np.random.random()  # noqa: NPY002
    return careful(challenge, options, run)


def changes_the_model(challenge, options, run):
    object.__setattr__(challenge.model, "disclosed", Disclosed(kind="delta", lr=run.seed + 2.0))
    return careful(challenge, options, run)


def certifies_all(challenge, options, run):
    answer = updates.guess(challenge, options, run)
    return evolve(answer, certified=np.ones(len(answer.claims), np.bool_))


def other_game(challenge, options, run):
    return MembershipAnswer(claims=np.zeros(1))


def never(challenge, options, run):
    raise NotApplicable("it", found="an update")


@pytest.mark.parametrize("check", UPDATE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["gradient", "delta", "weights"])
def test_an_attack_that_keeps_its_promises_passes(check, kind):
    check(offer("careful"), case(kind, lr=0.5))


@pytest.mark.parametrize("check", UPDATE_CHECKS, ids=lambda check: check.__name__)
def test_one_on_membership_does_too(check):
    if check.__name__ != "check_empty":  # it does not refuse updates of which a part is missing
        check(offer("aligned", game="membership"), case())


@pytest.mark.parametrize(
    ("function", "check", "error"),
    [
        ("crashes_without_labels", "answer", TypeError),
        ("crashes_without_lr", "undisclosed", AssertionError),
        ("other_shape", "answer", Exception),
        ("unseeded", "seed", AssertionError),
        ("global_randomness", "seed", AssertionError),
        ("changes_the_model", "model", AssertionError),
        ("certifies_all", "noise", AssertionError),
        ("certifies_all", "empty", AssertionError),
        ("exact", "empty", KeyError),
        ("guess", "direction", AssertionError),
        ("never", "answer", AssertionError),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_attack_that_breaks_one_is_told(function, check, error):
    with pytest.raises(error):
        CHECKS[check](offer(function), case())


@pytest.mark.parametrize("check", conformance.ATTACK_CHECKS, ids=lambda check: check.__name__)
def test_the_checks_of_all_attacks_are_these_where_no_framework_is_needed(check):
    check(offer("careful"))


def test_an_attack_that_needs_a_framework_is_told_where_its_checks_are():
    with pytest.raises(AssertionError, match=r"needs a model of torch: give one to .*UPDATE"):
        conformance.check_answer(offer("careful", backend="torch"))


def test_an_answer_of_another_game_is_told():
    with pytest.raises(AssertionError, match="returned MembershipAnswer, not a InversionAnswer"):
        CHECKS["answer"](offer("other_game"), case())
