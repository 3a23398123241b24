"""What is played: batches, their updates, and rounds."""

import numpy as np
import pytest
from attrs import evolve
from fake_updates import Options, load, plan

from leakpro_core.errors import BadArray, TrainingFailed
from leakpro_core.records import ClientUpdate, Disclosed
from leakpro_core.updates.audit import settle
from leakpro_core.updates.certified import CLOSE, CLOSE_IN_HALVES, close, reproduced, residual
from leakpro_core.updates.stage import SHARED, fingerprint


def staged(tmp_path, *attacks, more="", **options):
    chosen = plan(tmp_path, *(attacks or ("exact",)), more=more)
    return settle(chosen, load(Options(**options), None))


def test_no_record_is_in_two_batches_while_there_are_others(tmp_path):
    stage = staged(tmp_path, examples=5, members=120)
    drawn = np.concatenate([item.members for item in stage.items])
    assert len(stage.items) == 24
    assert len(np.unique(drawn)) == len(drawn) == 120


def test_records_are_in_two_batches_at_most_and_batches_are_fewer_then(tmp_path):
    stage = staged(tmp_path, examples=5, members=23)
    drawn = np.concatenate([item.members for item in stage.items])
    assert len(stage.items) == SHARED * (23 // 5)
    assert np.bincount(drawn).max() <= SHARED
    assert all(len(np.unique(item.members)) == 5 for item in stage.items)


def test_of_records_that_fill_one_batch_there_is_one(tmp_path):
    assert len(staged(tmp_path, examples=5, members=5).items) == 1


def test_only_members_are_in_batches_and_no_decoy_is_one(tmp_path):
    stage = staged(tmp_path, examples=3)
    people = stage.population
    inside = {record.tobytes() for record in people.records[people.members]}
    for item in stage.items:
        assert people.members[item.members].all()
        assert not inside & {record.tobytes() for record in item.batch.decoys}


def test_nobody_of_whom_a_record_is_a_clients_is_a_decoy(tmp_path):
    chosen = plan(tmp_path, "exact")
    release = load(Options(), None)
    people = release.population
    subjects = people.subjects.copy()
    subjects[people.members] = np.arange(200, 320)  # who have another record each, of no client
    other = evolve(release, population=evolve(people, subjects=subjects))
    stage = settle(chosen, other)
    theirs = {
        r.tobytes() for r in people.records[~people.members & (subjects >= 200) & (subjects < 320)]
    }
    assert theirs
    for item in stage.items:
        assert not theirs & {record.tobytes() for record in item.batch.decoys}


def test_a_share_of_others_becomes_auxiliary_where_none_is_given(tmp_path):
    stage = staged(tmp_path, auxiliary=0, others=400)
    assert len(stage.auxiliary.labels) == 100
    assert len(stage.population.labels) == 120 + 300
    inside = {record.tobytes() for record in stage.population.records}
    assert not inside & {record.tobytes() for record in stage.auxiliary.records}
    given = staged(tmp_path, auxiliary=30, others=400)
    assert len(given.auxiliary.labels) == 30


def test_the_update_of_a_batch_is_the_same_each_time(tmp_path):
    stage = staged(tmp_path, noise=1.0)
    first, second = (stage.sent(stage.items[0]).values["weight"] for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, stage.sent(stage.items[1]).values["weight"])


def test_rounds_are_played_one_after_another_with_all_members(tmp_path):
    stage = staged(tmp_path, "aligned", rounds=3, kind="delta", lr=0.5)
    people, now = stage.population, stage.release.before
    assert stage.items == ()
    for one in stage.rounds:
        assert np.array_equal(one.before["weight"], now["weight"])
        assert one.records is None
        sent = stage.client.update(
            now, people.records[people.members], people.labels[people.members], 0
        )
        assert np.allclose(one.values["weight"], sent["weight"])
        now = stage.client.after(now, one.values)
    assert len(stage.rounds) == 3


def test_updates_that_were_received_are_the_rounds(tmp_path):
    stage = staged(tmp_path, "aligned", "exact", received=4, examples=6)
    assert len(stage.rounds) == len(stage.items) == 4


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"values": {"weight": np.zeros((4, 3))}}, BadArray, r"expected of shape \(4, 16\) before"),
        ({"values": {"other": np.zeros(3)}}, BadArray, "expected no such array before"),
        ({"values": {"bias": np.full(4, np.nan)}}, TrainingFailed, "not finite"),
        ({"records": np.zeros((1, 15))}, BadArray, r"batch of update 1: found records of shape"),
        ({"labels": np.array([9])}, BadArray, "found 9, expected a class from 0 to 3"),
        ({"records": np.zeros((1, 16), np.int64)}, BadArray, "found records of dtype int64"),
        (
            {"records": np.zeros((2, 16)), "labels": np.array([0, 1])},
            BadArray,
            "found 2 records, expected 1, as the client disclosed",
        ),
    ],
)
def test_an_update_that_does_not_fit_is_named(tmp_path, change, error, said):
    release = load(Options(received=1), None)
    (update,) = release.updates.updates
    wrong = evolve(release, updates=evolve(release.updates, updates=(evolve(update, **change),)))
    with pytest.raises(error, match=said):
        settle(plan(tmp_path, "exact"), wrong)


