"""An adversary sees what its access grants, and no more queries than its budget."""

import numpy as np
import pytest

from leakpro_core.errors import BudgetExceeded
from leakpro_core.offers import Access
from leakpro_core.plan import Adversary
from leakpro_core.signals import derive
from leakpro_core.view import Lens, View

LOGITS = np.array([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5]], np.float32)


class Model:
    def query(self, records: np.ndarray) -> np.ndarray:
        return np.tile(LOGITS[:1], (len(records), 1))


def seen(access: Access, **grants: int) -> np.ndarray:
    return Lens.of(Adversary(access=access, **grants), None).show(LOGITS, "logits")[0]


def test_labels_show_the_top_class_only() -> None:
    assert len(np.unique(seen(Access.LABELS))) == 2
    np.testing.assert_array_equal([0, 1], seen(Access.LABELS).argmax(1))


def test_top_k_hides_how_the_rest_is_shared() -> None:
    shown = seen(Access.TOP_K, top_k=1)
    assert shown[0, 1] == shown[0, 2]
    np.testing.assert_allclose(1.0, shown.sum(1), rtol=1e-6)


def test_decimals_round_confidences_and_leave_nothing_at_zero() -> None:
    shown = seen(Access.CONFIDENCES, decimals=1)
    np.testing.assert_allclose([0.7, 0.3, 0.05], shown[0], rtol=1e-6)


def test_full_confidences_give_the_signals_of_logits() -> None:
    a = Lens.of(Adversary(access=Access.CONFIDENCES), None)
    b = Lens.of(Adversary(access=Access.LOGITS), None)
    assert a == b


def test_labels_give_two_values_of_the_signal() -> None:
    shown, kind = Lens.of(Adversary(access=Access.LABELS), None).show(LOGITS, "logits")
    margin = derive(shown, np.array([0, 2]), kind=kind).margin[:, 0]
    assert margin[0] > 0 > margin[1]


def test_a_view_counts_and_stops_at_the_budget() -> None:
    view = View(Model(), "logits", Lens(Access.LOGITS), 5)
    view.query(np.zeros((3, 2)))
    assert view.used == 3
    with pytest.raises(BudgetExceeded, match="found 6, expected at most 5"):
        view.query(np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("has", "needs", "granted"),
    [
        (Access.LOGITS, Access.CONFIDENCES, True),
        (Access.LABELS, Access.TOP_K, False),
        (Access.WEIGHTS, Access.LABELS, True),
        (Access.WEIGHTS, Access.SAMPLES, False),
        (Access.UPDATE, Access.UPDATE, True),
    ],
)
def test_access_covers_what_stands_below_it(has: Access, needs: Access, granted: bool) -> None:
    assert granted == has.covers(needs)
