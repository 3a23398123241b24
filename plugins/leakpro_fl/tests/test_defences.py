"""What a client does to its update before it is sent, against plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_fl.defences import clipped, defended, norm, pruned, rounded, said_of_noise, sent

from leakpro_core.records import Disclosed
from leakpro_core.statistics import gdp_epsilon


def update(seed=0):
    rng = torch.Generator().manual_seed(seed)
    shapes = {"a": (4, 3), "b": (5,), "c": ()}
    return {name: torch.randn(shape, generator=rng).double() for name, shape in shapes.items()}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(values):
    return torch.cat([v.reshape(-1) for v in values.values()])


def test_a_long_update_is_scaled_to_the_bound_and_a_short_one_stays():
    there = update()
    length = norm(there)
    assert math.isclose(float(flat(there).norm()), length)
    short = clipped(there, length / 4)
    assert math.isclose(length / 4, norm(short))
    assert torch.allclose(flat(there) / 4, flat(short))
    assert torch.equal(flat(there), flat(clipped(there, length * 1.01)))
    zeros = {"a": torch.zeros(3)}
    assert torch.equal(zeros["a"], clipped(zeros, 1.0)["a"])


@pytest.mark.parametrize(("clip", "unit"), [(None, 1.0), (0.5, 0.5)])
def test_noise_has_the_deviation_that_is_said(clip, unit):
    there = {"a": torch.zeros(40_000, dtype=torch.float64)}
    found = defended(there, Disclosed(kind="delta", clip=clip, noise=0.3), rng())["a"]
    assert abs(float(found.std()) / (0.3 * unit) - 1) < 0.02
    assert abs(float(found.mean())) < 0.01 * unit
    again = defended(there, Disclosed(kind="delta", clip=clip, noise=0.3), rng())["a"]
    assert torch.equal(found, again)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -1.0, 1.0, 0.5, 2.0, -3.0]), min_size=1, max_size=12),
    st.floats(0.0, 0.99),
)
def test_pruning_sets_exactly_the_smallest_share_to_zero(values, share):
    found = pruned(torch.tensor(values), share).tolist()
    count = math.floor(share * len(values) + 1e-9)
    gone = sorted(range(len(values)), key=lambda i: (abs(values[i]), i))[:count]
    assert [0.0 if i in gone else v for i, v in enumerate(values)] == found


def test_pruning_keeps_the_shape_and_goes_by_tensor():
    there = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.tensor([100.0, 200.0])}
    found = defended(there, Disclosed(kind="delta", pruned=0.5), rng())
    assert torch.equal(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), found["a"])
    assert torch.equal(torch.tensor([0.0, 200.0]), found["b"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20), st.integers(2, 12))
def test_rounding_takes_the_nearest_of_equally_spaced_levels(values, bits):
    there = torch.tensor(values, dtype=torch.float64)
    found = rounded(there, bits)
    largest = max(map(abs, values))
    count = 2 ** (bits - 1) - 1
    levels = np.array([largest * k / count for k in range(-count, count + 1)])
    for value, mine in zip(values, found.tolist(), strict=True):
        assert math.isclose(abs(value - mine), np.abs(levels - value).min(), abs_tol=1e-9)
        assert np.abs(levels - mine).min() < 1e-9
    assert all(f == 0 for f, v in zip(found.tolist(), values, strict=True) if v == 0)
    assert len(set(found.tolist())) <= 2**bits


def test_one_bit_is_the_sign_times_the_mean_size_of_what_is_not_zero():
    assert torch.equal(torch.tensor([2.0, -2.0, 0.0]), rounded(torch.tensor([1.0, -3.0, 0.0]), 1))
    for bits in (1, 2, 32):
        assert torch.equal(torch.zeros(3), rounded(torch.zeros(3), bits))


def test_thirty_two_bits_hardly_change_anything():
    there = update()["a"]
    assert torch.allclose(there, rounded(there, 32), atol=1e-8)


def test_defences_go_in_the_order_clip_prune_round():
    there = update()
    bound = norm(there) / 2
    found = defended(there, Disclosed(kind="delta", clip=bound, pruned=0.4, bits=3), rng())
    for name, values in clipped(there, bound).items():
        assert torch.equal(rounded(pruned(values, 0.4), 3), found[name])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_numbers_are_sent_in_a_dtype(dtype):
    there = torch.tensor([0.1, 1e-9, 3.0])
    found = sent(there, dtype)
    expected = there.to(getattr(torch, dtype))
    assert torch.equal(expected.double(), found.double())
    assert found.dtype == (torch.float64 if dtype == "float64" else torch.float32)
    assert torch.equal(torch.tensor([3]), sent(torch.tensor([3]), dtype))


def test_numbers_too_large_for_a_dtype_become_its_largest():
    assert sent(torch.tensor([1e6, -1e6]), "float16").tolist() == [65504.0, -65504.0]


def test_an_update_without_defences_is_sent_as_it_is():
    there = update()
    found = defended(there, Disclosed(kind="delta"), rng())
    assert all(torch.equal(there[name], found[name]) for name in there)


def test_the_epsilon_of_noise_is_that_of_the_gaussian_mechanism():
    (first, second) = said_of_noise(Disclosed(kind="delta", clip=2.0, noise=1.5))
    assert f"has epsilon {gdp_epsilon(1 / 1.5, 1e-5):.3g} at delta 1e-05" in first
    assert f"it is {gdp_epsilon(2 / 1.5, 1e-5):.3g}." in first
    assert "rounds add up" in second
    (first, _) = said_of_noise(Disclosed(kind="delta", clip=2.0, noise=1.5, clients=4))
    assert f"has {gdp_epsilon(1 / 3, 1e-5):.3g} and {gdp_epsilon(2 / 3, 1e-5):.3g}." in first


def test_noise_without_clipping_has_no_epsilon():
    (said,) = said_of_noise(Disclosed(kind="delta", noise=0.1))
    assert "no differential privacy" in said
    assert said_of_noise(Disclosed(kind="delta", clip=1.0)) == ()
    assert said_of_noise(Disclosed(kind="delta", clip=1.0, noise=0.0)) == ()
