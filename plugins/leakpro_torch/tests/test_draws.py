"""Dropout from keys: shares, independence, and what torch says that dropout is."""

import numpy as np
import pytest
import torch
from leakpro_torch.draws import Draws, kept, keys
from torch import nn

KEYS = torch.from_numpy(np.concatenate([keys(seed, 50, 0) for seed in range(4)]))


def masks(p, size=4096):
    """Return 200 masks of two models, of the second dropout of a forward pass."""
    return kept(KEYS, 2, (size,), p).numpy()


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9])
def test_the_share_that_is_kept(p):
    found = masks(p).mean()
    error = np.sqrt(p * (1 - p) / (200 * 4096))
    assert abs(found - (1 - p)) < 4 * error


def test_masks_are_independent():
    values = (masks(0.5) - 0.5) * 2
    steps = np.corrcoef(values)[~np.eye(200, dtype=bool)] * np.sqrt(4096)
    assert abs(steps.std() - 1) < 0.05
    assert np.abs(steps).max() < 6
    neighbours = [(values[:, :-lag] * values[:, lag:]).mean() for lag in (1, 2, 64, 128)]
    assert np.abs(neighbours).max() < 5 / np.sqrt(200 * 4096)


def test_each_dropout_of_a_forward_pass_has_a_mask_of_its_own():
    first, second = (kept(KEYS[0], number, (4096,), 0.5) for number in (1, 2))
    assert 0.45 < (first == second).float().mean() < 0.55


def test_epochs_have_other_keys():
    assert not np.isin(keys(3, 50, 0), keys(3, 50, 1)).any()
    assert np.array_equal(keys(3, 50, 1), keys(3, 50, 1))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dropout(0.3), (64, 8)),
        (nn.Dropout(0.3, inplace=True), (64, 8)),
        (nn.Dropout1d(0.3), (64, 8, 5)),
        (nn.Dropout2d(0.3), (64, 8, 3, 3)),
        (nn.Dropout3d(0.3), (64, 8, 2, 2, 2)),
        (nn.FeatureAlphaDropout(0.3), (64, 8, 3)),
        (nn.AlphaDropout(0.3), (64, 8)),
        (nn.AlphaDropout(0.3, inplace=True), (64, 8)),
    ],
    ids=str,
)
def test_dropped_values_are_those_of_torch(layer, shape):
    """Also their grouping: by feature where torch drops features."""
    with Draws(KEYS[0]):
        found = layer(torch.ones(shape))
    torch.manual_seed(0)
    expected = layer(torch.ones(shape))
    assert torch.allclose(expected.unique(), found.unique(), atol=1e-6)
    size = expected.flatten(2).std(2).max() if len(shape) > 2 else torch.tensor(0.0)
    assert float(size) == pytest.approx(
        float(found.flatten(2).std(2).max()) if len(shape) > 2 else 0.0
    )
    assert abs(float((found == found.max()).float().mean()) - 0.7) < 0.1


def test_no_dropout_where_torch_has_none():
    values = torch.ones(4, 3)
    with Draws(KEYS[0]):
        assert torch.equal(values, nn.Dropout(0.5).eval()(values))
        assert torch.equal(values, nn.Dropout(0.0)(values))
        assert torch.equal(values * 0, nn.Dropout(1.0)(values))
        assert torch.equal(values, torch.dropout(values, 0.5, False))
        assert not torch.equal(values, torch.dropout(values, 0.5, True))
