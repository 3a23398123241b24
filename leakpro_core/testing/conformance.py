"""What every attack must do; plain functions that raise ``AssertionError``.

An author runs them all, once for each offer (``leakpro plugins new`` writes that test)::

    @pytest.mark.parametrize("check", ATTACK_CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.parametrize("offer", leakpro_attacks(), ids=lambda offer: offer.name)
    def test_attack_conforms(offer, check):
        check(offer)
"""

import inspect
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from leakpro_core.arrays import Floats
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge, Secret
from leakpro_core.offers import AttackOffer
from leakpro_core.references import resolve
from leakpro_core.testing.simulation import simulated_challenge

HEAVY = ("numpy", "scipy", "pandas", "sklearn", "torch", "jax", "sdv", "structlog")
"""What the module of an entry point may not import, directly or not."""


class SilentLog:
    """A log that forgets what it is told."""

    def debug(self, event: str, **values: object) -> None: ...
    def info(self, event: str, **values: object) -> None: ...
    def warning(self, event: str, **values: object) -> None: ...


@attrs.frozen(kw_only=True)
class PlainRun:
    """A run for tests (see ``leakpro_core.protocols.Run``)."""

    seed: int
    scratch: Path
    log: SilentLog = attrs.field(factory=SilentLog)


def answer(
    offer: AttackOffer, challenge: MembershipChallenge, *, seed: int = 0, options: object = None
) -> MembershipAnswer:
    """Return the attack's answer, with its default options unless others are given."""
    if options is None and offer.options is not None:
        options = resolve(offer.options)()
    with tempfile.TemporaryDirectory() as scratch:
        run = PlainRun(seed=seed, scratch=Path(scratch))
        result = resolve(offer.ref)(challenge, options, run)
    assert isinstance(result, MembershipAnswer), (
        f"{offer.ref} returned {type(result).__name__}, not a MembershipAnswer"
    )
    return result


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
    """One claim a candidate: a finite number, or NaN to abstain."""
    for seed, changes in enumerate(({}, {"classes": 2}, {"queries": 2}, {"records": 60})):
        challenge, _ = challenge_for(offer, seed, **changes)
        _check_claims(answer(offer, challenge).claims, challenge)


def check_extremes(offer: AttackOffer) -> None:
    """Saturated outputs and ties give no infinite claims."""
    for changes in ({"spread": 60.0, "leak": 0.0}, {"spread": 0.0, "leak": 0.0}):
        challenge, _ = challenge_for(offer, 1, **changes)
        _check_claims(answer(offer, challenge).claims, challenge)


def check_seed(offer: AttackOffer) -> None:
    """The same challenge and seed give the same claims; global random state is left alone."""
    challenge, _ = challenge_for(offer)
    before = _global_state()
    first = answer(offer, challenge, seed=5).claims
    second = answer(offer, challenge, seed=5).claims
    np.testing.assert_array_equal(first, second)
    assert before == _global_state(), f"{offer.ref} uses the global random state, not run.seed"


def check_direction(offer: AttackOffer) -> None:
    """Higher means surer: a plain leak is found, members above non-members."""
    challenge, secret = challenge_for(offer, 3, leak=6.0, records=400)
    claims = answer(offer, challenge).claims
    assert _auc(claims, secret) > 0.6, "a plain leak is not found, or claims have the wrong sign"


def check_no_leak(offer: AttackOffer) -> None:
    """Where nothing leaks nothing is found: claims follow no order of the candidates."""
    areas = []
    for seed in range(5):
        challenge, secret = challenge_for(offer, seed, leak=0.0, records=400)
        areas.append(_auc(answer(offer, challenge).claims, secret))
    # five times 200 against 200: the standard deviation of the mean is .013
    assert abs(np.mean(areas) - 0.5) < 0.06, f"AUC {np.mean(areas):.2f} where nothing leaks"


ATTACK_CHECKS: tuple[Callable[[AttackOffer], None], ...] = (
    check_reference,
    check_options,
    check_answer,
    check_extremes,
    check_seed,
    check_direction,
    check_no_leak,
)
"""Every check of an attack of the membership game."""


def check_light_import(module: str) -> None:
    """The module of an entry point imports leakpro_core only, so that listing stays fast."""
    code = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [], f"{module} imports {run.stdout}"


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
