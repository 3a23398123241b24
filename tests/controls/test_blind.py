"""The blind adversary sees differences between the arms, and none where there is none."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from leakpro_core.arrays import AnyArray, Bools, Ints, Singles
from leakpro_core.controls.blind import (
    BlindResult,
    blind_claims,
    blind_test,
    detectable_auc,
    null_error,
    refitted,
)
from leakpro_core.controls.features import describe, numbers
from leakpro_core.plan import Policy

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
POLICY = Policy()


def blind(
    records: AnyArray | None,
    labels: Ints,
    exposed: Bools,
    subjects: Ints | None = None,
    modality: str = "tabular",
    permutations: int = 199,
) -> BlindResult:
    people = np.arange(len(labels)) if subjects is None else subjects
    classes = int(labels.max()) + 1
    return blind_test(
        records,
        labels,
        classes,
        exposed,
        people,
        policy=POLICY,
        modality=modality,
        seed=1,
        permutations=permutations,
    )


def people(n: int = 2000) -> tuple[np.random.Generator, Singles, Ints]:
    rng = np.random.default_rng(0)
    return rng, rng.standard_normal((n, 6)).astype(np.float32), rng.integers(0, 2, n)


def drawn(rng: np.random.Generator, score: AnyArray, strength: float = 0.7) -> Bools:
    z = (score - score.mean()) / score.std()
    members: Bools = rng.random(len(z)) < 1 / (1 + np.exp(-strength * z))
    return members


def test_null_error_and_detectable_auc_are_the_reference_vectors() -> None:
    path = SHARED / "reference" / "statistics.json"
    if not path.exists():
        pytest.skip("../shared/reference is not there")
    for row in json.loads(path.read_text())["blind_baseline_null"]["rows"]:
        assert pytest.approx(row["se0"], abs=1e-9) == null_error(row["m"], row["n"])
        # The vectors use the rounded quantile 2.486.
        assert pytest.approx(row["detectable_auc80"], abs=1e-4) == detectable_auc(
            row["m"], row["n"]
        )


@pytest.mark.parametrize("size", [1, 3])
def test_false_alarms_stay_at_their_level_by_subject_too(size: int) -> None:
    rng, x, y = people(300)
    columns = describe(x[:, :1], y, 2, modality="tabular", seed=0)
    subjects = np.arange(300) // size
    hits = 0
    for seed in range(150):
        bits = (rng.permutation(subjects.max() + 1) % 2 == 0)[subjects][None]
        hits += refitted(columns, bits, subjects, 39, seed).p_value <= 0.05
    assert hits <= binom.ppf(0.999, 150, 0.05)


def test_members_of_a_later_date_fail() -> None:
    rng, x, y = people()
    found = blind(x, y, drawn(rng, x[:, 3]))
    assert (found.control.result, found.p_value) == ("fail", 0.005)


def test_members_from_a_window_in_time_fail() -> None:
    rng, x, y = people()
    found = blind(x, y, drawn(rng, np.abs(x[:, 3] - 0.5) < 0.4))
    assert found.control.result == "fail"


def test_a_combination_of_two_columns_fails() -> None:
    rng, x, y = people()
    assert blind(x, y, drawn(rng, x[:, 0] * x[:, 1] > 0)).control.result == "fail"


def test_a_column_that_means_the_opposite_in_the_other_class_fails() -> None:
    rng, x, y = people()
    assert blind(x, y, drawn(rng, x[:, 0] * (2 * y - 1))).control.result == "fail"


def test_a_rare_category_is_seen_in_the_tail_although_the_auc_is_small() -> None:
    rng, x, y = people(4000)
    rare = rng.random(4000) < 0.02
    exposed = rng.random(4000) < np.where(rare, 0.9, 0.49)
    found = blind(np.column_stack([x, rare]), y, exposed)
    assert found.auc.value < 0.55
    assert found.control.result == "fail"
    assert "tells some of them apart" in found.control.statement


def test_members_chosen_for_being_easy_fail() -> None:
    rng, x, _ = people()
    y = (x[:, 0] + x[:, 1] + rng.standard_normal(2000) > 0).astype(int)
    easy = (x[:, 0] + x[:, 1]) * (2 * y - 1)
    assert blind(x, y, drawn(rng, easy)).control.result == "fail"


def test_a_slight_difference_warns() -> None:
    rng, x, y = people(6000)
    found = blind(x, y, rng.random(6000) < np.where(x[:, 3] > 0, 0.54, 0.46))
    assert found.control.result == "warn"


def test_brighter_images_fail() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((800, 3, 16, 16), dtype=np.float32)
    bright = rng.normal(0, 0.1, 800).astype(np.float32)
    exposed = drawn(rng, bright)
    shifted = images + bright[:, None, None, None]
    found = blind(shifted, rng.integers(0, 10, 800), exposed, modality="image")
    assert found.control.result == "fail"


def test_a_word_that_members_use_more_fails() -> None:
    rng = np.random.default_rng(0)
    exposed = rng.random(1000) < 0.5
    words = rng.integers(1, 300, (1000, 20))
    words[exposed & (rng.random(1000) < 0.5), 7] = 299
    found = blind(words, np.zeros(1000, int), exposed, modality="text")
    assert found.control.result == "fail"
    texts = np.array([" ".join(f"w{w}" for w in row) for row in words], dtype=object)[:, None]
    assert blind(texts, np.zeros(1000, int), exposed, modality="text").control.result == "fail"


def test_labels_alone_are_judged_and_it_is_said() -> None:
    rng, _, y = people()
    alike = np.zeros(2000, bool)
    alike[np.argsort(y, kind="stable")[::2]] = True  # the same share of either label
    same, other = blind(None, y, alike), blind(None, y, drawn(rng, y))
    assert (same.control.result, other.control.result) == ("pass", "fail")
    assert "labels only: no records were given" in same.control.statement


def test_one_label_and_no_records_pass_without_a_column() -> None:
    exposed = np.arange(100) % 2 == 0
    assert blind(None, np.zeros(100, int), exposed).control.result == "pass"


def test_categories_and_missing_values_are_columns() -> None:
    frame = np.array([["a", 1.0], ["b", None], ["a", 3.0]], dtype=object)
    assert numbers(frame).shape == (3, 4)
    gaps = np.array([[1.0, np.nan], [2.0, 5.0]], np.float32)
    np.testing.assert_array_equal([[1, 5, 1], [2, 5, 0]], numbers(gaps))


def test_missing_values_that_only_members_have_fail() -> None:
    rng, x, y = people()
    exposed = rng.random(2000) < 0.5
    x[exposed & (rng.random(2000) < 0.3), 2] = np.nan
    assert blind(x, y, exposed).control.result == "fail"


def test_records_of_one_person_lie_in_one_fold() -> None:
    # Ten copies of each person: across folds the copies would give their person's arm away.
    rng, x, y = people(200)
    copies, labels, owner = np.repeat(x, 10, 0), np.repeat(y, 10), np.repeat(np.arange(200), 10)
    exposed = (rng.random(200) < 0.5)[owner]
    honest, cheated = blind(copies, labels, exposed, owner), blind(copies, labels, exposed)
    assert cheated.auc.value > 0.7
    assert honest.control.result == "pass"


def test_several_targets_are_tested_as_one() -> None:
    rng, x, y = people(600)
    exposed = rng.random((3, 600)) < 0.5
    found = blind(x, y, exposed)
    assert found.claims.shape == (3, 600)
    assert found.control.result == "pass"
    exposed[:] = drawn(rng, x[:, 0])
    assert blind(x, y, exposed).control.result == "fail"


def test_the_same_seed_gives_the_same_claims() -> None:
    rng, x, y = people(300)
    exposed = rng.random(300) < 0.5
    first, again = (blind(x, y, exposed, permutations=19) for _ in range(2))
    np.testing.assert_array_equal(first.claims, again.claims)
    assert first.p_value == again.p_value
    alone = blind_claims(x, y, 2, exposed, np.arange(300), modality="tabular", seed=1)
    # As far as rounding goes: it depends on how many arms are predicted at once.
    np.testing.assert_allclose(first.claims, alone, atol=1e-6)


def test_twenty_thousand_records_take_less_than_twenty_cpu_seconds() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((20_000, 105), dtype=np.float32), rng.integers(0, 2, 20_000)
    start = time.process_time()
    blind(x, y, rng.random(20_000) < 0.5)
    assert time.process_time() - start < 20
