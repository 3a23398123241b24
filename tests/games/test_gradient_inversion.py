"""Gradient inversion: chance names a record of the batch just as often as it should."""

import math
from collections.abc import Callable, Iterator

import attrs
import evidence_inversion
import numpy as np
import pytest
from scipy.stats import binomtest

from leakpro_core import judge
from leakpro_core.errors import BadArray, WrongAnswer
from leakpro_core.games.batches import distance, draw
from leakpro_core.games.gradient_inversion import (
    Batch,
    InversionAnswer,
    certificate,
    challenge,
    guess,
    matching,
    referee,
)
from leakpro_core.games.outcome import Refereed
from leakpro_core.plan import OF_CLIENTS, Policy
from leakpro_core.records import Auxiliary, ClientUpdate, Disclosed, UpdateRelease

Rng = np.random.Generator
SHAPE = (3, 4, 4)
CLASSES = 3


def images(n: int, rng: Rng) -> np.ndarray:
    """Return pictures with few colours, so that some lie in the middle of all the others."""
    colours = rng.normal(size=(n, 3, 1, 1)) * rng.gamma(1.0, size=(n, 1, 1, 1))
    return (colours + 0.3 * rng.normal(size=(n, *SHAPE))).astype(np.float32)


def labelled(n: int, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    return images(n, rng), rng.choice(CLASSES, n, p=[0.5, 0.3, 0.2])


def batches_of(count: int, b: int, seed: int, *, others: int = 3000, **more) -> list[Batch]:
    """Return batches of pictures, drawn from one source with everything else."""
    rng = np.random.default_rng(seed)
    aside = more.pop("auxiliary", None)
    away = labelled(others, rng)
    wanted = {"decoys": 100, "modality": "image", "groups": (), "seed": seed} | more
    return [draw(i, *labelled(b, rng), *away, aside, **wanted) for i in range(count)]


def answer(records: np.ndarray | None, claims=None, labels=None, certified=None) -> InversionAnswer:
    said = records if records is not None else labels
    k = 0 if said is None else len(said)
    return InversionAnswer(
        records=records,
        labels=labels,
        claims=np.zeros(k) if claims is None else np.array(claims, float),
        certified=np.zeros(k, bool) if certified is None else np.array(certified),
    )


def judged(answers, batches, guesses=None, **more) -> Refereed:
    how = {"modality": "image", "groups": (), "classes": CLASSES, "labels_known": True} | more
    none = [None] * len(batches)
    return referee(answers, batches, guesses or none, attack="x", **how)


def column(result: Refereed, name: str, facet: str, *, exposed: bool = True) -> np.ndarray:
    e = result.evidence
    there = (e.facet == result.facets.index(facet)) & (e.exposed == exposed)
    return getattr(e, name)[there]


def rates(result: Refereed, facet: str, *, exposed: bool = True) -> np.ndarray:
    """Return the share of hits among claims that were made, a batch each."""
    hit, made = (column(result, n, facet, exposed=exposed) for n in ("hit", "claim"))
    owner = column(result, "cluster", facet, exposed=exposed)
    made = ~np.isnan(made)
    total = np.bincount(owner[made], weights=hit[made])
    return total / np.bincount(owner[made])


def assert_at(values: np.ndarray, null_p: float) -> None:
    """Assert that the mean of independent values may be ``null_p``, at 99.9%."""
    if set(np.unique(values)) <= {0.0, 1.0}:
        found = binomtest(int(values.sum()), len(values), null_p)
        assert found.pvalue > 0.001
    else:
        assert abs(values.mean() - null_p) < 3.3 * values.std() / math.sqrt(len(values))


# Chance


@pytest.mark.parametrize(("b", "count"), [(1, 700), (4, 250), (8, 150), (64, 40)])
def test_pictures_drawn_at_random_name_a_record_of_the_batch_by_chance(b: int, count: int):
    batches = batches_of(count, b, seed=b)
    rng = np.random.default_rng(100 + b)
    result = judged([answer(images(b, rng)) for _ in batches], batches)
    assert {b / (b + b * math.ceil(100 / b))} == {batch.null_p for batch in batches}
    assert set(column(result, "null_p", "identified")) == {batches[0].null_p}
    for exposed in (True, False):
        assert_at(rates(result, "identified", exposed=exposed), batches[0].null_p)


GUESSES: dict[str, Callable[[Batch, Rng], np.ndarray]] = {
    "the middle of all pictures": lambda batch, rng: np.zeros((1, *SHAPE), np.float32),
    "flat colours": lambda batch, rng: np.broadcast_to(
        rng.normal(size=(batch.size, 3, 1, 1)), (batch.size, *SHAPE)
    ),
    "more than there are records": lambda batch, rng: images(3 * batch.size, rng),
    "who knows the labels": lambda batch, rng: (
        batch.labels[:, None, None, None] + images(batch.size, rng)
    ),
}


@pytest.mark.parametrize("who", GUESSES)
def test_whatever_is_guessed_without_the_batch_names_it_by_chance(who: str):
    rng = np.random.default_rng(3)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = labelled(n, rng)
        return x + y[:, None, None, None].astype(np.float32), y

    away = drawn(5000)
    how = {"decoys": 30, "modality": "image", "groups": (), "seed": 0}
    batches = [draw(i, *drawn(8), *away, None, **how) for i in range(250)]
    result = judged([answer(GUESSES[who](batch, rng)) for batch in batches], batches)
    for exposed in (True, False):
        assert_at(rates(result, "identified", exposed=exposed), 0.2)


def test_who_guesses_the_commonest_row_names_the_batch_by_chance():
    rng = np.random.default_rng(5)

    def rows(n: int) -> np.ndarray:
        # Two in five people are alike; the others share rows, too.
        return np.where(rng.random((n, 1)) < 0.4, 0.0, rng.integers(0, 30, (n, 1))).astype(float)

    away, nothing = rows(4000), np.zeros(4000, np.int64)
    aside = Auxiliary(records=rows(50), labels=np.zeros(50))
    how = {"decoys": 20, "modality": "tabular", "groups": (), "seed": 1}
    batches = [
        draw(i, rows(2), np.zeros(2, np.int64), away, nothing, aside, **how) for i in range(400)
    ]
    commonest = [answer(np.array([[0.0], [7.0]])) for _ in batches]
    result = judged(commonest, batches, modality="tabular")
    for exposed in (True, False):
        assert_at(rates(result, "identified", exposed=exposed), 2 / 22)
    near = [rates(result, "recovered", exposed=exposed) for exposed in (True, False)]
    assert_at(near[0] - near[1], 0.0)
    assert near[0].mean() > 0.3


@pytest.mark.skipif(not evidence_inversion.TRAIN.exists(), reason="no CIFAR-10 in shared/data")
def test_images_of_cifar_10_are_named_by_chance_and_by_what_is_taken_from_them():
    data = evidence_inversion.images(1500)
    for b, count in ((1, 60), (8, 20), (64, 5)):
        found = evidence_inversion.identified_null(data, b, count)
        for arm in ("the batch", "the decoy batch"):
            low, high = found[f"identified, {arm}"][1:]
            assert low <= found["null_p"] <= high
    for who in evidence_inversion.KNOWING:
        found = evidence_inversion.identified_null(data, 1, 40, who, aside=True)
        assert found["identified, the batch"][1] > found["null_p"]
        assert found["identified, the decoy batch"][1] <= found["null_p"]
        assert found["recovered, the decoy batch"][0] == 0.0


def test_decoys_that_are_drawn_a_hundred_times_over_are_no_chance():
    rare = evidence_inversion.reused(8, 104, 4000, 40, 60, seed=0)
    often = evidence_inversion.reused(64, 128, 384, 200, 60, seed=0)
    assert rare["false alarms"] <= 0.1 < often["false alarms"]


def test_labels_guessed_without_the_batch_are_right_equally_often_in_either_arm():
    batches = batches_of(300, 8, seed=2, decoys=20)
    rng = np.random.default_rng(9)
    said = [answer(None, labels=rng.choice(CLASSES, 8, p=[0.5, 0.3, 0.2])) for _ in batches]
    result = judged(said, batches, labels_known=False)
    assert result.facets == ("labels",)
    both = [rates(result, "labels", exposed=exposed) for exposed in (True, False)]
    assert_at(both[0] - both[1], 0.0)
    assert 0.6 < both[0].mean() < 0.9


def test_the_control_arm_of_labels_does_not_have_the_classes_of_the_batch():
    batch = batches_of(1, 64, seed=0)[0]
    decoys = batch.decoy_labels.reshape(-1, 64)
    assert (np.sort(decoys, axis=1) == np.sort(batch.labels)).all()
    assert not np.array_equal(np.sort(batch.control_labels), np.sort(batch.labels))


def found_in(seed: int, *, leak: float = 0.0, b: int = 4, count: int = 40) -> judge.JudgedSuccess:
    """Judge an adversary who says the same of every batch, but for some records that it knows."""
    batches = batches_of(count, b, seed, others=1500)
    rng = np.random.default_rng([seed, 1])
    answers = []
    for batch in batches:
        said = np.zeros((b, *SHAPE), np.float32) + 0.1 * images(b, rng)
        known = rng.random(b) < leak
        said[known] = batch.records[known]
        answers.append(answer(said, claims=known + 0.1 * rng.random(b)))
    played = judge.SuccessRounds(
        label="x", adversary="a", game="gradient-inversion", refereed=judged(answers, batches)
    )
    return judge.judge_success([played], Policy(), seed=seed)[0]


def test_the_judge_finds_a_leak_and_not_chance():
    assert sum(found_in(seed).detected for seed in range(8)) <= 1
    leaking = found_in(0, leak=0.9)
    assert leaking.detected
    assert leaking.strength > 3.0
    assert [(p.facet, p.coverage) for p in leaking.points] == [
        ("", "all claims"),
        ("", "surest tenth"),
        ("", "all rounds"),
        ("identified", "all claims"),
        ("recovered", "all claims"),
    ]
    assert [leaking.points[i].exposed.n for i in (0, 3, 4)] == [40, 40, 40]
    assert leaking.points[0].null_p == pytest.approx(4 / 104)
    assert leaking.points[0].exposed.value == leaking.points[3].exposed.value
    assert 0.8 < leaking.points[4].exposed.value < 1.0


# Truth


def test_truth_given_back_is_identified_and_recovered():
    rng = np.random.default_rng(0)
    aside = Auxiliary(records=images(200, rng), labels=np.zeros(200))
    for auxiliary in (aside, None):
        batches = batches_of(5, 8, seed=1, auxiliary=auxiliary)
        result = judged([answer(batch.records[::-1]) for batch in batches], batches)
        assert result.facets == ("identified", "recovered")
        assert (result.nested, result.paired) == (True, False)
        assert (result.asked, result.made) == (40, 40)
        assert column(result, "hit", "identified").tolist() == [1.0] * 40
        assert column(result, "hit", "recovered").tolist() == [1.0] * 40
        assert column(result, "hit", "recovered", exposed=False).tolist() == [0.0] * 40
        assert np.nansum(column(result, "hit", "identified", exposed=False)) < 10


def test_a_record_is_recovered_within_half_the_distance_to_its_nearest_auxiliary_record():
    rng = np.random.default_rng(0)
    aside = Auxiliary(records=images(300, rng), labels=np.zeros(300))
    batch = batches_of(1, 6, seed=1, auxiliary=aside)[0]
    nearest = np.array(
        [
            min(math.sqrt(((r.astype(float) - a) ** 2).mean()) for a in aside.records)
            for r in batch.records
        ]
    )
    np.testing.assert_allclose(batch.near, nearest / 2, rtol=1e-9)
    way = np.sign(rng.normal(size=batch.records.shape))
    for factor, expected in ((0.49, 1.0), (0.51, 0.0)):
        off = factor * nearest[:, None, None, None] * way
        # One at a time: another record may be nearer than the one that was meant.
        hits = [
            column(judged([answer((batch.records + off)[i : i + 1])], [batch]), "hit", "recovered")
            for i in range(6)
        ]
        assert [h[i] for i, h in enumerate(hits)] == [expected] * 6


def test_without_auxiliary_records_only_equality_recovers():
    batch = batches_of(1, 4, seed=1)[0]
    assert not batch.near.any()
    assert not batch.decoy_near.any()
    size = np.sqrt((batch.records**2).mean(axis=(1, 2, 3), keepdims=True))
    for factor, expected in ((0.5e-4, 1.0), (2e-4, 0.0)):
        said = answer(batch.records.astype(float) + factor * size)
        assert column(judged([said], [batch]), "hit", "recovered").tolist() == [expected] * 4


def test_subjects_are_batches_and_no_decoy_batch_is_one_of_them():
    batches = batches_of(3, 2, seed=1)
    evidence = judged([answer(batch.records) for batch in batches], batches).evidence
    assert set(evidence.subject[evidence.exposed].tolist()) == {0, 1, 2}
    assert set(evidence.subject[~evidence.exposed].tolist()) == {-1, -2, -3}
    assert np.array_equal(evidence.cluster % 3, evidence.cluster)


def test_repeats_of_the_surest_reconstruction_are_no_more_hits():
    batch = batches_of(1, 4, seed=1)[0]
    noise = 1e-3 * np.random.default_rng(0).normal(size=(6, *SHAPE))
    said = answer(batch.records[[0, 0, 0, 0, 0, 1]] + noise, claims=[1, 5, 2, 3, 4, 0])
    result = judged([said], [batch])
    claims = column(result, "claim", "identified")
    np.testing.assert_array_equal(claims, [np.nan, 5, np.nan, np.nan, np.nan, 0])
    assert np.nansum(column(result, "hit", "identified")) == 2.0
    assert (result.asked, result.made) == (6, 2)
    other = column(result, "claim", "identified", exposed=False)
    assert np.nanmax(other) == 5.0


def test_records_at_the_same_distance_share_a_hit():
    twins = np.zeros((3, *SHAPE), np.float32)
    twins[2] += 5
    away = np.zeros((40, *SHAPE), np.float32) + np.arange(40, dtype=np.float32)[:, None, None, None]
    labels = np.zeros(40, np.int64)
    batch = draw(
        0,
        twins,
        labels[:3],
        away,
        labels,
        None,
        decoys=36,
        modality="image",
        groups=(),
        seed=0,
    )
    assert len(batch.decoys) == 39
    alike = float(np.sum(batch.decoys[3:].reshape(36, -1)[:, 0] == 0.0))
    result = judged([answer(np.full((1, *SHAPE), 0.2))], [batch])
    hit = column(result, "hit", "identified")
    np.testing.assert_array_equal(hit, [2.0 / (2.0 + alike), np.nan, np.nan])


def test_equal_records_tie_wherever_they_stand_in_the_product():
    rng = np.random.default_rng(0)
    pool = np.repeat(rng.normal(50, 1, (40, 301)), 7, axis=0)[rng.permutation(280)]
    apart = distance(rng.normal(50, 1, (33, 301)), pool, modality="image", scale=None)
    least = apart.min(axis=1, keepdims=True)
    assert set((apart <= (1 + 1e-8) * least).sum(axis=1).tolist()) == {7}


def test_a_reconstruction_that_is_no_number_is_a_miss():
    batch = batches_of(1, 3, seed=1)[0]
    said = np.array(batch.records)
    said[0, 0, 0, 0] = np.nan
    said[1] = np.inf
    result = judged([answer(said)], [batch])
    assert column(result, "hit", "identified").tolist() == [0.0, 0.0, 1.0]
    assert column(result, "hit", "recovered").tolist() == [0.0, 0.0, 1.0]
    result = judged([answer(said[:2])], [batch])
    assert column(result, "hit", "identified")[:2].tolist() == [0.0, 0.0]
    assert np.isnan(column(result, "claim", "recovered")).all()


def test_abstentions_stand_as_rounds():
    batches = batches_of(3, 3, seed=1)
    nothing = InversionAnswer(claims=np.zeros(0), certified=np.zeros(0, bool))
    none = answer(batches[0].records[:0])
    assert judged([none] * 3, batches).made == 0
    assert matching(none, batches[0], modality="image", groups=()).tolist() == [-1] * 3
    said = answer(batches[2].records[:2], claims=[np.nan, 1.0])
    result = judged([None, nothing, said], batches)
    claims = column(result, "claim", "identified")
    np.testing.assert_array_equal(claims, [np.nan] * 7 + [1.0, np.nan])
    np.testing.assert_array_equal(np.isnan(column(result, "hit", "identified")), np.isnan(claims))
    assert len(column(result, "claim", "identified", exposed=False)) == 9
    assert column(result, "hit", "recovered")[6:].tolist() == [0.0, 1.0, 0.0]
    assert (result.asked, result.made) == (9, 1)
    assert judged([None, None, None], batches).facets == ("identified", "recovered")


def test_recovered_has_the_claim_of_the_nearest_reconstruction():
    batch = batches_of(1, 3, seed=1)[0]
    near = batch.records[[0, 1, 2, 0]] + np.float32([0.1, 0.1, 0.1, 0.0])[:, None, None, None]
    result = judged([answer(near, claims=[4, 3, 2, 1])], [batch])
    assert column(result, "claim", "recovered").tolist() == [1.0, 3.0, 2.0]


def test_labels_overlap_as_multisets():
    batch = attrs.evolve(
        batches_of(1, 5, seed=1)[0], labels=[0, 0, 1, 2, 2], control_labels=[1, 1, 1, 1, 0]
    )
    said = answer(None, labels=np.array([1, 0, 1, 2, 0, 0]), claims=[6, 5, 4, 3, 2, 1])
    result = judged([said], [batch], labels_known=False)
    assert result.facets == ("labels",)
    # The last of six is not among the five surest.
    assert column(result, "hit", "labels").tolist() == [1, 1, 0, 1, 1]
    assert column(result, "hit", "labels", exposed=False).tolist() == [1, 1, 1, 0, 0]
    fewer = answer(None, labels=np.array([2, 2]), claims=[1.0, np.nan])
    hits = column(judged([fewer], [batch], labels_known=False), "hit", "labels")
    np.testing.assert_array_equal(hits, [1.0] + [np.nan] * 4)


def test_labels_are_a_facet_where_the_adversary_does_not_know_them():
    batches = batches_of(2, 3, seed=1)
    said = [answer(batches[0].records, labels=batches[0].labels), answer(batches[1].records)]
    assert judged(said, batches).facets == ("identified", "recovered")
    result = judged(said, batches, labels_known=False)
    assert result.facets == ("identified", "recovered", "labels")
    assert column(result, "hit", "labels")[:3].tolist() == [1.0] * 3
    assert np.isnan(column(result, "claim", "labels")[3:]).all()


# What is refused


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "shape": ({"records": np.zeros((2, 3, 4, 5))}, r"\(2, 3, 4, 4\)"),
    "dtype": ({"records": np.zeros((2, *SHAPE), complex)}, "complex128"),
    "too many": ({"records": np.zeros((77, *SHAPE))}, "at most 76"),
    "claims": ({"records": np.zeros((2, *SHAPE)), "claims": [1.0]}, r"claims of shape \(1,\)"),
    "infinite": ({"records": np.zeros((1, *SHAPE)), "claims": [np.inf]}, "infinite claim at 0"),
    "certified": ({"records": np.zeros((1, *SHAPE)), "certified": [True, True]}, "certified"),
    "labels": ({"records": np.zeros((1, *SHAPE)), "labels": np.array([0, 1])}, "labels of shape"),
    "class": ({"records": None, "labels": np.array([0, 3])}, "label 3, expected one from 0 to 2"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_answers_that_the_game_has_no_use_for_are_refused(why: str):
    batch = batches_of(1, 3, seed=1)[0]
    said, message = REFUSED[why]
    with pytest.raises(WrongAnswer, match=message):
        judged([answer(**said)], [batch])


def texts(n: int, rng: Rng) -> np.ndarray:
    return rng.integers(0, 50, (n, 12))


def text_batch(auxiliary: Auxiliary | None = None) -> Batch:
    rng = np.random.default_rng(0)
    none = np.zeros(200, np.int64)
    return draw(
        0,
        texts(4, rng),
        none[:4],
        texts(200, rng),
        none,
        auxiliary,
        decoys=40,
        modality="text",
        groups=(),
        seed=0,
    )


def test_texts_are_tokens_and_their_distance_the_share_that_differs():
    batch = text_batch()
    said = np.array(batch.records)
    said[:, :3] = 51
    hit = column(judged([answer(said)], [batch], modality="text"), "hit", "identified")
    assert hit.tolist() == [1.0] * 4
    apart = distance(said, batch.records, modality="text", scale=None)
    assert np.diag(apart).tolist() == [0.25] * 4
    with pytest.raises(WrongAnswer, match="float64, expected whole numbers"):
        judged([answer(said.astype(float))], [batch], modality="text")


def test_a_text_is_recovered_nearer_than_half_its_distance_to_the_nearest_auxiliary_one():
    aside = np.array(text_batch().records)[:1]
    aside[:, :6] = 51
    batch = text_batch(Auxiliary(records=aside, labels=np.zeros(1)))
    assert batch.near[0] == 0.25
    for wrong, expected in ((2, 1.0), (3, 0.0)):
        said = np.array(batch.records)[:1]
        said[:, :wrong] = 52
        result = judged([answer(said)], [batch], modality="text")
        assert column(result, "hit", "recovered")[0] == expected


# Distances


def test_distances_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 7)), rng.normal(size=(9, 7))
    groups, scale = ((0, 1, 2), (5, 6)), rng.uniform(1, 3, 7)
    expected = np.zeros((5, 9))
    for i, j in np.ndindex(5, 9):
        other = [a[i, list(g)].argmax() != b[j, list(g)].argmax() for g in groups]
        numbers = [((a[i, c] - b[j, c]) / scale[c]) ** 2 for c in (3, 4)]
        expected[i, j] = math.sqrt((sum(other) + sum(numbers)) / 4)
    found = distance(a, b, modality="tabular", scale=scale, groups=groups)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    plain = [[math.sqrt(((x - y) ** 2).mean()) for y in b] for x in a]
    np.testing.assert_allclose(distance(a, b, modality="image", scale=None), plain, rtol=1e-12)


