"""What every attack must do; plain functions that raise ``AssertionError``.

An author runs them all, once for each offer (``leakpro plugins new`` writes that test)::

    @pytest.mark.parametrize("check", ATTACK_CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.parametrize("offer", leakpro_attacks(), ids=lambda offer: offer.name)
    def test_attack_conforms(offer, check):
        check(offer)

An attack on released tables (``access = Access.SAMPLES``) is checked in its own game, played by
core's own referee; one on federated updates by ``update_checks``, on a linear model where it needs
no framework's; any other one in the membership game on a model.
"""

import inspect
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from leakpro_core.arrays import Floats
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge, Secret
from leakpro_core.offers import Access, AttackOffer
from leakpro_core.references import resolve
from leakpro_core.testing import table_checks, update_checks
from leakpro_core.testing.runs import PlainRun, SilentLog, ask
from leakpro_core.testing.simulation import simulated_challenge
from leakpro_core.testing.updates import simulated_release

__all__ = ["ATTACK_CHECKS", "PlainRun", "SilentLog", "answer", "challenge_for"]

HEAVY = ("numpy", "scipy", "pandas", "sklearn", "torch", "jax", "sdv", "structlog")
"""What the module of an entry point may not import, directly or not."""


def answer(
    offer: AttackOffer, challenge: MembershipChallenge, *, seed: int = 0, options: object = None
) -> MembershipAnswer:
    """Return the attack's answer, with its default options unless others are given."""
    return ask(offer, challenge, MembershipAnswer, seed=seed, options=options)


