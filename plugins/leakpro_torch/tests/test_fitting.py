"""Batches, schedules, losses and augmentations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from leakpro_torch.augment import crop, flip
from leakpro_torch.fitting import loss

from leakpro_core.recipes import batches, rate


@given(n=st.integers(1, 300), size=st.integers(1, 70))
def test_batches_cover_every_record_once(n, size):
    covered = [i for start, stop in batches(n, size) for i in range(start, stop)]
    assert list(range(n)) == covered


@given(n=st.integers(2, 300), size=st.integers(2, 70))
def test_no_batch_has_a_single_record(n, size):
    assert all(2 <= stop - start <= size + 1 for start, stop in batches(n, size))


def test_rates():
    assert [rate("constant", step, 0, 4) for step in range(4)] == [1.0] * 4
    assert [rate("step", step, 0, 4) for step in range(4)] == [1.0, 1.0, 0.1, 0.01]
    cosine = [rate("cosine", step, 0, 4) for step in range(4)]
    assert cosine == pytest.approx([1.0, 0.85355339, 0.5, 0.14644661])
    assert [rate("step", step, 2, 6) for step in (0, 1, 2, 4)] == [0.5, 1.0, 1.0, 0.1]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_logit_has_the_loss_of_two(smoothing):
    one, labels = torch.tensor([[2.0], [-1.0], [0.5]]), torch.tensor([1, 1, 0])
    two = torch.cat([torch.zeros(3, 1), one], dim=1)
    expected = loss(two, labels, 2, smoothing)
    assert torch.allclose(expected, loss(one, labels, 2, smoothing))


def test_flip_mirrors_half_of_the_images():
    images = torch.arange(2 * 3.0).reshape(1, 1, 2, 3).repeat(1000, 1, 1, 1)
    flipped = flip(images, np.random.default_rng(0))
    mirrored = (flipped == images.flip(-1)).all(dim=(1, 2, 3))
    kept = (flipped == images).all(dim=(1, 2, 3))
    assert bool((mirrored ^ kept).all())
    assert 400 < int(mirrored.sum()) < 600


def test_crop_shifts_each_image_by_up_to_an_eighth():
    image = torch.arange(2 * 16 * 8.0).reshape(1, 2, 16, 8)
    bordered = torch.nn.functional.pad(image, (1, 1, 2, 2), mode="reflect")
    windows = {
        tuple(bordered[0, :, down : down + 16, right : right + 8].flatten().tolist())
        for down in range(5)
        for right in range(3)
    }
    found = crop(image.repeat(300, 1, 1, 1), np.random.default_rng(0))
    assert windows == {tuple(each.flatten().tolist()) for each in found}