def test_small_distances_keep_their_digits():
    rng = np.random.default_rng(0)
    a = rng.normal(1e3, 1.0, (4, 300))
    off = 1e-3 * rng.normal(size=a.shape)
    expected = np.sqrt(((a - (a + off)) ** 2).mean(axis=1))
    found = np.diag(distance(a, a + off, modality="image", scale=None))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_what_is_not_finite_or_too_large_is_infinitely_far():
    a = np.array([[0.0, 1.0], [np.nan, 1.0], [1e200, 0.0], [-np.inf, 0.0]])
    for how in ({"scale": None}, {"scale": np.array([1e-300, 1.0])}):
        for modality in ("image", "tabular"):
            apart = distance(a, a[:1], modality=modality, **how)
            assert np.isinf(apart[:, 0]).tolist() == [False, True, True, True]
    grouped = distance(a, a[:1], modality="tabular", scale=None, groups=((0, 1),))
    assert np.isinf(grouped[:, 0]).tolist() == [False, True, False, True]


def test_columns_are_scaled_over_everybody_and_constant_ones_not_at_all():
    rng = np.random.default_rng(0)
    away = np.column_stack([rng.normal(0, 5, 60), np.full(60, 0.1)])
    records, aside = away[:2] + np.array([100.0, 0.0]), away[:9] - np.array([50.0, 0.0])
    zeros = np.zeros(60, np.int64)
    batch = draw(
        0,
        records,
        zeros[:2],
        away,
        zeros,
        Auxiliary(records=aside, labels=zeros[:9]),
        decoys=30,
        modality="tabular",
        groups=(),
        seed=0,
    )
    whole = np.concatenate([records, batch.decoys, aside])
    np.testing.assert_allclose(batch.scale, [whole[:, 0].std(), 1.0])


