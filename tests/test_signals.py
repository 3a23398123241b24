"""Signals are exact where a float32 softmax is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leakpro_core.errors import BadRecord
from leakpro_core.signals import derive, stack, take

LOGITS = hnp.arrays(
    np.float32, (5, 3), elements=st.floats(-30, 30, width=32, allow_subnormal=False)
)


def test_margin_is_the_true_logit_against_the_log_sum_exp_of_the_rest() -> None:
    logits = np.array([[2.0, 0.0, 1.0]], np.float32)
    expected = 2.0 - np.log(np.exp(0.0) + np.exp(1.0))
    assert derive(logits, np.array([0])).margin[0, 0] == pytest.approx(expected, rel=1e-6)


def test_a_saturated_record_keeps_a_resolvable_log_probability() -> None:
    logits = np.array([[40.0, 0.0], [60.0, 0.0]], np.float32)
    log_p = derive(logits, np.array([0, 0])).log_p[1.0][:, 0]
    np.testing.assert_allclose(log_p, [-np.exp(-40.0), -np.exp(-60.0)], rtol=1e-5)


def test_one_column_is_the_logit_of_class_one() -> None:
    one = derive(np.array([[1.5], [-0.5]], np.float32), np.array([1, 0]))
    two = derive(np.array([[0.0, 1.5], [0.0, -0.5]], np.float32), np.array([1, 0]))
    np.testing.assert_array_equal(two.margin, one.margin)


def test_probabilities_and_logits_give_the_same_signals() -> None:
    logits = np.array([[0.3, -1.0, 2.0]], np.float32)
    p = np.exp(logits) / np.exp(logits).sum()
    a, b = derive(logits, np.array([1])), derive(p, np.array([1]), kind="probabilities")
    np.testing.assert_allclose(a.margin, b.margin, rtol=1e-5)


@given(LOGITS, st.floats(-5, 5, width=32))
def test_signals_do_not_change_when_a_constant_is_added(logits: np.ndarray, shift: float) -> None:
    labels = np.array([0, 1, 2, 0, 1])
    a = derive(logits, labels, (2.0,))
    b = derive(logits + np.float32(shift), labels, (2.0,))
    np.testing.assert_allclose(a.log_p[2.0], b.log_p[2.0], atol=1e-4)


@given(LOGITS, st.floats(0.5, 4))
def test_log_p_is_the_log_softmax_at_the_temperature(logits: np.ndarray, t: float) -> None:
    labels = np.array([0, 1, 2, 0, 1])
    z = logits.astype(float) / t
    expected = z[np.arange(5), labels] - np.log(np.exp(z).sum(1))
    found = derive(logits, labels, (t,)).log_p[t][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_nan_names_the_record() -> None:
    logits = np.zeros((70_000, 2), np.float32)
    logits[66_001, 1] = np.nan
    with pytest.raises(BadRecord, match="record 66001"):
        derive(logits, np.zeros(70_000, np.int64))


def test_taken_signals_share_no_memory_with_the_original() -> None:
    whole = stack([derive(np.ones((4, 2), np.float32), np.zeros(4, np.int64))])
    part = take(whole, slice(2), axis=1)
    assert part.margin.shape == (1, 2, 1)
    assert not np.shares_memory(part.margin, whole.margin)
