"""Signals are read in blocks of records, and large inputs are learned from in part."""

import numpy as np
import pytest
from attrs import evolve, fields
from leakpro_mia.combined import _describe
from leakpro_mia.lira import LiraOptions
from leakpro_mia.pseudo import drawn, rehearse
from leakpro_mia.ratio import RatioOptions
from leakpro_mia.shadows import Side, all_sides, beside_others, blocks, without_each_pair
from scenes import claims, scene, with_records

from leakpro_core.spill import empty

PAIRS, RECORDS = 16, 9_000


@pytest.fixture(scope="module")
def large():
    """A challenge of more than one block."""
    challenge, _ = scene(records=RECORDS, pairs=PAIRS, raw_outputs=False)
    assert len(list(blocks(challenge))) > 1
    return challenge


def statistics(sides):
    return np.array(
        [[getattr(side, f.name) for f in fields(Side)] for side in (sides.inside, sides.outside)]
    )


def test_sides_in_blocks_are_the_sides_of_their_records(large):
    whole = statistics(all_sides(large, 2.0))
    rows = np.sort(np.random.default_rng(0).permutation(RECORDS)[:500])
    np.testing.assert_array_equal(statistics(all_sides(large, 2.0, rows)), whole[:, :, rows])
    alone = all_sides(with_records(large, rows), 2.0)
    np.testing.assert_array_equal(statistics(alone), whole[:, :, rows])


def test_sides_beside_others_are_the_same_by_block_and_by_pair(large):
    by_pair = [statistics(sides) for _, sides in without_each_pair(large, 2.0)]
    for block in blocks(large):
        for sides, whole in zip(beside_others(large, 2.0, block), by_pair, strict=True):
            np.testing.assert_array_equal(statistics(sides), whole[:, :, block])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ratio", None),
        ("lira", LiraOptions(variance="per-record")),
        ("lira", LiraOptions(variance="per-record", mode="offline")),
    ],
)
def test_claims_of_one_record_do_not_depend_on_the_block_it_is_in(large, name, options):
    rows = np.arange(RECORDS - 100, RECORDS)
    few = claims(name, with_records(large, rows), options)
    np.testing.assert_allclose(claims(name, large, options)[rows], few, rtol=1e-12)


@pytest.mark.parametrize("variance", ["pooled", "pooled-global"])
def test_pooled_spread_is_that_of_all_blocks(large, variance):
    on, margin = large.trained_on[:, :, None], large.shadows.margin.astype(np.float64)
    expected = []
    for side in (on, ~on):
        values = np.where(side, margin, np.nan)
        mean = np.nanmean(values, axis=0)
        around = mean if variance == "pooled" else np.nanmean(values)
        count = (PAIRS - 1) * RECORDS if variance == "pooled" else PAIRS * RECORDS
        spread = np.nansum((values - around) ** 2) / count
        spread += 1e-6 * (1 + spread)
        expected.append(-0.5 * ((large.target.margin - mean) ** 2 / spread + np.log(spread))[:, 0])
    found = claims("lira", large, LiraOptions(variance=variance))
    np.testing.assert_allclose(found, expected[0] - expected[1], rtol=1e-9, atol=1e-9)


def test_few_records_are_all_learned_from():
    np.testing.assert_array_equal(drawn(50, 50, seed=0), np.arange(50))


def test_records_that_are_learned_from_are_drawn_by_the_seed():
    first = drawn(1000, 50, seed=0)
    assert (np.diff(first) > 0).all()
    np.testing.assert_array_equal(first, drawn(1000, 50, seed=0))
    assert (first != drawn(1000, 50, seed=1)).any()


def test_what_is_learned_from_a_part_describes_all_records(large):
    seen, part = (
        rehearse(large, 2.0, _describe, most=20_000, seed=0, records=n) for n in (RECORDS, 4000)
    )
    assert len(part.features) == len(part.members) == 20_000 // (2 * PAIRS) * 2 * PAIRS
    whole, less = (np.concatenate([v for _, v in one.target()], axis=1) for one in (seen, part))
    assert whole.shape == less.shape == (8, RECORDS, 2)
    np.testing.assert_array_equal(less[:, :, 0], whole[:, :, 0])  # ratio has no prior
    assert np.corrcoef(less[:, :, 1].ravel(), whole[:, :, 1].ravel())[0, 1] > 0.999


def test_a_record_that_lacks_a_side_is_described_beside_all_shadows(large):
    trained_on = large.trained_on.copy()
    trained_on[:, 7] = False
    trained_on[2, 7] = True  # without the second pair no shadow is trained on it
    challenge = evolve(large, trained_on=trained_on)
    seen = rehearse(challenge, 2.0, _describe, most=20_000, seed=0)
    views = np.concatenate([v for _, v in seen.target()], axis=1)
    every = all_sides(challenge, 2.0, np.array([7]))
    log_p = challenge.target.log_p[2.0][7].astype(np.float64)
    mean = np.logaddexp(every.inside.log_mean_p[0], every.outside.log_mean_p[0]) - np.log(2)
    np.testing.assert_allclose(views[1, 7, 0], (log_p - mean)[0])
    assert np.isfinite(views).all()


def test_signals_in_files_give_the_same_claims(large):
    def moved(values):
        copy = empty(values.shape, values.dtype, least=1)
        copy[...] = values
        return copy

    shadows = evolve(
        large.shadows,
        margin=moved(large.shadows.margin),
        log_p={t: moved(v) for t, v in large.shadows.log_p.items()},
    )
    elsewhere = evolve(large, shadows=shadows, trained_on=moved(large.trained_on))
    for name, options in (("ratio", RatioOptions(mode="offline")), ("combined", None)):
        expected = claims(name, large, options)
        np.testing.assert_array_equal(claims(name, elsewhere, options), expected)
