"""Batches, schedules, losses and augmentations."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from leakpro_torch.augment import crop, flip
from leakpro_torch.fitting import losses

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
    expected = losses(two, labels, 2, smoothing)
    assert torch.allclose(expected, losses(one, labels, 2, smoothing))


def test_flip_mirrors_the_images_that_are_named():
    images = torch.arange(3 * 2 * 3.0).reshape(3, 1, 2, 3)
    flipped = flip(images, torch.tensor([True, False, True]))
    assert torch.equal(torch.stack([images[0].flip(-1), images[1], images[2].flip(-1)]), flipped)


def test_crop_takes_windows_over_a_reflected_border():
    image = torch.arange(2 * 16 * 8.0).reshape(1, 2, 16, 8)
    bordered = torch.nn.functional.pad(image, (1, 1, 2, 2), mode="reflect")
    starts = torch.tensor([[down, right] for down in range(5) for right in range(3)])
    found = crop(image.repeat(len(starts), 1, 1, 1), starts)
    expected = [bordered[0, :, d : d + 16, r : r + 8] for d, r in starts.tolist()]
    assert torch.equal(torch.stack(expected), found)
    assert torch.equal(image[0], found[7])
