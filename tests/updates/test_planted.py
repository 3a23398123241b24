"""The positive control of gradient inversion: do attacks see a record that is given away?"""

import numpy as np
import pytest
from attrs import evolve, frozen
from fake_updates import Options, audit, load, plan, words
from scipy import stats

from leakpro_core.games.outcome import Refereed
from leakpro_core.records import Disclosed, Evidence
from leakpro_core.testing.updates import LinearClient
from leakpro_core.updates.audit import settle
from leakpro_core.updates.planted import judged, luck, plain, planted
from leakpro_core.updates.play import UpdatePlayed
from leakpro_core.updates.stage import UpdateStage

INVERSION = "gradient-inversion"
NOISE = "noise = 5.0\n"
MANY = "[games]\nbatches = 100\ndecoys = 100"


def control(report):
    (found,) = [c for c in report.controls if c.name == "planted records"]
    return found


def made(tmp_path, more="", **options):
    chosen = plan(tmp_path, "exact", more=more)
    return chosen, settle(chosen, load(Options(**options), None))


def test_an_attack_that_names_planted_records_may_find_nothing(tmp_path):
    report = audit(tmp_path, "exact", target=NOISE + "others = 1000", more=MANY)
    assert words(report) == {INVERSION: "not found"}
    assert control(report).result == "pass"
    assert control(report).statement == (
        "8 records were planted, each in a plain gradient without a defence: exact named 8 of 8."
    )


def test_of_an_attack_that_names_none_finding_nothing_is_not_supported(tmp_path):
    report = audit(tmp_path, "guess", target=NOISE + "others = 1000", more=MANY)
    (finding,) = report.findings
    assert finding.word.value == "invalid"
    assert "the records that plain gradients of one record each give away" in finding.statement
    assert control(report).result == "fail"
    assert "Of guess, that it finds nothing says nothing." in control(report).statement


def test_one_attack_that_names_them_is_enough_and_others_are_told(tmp_path):
    report = audit(tmp_path, "exact", "guess", target=NOISE)
    assert words(report) == {INVERSION: "inconclusive"}
    assert control(report).result == "warn"
    assert "exact named 8 of 8, guess named none. Of guess" in control(report).statement


def answered(chosen, facet, hit):
    """Return an attack whose claim about each of eight updates is right, or wrong."""
    unknown = np.full(8, np.nan)
    evidence = Evidence(
        subject=np.arange(8),
        cluster=np.arange(8),
        exposed=np.ones(8, np.bool_),
        claim=np.zeros(8),
        hit=np.full(8, hit),
        blind_claim=unknown,
        blind_hit=unknown,
        null_p=unknown,
        facet=np.zeros(8, np.int64),
    )
    return UpdatePlayed(
        attack=evolve(chosen.attacks[0], label=f"{facet} {hit:g}"),
        adversary=chosen.adversaries[0],
        refereed=Refereed(evidence=evidence, facets=(facet,), asked=8, made=8),
    )


def test_who_names_labels_shows_nothing_of_attacks_that_make_records(tmp_path):
    chosen, stage = made(tmp_path)
    found = planted(chosen, stage, 0)
    labels, blind = answered(chosen, "labels", 1.0), answered(chosen, "identified", 0.0)
    told, seen = judged(found, [labels, blind], 0.05, "anyone")
    assert (told.result, seen) == ("warn", False)
    # Where nobody makes records, those who name labels are all that is asked.
    told, seen = judged(found, [labels], 0.05, "anyone")
    assert (told.result, seen) == ("pass", True)


def test_labels_that_are_nearly_all_of_one_class_tell_nothing_of_an_attack_on_labels(tmp_path):
    chosen, stage = made(tmp_path)
    people = stage.population
    uneven = np.where(np.arange(len(people.labels)) % 20 > 0, 0, people.labels)
    found = planted(chosen, evolve(stage, population=evolve(people, labels=uneven)), 0)
    told, seen = judged(found, [answered(chosen, "labels", 1.0)], 0.05, "anyone")
    assert not seen
    assert "labels 1 named 8 of 8, as luck may." in told.statement


def test_a_leak_stands_whatever_attacks_see(tmp_path):
    report = audit(tmp_path, "exact", more="[games]\nbatches = 24\nplanted = []")
    assert words(report) == {INVERSION: "extraction shown"}
    assert control(report).statement == "The plan switched it off."


def test_who_switches_it_off_has_no_support_for_finding_nothing(tmp_path):
    more = "[games]\nbatches = 24\ndecoys = 40\nplanted = []"
    report = audit(tmp_path, "exact", target=NOISE, more=more)
    assert words(report) == {INVERSION: "invalid"}
    assert "the plan switched it off" in report.findings[0].statement


