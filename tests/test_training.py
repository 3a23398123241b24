"""What models answer is checked before any signal is derived from it."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from leakpro_core.errors import BadArray, BadRecord, NotAFactory, TrainingFailed
from leakpro_core.observing import Wanted, observe
from leakpro_core.offers import Access
from leakpro_core.records import Signals, TrainingUnit
from leakpro_core.units import TrainingJob, train_unit
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


def test_a_model_that_diverged_failed_in_its_training(tmp_path: Path, monkeypatch) -> None:
    class Cohort:
        def query(self, records: np.ndarray) -> np.ndarray:
            return np.full((1, len(records), 3), np.nan, np.float32)

    module = ModuleType("diverging")
    module.train = lambda data, unit, run: Cohort()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "diverging", module)
    job = TrainingJob(
        ref="diverging:train",
        unit=TrainingUnit(models=(2,), rows=(np.arange(9),), seeds=(1,), options=None),
        classes=3,
        modality="tabular",
        wanted=WANTED,
        seed=0,
        scratch=tmp_path,
    )
    with pytest.raises(TrainingFailed, match=r"output of model 2 for record 0.*diverged"):
        train_unit(job, RECORDS, LABELS)
