"""What models answer is checked before any signal is derived from it."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from leakpro_core.errors import BadArray, BadRecord, NotAFactory, TrainingFailed
from leakpro_core.observing import Wanted, observe
from leakpro_core.offers import Access
from leakpro_core.records import Choice, Signals, TrainingUnit, Trial
from leakpro_core.training import divide
from leakpro_core.units import TrainingJob, train_unit, try_unit
from leakpro_core.view import Lens

N = 60
LABELS = np.arange(N) % 3
RECORDS = np.ones((N, 2), np.float32)
LOGITS = np.random.default_rng(0).normal(size=(1, N, 3)).astype(np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=2, keepdims=True)
SINGLE = 1 / (1 + np.exp(-LOGITS[:, :, :1]))
WANTED = Wanted(lenses=(Lens(Access.LOGITS),), temperatures=(1.0,), keep_outputs=False)


def asked(
    answers: np.ndarray, *, kind: str = "logits", classes: int = 3, access: Access = Access.LOGITS
) -> Signals:
    lens = Lens(access)
    labels = LABELS % classes
    return observe(
        lambda _: answers, 1, RECORDS, labels, classes, lens, WANTED, what=["model 5"], kind=kind
    )


def test_logits_are_taken() -> None:
    assert asked(LOGITS).margin.shape == (1, N, 1)


@pytest.mark.parametrize(("answers", "classes"), [(PROBABILITIES, 3), (SINGLE, 2)])
def test_probabilities_are_no_logits(answers, classes) -> None:
    with pytest.raises(BadArray, match=r"outputs of model 5: found numbers from 0 to 1.*logits"):
        asked(answers, classes=classes)


@pytest.mark.parametrize(("answers", "classes"), [(LOGITS, 3), (LOGITS[:, :, :1], 2)])
def test_logits_are_no_probabilities(answers, classes) -> None:
    with pytest.raises(BadRecord, match=r"outputs of model 5, record \d+: .* probabilities"):
        asked(answers, classes=classes, kind="probabilities")


@pytest.mark.parametrize("access", [Access.LOGITS, Access.LABELS])
def test_a_model_without_an_answer_is_noticed_whatever_is_shown_of_it(access) -> None:
    answers = LOGITS.copy()
    answers[0, 7, 1] = np.nan
    with pytest.raises(BadRecord, match="output of model 5 for record 7: found NaN"):
        asked(answers, access=access)


def test_labels_beyond_the_outputs_are_named() -> None:
    with pytest.raises(NotAFactory, match=r"found 60 x 2 .* the highest label is 2.*from 0"):
        asked(LOGITS[:, :, :2])


class Cohort:
    """Two models of one parameter each, which answer whatever they are asked with it."""

    def query(self, records: np.ndarray) -> np.ndarray:
        return np.array([[[1.0, 3.0, 5.0]], [[2.0, 4.0, 6.0]]], np.float32).repeat(len(records), 1)

    def parameters(self) -> dict[str, np.ndarray]:
        return {"bias": np.array([[1.0], [2.0]])}


class Diverged:
    def query(self, records: np.ndarray) -> np.ndarray:
        return np.full((2, len(records), 3), np.nan, np.float32)


@pytest.fixture
def job(tmp_path: Path, monkeypatch) -> Callable[..., TrainingJob]:
    """Return a function that makes a unit of two models, trained by ``train``."""

    def make(train: Callable[..., object], *, keep_weights: bool = False) -> TrainingJob:
        module = ModuleType("trainer_of_a_test")
        module.train = train  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "trainer_of_a_test", module)
        rows = (np.arange(9), np.arange(9))
        return TrainingJob(
            ref="trainer_of_a_test:train",
            unit=TrainingUnit(models=(2, 3), rows=rows, seeds=(1, 2), options=None),
            classes=3,
            modality="tabular",
            wanted=evolve(WANTED, keep_weights=keep_weights),
            seed=0,
            scratch=tmp_path,
        )

    return make


def test_a_unit_keeps_signals_and_no_weights_unless_an_attack_asks(job) -> None:
    kept = train_unit(job(lambda *_: Cohort()), RECORDS, LABELS)
    assert {name: values.shape for name, values in kept.items()} == {
        "0/margin": (2, N, 1),
        "0/log_p@1.0": (2, N, 1),
    }


def test_weights_are_kept_where_an_attack_asks(job) -> None:
    kept = train_unit(job(lambda *_: Cohort(), keep_weights=True), RECORDS, LABELS)
    assert kept["weights/bias"].tolist() == [[1.0], [2.0]]


def test_a_trainer_without_weights_is_named_where_an_attack_asks_for_them(job) -> None:
    class Bare:
        query = Cohort.query

    with pytest.raises(NotAFactory, match=r"trainer_of_a_test.*expected the weights of all 2"):
        train_unit(job(lambda *_: Bare(), keep_weights=True), RECORDS, LABELS)


def test_a_model_that_diverged_failed_in_its_training(job) -> None:
    with pytest.raises(TrainingFailed, match=r"output of model 2 for record 0.*diverged"):
        train_unit(job(lambda *_: Diverged()), RECORDS, LABELS)


def test_a_trial_returns_a_trial(job) -> None:
    trial = Trial(choice=Choice(method="stack", width=2), seconds=0.5)
    assert trial == try_unit(job(lambda *_: trial), RECORDS, LABELS)
    with pytest.raises(NotAFactory, match="found int, expected a Trial"):
        try_unit(job(lambda *_: 3), RECORDS, LABELS)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.integers(1, 12))
def test_units_hold_every_model_once_and_no_more_than_their_width(sizes, width) -> None:
    units = divide([np.arange(size) for size in sizes], width)
    assert sorted(sum(units, ())) == list(range(len(sizes)))
    assert max(map(len, units)) <= width
    assert max(map(len, units)) - min(map(len, units)) <= 1


def test_models_with_equally_many_rows_are_trained_together() -> None:
    rows = [np.arange(n) for n in (5, 6, 5, 6)]
    assert divide(rows, 2) == [(0, 2), (1, 3)]