def test_planted_updates_are_plain_gradients_of_single_records_of_clients(tmp_path):
    chosen, stage = made(tmp_path, kind="delta", lr=0.5, examples=5, noise=3.0)
    found = planted(chosen, stage, 0)
    assert isinstance(found, UpdateStage)
    assert len(found.items) == 8
    assert found.release.disclosed == Disclosed(
        kind="gradient", examples=1, mode="eval", reduction="mean"
    )
    rows = np.concatenate([item.members for item in found.items])
    assert len(np.unique(rows)) == 8
    assert stage.population.members[rows].all()
    for item in found.items:
        values = found.sent(item).values
        row = int(np.argmax(np.abs(values["bias"])))
        record = values["weight"][row] / values["bias"][row]
        np.testing.assert_allclose(record, item.records[0], rtol=1e-8)
        assert item.batch.size == 1


def test_no_more_records_are_planted_than_there_are_batches(tmp_path):
    chosen, stage = made(tmp_path, more="[games]\nbatches = 3\ndecoys = 40")
    assert len(planted(chosen, stage, 0).items) == 3


def test_records_without_others_of_their_class_are_not_planted(tmp_path):
    chosen, stage = made(tmp_path)
    people = stage.population
    rare = people.labels == 0
    few = evolve(people, labels=np.where(rare & ~people.members, 1, people.labels))
    found = planted(chosen, evolve(stage, population=few), 0)
    assert all(item.labels[0] != 0 for item in found.items)


def test_received_updates_are_controlled_by_known_records_of_clients(tmp_path):
    target = "received = 2\nmembers = 20\ntruth = false\nexamples = 3"
    report = audit(tmp_path, "exact", target=target)
    assert control(report).statement.startswith("2 records were planted")
    assert control(report).result == "pass"


def test_records_of_received_batches_are_planted_where_nobody_says_whose_records_are(tmp_path):
    chosen, stage = made(tmp_path, received=2, members=20, examples=3)
    own = stage.population.members
    others = evolve(
        stage.population,
        records=stage.population.records[~own],
        labels=stage.population.labels[~own],
        subjects=stage.population.subjects[~own],
        members=None,
    )
    unsaid = evolve(stage, population=others)
    found = planted(chosen, unsaid, 0)
    theirs = {record.tobytes() for item in stage.items for record in item.records}
    assert len(found.items) == 2
    assert all(item.records[0].tobytes() in theirs for item in found.items)
    told, seen = judged(found, [answered(chosen, "labels", 1.0)], 0.5, "anyone")
    assert (told.result, seen) == ("pass", True)
    # The same batch in two rounds is planted once.
    first = stage.items[0]
    again = evolve(unsaid, items=(first, evolve(first, number=1)))
    rows = [item.records.tobytes() for item in planted(chosen, again, 0).items]
    assert len(set(rows)) == 2
    unknown = evolve(unsaid, items=tuple(evolve(i, records=None, batch=None) for i in stage.items))
    assert "No records are known" in planted(chosen, unknown, 0)


def test_where_nothing_can_be_planted_it_is_said_and_stops_nothing(tmp_path):
    chosen, stage = made(tmp_path)

    class Other:
        update, after = LinearClient.update, LinearClient.after

    assert "cannot be asked" in planted(chosen, evolve(stage, client=Other()), 0)
    nobody = evolve(stage.population, members=np.zeros(520, np.bool_))
    assert "No records are known" in planted(chosen, evolve(stage, population=nobody), 0)
    strangers = evolve(stage.population, members=np.ones(520, np.bool_))
    assert "too few other records" in planted(chosen, evolve(stage, population=strangers), 0)


def test_a_client_that_is_told_what_to_disclose_keeps_the_rest():
    @frozen(kw_only=True)
    class Wide(LinearClient):
        width: int

    had = Disclosed(kind="weights", lr=0.1, clip=1.0, noise=1.0, mean=(0.5,), std=(0.25,))
    found = plain(Wide(disclosed=had, width=3), had)
    assert found.client.width == 3
    assert found.client.disclosed == found.disclosed
    assert (found.disclosed.mean, found.disclosed.std) == ((0.5,), (0.25,))
    assert (found.disclosed.clip, found.disclosed.noise) == (None, None)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_luck_is_the_tail_of_independent_events(count):
    assert luck([0.2] * 5, count) == pytest.approx(stats.binom.sf(count - 1, 5, 0.2))
    assert luck([0.5, 0.1], 1) == pytest.approx(1 - 0.5 * 0.9)
