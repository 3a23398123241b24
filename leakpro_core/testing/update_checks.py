"""What every attack on federated updates must do; plain functions that raise ``AssertionError``.

An attack needs a model of its own framework, so that its author makes a case of one: a release as
loaders return it, with a client's procedure and its records::

    @pytest.mark.parametrize("check", UPDATE_CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.parametrize("offer", leakpro_attacks(), ids=lambda offer: offer.name)
    def test_attack_conforms(offer, check):
        check(offer, Case(release=...))

Challenges are drawn, and answers compared, by the same code as in an audit. ``conformance`` runs
these for attacks that need no framework, on a linear model.
"""

import pickle
import random
import sys
from collections.abc import Callable

import numpy as np
from attrs import evolve, fields

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer
from leakpro_core.offers import AttackOffer
from leakpro_core.plan import OF_CLIENTS
from leakpro_core.records import Disclosed
from leakpro_core.testing.update_cases import (
    TRIED,
    Answer,
    Case,
    answer,
    challenge_for,
    last_alone,
    noise,
    of_membership,
    singles_named,
    zeros,
)

__all__ = ["UPDATE_CHECKS", "Case", "answer", "challenge_for"]

KNOWS: tuple[tuple[str, ...], ...] = (
    OF_CLIENTS,
    tuple(k for k in OF_CLIENTS if k != "labels"),
    tuple(k for k in OF_CLIENTS if k not in ("labels", "batch size")),
    tuple(k for k in OF_CLIENTS if k not in ("hyper-parameters", "auxiliary population")),
    ("candidate records",),
    (),
)
"""What adversaries of the checks know, from all there is to nothing."""


def check_answer(offer: AttackOffer, case: Case) -> None:
    """Whatever the adversary knows: an answer that the referee can use, or ``NotApplicable``.

    And for one of these adversaries at least there is an answer.
    """
    applies = False
    for knows in KNOWS:
        try:
            drawn, referee = challenge_for(offer, case, knows)
        except NotApplicable:  # of core: candidates that the adversary does not know
            continue
        said = answer(offer, case, drawn)
        if said is not None:
            referee(said)
            applies = True
    assert applies, f"{offer.ref} applies to no adversary of this case"


def check_undisclosed(offer: AttackOffer, case: Case) -> None:
    """Where a client disclosed no more than the kind of its update: an answer, or NotApplicable."""
    nothing = Disclosed(kind=case.updates.disclosed.kind)
    for knows in KNOWS[:2]:
        drawn, referee = challenge_for(offer, case, knows)
        said = answer(offer, case, evolve(drawn, disclosed=nothing, auxiliary=None))
        if said is not None:
            referee(said)


def check_model(offer: AttackOffer, case: Case) -> None:
    """The model that the attack is handed is the same afterwards, its mode included."""
    for knows in KNOWS[:2]:
        drawn, _ = challenge_for(offer, case, knows)
        before = pickle.dumps(drawn.model)
        answer(offer, case, drawn)
        assert pickle.dumps(drawn.model) == before, f"{offer.ref} changed the model"


def check_seed(offer: AttackOffer, case: Case) -> None:
    """The same challenge and seed give the same answer; global random state is left alone."""
    for knows in KNOWS[:2]:
        drawn, _ = challenge_for(offer, case, knows)
        before = _global_state()
        first, second = (answer(offer, case, drawn, seed=5) for _ in range(2))
        assert before == _global_state(), f"{offer.ref} uses the global random state, not run.seed"
        assert (first is None) == (second is None), f"{offer.ref} applies only now and then"
        if first is None or second is None:
            continue
        for field in fields(type(first)):
            one, other = getattr(first, field.name), getattr(second, field.name)
            same = one == other
            if isinstance(one, np.ndarray | float):
                same = np.array_equal(one, other, equal_nan=True)
            assert same, f"{offer.ref}: {field.name} differs for the same seed"


def check_empty(offer: AttackOffer, case: Case) -> None:
    """An update of zeros, or of which the last array alone was sent, crashes nothing.

    Of zeros nothing is certified.
    """
    for change in (zeros, last_alone):
        for knows in KNOWS[:2]:
            drawn, referee = challenge_for(offer, case, knows, change=change)
            said = answer(offer, case, drawn)
            if said is not None:
                referee(said)
                if change is zeros:
                    _uncertain(offer, said, "an update of zeros")


def check_noise(offer: AttackOffer, case: Case) -> None:
    """An update that is noise alone gives nothing away: nothing of it is certified."""
    for knows in KNOWS[:2]:
        drawn, referee = challenge_for(offer, case, knows, change=noise)
        said = answer(offer, case, drawn)
        if said is not None:
            referee(said)
            _uncertain(offer, said, "an update of noise")


def check_direction(offer: AttackOffer, case: Case) -> None:
    """What plain gradients of single records give away is named; higher claims are surer.

    Of membership: claims of the client's records lie above those of others.
    """
    if of_membership(offer):
        drawn, referee = challenge_for(offer, case)
        said = answer(offer, case, drawn)
        assert said is not None, f"{offer.ref} does not apply to what all is known of"
        e = referee(said).evidence
        exposed, control = e.claim[e.exposed, None], e.claim[~e.exposed]
        unknown = np.isnan(exposed) | np.isnan(control)
        above = np.where(unknown, 0.5, (exposed > control) + 0.5 * (exposed == control))
        assert above.mean() > 0.6, "a plain leak is not found, or claims have the wrong sign"
        return
    tried = [singles_named(offer, case, knows) for knows in KNOWS[:2]]
    assert max(tried) > TRIED // 2, (
        f"{offer.ref} names {max(tried)} of {TRIED} records that plain gradients give away"
    )


UPDATE_CHECKS: tuple[Callable[[AttackOffer, Case], None], ...] = (
    check_answer,
    check_undisclosed,
    check_model,
    check_seed,
    check_empty,
    check_noise,
    check_direction,
)
"""Every check of an attack on updates."""


def _uncertain(offer: AttackOffer, said: Answer, what: str) -> None:
    if isinstance(said, InversionAnswer):
        assert not said.certified.any(), f"{offer.ref} certifies records by {what}"


def _global_state() -> tuple[object, ...]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the one that must not be used
    torch = sys.modules.get("torch")
    drawn = None if torch is None else torch.random.get_rng_state().numpy().tobytes()
    return random.getstate(), repr(state), drawn