def test_the_fingerprint_is_that_of_updates_records_and_what_was_disclosed(tmp_path):
    base = load(Options(received=1), None)
    chosen = plan(tmp_path, "exact")
    (update,) = base.updates.updates

    def of(updates):
        release = evolve(base, updates=updates)
        return fingerprint(release, settle(chosen, release))

    values = {name: value + 1.0 for name, value in update.values.items()}
    others = (
        base.updates,
        evolve(base.updates, updates=(evolve(update, values=values),)),
        evolve(base.updates, disclosed=Disclosed(kind="gradient", examples=1, lr=0.1)),
    )
    prints = [of(each) for each in others]
    assert len(set(prints)) == 3
    assert prints[0] == of(base.updates)


# Certificates.


@pytest.mark.parametrize("kind", ["gradient", "delta", "weights"])
def test_the_residual_is_of_what_was_sent_of_weights_of_how_they_moved(tmp_path, kind):
    stage = staged(tmp_path, kind=kind, lr=0.1)
    sent = stage.sent(stage.items[0])
    again = {
        name: value + (0.5 * (value - sent.before[name]) if kind == "weights" else 0.5 * value)
        for name, value in sent.values.items()
    }
    assert residual(sent, sent.values, stage.release) == 0.0
    assert residual(sent, again, stage.release) == pytest.approx(0.5)


def test_buffers_do_not_count_in_the_residual(tmp_path):
    stage = staged(tmp_path)
    sent = stage.sent(stage.items[0])
    release = evolve(stage.release, buffers=("bias",))
    again = dict(sent.values) | {"bias": sent.values["bias"] + 100.0}
    assert residual(sent, again, release) == 0.0
    assert residual(sent, again, stage.release) > 1.0


def test_nothing_reproduces_an_update_of_zeros(tmp_path):
    stage = staged(tmp_path)
    nothing = {name: np.zeros_like(v) for name, v in stage.release.before.items()}
    sent = ClientUpdate(before=stage.release.before, values=nothing)
    assert residual(sent, nothing, stage.release) == float("inf")


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        (None, CLOSE),
        ("float32", CLOSE),
        ("float16", CLOSE_IN_HALVES),
        ("bfloat16", CLOSE_IN_HALVES),
    ],
)
def test_halves_are_reproduced_less_closely(tmp_path, dtype, wanted):
    assert wanted == close(staged(tmp_path, dtype=dtype).release)


def test_reconstructions_of_another_number_or_without_labels_reproduce_nothing(tmp_path):
    from leakpro_core.games.gradient_inversion import InversionAnswer

    stage = staged(tmp_path, examples=2)
    item = stage.items[0]
    right = InversionAnswer(
        records=item.records,
        labels=item.labels,
        claims=np.zeros(2),
        certified=np.ones(2, np.bool_),
    )
    assert reproduced(stage, item, right) == 0.0
    assert "no labels" in reproduced(stage, item, evolve(right, labels=None))
    fewer = evolve(right, records=item.records[:1], labels=item.labels[:1])
    assert "they are 1 records, and the update is of 2" in reproduced(stage, item, fewer)


def test_an_update_of_no_parameter_is_refused(tmp_path):
    release = load(Options(received=1), None)
    (update,) = release.updates.updates
    left = {"bias": update.values["bias"]}
    statistics = evolve(
        release.updates, updates=(evolve(update, values=left),), buffers=("bias", "weight")
    )
    with pytest.raises(BadArray, match="update 1: found no parameter of the model"):
        settle(plan(tmp_path, "exact"), evolve(release, updates=statistics))