def challenge_for(
    offer: AttackOffer, seed: int = 0, **changes: Any
) -> tuple[MembershipChallenge, Secret]:
    """Return a simulated challenge with what the offer says that the attack needs."""
    options = None if offer.options is None else resolve(offer.options)()
    temperature = 1.0 if offer.temperature is None else getattr(options, offer.temperature)
    settings: dict[str, Any] = {
        "pairs": max(4, -(-offer.shadows // 2)),
        "temperatures": (1.0, float(temperature)),
        "raw_outputs": offer.raw_outputs,
    }
    return simulated_challenge(seed, **(settings | changes))


def check_reference(offer: AttackOffer) -> None:
    """The reference leads to a function of challenge, options and run."""
    function = resolve(offer.ref)
    assert callable(function), f"{offer.ref} is not callable"
    inspect.signature(function).bind("challenge", "options", "run")


def check_options(offer: AttackOffer) -> None:
    """The options are a frozen attrs class whose every field has a default and a docstring."""
    if offer.options is None:
        return
    options = resolve(offer.options)
    assert attrs.has(options), f"{offer.options} is not an attrs class"
    value = options()
    for field in attrs.fields(options):
        try:
            setattr(value, field.name, getattr(value, field.name))
        except attrs.exceptions.FrozenInstanceError:
            continue
        raise AssertionError(f"{offer.options} is not frozen")
    assert (options.__doc__ or "").strip(), f"{offer.options} has no docstring"
    if offer.temperature is not None:
        names = [field.name for field in attrs.fields(options)]
        assert offer.temperature in names, f"no option {offer.temperature!r} in {offer.options}"


def check_answer(offer: AttackOffer) -> None:
    """One claim a candidate: a finite number, or NaN to abstain; of tables, as its game says.

    Attacks on tables are played blind, too: with auxiliary rows in the place of the release.
    """
    if _on_updates(offer):
        update_checks.check_answer(offer, _case(offer))
        update_checks.check_undisclosed(offer, _case(offer))
        return
    if _on_tables(offer):
        table_checks.check_answer(offer)
        return
    for seed, changes in enumerate(({}, {"classes": 2}, {"queries": 2}, {"records": 60})):
        challenge, _ = challenge_for(offer, seed, **changes)
        _check_claims(answer(offer, challenge).claims, challenge)


def check_extremes(offer: AttackOffer) -> None:
    """Saturated outputs and ties give no infinite claims.

    Of tables: missing values, ties, columns of one value or of none, equal rows, three rows.
    """
    if _on_updates(offer):
        update_checks.check_empty(offer, _case(offer))
        return
    if _on_tables(offer):
        table_checks.check_extremes(offer)
        return
    for changes in ({"spread": 60.0, "leak": 0.0}, {"spread": 0.0, "leak": 0.0}):
        challenge, _ = challenge_for(offer, 1, **changes)
        _check_claims(answer(offer, challenge).claims, challenge)


def check_seed(offer: AttackOffer) -> None:
    """The same challenge and seed give the same answer; global random state is left alone."""
    if _on_updates(offer):
        update_checks.check_seed(offer, _case(offer))
        update_checks.check_model(offer, _case(offer))
        return
    if _on_tables(offer):
        table_checks.check_seed(offer, _global_state)
        return
    challenge, _ = challenge_for(offer)
    before = _global_state()
    first = answer(offer, challenge, seed=5).claims
    second = answer(offer, challenge, seed=5).claims
    np.testing.assert_array_equal(first, second)
    assert before == _global_state(), f"{offer.ref} uses the global random state, not run.seed"


def check_direction(offer: AttackOffer) -> None:
    """Higher means surer: a plain leak is found, members above non-members."""
    if _on_updates(offer):
        update_checks.check_direction(offer, _case(offer))
        return
    if _on_tables(offer):
        table_checks.check_direction(offer)
        return
    challenge, secret = challenge_for(offer, 3, leak=6.0, records=400)
    claims = answer(offer, challenge).claims
    assert _auc(claims, secret) > 0.6, "a plain leak is not found, or claims have the wrong sign"


def check_no_leak(offer: AttackOffer) -> None:
    """Where nothing leaks nothing is found: claims follow no order of the candidates."""
    if _on_updates(offer):
        update_checks.check_noise(offer, _case(offer))
        return
    if _on_tables(offer):
        table_checks.check_no_leak(offer)
        return
    areas = []
    for seed in range(5):
        challenge, secret = challenge_for(offer, seed, leak=0.0, records=400)
        areas.append(_auc(answer(offer, challenge).claims, secret))
    # five times 200 against 200: the standard deviation of the mean is .013
    assert abs(np.mean(areas) - 0.5) < 0.06, f"AUC {np.mean(areas):.2f} where nothing leaks"


def check_order(offer: AttackOffer) -> None:
    """Of attacks on tables: the order of people, released and auxiliary rows hardly matters."""
    if _on_tables(offer):
        table_checks.check_order(offer)


ATTACK_CHECKS: tuple[Callable[[AttackOffer], None], ...] = (
    check_reference,
    check_options,
    check_answer,
    check_extremes,
    check_seed,
    check_direction,
    check_no_leak,
    check_order,
)
"""Every check of an attack."""


def check_light_import(module: str) -> None:
    """The module of an entry point imports leakpro_core only, so that listing stays fast."""
    code = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [], f"{module} imports {run.stdout}"


def _on_tables(offer: AttackOffer) -> bool:
    return offer.access is Access.SAMPLES


def _on_updates(offer: AttackOffer) -> bool:
    return offer.access is Access.UPDATE


def _case(offer: AttackOffer) -> update_checks.Case:
    assert offer.backend is None, (
        f"{offer.ref} needs a model of {offer.backend}: give one to "
        "leakpro_core.testing.update_checks.UPDATE_CHECKS"
    )
    return update_checks.Case(
        release=simulated_release(0, members=40, others=120, auxiliary=40, shape=(60,))
    )


def _check_claims(claims: Floats, challenge: MembershipChallenge) -> None:
    assert claims.shape == (len(challenge.ids),), f"shape {claims.shape}, not one a candidate"
    assert not np.isinf(claims).any(), "an infinite claim"


def _global_state() -> tuple[object, ...]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the one that must not be used
    return random.getstate(), repr(state)


def _auc(claims: Floats, secret: Secret) -> float:
    """Return the share of pairs with the member's claim above; ties and abstentions count half."""
    exposed, control = claims[secret.members, None], claims[~secret.members]
    unknown = np.isnan(exposed) | np.isnan(control)
    return float(np.where(unknown, 0.5, (exposed > control) + 0.5 * (exposed == control)).mean())
