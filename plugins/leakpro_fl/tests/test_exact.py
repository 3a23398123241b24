"""Exact recovery: batches come back to the last digit, and nothing false is ever certified."""

from pathlib import Path

import numpy as np
import pytest
import torch
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.exact import ExactOptions, attack
from torch import nn

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.records import Disclosed
from leakpro_core.testing.conformance import PlainRun

GRADIENT = {"kind": "gradient", "mode": "eval", "reduction": "mean"}


def network(seed: int, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(120, 200), activation(), nn.Linear(200, 60), nn.ReLU(), nn.Linear(60, 5)
        )


def challenge(
    b: int, seed: int, module: nn.Module | None = None, **disclosed: object
) -> tuple[InversionChallenge, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([b, seed])
    x = rng.normal(size=(b, 120)).astype(np.float32)
    y = rng.integers(0, 5, b)
    module = network(seed) if module is None else module
    said = Disclosed(**(GRADIENT | {"examples": b} | disclosed))
    before = arrays_of(module)
    sent = TorchClient(module=module, disclosed=said).update(before, x, y, seed)
    given = InversionChallenge(
        model=module,
        before=before,
        update=sent,
        disclosed=said,
        shape=(120,),
        classes=5,
        modality="tabular",
    )
    return given, x, y


def answer(given: InversionChallenge, seed: int = 0) -> InversionAnswer:
    return attack(given, ExactOptions(samples=2048), PlainRun(seed=seed, scratch=Path()))


def apart(found: InversionAnswer, x: np.ndarray) -> np.ndarray:
    return np.abs(found.records[:, None] - x[None]).max(axis=2)


@pytest.mark.parametrize("b", [1, 2, 4, 8])
def test_batches_are_recovered_certified_and_labelled(b):
    given, x, y = challenge(b, seed=1)
    found = answer(given)
    error = apart(found, x)
    assert error.min(axis=0).max() < 1e-4
    assert found.certified.tolist() == [True] * b
    assert found.labels.tolist() == y[error.argmin(axis=1)].tolist()
    assert found.residual < 1e-5


def test_updates_in_halves_are_recovered_to_what_halves_hold():
    given, x, _ = challenge(4, seed=2, dtype="float16")
    assert apart(answer(given), x).min(axis=0).max() < 0.05


def test_local_steps_over_all_records_are_recovered():
    steps = {"kind": "delta", "optimiser": "sgd", "lr": 0.01, "epochs": 3}
    given, x, _ = challenge(4, seed=3, **steps)
    assert apart(answer(given), x).min(axis=0).max() < 1e-2


def test_what_is_certified_is_a_record_however_much_noise_there_is():
    for seed, noise in enumerate((1e-7, 1e-5, 1e-3, 1e-1)):
        given, x, _ = challenge(4, seed=seed, noise=noise)
        found = answer(given)
        if found.certified.any():
            assert apart(found, x).min(axis=1)[found.certified].max() < 0.1


def test_an_update_of_other_weights_certifies_nothing():
    given, _, _ = challenge(4, seed=5)
    wrong = {n: v + np.float32(0.05) for n, v in given.update.items()}
    other, _, _ = challenge(4, seed=5)
    mixed = InversionChallenge(
        model=other.model,
        before=other.before,
        update=wrong,
        disclosed=other.disclosed,
        shape=(120,),
        classes=5,
        modality="tabular",
    )
    found = answer(mixed)
    assert not found.certified.any()


def test_the_same_seed_gives_the_same_answer_and_the_model_stays_as_it_was():
    given, _, _ = challenge(4, seed=6)
    before = [p.clone() for p in given.model.parameters()]
    one, other = answer(given, 3), answer(given, 3)
    np.testing.assert_array_equal(one.records, other.records)
    assert all(torch.equal(a, b) for a, b in zip(before, given.model.parameters(), strict=True))


def test_batches_before_an_activation_that_is_never_off_are_refused():
    given, _, _ = challenge(4, seed=7, module=network(7, nn.Tanh))
    with pytest.raises(NotApplicable, match="never off"):
        answer(given)
