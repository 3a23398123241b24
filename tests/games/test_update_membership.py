"""Membership from updates: candidates in a secret order, and not what rounds were made of."""

import attrs
import numpy as np
import pytest

from leakpro_core.errors import NotApplicable, WrongAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.update_membership import challenge, referee
from leakpro_core.plan import OF_CLIENTS
from leakpro_core.records import Auxiliary, ClientUpdate, Disclosed, Population, UpdateRelease

N = 30
ARRAYS = {"w": np.ones(3), "count": np.zeros(1)}
RECORDS = 100.0 + np.arange(2.0 * N).reshape(N, 2)
MEMBERS = np.arange(N) % 3 == 0
PEOPLE = Population(
    records=RECORDS, labels=np.arange(N) % 2, subjects=500 + np.arange(N), classes=2
)
TOLD = Disclosed(kind="weights", examples=10, lr=0.1, epochs=2)


def drawn(*hidden: str, **more):
    secretly = {"records": RECORDS[MEMBERS], "labels": np.zeros(10)}
    rounds = [ClientUpdate(before=ARRAYS, values=ARRAYS, **secretly) for _ in range(3)]
    release = UpdateRelease(disclosed=TOLD, before=ARRAYS, rounds=3, buffers=("count",))
    how = {
        "model": None,
        "knows": [known for known in OF_CLIENTS if known not in hidden],
        "auxiliary": Auxiliary(records=np.zeros((4, 2)), labels=np.zeros(4)),
        "seed": 1,
    }
    return challenge(more.pop("people", PEOPLE), MEMBERS, rounds, release, **(how | more))


def test_candidates_come_in_a_secret_order():
    given, secret = drawn()
    assert sorted(secret.order.tolist()) == list(range(N))
    assert secret.order.tolist() != list(range(N))
    np.testing.assert_array_equal(given.records, RECORDS[secret.order])
    np.testing.assert_array_equal(given.labels, secret.order % 2)
    np.testing.assert_array_equal(secret.members, secret.order % 3 == 0)
    np.testing.assert_array_equal(secret.subjects, 500 + secret.order)
    assert sorted(given.ids.tolist()) == list(range(N))
    assert given.ids.tolist() != secret.order.tolist()
    assert not np.shares_memory(given.records, RECORDS)
    some, kept = drawn(rows=np.array([4, 9, 3]))
    assert (len(some.ids), sorted(kept.order.tolist())) == (3, [3, 4, 9])


def test_rounds_are_handed_over_without_what_they_were_made_of():
    given, _ = drawn()
    assert len(given.rounds) == 3
    for update in given.rounds:
        assert update.records is None
        assert update.labels is None
        assert list(update.values) == list(update.before) == ["w", "count"]
        assert not np.shares_memory(update.values["w"], ARRAYS["w"])
        assert not np.shares_memory(update.before["w"], ARRAYS["w"])
    assert {f.name for f in attrs.fields(type(given))} == {
        "ids",
        "records",
        "labels",
        "classes",
        "model",
        "rounds",
        "disclosed",
        "auxiliary",
    }


def test_an_adversary_is_told_what_it_knows_and_nothing_more():
    assert drawn("labels")[0].disclosed == TOLD
    assert drawn("batch size")[0].disclosed == attrs.evolve(TOLD, examples=None)
    untold = Disclosed(kind="weights", examples=10)
    assert drawn("hyper-parameters")[0].disclosed == untold
    assert [list(u.values) for u in drawn("batch-norm statistics")[0].rounds] == [["w"]] * 3
    assert drawn("auxiliary population")[0].auxiliary is None
    assert drawn()[0].auxiliary is not None


def test_without_candidate_records_the_game_is_not_played():
    with pytest.raises(NotApplicable, match="found an adversary without the candidate records"):
        drawn("candidate records")
    with pytest.raises(NotApplicable, match="found a population without records"):
        drawn(people=attrs.evolve(PEOPLE, records=None))


def test_claims_are_compared_in_the_populations_order():
    _, secret = drawn(rows=np.arange(5, 25))
    claims = np.where(secret.order == 7, np.nan, secret.order * 1.0)
    tenth = np.arange(N) == 6
    result = referee(
        MembershipAnswer(claims=claims), secret, blind=-np.arange(30.0), attack="x", tenth=tenth
    )
    evidence = result.evidence
    expected = np.arange(5.0, 25.0)
    np.testing.assert_array_equal(evidence.blind_claim, -expected)
    np.testing.assert_array_equal(evidence.claim, np.where(expected == 7, np.nan, expected))
    np.testing.assert_array_equal(evidence.exposed, MEMBERS[5:25])
    np.testing.assert_array_equal(evidence.subject, 505 + np.arange(20))
    assert np.isnan(evidence.hit).all()
    assert np.flatnonzero(result.tenth).tolist() == [1]
    assert (result.facets, result.asked, result.made) == (("",), 20, 19)
    assert np.isnan(
        referee(
            MembershipAnswer(claims=claims), secret, blind=None, attack="x"
        ).evidence.blind_claim
    ).all()


def test_claims_that_do_not_fit_the_candidates_are_refused():
    _, secret = drawn()
    for claims, message in ((np.zeros(3), "shape"), (np.full(N, np.inf), "infinite")):
        with pytest.raises(WrongAnswer, match=message):
            referee(MembershipAnswer(claims=claims), secret, blind=None, attack="x")