# Decoys


@pytest.mark.parametrize(("b", "decoys", "pool"), [(1, 100, 100), (8, 100, 104), (64, 20, 64)])
def test_there_are_as_many_decoys_of_a_class_for_each_record_of_it(b, decoys, pool):
    batch = batches_of(1, b, seed=0, decoys=decoys)[0]
    assert len(batch.decoys) == b + pool
    assert batch.null_p == b / (b + pool)
    ours, theirs = (np.bincount(y, minlength=3) for y in (batch.labels, batch.decoy_labels))
    assert theirs.tolist() == ((b + pool) // b * ours).tolist()
    assert len(np.unique(batch.decoys.reshape(b + pool, -1), axis=0)) == b + pool


def test_a_class_with_few_non_members_has_fewer_decoys_and_so_have_the_others():
    rng = np.random.default_rng(0)
    x, y = images(503, rng), np.repeat([0, 1], [500, 3])
    how = {"decoys": 100, "modality": "image", "groups": (), "seed": 0}
    batch = draw(0, images(2, rng), np.array([0, 1]), x, y, None, **how)
    assert np.bincount(batch.decoy_labels).tolist() == [3, 3]
    assert batch.null_p == 1 / 3
    with pytest.raises(BadArray, match=r"class 1.*found 3, expected 4 or more.*100 decoys 102"):
        draw(0, images(2, rng), np.array([1, 1]), x, y, None, **how)
    with pytest.raises(BadArray, match="found no record"):
        draw(0, images(0, rng), y[:0], x, y, None, **how)


def test_batches_have_decoys_of_their_own_and_a_seed_repeats_them():
    one, two = batches_of(2, 4, seed=0)
    again = batches_of(2, 4, seed=0)[1]
    assert not np.array_equal(one.decoys, two.decoys)
    np.testing.assert_array_equal(again.decoys, two.decoys)


def test_decoys_that_are_drawn_many_times_over_are_said_to_be():
    batches = batches_of(20, 4, seed=0, others=600)
    said = [answer(batch.records) for batch in batches]
    assert judged(said, batches).notes == ()
    batches = [attrs.evolve(batch, source=200) for batch in batches]
    assert "2,080 draws from 200 non-members" in judged(said, batches).notes[0]


# The blind adversary


def test_the_blind_adversary_says_auxiliary_records():
    rng = np.random.default_rng(0)
    x, y = labelled(400, rng)
    batches = batches_of(150, 3, seed=1, decoys=27)
    for labels in (True, False):
        guesses = [guess(b, Auxiliary(records=x, labels=y), 7, labels=labels) for b in batches]
        first = guesses[0]
        assert first.claims.tolist() == [0.0] * 3
        assert labels is np.array_equal(first.labels, batches[0].labels) or not labels
        same = (first.records[:, None] == x).all(axis=(2, 3, 4))
        assert (y[same.argmax(axis=1)] == first.labels).all()
        result = judged([answer(b.records) for b in batches], batches, guesses)
        blind = column(result, "blind_hit", "identified").reshape(150, 3)
        assert (blind == blind[:, :1]).all()
        assert_at(blind[:, 0], 0.1)
        assert not column(result, "blind_claim", "identified").any()
    rare = Auxiliary(records=x[:1], labels=y[:1])
    assert len(guess(batches[0], rare, 7, labels=True).labels) == 3
    alone = guess(batches[0], Auxiliary(labels=y), 7, labels=False)
    assert alone.records is None


# Exhibits and certificates


def test_the_hungarian_method_gives_each_record_one_reconstruction():
    batch = batches_of(1, 4, seed=1)[0]
    how = {"modality": "image", "groups": ()}
    said = batch.records[[2, 0, 0]].astype(float)
    said[2, 0, 0, 0] = np.nan
    assert matching(answer(said), batch, **how).tolist() == [1, -1, 0, -1]
    many = np.concatenate([batch.records + 1, batch.records])
    assert matching(answer(many), batch, **how).tolist() == [4, 5, 6, 7]
    assert matching(answer(None), batch, **how).tolist() == [-1] * 4
    alike = batch.records[0] + np.float32([0, 0.1, 0.2, 0.3])[:, None, None, None]
    assert sorted(matching(answer(alike), batch, **how).tolist()) == [0, 1, 2, 3]


def test_certificates_are_counted_right_and_wrong():
    batch = batches_of(1, 4, seed=1)[0]
    how = {"modality": "image", "groups": ()}
    said = answer(
        batch.records + np.float32([0, 0, 3, 3])[:, None, None, None], certified=[1, 0] * 2
    )
    assert certificate(said, batch, **how) == (1, 1)
    assert certificate(answer(batch.records), batch, **how) == (0, 0)
    assert certificate(answer(None, labels=batch.labels), batch, **how) == (0, 0)


# What the adversary gets


TOLD = Disclosed(
    kind="delta",
    examples=4,
    clients=2,
    optimiser="sgd",
    lr=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=0.01,
    epochs=2,
    batch_size=2,
    shuffled=True,
    mode="train",
    reduction="mean",
    mean=(0.5,),
    std=(0.2,),
    clip=1.0,
    clipped=True,
    noise=0.1,
    pruned=0.5,
    bits=8,
    dtype="float16",
)
ARRAYS = {"w": np.ones((2, 2)), "running_mean": np.zeros(2)}
RECORDS = np.arange(4.0 * 48).reshape(4, *SHAPE)


def given(*knows: str):
    update = ClientUpdate(before=ARRAYS, values=ARRAYS, records=RECORDS, labels=[2, 0, 1, 0])
    release = UpdateRelease(
        updates=(update,),
        disclosed=TOLD,
        before=ARRAYS,
        buffers=("running_mean",),
        groups=((0, 1),),
    )
    aside = Auxiliary(records=RECORDS[:1] + 1000, labels=[0])
    return challenge(
        update,
        release,
        model=None,
        knows=knows,
        shape=SHAPE,
        classes=3,
        modality="image",
        auxiliary=aside,
    )


HIDDEN = {
    "lr",
    "momentum",
    "nesterov",
    "weight_decay",
    "optimiser",
    "epochs",
    "batch_size",
    "shuffled",
    "mode",
    "reduction",
    "clip",
    "clipped",
    "noise",
    "pruned",
    "bits",
}


@pytest.mark.parametrize("word", OF_CLIENTS)
def test_an_adversary_gets_what_it_knows_and_nothing_more(word: str):
    drawn = given(*(known for known in OF_CLIENTS if known != word))
    said = attrs.asdict(drawn.disclosed)
    hidden = {name for name, value in said.items() if value is None}
    assert hidden == {"batch size": {"examples"}, "hyper-parameters": HIDDEN}.get(word, set())
    if word == "labels":
        assert drawn.labels is None
    else:
        assert drawn.labels.tolist() == [0, 0, 1, 2]
    names = ["w"] if word == "batch-norm statistics" else ["w", "running_mean"]
    assert list(drawn.update) == names
    assert list(drawn.before) == ["w", "running_mean"]
    assert (drawn.auxiliary is None) == (word == "auxiliary population")
    assert (drawn.buffers, drawn.groups) == (("running_mean",), ((0, 1),))


def walk(thing: object) -> Iterator[np.ndarray]:
    """Yield every array that can be reached from an object, bases of views included."""
    if isinstance(thing, np.ndarray):
        yield thing
        if thing.base is not None:
            yield from walk(thing.base)
    elif attrs.has(type(thing)):
        for each in attrs.fields(type(thing)):
            yield from walk(getattr(thing, each.name))
    elif isinstance(thing, list | tuple):
        for each in thing:
            yield from walk(each)
    elif hasattr(thing, "values"):
        for each in thing.values():
            yield from walk(each)


def test_no_truth_is_within_a_challenge_and_nothing_of_cores_can_be_changed():
    drawn = given(*OF_CLIENTS)
    there = list(walk(drawn))
    assert len(there) >= 6
    truth = set(RECORDS.reshape(-1).tolist()) - {0.0, 1.0, 2.0}
    assert not any(truth & set(array.reshape(-1).tolist()) for array in there)
    for array in drawn.update.values():
        assert not array.flags.writeable
        assert not any(np.shares_memory(array, core) for core in ARRAYS.values())
    assert not drawn.auxiliary.records.flags.writeable


def test_labels_that_the_audit_does_not_know_nobody_is_told():
    update = ClientUpdate(before=ARRAYS, values=ARRAYS)
    release = UpdateRelease(updates=(update,), disclosed=TOLD, before=ARRAYS)
    drawn = challenge(
        update,
        release,
        model=None,
        knows=OF_CLIENTS,
        shape=SHAPE,
        classes=3,
        modality="image",
        auxiliary=None,
    )
    assert drawn.labels is None
    assert drawn.auxiliary is None
